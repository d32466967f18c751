// What is shown as one SVG picture that stands by itself, and the same as PNG.

import { columns, linked, rows, table } from "./answer.js";
import { direction, s } from "./dom.js";
import { width } from "./matrix.js";

const FONT = 16, GAP = 18, HIGH = 130, EDGE = 24, LEAST = 0.04;
const INK = "#1f2933", BLUE = "#1e6fbf", GOLD = "#b8430f";

/** The ribbons above the matrix. */
export function figure(answer, view) {
  const across = columns(answer, view.unit).map(({ label }) => label), down = rows(answer, view.unit).map(({ label }) => label);
  const weights = table(answer, view) ?? [], links = linked(answer, view);
  const lines = [across, down].map((words, i) => laid(words, i ? answer.target.text : answer.source.text));
  const wide = Math.max(lines[0].wide, lines[1].wide);
  for (const line of lines) line.shift = (wide - line.wide) / 2;
  const ribbons = weights.flatMap((row, r) =>
    row.map((weight, c) => {
      if (weight < LEAST) return null;
      const x1 = lines[0].middles[c] + lines[0].shift, x2 = lines[1].middles[r] + lines[1].shift, y1 = 26, y2 = y1 + HIGH;
      return s("path", { d: `M${x1} ${y1} C${x1} ${y1 + HIGH / 2} ${x2} ${y1 + HIGH / 2} ${x2} ${y2}`, fill: "none", stroke: BLUE, "stroke-width": 1 + 14 * weight, "stroke-opacity": 0.12 + 0.6 * weight });
    }),
  );
  const texts = lines.map((line, i) => line.words.map((word, k) => s("text", { x: line.middles[k] + line.shift, y: i ? 26 + HIGH + 20 : 17, "text-anchor": "middle", direction: direction(word) }, word)));
  const left = Math.max(20, ...down.map((text) => width(text, 13))) + 10, tall = Math.max(20, ...across.map((text) => width(text, 13)));
  const top = 26 + HIGH + 60 + tall * 0.82, cell = 26;
  const cells = weights.flatMap((row, r) => row.map((weight, c) => s("rect", { x: left + c * cell, y: top + r * cell, width: cell - 1, height: cell - 1, rx: 2, fill: BLUE, "fill-opacity": Math.max(0.03, Math.min(1, weight)), ...(links?.(r, c) && { stroke: GOLD, "stroke-width": 2, "stroke-dasharray": links(r, c) === "sure" ? null : "3 3" }) })));
  const small = { "font-size": 13 };
  const labels = [
    across.map((text, c) => s("text", { ...small, transform: `translate(${left + (c + 0.5) * cell + 4} ${top - 6}) rotate(-55)` }, text)),
    down.map((text, r) => s("text", { ...small, x: left - 7, y: top + (r + 0.5) * cell, dy: "0.35em", "text-anchor": "end" }, text)),
  ];
  const size = [Math.max(wide, left + across.length * cell + tall * 0.6), weights.length ? top + down.length * cell : 26 + HIGH + 30];
  const box = [-EDGE, -EDGE, size[0] + 2 * EDGE, size[1] + 2 * EDGE].map(Math.round);
  return s(
    "svg",
    { xmlns: "http://www.w3.org/2000/svg", viewBox: box.join(" "), width: box[2], height: box[3], "font-family": "system-ui, 'Noto Sans', sans-serif", "font-size": FONT, fill: INK },
    s("rect", { x: box[0], y: box[1], width: box[2], height: box[3], fill: "#ffffff" }),
    ribbons,
    texts,
    weights.length ? [cells, labels] : null,
  );
}

function laid(words, text) {
  const sizes = words.map((word) => width(word, FONT)), wide = sizes.reduce((all, one) => all + one + GAP, -GAP);
  let x = 0;
  const middles = sizes.map((size) => {
    const middle = x + size / 2;
    x += size + GAP;
    return direction(text) === "rtl" ? wide - middle : middle;
  });
  return { words, middles, wide: Math.max(0, wide) };
}

export function saveSvg(picture, name) {
  save(new Blob([new XMLSerializer().serializeToString(picture)], { type: "image/svg+xml" }), `${name}.svg`);
}

/** Twice as many pixels as the picture has. */
export async function savePng(picture, name) {
  const address = URL.createObjectURL(new Blob([new XMLSerializer().serializeToString(picture)], { type: "image/svg+xml" }));
  const image = new Image();
  image.src = address;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = 2 * picture.getAttribute("width");
  canvas.height = 2 * picture.getAttribute("height");
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  URL.revokeObjectURL(address);
  save(await new Promise((resolve) => canvas.toBlob(resolve, "image/png")), `${name}.png`);
}

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
