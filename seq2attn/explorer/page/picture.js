// A picture as the model sees it, lit where a word looks; and the words lit that look at a place of it.

import { h } from "./dom.js";
import { t } from "./words.js";

const SIDE = 384;
const DARK = 0.72; // how dark a place becomes that nobody looks at

/** `bitmap` is the whole picture. `handlers.point(side, index)` as for lines of words. */
export function picture(bitmap, { grid, fit }, handlers) {
  const canvas = h("canvas", { class: "picture", width: SIDE, height: SIDE, tabindex: 0, role: "application", "aria-label": t("picture"), "data-key": "picture" });
  const pen = canvas.getContext("2d");
  const [down, across] = grid ?? [1, 1];
  const at = { row: 0, column: 0 };
  const clear = () => {
    pen.globalAlpha = 1;
    pen.fillStyle = "#808080";
    pen.fillRect(0, 0, SIDE, SIDE);
    if (bitmap) pen.drawImage(bitmap, ...placed(bitmap, fit));
  };
  clear();
  /** Light the cells by weights, which are a share of the largest; null: the whole picture. */
  canvas.light = (weights) => {
    clear();
    if (!weights || !grid) return;
    const most = Math.max(...weights, 1e-9);
    pen.fillStyle = "#000";
    weights.forEach((weight, i) => {
      pen.globalAlpha = DARK * (1 - weight / most);
      const row = Math.floor(i / across), column = i % across;
      // whole pixels, so that no seam shows between cells
      const [left, right] = [column, column + 1].map((place) => Math.round((place * SIDE) / across));
      const [top, bottom] = [row, row + 1].map((place) => Math.round((place * SIDE) / down));
      pen.fillRect(left, top, right - left, bottom - top);
    });
    pen.globalAlpha = 1;
  };
  /** Draw a frame around a cell. */
  canvas.frame = (index) => {
    const row = Math.floor(index / across), column = index % across;
    pen.lineWidth = 3;
    pen.strokeStyle = getComputedStyle(canvas).getPropertyValue("--mark").trim();
    pen.strokeRect((column * SIDE) / across + 1.5, (row * SIDE) / down + 1.5, SIDE / across - 3, SIDE / down - 3);
  };
  const go = (row, column) => {
    Object.assign(at, { row: Math.max(0, Math.min(down - 1, row)), column: Math.max(0, Math.min(across - 1, column)) });
    handlers.point("source", at.row * across + at.column);
  };
  const move = (event) => {
    const frame = canvas.getBoundingClientRect();
    go(Math.floor(((event.clientY - frame.top) / frame.height) * down), Math.floor(((event.clientX - frame.left) / frame.width) * across));
  };
  if (grid) {
    canvas.addEventListener("pointermove", move);
    canvas.addEventListener("pointerdown", move);
    canvas.addEventListener("pointerleave", () => handlers.point(null));
    canvas.addEventListener("blur", () => handlers.point(null));
    canvas.addEventListener("keydown", (event) => {
      const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
      if (!moves) return;
      event.preventDefault();
      go(at.row + moves[0], at.column + moves[1]);
    });
  }
  return canvas;
}

/** Left, top, width and height of the whole picture on the square that the model sees. */
function placed({ width, height }, fit) {
  if (fit === "stretch") return [0, 0, SIDE, SIDE];
  const scale = SIDE / (fit === "crop" ? Math.min(width, height) : Math.max(width, height));
  return [(SIDE - width * scale) / 2, (SIDE - height * scale) / 2, width * scale, height * scale];
}
