// Two lines of words with ribbons between them, as thick as the weights. A wide screen has the lines one above the
// other, a narrow one beside each other.

import { columns, linked, rows, table } from "./answer.js";
import { direction, h, replace, s } from "./dom.js";
import { t } from "./words.js";

const LEAST = 0.05; // a weight below it has no ribbon
const THICK = 15; // pixels of a weight of 1
const AWAY = 40; // pixels: a word that is dragged so far is hidden

/**
 * The view of an answer. `draw()` places its ribbons, and `grow(count)` shows so many words alone. `marks`: of each output word whether it is new. `handlers`: point(side, index) and, where
 * the engine can change something, mask(word).
 */
export function ribbons(answer, view, { marks, masked, hardly = [], handlers }) {
  const across = columns(answer, view.unit), down = rows(answer, view.unit), weights = table(answer, view);
  const confidence = view.confidence ? answer.confidence : null;
  const written = down.map((one, i) => targetWord(one, i, { answer, view, confidence, marks, handlers }));
  const target = line("target", answer.target.text, written);
  if (answer.source.fit) {
    // the picture or the frames stand for the line of the source
    const box = h("div", { class: "lines caption-line" }, target);
    box.grow = (count) => show(written, count);
    box.draw = () => {};
    return box;
  }
  const source = line("source", answer.source.text, across.map((one, i) => sourceWord(one, i, { isMasked: masked.includes(one.word), isHardly: hardly.includes(i), handlers })));
  const picture = s("svg", { class: "ribbons", "aria-hidden": "true" });
  const box = h("div", { class: "lines" }, source, picture, target);
  let count = Infinity;
  const links = linked(answer, view);
  box.draw = () => draw(box, picture, weights, links, count);
  box.grow = (next) => {
    count = next;
    show(written, count);
    box.draw();
  };
  return box;
}

function show(words, count) {
  words.forEach((word, i) => word.classList.toggle("later", i >= count));
}

function line(side, text, words) {
  return h("div", { class: `line ${side}`, dir: direction(text), role: "group", "aria-label": t(`${side}_line`) }, words);
}

function sourceWord({ label, word }, index, { isMasked, isHardly, handlers }) {
  const hides = handlers.mask && word > 0;
  const on = pointing("source", index, handlers);
  if (hides) {
    on.keydown = (event) => {
      if (event.key !== "Delete" && event.key !== "Backspace") return;
      event.preventDefault();
      handlers.mask(word);
    };
    on.pointerdown = (event) => dragAway(event, () => handlers.mask(word));
  }
  const properties = { type: "button", class: `word${isMasked ? " masked" : ""}${isHardly ? " hardly" : ""}`, tabindex: index ? -1 : 0, title: isHardly ? t("hardly") : null };
  return h("button", { ...properties, "data-key": `source-${index}`, "data-index": index, "aria-keyshortcuts": hides ? "Delete" : null, on }, label);
}

function targetWord({ label, steps }, index, { answer, view, confidence, marks, handlers }) {
  const word = view.unit === "words" ? index : answer.target.word_of[steps[0]];
  const sure = confidence?.[word];
  const percent = sure === undefined ? "" : `${Math.round(100 * sure)} %`;
  const properties = {
    type: "button",
    class: `word${marks?.[word] && label !== "\u23ce" ? " new" : ""}`,
    tabindex: index ? -1 : 0,
    title: percent ? t("confident", { word: label, percent }) : null,
    style: sure === undefined ? null : `--doubt: ${(1 - sure).toFixed(3)}`,
  };
  return h("button", { ...properties, "data-key": `target-${index}`, "data-index": index, on: pointing("target", index, handlers) }, label);
}

function pointing(side, index, handlers) {
  return {
    pointerenter: () => handlers.point(side, index),
    pointerleave: () => handlers.point(null),
    focus: () => handlers.point(side, index),
    blur: () => handlers.point(null),
    click: () => handlers.pin(side, index),
  };
}

/** Call `hide` when the pointer that is now down takes the word away. */
function dragAway(event, hide) {
  const word = event.currentTarget, { clientX: x, clientY: y, pointerId } = event;
  const far = (move) => Math.hypot(move.clientX - x, move.clientY - y);
  const move = (now) => {
    if (now.pointerId !== pointerId) return;
    word.style.transform = `translate(${now.clientX - x}px, ${now.clientY - y}px)`;
    word.style.opacity = String(Math.max(0.15, 1 - far(now) / (2 * AWAY)));
  };
  const end = (now) => {
    if (now.pointerId !== pointerId) return;
    for (const [name, listener] of Object.entries(listeners)) window.removeEventListener(name, listener);
    word.style.transform = word.style.opacity = "";
    if (now.type === "pointerup" && far(now) > AWAY) hide();
  };
  const listeners = { pointermove: move, pointerup: end, pointercancel: end };
  for (const [name, listener] of Object.entries(listeners)) window.addEventListener(name, listener);
}

function draw(box, picture, weights, links, grown) {
  box.classList.remove("beside");
  const lines = [...box.querySelectorAll(".line")];
  if (lines.some((one) => one.scrollWidth > one.clientWidth + 1)) box.classList.add("beside");
  const beside = box.classList.contains("beside");
  const frame = picture.getBoundingClientRect();
  picture.setAttribute("viewBox", `0 0 ${Math.max(1, frame.width)} ${Math.max(1, frame.height)}`);
  const [from, to] = lines.map((one) => [...one.children].map((word) => word.getBoundingClientRect()));
  const paths = [];
  (weights ?? []).forEach((row, r) =>
    row.forEach((weight, c) => {
      const kind = r < grown && from[c] && to[r] ? links?.(r, c) : null;
      if (kind) paths.push([Infinity, s("path", { class: `gold ${kind}`, d: curve(from[c], to[r], frame, beside), "data-row": r, "data-column": c })]);
      if (weight < LEAST || r >= grown || !from[c] || !to[r]) return;
      paths.push([weight, s("path", { d: curve(from[c], to[r], frame, beside), "data-row": r, "data-column": c, "stroke-width": (1 + (THICK - 1) * weight).toFixed(2), "stroke-opacity": (0.12 + 0.6 * weight).toFixed(3) })]);
    }),
  );
  paths.sort(([one], [other]) => one - other);
  replace(picture, paths.map(([, path]) => path));
}

function curve(from, to, frame, beside) {
  const round = (number) => number.toFixed(1);
  if (beside) {
    const y1 = from.top + from.height / 2 - frame.top, y2 = to.top + to.height / 2 - frame.top, x = frame.width;
    return `M0 ${round(y1)} C${round(x / 2)} ${round(y1)} ${round(x / 2)} ${round(y2)} ${round(x)} ${round(y2)}`;
  }
  const x1 = from.left + from.width / 2 - frame.left, x2 = to.left + to.width / 2 - frame.left, y = frame.height;
  return `M${round(x1)} 0 C${round(x1)} ${round(y / 2)} ${round(x2)} ${round(y / 2)} ${round(x2)} ${round(y)}`;
}

/** Light the ribbons of a word, and the words of the other line by their weights; null: none. */
export function light(panel, weights, side, index) {
  const box = panel.querySelector(".lines");
  if (!box || !weights) return;
  box.classList.toggle("pointed", side !== null);
  for (const path of box.querySelectorAll("path"))
    path.classList.toggle("lit", side !== null && Number(side === "source" ? path.dataset.column : path.dataset.row) === index);
  for (const word of box.querySelectorAll(".word")) {
    const isSource = word.parentElement.classList.contains("source"), own = Number(word.dataset.index);
    const other = side !== null && (side === "source") !== isSource;
    const weight = other ? (isSource ? weights[index]?.[own] : weights[own]?.[index]) ?? 0 : 0;
    word.style.setProperty("--weight", weight.toFixed(3));
    word.classList.toggle("at", side !== null && !other && own === index);
  }
}

/** Arrow keys in the lines: to the next word, and to the other line. */
export function walk(event) {
  const word = event.target.closest?.(".lines .word");
  if (!word) return;
  const line = word.parentElement, box = line.parentElement, words = [...line.children], place = words.indexOf(word);
  const beside = box.classList.contains("beside"), backwards = !beside && line.dir === "rtl";
  const [before, after] = beside ? ["ArrowUp", "ArrowDown"] : backwards ? ["ArrowRight", "ArrowLeft"] : ["ArrowLeft", "ArrowRight"];
  const across = beside ? ["ArrowLeft", "ArrowRight"] : ["ArrowUp", "ArrowDown"];
  const target = { [before]: words[place - 1], [after]: words[place + 1], Home: words[0], End: words[words.length - 1] }[event.key];
  const others = [...box.querySelectorAll(".line")].find((one) => one !== line)?.children ?? [];
  const next = across.includes(event.key) ? others[Math.min(place, others.length - 1)] : target;
  if (!next) return;
  event.preventDefault();
  for (const one of next.parentElement.children) one.tabIndex = one === next ? 0 : -1;
  next.focus();
}
