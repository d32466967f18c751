// A picture as the model sees it, lit where a word looks, and the frames of a clip in a row. A place that is pointed at
// lights the words that look there.

import { h, replace } from "./dom.js";
import { t } from "./words.js";

const GAMMA = 0.45; // brightness is (weight / highest) to this power, so that faint attention shows beside a peak
const WARM = "rgba(255, 222, 140, 0.2)"; // the colour of the light
const LONGEST = 640; // pixels of the longer side
const CRISP = 160; // pixels; a picture that is smaller shows them as squares

/**
 * What stands in place of the line of the source: `element`, `light(weights, highest)` (null: no word), `frame(index)`
 * and `hide(numbers)`, the places from 1 that no word can read. `handlers`: point(side, index), pin(side, index) and,
 * where places can be hidden, mask(number).
 */
export function picture({ pictures, grid }, handlers) {
  return grid ? still(pictures[0], grid, handlers) : clip(pictures, handlers);
}

function still(address, [down, across], handlers) {
  const image = h("img", { alt: "", src: address });
  const canvas = h("canvas", { class: "picture", tabindex: 0, role: "application", "aria-label": t("picture"), "aria-keyshortcuts": handlers.mask ? "Delete" : null, "data-key": "picture" });
  const element = h("div", { class: "stage" }, image, canvas), pen = canvas.getContext("2d");
  const at = { row: 0, column: 0 };
  let lit = null, framed = null, hidden = [];

  const draw = () => {
    const { naturalWidth: wide, naturalHeight: high } = image;
    if (!wide) return;
    const times = Math.max(1, Math.round(LONGEST / Math.max(wide, high))), isCrisp = Math.max(wide, high) < CRISP;
    canvas.width = wide * times;
    canvas.height = high * times;
    element.style.setProperty("--ratio", wide / high);
    element.classList.toggle("dark", lit !== null);
    image.classList.toggle("crisp", isCrisp);
    if (lit) {
      pen.imageSmoothingQuality = "high";
      const mask = cellMask(down, across, lit), width = canvas.width / across, height = canvas.height / down;
      pen.drawImage(mask, -width, -height, canvas.width + 2 * width, canvas.height + 2 * height);
      pen.globalCompositeOperation = "source-in";
      pen.imageSmoothingEnabled = !isCrisp;
      pen.drawImage(image, 0, 0, canvas.width, canvas.height);
      pen.globalCompositeOperation = "source-atop";
      pen.fillStyle = WARM;
      pen.fillRect(0, 0, canvas.width, canvas.height);
      pen.globalCompositeOperation = "source-over";
    }
    for (const number of hidden) cover(...box(number - 1));
    if (framed !== null) outline(...box(framed));
  };
  /** Left, top, width and height of a cell, in whole pixels, so that no seam shows between cells. */
  const box = (index) => {
    const row = Math.floor(index / across), column = index % across;
    const [left, right] = [column, column + 1].map((place) => Math.round((place * canvas.width) / across));
    const [top, bottom] = [row, row + 1].map((place) => Math.round((place * canvas.height) / down));
    return [left, top, right - left, bottom - top];
  };
  const outline = (left, top, width, height) => {
    pen.lineWidth = Math.max(3, canvas.width / 160);
    pen.strokeStyle = getComputedStyle(canvas).getPropertyValue("--mark").trim();
    pen.strokeRect(left + pen.lineWidth / 2, top + pen.lineWidth / 2, width - pen.lineWidth, height - pen.lineWidth);
  };
  const cover = (left, top, width, height) => {
    pen.fillStyle = "rgba(0, 0, 0, 0.8)";
    pen.fillRect(left, top, width, height);
    pen.lineWidth = 2;
    pen.strokeStyle = "rgba(255, 255, 255, 0.7)";
    pen.beginPath();
    pen.moveTo(left, top);
    pen.lineTo(left + width, top + height);
    pen.moveTo(left + width, top);
    pen.lineTo(left, top + height);
    pen.stroke();
  };
  image.addEventListener("load", draw);
  const index = () => at.row * across + at.column;
  const go = (row, column) => {
    Object.assign(at, { row: bounded(row, down), column: bounded(column, across) });
    handlers.point("source", index());
  };
  const move = (event) => {
    const frame = canvas.getBoundingClientRect();
    go(Math.floor(((event.clientY - frame.top) / frame.height) * down), Math.floor(((event.clientX - frame.left) / frame.width) * across));
  };
  listen(canvas, {
    pointermove: move,
    pointerdown: move,
    click: () => handlers.pin("source", index()),
    pointerleave: () => handlers.point(null),
    blur: () => handlers.point(null),
    keydown: (event) => {
      const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
      if (moves) go(at.row + moves[0], at.column + moves[1]);
      else if (event.key === "Enter") handlers.pin("source", index());
      else if (event.key === "Delete" && handlers.mask) handlers.mask(index() + 1);
      else return;
      event.preventDefault();
    },
  });
  return {
    element,
    light(weights, highest) {
      lit = weights && weights.map((weight) => brightness(weight, highest));
      framed = null;
      draw();
    },
    frame(cell) {
      framed = cell;
      draw();
    },
    hide(numbers) {
      hidden = numbers;
      draw();
    },
  };
}

function clip(pictures, handlers) {
  const figures = pictures.map((address, i) => {
    const properties = { type: "button", class: "frame", tabindex: i ? -1 : 0, "aria-label": t("frame", { number: i + 1 }), "aria-keyshortcuts": handlers.mask ? "Delete" : null, "data-key": `frame-${i}` };
    const on = {
      pointerenter: () => handlers.point("source", i),
      pointerleave: () => handlers.point(null),
      focus: () => handlers.point("source", i),
      blur: () => handlers.point(null),
      click: () => handlers.pin("source", i),
      keydown: (event) => {
        const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
        if (event.key === "Delete" && handlers.mask) handlers.mask(i + 1);
        else if (step && figures[i + step]) {
          for (const one of figures) one.tabIndex = one === figures[i + step] ? 0 : -1;
          figures[i + step].focus();
        } else return;
        event.preventDefault();
      },
    };
    return h("button", { ...properties, on }, h("img", { alt: "", src: address }), h("span", { class: "number" }, h("span", {}, i + 1), h("small", {})), h("span", { class: "bar" }));
  });
  return {
    element: h("div", { class: "strip", role: "group", "aria-label": t("picture") }, figures),
    light(weights, highest) {
      figures.forEach((figure, i) => {
        const weight = weights?.[i] ?? 0;
        figure.classList.remove("at");
        figure.style.setProperty("--part", weights ? Math.min(1, weight / highest) : 0);
        figure.style.setProperty("--light", weights ? 0.3 + 0.7 * brightness(weight, highest) : 1);
        replace(figure.querySelector("small"), weight >= 0.005 ? document.createTextNode(weight.toFixed(2)) : null);
      });
    },
    frame(index) {
      figures.forEach((figure, i) => figure.classList.toggle("at", i === index));
    },
    hide(numbers) {
      figures.forEach((figure, i) => figure.classList.toggle("masked", numbers.includes(i + 1)));
    },
  };
}

const bounded = (number, count) => Math.max(0, Math.min(count - 1, number));
const brightness = (weight, highest) => Math.min(1, Math.max(0, weight) / highest) ** GAMMA;

function listen(element, listeners) {
  for (const [name, listener] of Object.entries(listeners)) element.addEventListener(name, listener);
}

/**
 * A canvas with one pixel for each cell, whose opacity is the brightness of the cell. The outer cells are repeated once,
 * so that the light stays level up to the edge.
 */
function cellMask(down, across, light) {
  const canvas = h("canvas", { width: across + 2, height: down + 2 });
  const data = new ImageData(canvas.width, canvas.height);
  for (let y = 0; y < canvas.height; y++)
    for (let x = 0; x < canvas.width; x++) {
      const cell = bounded(y - 1, down) * across + bounded(x - 1, across);
      data.data[4 * (y * canvas.width + x) + 3] = Math.round(255 * light[cell]);
    }
  canvas.getContext("2d").putImageData(data, 0, 0);
  return canvas;
}
