// What is shown of one run: the output beside the one before, ribbons, and a section for each other view.

import { columns, differences, hardlyRead, isWord, label, linked, resolve, rows, select, table } from "./answer.js";
import { candidates } from "./candidates.js";
import { direction, find, h, replace } from "./dom.js";
import { figure, savePng, saveSvg } from "./figure.js";
import { heads } from "./heads.js";
import { matrix } from "./matrix.js";
import { picture } from "./picture.js";
import { light, ribbons, walk } from "./ribbons.js";
import { editsOf, isChanged } from "./state.js";
import { tree } from "./tree.js";
import { t } from "./words.js";

const GROWS = 70; // milliseconds from word to word

export class Panel {
  /** `app`: the state, `change(fields)`, `edit(run, edits, done)` and `engine`. */
  constructor(app, run) {
    this.app = app;
    this.run = run;
    this.base = this.answer = null; // as the model is, and with the changes
    this.grown = Infinity;
    this.pictures = null; // of the image of the answers
    this.picture = null;
    this.pinned = null;
    this.pruned = false;
    this.at = { row: 0, column: 0 }; // the cell of the matrix where the keyboard is
    this.self = { side: "encoder", head: "mean" };
    this.element = h("section", { class: "panel", on: { keydown: walk } });
    this.observer = new ResizeObserver(() => this.element.querySelector(".lines")?.draw());
    this.observer.observe(this.element);
  }

  /** Another picture comes. */
  forget() {
    this.pictures = this.picture = this.pinned = this.base = this.answer = null;
  }

  close() {
    this.observer.disconnect();
    clearInterval(this.timer);
    this.element.remove();
  }

  /**
   * Show answers: that of the model as it is, and that with the changes, which may be the same. `parts` are those that
   * were asked for.
   */
  show(base, answer, parts) {
    this.parts = parts;
    const isNew = this.base?.source.text !== base.source.text || this.base.label !== base.label;
    if (base.source.pictures && base.source.pictures !== this.pictures) {
      this.pictures = base.source.pictures;
      this.picture = null;
    }
    this.base = base;
    this.answer = answer;
    clearInterval(this.timer);
    this.grown = Infinity;
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (isNew && !still && !isChanged(this.app.state, this.run.name)) this.grow();
    this.render();
  }

  grow() {
    const count = rows(this.answer, this.app.state.unit).length;
    this.grown = 0;
    this.timer = setInterval(() => {
      this.grown += 1;
      if (this.grown > count) {
        clearInterval(this.timer);
        this.grown = Infinity;
      }
      this.applyGrowth();
    }, GROWS);
  }

  applyGrowth() {
    this.element.dataset.state = this.grown === Infinity ? "ready" : "growing";
    this.element.querySelector(".lines").grow(this.grown);
  }

  get view() {
    const { unit, head, shift, layer, confidence, gold } = this.app.state;
    return { unit, head, shift, layer, confidence, gold };
  }

  render() {
    if (!this.answer) return;
    const { answer, view } = this, { engine } = this.app;
    this.weights = table(answer, view);
    const canChange = engine.changes && answer.attention !== null;
    const changed = isChanged(this.app.state, this.run.name) && engine.changes;
    const words = differences(this.base.target.words, answer.target.words);
    const isText = answer.source.subwords.length > 0;
    this.hardly = hardlyRead(answer, view, this.weights);
    const handlers = {
      point: (side, index) => this.point(side, index),
      pin: (side, index) => this.pin(side, index),
      mask: canChange ? (word) => this.app.mask(word) : null,
    };
    replace(
      this.element,
      this.heading(),
      changed && this.changes(),
      changed && this.before(words.lost),
      isText || !this.pictures ? null : this.pictureOf(handlers),
      ribbons(answer, view, { marks: changed ? words.gained : null, masked: this.app.state.mask, hardly: this.hardly, handlers }),
      handlers.mask ? this.action() : null,
      this.notes(),
      answer.source.grid ? null : this.section("matrix", t("matrix"), () => this.matrix(canChange)),
      answer.attention && answer.attention.layers * answer.attention.heads > 1 && this.section("heads", t("heads"), () => this.heads(canChange)),
      this.has("candidates") && this.section("candidates", t("candidates"), () => answer.candidates && this.candidates()),
      this.has("beam") && this.section("beam", t("beam_tree"), () => answer.beam && [hint("beam_hint"), tree(answer, { pruned: this.pruned, togglePruned: () => this.toggle() })]),
      this.has("self_attention") && this.section("self", t("self_attention"), () => this.selfAttention()),
    );
    this.applyGrowth();
    if (this.pinned) this.point(...this.pinned);
  }

  heading() {
    const { name, model, languages } = this.run, { target } = this.answer, names = this.answer.attention?.names?.[0];
    const codes = (languages ?? []).filter(Boolean).join(" \u2192 ");
    const saves = [["svg", saveSvg], ["png", savePng]].map(([kind, save]) =>
      h("button", { type: "button", class: "plain", "data-key": `save-${kind}`, on: { click: () => save(figure(this.answer, this.view), name || "attention") } }, t(`export_${kind}`)),
    );
    return h(
      "header",
      {},
      h("h2", {}, h("bdi", {}, name || model || this.answer.kind)),
      h("span", { class: "about" }, [name ? model ?? this.answer.kind : "", codes].filter(Boolean).join(", ")),
      names?.length === 1 ? h("span", { class: "about" }, names[0]) : null,
      target.log_probability === null ? null : h("span", { class: "about", title: t("log_p_title") }, t("log_p", { value: target.log_probability.toFixed(2) })),
      target.finished ? null : h("span", { class: "about" }, t("unfinished")),
      this.answer.source.grid ? null : h("span", { class: "saves" }, saves),
    );
  }

  /** What is changed, each with a way back. */
  changes() {
    const { state } = this.app, edits = editsOf(state, this.run.name), chips = [];
    const chip = (key, what, undo) => chips.push(h("button", { type: "button", class: "chip", "data-key": `undo-${key}`, "aria-label": t("undo", { what }), on: { click: undo } }, h("bdi", {}, what), h("span", { "aria-hidden": "true" }, "\u00d7")));
    for (const word of state.mask) chip(`mask-${word}`, t("change_mask", { word: this.word(word) }), () => this.app.mask(word));
    for (const [key, weight] of Object.entries(edits.attend)) {
      const [step, word] = key.split(":").map(Number);
      chip(`attend-${key}`, t("change_attend", { step, word: this.word(word), weight: weight.toFixed(2) }), () => this.app.edit(this.run.name, { attend: without(edits.attend, [key]) }));
    }
    if (edits.prefix.length) chip("prefix", t("change_prefix", { text: this.answer.target.subwords.slice(0, edits.prefix.length).map(label).join("").replaceAll("\u00b7", " ").trim() }), () => this.app.edit(this.run.name, { prefix: [] }));
    for (const head of state.uniform) chip(`uniform-${head}`, head === "all" ? t("change_uniform_all") : t("change_uniform", { head: head.replace(".", "\u00b7") }), () => this.app.change({ uniform: state.uniform.filter((one) => one !== head) }));
    if (state.temperature !== 1) chip("temperature", t("change_temperature", { value: Number(state.temperature.toPrecision(2)) }), () => this.app.change({ temperature: 1 }));
    if (state.normaliser) chip("normaliser", t("change_normaliser", { value: state.normaliser }), () => this.app.change({ normaliser: "" }));
    return h("p", { class: "chips" }, chips, h("button", { type: "button", class: "plain", "data-key": "reset", on: { click: () => this.app.reset() } }, t("reset")));
  }

  word(number) {
    const { source } = this.answer;
    return source.fit ? t(source.grid ? "place" : "frame", { number }) : (source.words[number - 1] ?? String(number));
  }

  before(lost) {
    const { target } = this.base, isSame = target.text === this.answer.target.text;
    const words = target.words.flatMap((word, i) => [lost[i] ? h("del", {}, word) : word, " "]);
    return h(
      "div",
      { class: "before" },
      h("p", { class: "about" }, t("before"), " · ", t("log_p", { value: target.log_probability.toFixed(2) })),
      h("p", { class: "old", dir: direction(target.text) }, words),
      h("p", { class: "about" }, isSame ? t("same") : t("now"), " · ", t("log_p", { value: this.answer.target.log_probability.toFixed(2) })),
    );
  }

  pictureOf(handlers) {
    this.picture ??= picture({ pictures: this.pictures, grid: this.answer.source.grid }, handlers);
    this.picture.hide(this.app.state.mask);
    return [h("p", { class: "hint" }, t(this.answer.source.grid ? "picture_hint" : "clip_hint")), this.picture.element];
  }

  /** What can be done with the word that is pinned. */
  action() {
    const [side, index] = this.pinned ?? [];
    const column = side === "source" ? columns(this.answer, this.app.state.unit)[index] : null;
    if (!column?.word) return h("p", { class: "hint" }, t(this.answer.source.fit ? "hide_hint" : "ribbons_hint"));
    const key = this.app.state.mask.includes(column.word) ? "show_word" : "hide_word";
    return h("p", { class: "hint" }, h("button", { type: "button", class: "small", "data-key": "mask", on: { click: () => this.app.mask(column.word) } }, t(key, { word: this.word(column.word) })));
  }

  notes() {
    const { state, engine } = this.app, { answer } = this;
    const words = answer.source.words.filter(isWord).length, count = this.hardly.length;
    const few = this.hardly.slice(0, 10).map((c) => answer.source.words[c]).join(" ") + (count > 10 ? " \u2026" : "");
    return [
      !engine.changes && answer.source.subwords.length > 0 && hint(answer.attention?.shares || state.layer === "attribution" ? "ribbons_hint_share" : "ribbons_hint_recorded"),
      count > 0 && h("p", { class: "hint" }, t("hardly_read", { count, words, few })),
      (answer.notes ?? []).map((note) => h("p", { class: "hint" }, note)),
      !answer.attention && hint("no_attention"),
      state.layer === "attribution" && !answer.attribution && this.missing("attribution", "attribution_none"),
      state.confidence && !answer.confidence && this.missing("confidence", "confidence_none"),
    ];
  }

  /** Why the answer has no such part: there is none, or it is on its way. */
  missing(part, key) {
    return hint(this.parts.includes(part) || !this.app.engine.parts.includes(part) ? key : "working");
  }

  /** Whether there can be such a part: an answer that was recorded has it or not. */
  has(part) {
    return this.app.engine.texts === null ? this.app.engine.parts.includes(part) : this.answer[part] !== null;
  }

  section(name, title, content) {
    const { state } = this.app, open = state.open.includes(name);
    const toggle = (event) => {
      event.preventDefault();
      this.app.change({ open: open ? state.open.filter((one) => one !== name) : [...state.open, name] });
    };
    return h("details", { open, "data-section": name }, h("summary", { "data-key": `section-${name}`, on: { click: toggle } }, title), open ? content() : null);
  }

  matrix(editable) {
    if (!this.weights || !this.weights.length) return hint("no_attention");
    const { unit, layer } = this.app.state, { answer } = this;
    const down = rows(answer, unit), across = columns(answer, unit);
    if (!across.length) return null;
    const { shift } = answer.attention ? resolve(answer.attention, this.view) : { shift: 0 };
    const edits = editsOf(this.app.state, this.run.name);
    const steps = (row) => down[row].steps.map((step) => step + 1 + shift).filter((step) => step <= answer.target.ids.length);
    const keys = (row, column) => steps(row).map((step) => `${step}:${across[column].word}`);
    const marks = new Set(), gold = linked(answer, this.view);
    down.forEach((_, r) => across.forEach(({ word }, c) => word && keys(r, c).some((key) => key in edits.attend) && marks.add(`${r}:${c}`)));
    const canEdit = (row, column) => across[column].word > 0 && steps(row).length > 0 && !this.app.state.mask.includes(across[column].word);
    const handlers = { point: (row, column) => this.pointAt(row, column) };
    if (editable && layer === "attention")
      Object.assign(handlers, {
        canEdit,
        weight: (row, column) => editsOf(this.app.state, this.run.name).attend[keys(row, column)[0]],
        edit: (row, column, weight, done = true) => this.setWeight(keys(row, column), weight, done),
        undo: (row, column) => this.app.edit(this.run.name, { attend: without(edits.attend, keys(row, column)) }),
      });
    const room = this.element.clientWidth - 8;
    const options = { marks, gold, caption: this.answer.attention?.shares || layer === "attribution" ? "matrix_share" : "matrix_cell", handlers, name: `matrix-${this.run.name}`, room, at: this.at };
    return [hint(editable ? "matrix_hint" : "matrix_hint_recorded"), matrix(down.map((one) => one.label), across.map((one) => one.label), this.weights, options)];
  }

  /** Give a word a weight at some steps. The weights of one step add up to 1 at most. */
  setWeight(keys, weight, done) {
    const attend = { ...editsOf(this.app.state, this.run.name).attend };
    for (const key of keys) {
      const step = key.split(":")[0];
      const others = Object.entries(attend).reduce((sum, [other, own]) => (other !== key && other.split(":")[0] === step ? sum + own : sum), 0);
      attend[key] = Math.max(0, Math.min(weight, Math.floor((1 - others) * 100) / 100));
    }
    this.app.edit(this.run.name, { attend }, done);
  }

  heads(editable) {
    const { state } = this.app, { grid } = this.answer.source;
    const { names } = this.answer.attention;
    const weights = grid ? this.maps(grid) : this.answer.attention.weights;
    const { layer, head } = resolve(this.answer.attention, { ...this.view, head: "auto" });
    const even = state.head.includes(".") ? state.head : null, isEven = even && state.uniform.includes(even);
    const toggle = () => this.app.change({ uniform: isEven ? state.uniform.filter((one) => one !== even) : [...state.uniform.filter((one) => one !== "all"), even] });
    return [
      hint("heads_hint"),
      heads(weights, this.answer.attention.choice || state.head !== "auto" ? state.head : "mean", (value) => this.app.change({ head: value }), { name: `head-${this.run.name}`, names, automatic: this.answer.attention.choice ? select(weights, layer, head) : null }),
      editable && even ? h("label", { class: "check" }, h("input", { type: "checkbox", checked: Boolean(isEven), "data-key": "even", on: { change: toggle } }), t("head_even")) : null,
    ];
  }

  /** What each head looks at in a picture, for the word that is pinned or for all words: [L][H][rows][columns]. */
  maps([down, across]) {
    const [side, index] = this.pinned ?? [];
    const steps = side === "target" ? rows(this.answer, this.app.state.unit)[index].steps : this.answer.target.subwords.map((_, t) => t);
    const map = (head) => {
      const sums = head[0].map((_, i) => steps.reduce((sum, t) => sum + head[t][i], 0)), most = Math.max(...sums, 1e-9);
      return Array.from({ length: down }, (_, r) => sums.slice(r * across, (r + 1) * across).map((sum) => sum / most));
    };
    return this.answer.attention.weights.map((layer) => layer.map(map));
  }

  candidates() {
    const { ids } = this.answer.target;
    const force = this.app.engine.changes ? (step, id) => this.app.edit(this.run.name, { prefix: [...ids.slice(0, step), id] }) : null;
    return [hint(force ? "candidates_hint" : "candidates_hint_recorded"), candidates(this.answer, force)];
  }

  toggle() {
    this.pruned = !this.pruned;
    this.render();
  }

  selfAttention() {
    const own = this.answer.self_attention;
    if (!own || !(own.encoder || own.decoder)) return this.missing("self_attention", "self_none");
    const sides = ["encoder", "decoder"].filter((side) => own[side]);
    const side = sides.includes(this.self.side) ? this.self.side : sides[0];
    const choose = (fields) => {
      this.self = { ...this.self, side, ...fields };
      this.render();
    };
    const weights = own[side];
    const [layer, head] = this.self.head === "mean" ? [null, null] : this.self.head.split(".").map(Number);
    const exists = layer === null || (layer <= weights.length && head <= weights[0].length);
    const matrix_ = exists ? select(weights, layer, head) : select(weights, null, null);
    const names = side === "encoder" ? columns(this.answer, "subwords").map((one) => one.label) : ["<s>", ...this.answer.target.subwords.slice(0, -1).map(label)];
    const tabs = sides.map((one) => h("button", { type: "button", class: "small", "aria-pressed": String(one === side), "data-key": `self-${one}`, on: { click: () => choose({ side: one }) } }, t(`self_${one}`)));
    return [
      hint("self_hint"),
      h("p", { class: "tabs" }, tabs),
      heads(weights, exists ? this.self.head : "mean", (value) => choose({ head: value }), { name: `self-${side}` }),
      matrix(names, names, matrix_, { name: `self-matrix-${side}`, room: this.element.clientWidth - 8 }),
    ];
  }

  pin(side, index) {
    const isSame = this.pinned && this.pinned[0] === side && this.pinned[1] === index;
    this.pinned = isSame ? null : [side, index];
    this.render();
  }

  point(side, index) {
    if (side === null && this.pinned) [side, index] = this.pinned;
    light(this.element, this.weights, side, index);
    if (!this.picture || !this.weights) return;
    const highest = Math.max(0.01, ...this.weights.flat());
    this.picture.light(side === "target" ? this.weights[index] : null, highest);
    if (side === "source") this.picture.frame(index);
  }

  pointAt(row, column) {
    if (row === null) return this.point(null);
    this.point("target", row);
    const word = find(this.element, `source-${column}`);
    word?.classList.add("at");
  }
}

const hint = (key) => h("p", { class: "hint" }, t(key));

const without = (tree, keys) => Object.fromEntries(Object.entries(tree).filter(([key]) => !keys.includes(key)));
