// Weights as a matrix, in SVG: a row for each word of the output, a column for each word of the source.

import { direction, h, s } from "./dom.js";
import { t } from "./words.js";

const FONT = 13;
const HIGH = 600; // pixels of all rows, if they can be so small
const LEAST_CELL = 17, MOST_CELL = 40;
const STEP = 0.05; // of a weight, by the keyboard
const DRAG = 110; // pixels of a weight of 1

let ruler = null;

export function width(text, size = FONT) {
  ruler ??= document.createElement("canvas").getContext("2d");
  ruler.font = `${size}px system-ui, "Noto Sans", sans-serif`;
  return ruler.measureText(text).width;
}

const short = (text) => (text.length > 18 ? `${text.slice(0, 17)}\u2026` : text);

/**
 * The matrix. `marks`: "row:column" of the cells that were changed. `gold(row, column)`: the kind of the gold link of a
 * cell, or null. `caption`: the text that says what a weight is. `handlers`: point(row, column) and, where weights
 * can be changed, canEdit(row, column), edit(row, column, weight, done) and undo(row, column); weight(row, column) is
 * the weight that was chosen last, or undefined. `at` is the cell that
 * the arrow keys start from; it is changed in place, so that a matrix that is drawn anew goes on there.
 */
export function matrix(down, across, weights, { marks = new Set(), gold = null, caption: said = "matrix_cell", handlers = null, name = "matrix", room = 640, at = { row: 0, column: 0 } } = {}) {
  const left = Math.ceil(Math.max(20, ...down.map((text) => width(short(text))))) + 10;
  const tall = Math.max(20, ...across.map((text) => width(short(text))));
  const top = Math.ceil(tall * 0.82) + 14;
  const fits = Math.min((room - left - 30) / Math.max(1, across.length), HIGH / Math.max(1, down.length));
  const cell = Math.max(LEAST_CELL, Math.min(MOST_CELL, Math.floor(fits)));
  const wide = left + across.length * cell + Math.ceil(tall * 0.6) + 8, high = top + down.length * cell + 6;
  const labels = [
    across.map((text, c) => s("text", { class: "column", "data-column": c, transform: `translate(${left + (c + 0.5) * cell + 4} ${top - 6}) rotate(-55)`, direction: direction(text), "text-anchor": direction(text) === "rtl" ? "end" : "start" }, short(text))),
    down.map((text, r) => s("text", { class: "row", "data-row": r, x: left - 7, y: top + (r + 0.5) * cell, dy: "0.35em", direction: direction(text), "text-anchor": direction(text) === "rtl" ? "start" : "end" }, short(text))),
  ];
  const cells = weights.map((row, r) =>
    row.map((weight, c) =>
      s("rect", { class: `cell${marks.has(`${r}:${c}`) ? " changed" : ""}${gold?.(r, c) ? ` gold ${gold(r, c)}` : ""}`, "data-row": r, "data-column": c, x: left + c * cell, y: top + r * cell, width: cell - 1, height: cell - 1, rx: 2, style: `--w: ${Math.min(1, weight).toFixed(4)}` }),
    ),
  );
  const caption = h("p", { class: "caption", "aria-live": "polite" }, "\u00a0");
  const picture = s("svg", { class: "matrix", viewBox: `0 0 ${wide} ${high}`, width: wide, height: high, tabindex: 0, role: "application", "aria-label": t("matrix"), "data-key": name }, labels, cells);
  Object.assign(at, { row: between(at.row, down.length), column: between(at.column, across.length) });
  const rects = picture.querySelectorAll(".cell");
  const rect = (r, c) => rects[r * across.length + c];
  const go = (row, column) => {
    for (const one of picture.querySelectorAll(".at")) one.classList.remove("at");
    if (row === null) return handlers?.point?.(null);
    Object.assign(at, { row, column });
    rect(row, column)?.classList.add("at");
    for (const one of picture.querySelectorAll(`text[data-row="${row}"], text[data-column="${column}"]`)) one.classList.add("at");
    say(weights[row][column]);
    handlers?.point?.(row, column);
  };
  const say = (weight) => (caption.textContent = t(said, { row: down[at.row], column: across[at.column], weight: weight.toFixed(2) }));
  picture.go = go;
  picture.addEventListener("pointerover", ({ target }) => target.matches?.(".cell") && go(Number(target.dataset.row), Number(target.dataset.column)));
  picture.addEventListener("pointerleave", () => go(null));
  picture.addEventListener("focus", () => go(at.row, at.column));
  picture.addEventListener("blur", () => go(null));
  picture.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    const { row, column } = at, change = { "+": STEP, "=": STEP, "-": -STEP }[event.key];
    if (moves) go(between(row + moves[0], down.length), between(column + moves[1], across.length));
    else if (change && handlers?.canEdit?.(row, column)) handlers.edit(row, column, bounded((handlers.weight(row, column) ?? weights[row][column]) + change));
    else if (event.key === "Delete" && handlers?.undo) handlers.undo(row, column);
    else return;
    event.preventDefault();
  });
  if (handlers?.edit)
    picture.addEventListener("pointerdown", (event) => {
      const { row, column } = event.target.dataset;
      if (event.button || !event.target.matches(".cell") || !handlers.canEdit(Number(row), Number(column))) return;
      event.preventDefault();
      picture.focus({ preventScroll: true });
      go(Number(row), Number(column));
      drag(event, weights[row][column], (weight, done) => {
        rect(Number(row), Number(column)).style.setProperty("--w", weight);
        say(weight);
        handlers.edit(Number(row), Number(column), weight, done);
      });
    });
  return h("div", { class: "figure" }, h("div", { class: "scroll", "data-scroll": name }, picture), caption);
}

const between = (number, count) => Math.max(0, Math.min(count - 1, number));
const bounded = (weight) => Math.round(Math.max(0, Math.min(1, weight)) * 100) / 100;

/** Up raises, down lowers, until the pointer is up. The cell may meanwhile be drawn anew. */
function drag(event, weight, change) {
  const { clientY: y, pointerId } = event;
  let last = weight, moved = false;
  const move = (now) => {
    if (now.pointerId !== pointerId) return;
    moved ||= Math.abs(now.clientY - y) > 2;
    const next = bounded(weight + (y - now.clientY) / DRAG);
    if (moved && next !== last) change((last = next), false);
  };
  const end = (now) => {
    if (now.pointerId !== pointerId) return;
    for (const [name, listener] of Object.entries(listeners)) window.removeEventListener(name, listener);
    if (moved && now.type === "pointerup") change(last, true);
  };
  const listeners = { pointermove: move, pointerup: end, pointercancel: end };
  for (const [name, listener] of Object.entries(listeners)) window.addEventListener(name, listener);
}

/** The matrix as a small picture. */
export function thumbnail(weights) {
  const [high, wide] = [weights.length, weights[0].length], size = 4;
  const canvas = h("canvas", { width: wide * size, height: high * size, "aria-hidden": "true" });
  const pen = canvas.getContext("2d");
  pen.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--accent").trim();
  weights.forEach((row, r) =>
    row.forEach((weight, c) => {
      pen.globalAlpha = Math.min(1, weight);
      pen.fillRect(c * size, r * size, size, size);
    }),
  );
  return canvas;
}
