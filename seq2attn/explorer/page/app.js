// The page: what the reader chooses becomes requests, and answers become panels.

import { completed } from "../engine/interface.js";
import { h, replace } from "./dom.js";
import { Panel } from "./panel.js";
import { Requests } from "./requests.js";
import { begin, editsOf, fromHash, initial, isChanged, NORMALISERS, toHash, withoutChanges } from "./state.js";
import { speak, spoken, t, translate } from "./words.js";

const TYPING = 80; // milliseconds without a key, after which a text is sent
const DRAGGING = 40;
const THEMES = ["light", "dark"];

/** Start the page with an engine: see engine/interface.js. */
export async function start(engine) {
  const app = new App(completed(engine));
  await app.open();
  return app;
}

class App {
  constructor(engine) {
    this.engine = engine;
    begin(engine.view);
    this.requests = new Requests(engine);
    this.state = initial();
    this.runs = [];
    this.panels = new Map();
    this.image = null;
    this.text = document.getElementById("text");
    this.status = document.getElementById("status");
  }

  async open() {
    this.state = fromHash(location.hash);
    speak(this.state.language);
    this.applyTheme();
    this.listen();
    this.relabel();
    try {
      this.runs = await this.engine.runs();
    } catch (error) {
      return this.say("failed", { message: error.message }, true);
    }
    if (this.engine.texts && !this.engine.texts.includes(this.state.text)) this.state.text = this.engine.texts[0] ?? "";
    this.begin();
    this.text.value = this.state.text;
    this.relabel();
    this.ask(0);
  }

  /** Where the address has no text, begin with a sentence that the run knows, to be replaced by typing. */
  begin() {
    if (this.state.text || this.isOfImages || this.engine.texts) return;
    this.state.text = this.chosen[0]?.example ?? "";
    this.text.value = this.state.text;
    this.text.select();
  }

  listen() {
    this.text.addEventListener("input", () => {
      // numbers of words, and ids, are of the text before
      this.state = { ...this.state, text: this.text.value, mask: [], edits: {} };
      this.saved();
      this.ask(TYPING);
    });
    document.getElementById("language").addEventListener("click", () => {
      this.state.language = spoken() === "en" ? "zh" : "en";
      speak(this.state.language);
      this.saved();
      this.relabel();
      this.render();
    });
    document.getElementById("theme").addEventListener("click", () => {
      this.state.theme = THEMES.find((one) => one !== this.theme);
      this.applyTheme();
      this.saved();
      this.render();
    });
    document.getElementById("key").addEventListener("submit", (event) => {
      event.preventDefault();
      this.engine.enter(event.target.elements.key.value);
      event.target.reset();
      event.target.hidden = true;
      this.ask(0);
    });
    const drop = document.getElementById("picture");
    document.getElementById("file").addEventListener("change", ({ target }) => this.take(target.files[0]));
    for (const name of ["dragover", "drop"])
      drop.addEventListener(name, (event) => {
        event.preventDefault();
        if (name === "drop") this.take(event.dataTransfer.files[0]);
      });
    window.addEventListener("hashchange", () => {
      if (location.hash === toHash(this.state)) return;
      this.state = fromHash(location.hash);
      this.text.value = this.state.text;
      speak(this.state.language);
      this.applyTheme();
      this.relabel();
      this.ask(0);
    });
  }

  get theme() {
    return this.state.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  }

  applyTheme() {
    document.documentElement.dataset.theme = this.theme;
  }

  saved() {
    history.replaceState(null, "", toHash(this.state));
  }

  say(key, values = {}, isError = false) {
    this.status.textContent = t(key, values);
    this.status.dataset.state = key;
    this.status.classList.toggle("error", isError);
  }

  /** The runs that are shown. */
  get chosen() {
    const chosen = this.runs.filter(({ name }) => this.state.runs.includes(name));
    return chosen.length ? chosen : this.runs.slice(0, 1);
  }

  get isOfImages() {
    return this.chosen[0]?.kind === "images";
  }

  // What the reader does

  change(fields, { delay = 0 } = {}) {
    this.state = { ...this.state, ...fields };
    this.saved();
    this.controls();
    this.ask(delay);
  }

  edit(run, fields, done = true) {
    const own = { ...editsOf(this.state, run), ...fields };
    this.change({ edits: { ...this.state.edits, [run]: own } }, { delay: done ? 0 : DRAGGING });
  }

  mask(word) {
    const { mask } = this.state;
    this.change({ mask: mask.includes(word) ? mask.filter((one) => one !== word) : [...mask, word].sort((a, b) => a - b) });
  }

  reset() {
    this.change(withoutChanges(this.state));
  }

  take(file) {
    if (!file) return;
    this.image = file;
    this.state = { ...this.state, mask: [], edits: {} };
    this.saved();
    for (const panel of this.panels.values()) panel.forget();
    this.ask(0);
  }

  // Requests

  /** The request of a run; `changed`: with what the reader changed. */
  request(run, changed) {
    const { state } = this, { prefix, attend } = editsOf(state, run.name);
    const parts = [
      state.open.includes("candidates") && "candidates",
      state.open.includes("beam") && "beam",
      state.open.includes("self") && "self_attention",
      state.layer === "attribution" && "attribution",
      state.confidence && "confidence",
    ].filter((part) => part && this.engine.parts.includes(part));
    if (run.kind === "images" && !this.panels.get(run.name)?.pictures) parts.push("picture");
    const hasText = run.kind !== "images" || this.engine.texts;
    const request = { ...(run.name && { run: run.name }), ...(hasText && { text: state.text }), ...(state.beam && { beam: state.beam }), parts };
    if (!changed) return request;
    return {
      ...request,
      ...(prefix.length && { prefix }),
      ...(state.mask.length && { mask: state.mask }),
      ...(Object.keys(attend).length && { attend }),
      ...(state.uniform.length && { uniform: state.uniform.includes("all") ? "all" : state.uniform.map((one) => one.split(".").map(Number)) }),
      ...(state.temperature !== 1 && { temperature: state.temperature }),
      ...(state.normaliser && { normaliser: state.normaliser }),
    };
  }

  /** Ask for all panels, after a pause; render at once what does not need an answer. */
  ask(delay) {
    this.arrange();
    this.render();
    this.say("working");
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.askNow(), delay);
  }

  async askNow() {
    const round = (this.round = (this.round ?? 0) + 1), isCurrent = () => round === this.round;
    if (this.isOfImages && !this.engine.texts ? !this.image : !this.state.text.trim()) {
      for (const panel of this.panels.values()) panel.element.hidden = true;
      return this.say(this.isOfImages ? "picture_drop" : "blank");
    }
    this.say("working");
    const results = await Promise.allSettled(this.chosen.map((run) => this.askRun(run)));
    if (!isCurrent()) return;
    const failure = results.find(({ status }) => status === "rejected");
    if (failure?.reason.needsKey) this.askForKey(failure.reason.message);
    else if (failure) this.say("failed", { message: failure.reason.message }, true);
    else this.say("ready");
  }

  askForKey(message) {
    const form = document.getElementById("key");
    form.hidden = false;
    form.elements.key.focus();
    this.say("failed", { message }, true);
  }

  async askRun(run) {
    const { engine, image } = this, picture = run.kind === "images" ? image : null;
    const changes = engine.changes && isChanged(this.state, run.name);
    const plain = this.request(run, false);
    const first = this.requests.ask(`${run.name} as it is`, plain, picture);
    const second = changes ? this.requests.ask(`${run.name} with changes`, this.request(run, true), picture) : first;
    const [base, answer] = await Promise.allSettled([first, second]);
    const panel = this.panels.get(run.name);
    if (base.status === "rejected") throw base.reason;
    if (!base.value || !panel) return;
    // a change that is refused can be undone in the panel
    panel.element.hidden = false;
    if (answer.status === "rejected" || answer.value) panel.show(base.value, answer.value ?? base.value, plain.parts);
    if (answer.status === "rejected") throw answer.reason;
  }

  // What is drawn

  arrange() {
    const names = this.chosen.map(({ name }) => name);
    for (const [name, panel] of this.panels)
      if (!names.includes(name)) {
        panel.close();
        this.panels.delete(name);
      }
    for (const run of this.chosen) if (!this.panels.has(run.name)) this.panels.set(run.name, new Panel(this, run));
    const elements = names.map((name) => this.panels.get(name).element), place = document.getElementById("panels");
    if (elements.some((element, i) => place.children[i] !== element)) place.replaceChildren(...elements);
    document.getElementById("ask").hidden = this.isOfImages || this.engine.texts !== null;
    document.getElementById("picture").hidden = !this.isOfImages || this.engine.texts !== null;
  }

  render() {
    for (const panel of this.panels.values()) panel.render();
  }

  relabel() {
    translate(document);
    if (this.engine.title) document.querySelector("h1").textContent = this.engine.title;
    document.title = document.querySelector("h1").textContent;
    const lead = this.engine.texts ? "lead_recorded" : this.isOfImages ? "lead_picture" : null;
    if (lead) document.querySelector(".lead").textContent = t(lead);
    document.getElementById("language").textContent = spoken() === "en" ? "中文" : "English";
    this.controls();
    if (!this.status.classList.contains("error")) this.say(this.state.text.trim() ? "ready" : "blank");
  }

  controls() {
    replace(document.getElementById("runs"), this.runs.length > 1 ? this.runChoice() : null, this.engine.texts?.length > 1 ? this.textChoice() : null);
    replace(document.getElementById("view"), this.viewControls());
    if (!this.sliding) replace(document.getElementById("search"), this.searchControls());
    document.getElementById("search").hidden = !this.engine.changes;
  }

  runChoice() {
    const names = this.chosen.map(({ name }) => name);
    const toggle = (run, isOn) => {
      const kind = run.kind ?? "text";
      const same = this.chosen.filter((one) => (one.kind ?? "text") === kind && one.name !== run.name).map(({ name }) => name);
      this.change({ runs: isOn ? [...same, run.name] : same });
    };
    return h(
      "fieldset",
      {},
      h("legend", {}, t("runs")),
      this.runs.map((run) => h("label", { class: "pill" }, h("input", { type: "checkbox", checked: names.includes(run.name), "data-key": `run-${run.name}`, on: { change: ({ target }) => toggle(run, target.checked) } }), h("bdi", {}, run.name))),
    );
  }

  textChoice() {
    const options = this.engine.texts.map((text) => h("option", { value: text, selected: text === this.state.text, dir: "auto" }, text));
    return labelled(t(this.isOfImages ? "choose_picture" : "choose_text"), h("select", { "data-key": "texts", on: { change: ({ target }) => this.change({ text: target.value }) } }, options));
  }

  viewControls() {
    const { state, engine } = this;
    const choose = (name, values, now, set) => h("select", { "data-key": name, on: { change: ({ target }) => this.change(set(target.value)) } }, values.map(([value, text]) => h("option", { value, selected: value === now }, text)));
    const shift = state.shift === null ? "auto" : String(state.shift);
    return [
      this.isOfImages && state.unit === "words" ? null : labelled(t("units"), choose("unit", [["words", t("unit_words")], ["subwords", t("unit_subwords")]], state.unit, (unit) => ({ unit }))),
      labelled(t("reads"), choose("shift", [["auto", t("reads_auto")], ["0", t("reads_written")], ["1", t("reads_read")]], shift, (value) => ({ shift: value === "auto" ? null : Number(value) }))),
      engine.parts.includes("attribution") && !this.isOfImages && labelled(t("layer"), choose("layer", [["attention", t("layer_attention")], ["attribution", t("layer_attribution")]], state.layer, (layer) => ({ layer }))),
      engine.hasLinks && h("label", { class: "check" }, h("input", { type: "checkbox", checked: state.gold, "data-key": "gold", on: { change: ({ target }) => this.change({ gold: target.checked }) } }), t("gold")),
      engine.parts.includes("confidence") && h("label", { class: "check" }, h("input", { type: "checkbox", checked: state.confidence, "data-key": "confidence", on: { change: ({ target }) => this.change({ confidence: target.checked }) } }), t("confidence")),
    ];
  }

  searchControls() {
    const { state } = this;
    const beams = [["0", t("beam_auto")], ...Array.from({ length: 8 }, (_, i) => [String(i + 1), String(i + 1)])];
    const normalisers = [["", t("normaliser_auto")], ...NORMALISERS.map((name) => [name, name])];
    const select = (name, values, now, set) => h("select", { "data-key": name, on: { change: ({ target }) => this.change(set(target.value)) } }, values.map(([value, text]) => h("option", { value, selected: value === now }, text)));
    const output = h("output", {}, `${Number(state.temperature.toPrecision(2))}`);
    const slide = ({ target }) => {
      // the slider stays while it moves
      this.sliding = true;
      const temperature = Number((10 ** Number(target.value)).toPrecision(2));
      output.textContent = String(temperature);
      this.change({ temperature }, { delay: DRAGGING });
      this.sliding = false;
    };
    const slider = h("input", { type: "range", min: -2, max: 2, step: 0.05, value: Math.log10(state.temperature).toFixed(2), "data-key": "temperature", on: { input: slide } });
    slider.value = Math.log10(state.temperature);
    const all = h("input", { type: "checkbox", checked: state.uniform.includes("all"), "data-key": "uniform", on: { change: ({ target }) => this.change({ uniform: target.checked ? ["all"] : [] }) } });
    return [
      labelled(t("beam"), select("beam", beams, String(state.beam), (value) => ({ beam: Number(value) }))),
      labelled(t("normaliser"), select("normaliser", normalisers, state.normaliser, (normaliser) => ({ normaliser }))),
      labelled(t("temperature"), h("span", { class: "slider" }, slider, output)),
      h("label", { class: "check" }, all, t("uniform_all")),
    ];
  }
}

const labelled = (text, control) => h("label", { class: "field" }, h("span", {}, text), control);
