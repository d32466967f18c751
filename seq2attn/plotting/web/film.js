// Attention over a training: a slider over its validations, and curves with a moving mark.

// The steps, for each chart the place of the mark and the value at each moment, and the scenes: whether it is an image,
// the weight of the strongest colour, and for each moment the weights (rows x positions) in 255ths.
const [steps, places, values, scenes] = JSON.parse(document.getElementById("weights").textContent);
const WHOLE = 9000; // milliseconds of a film, about

const slider = document.getElementById("moment");
const play = document.getElementById("play");
const sections = [...document.querySelectorAll("section")];
const marks = [...document.querySelectorAll(".mark")];
const readings = [...document.querySelectorAll(".value b")].slice(1);
const last = steps.length - 1;
let timer = null;

const number = new Intl.NumberFormat("en");
const colour = () => getComputedStyle(document.documentElement).getPropertyValue("--weight");
const strength = (weight, highest) => 0.05 + 0.95 * clamp(weight / 255 / highest, 0, 1);

function draw() {
  const moment = Number(slider.value);
  document.getElementById("step").textContent = number.format(steps[moment]);
  slider.setAttribute("aria-valuetext", `step ${steps[moment]} of ${steps[last]}`);
  marks.forEach((mark, chart) => {
    mark.setAttribute("x1", places[chart][moment]);
    mark.setAttribute("x2", places[chart][moment]);
    const value = values[chart][moment];
    readings[chart].textContent = value === null ? "–" : value.toPrecision(3);
  });
  sections.forEach((section, index) => {
    const [isImage, highest, weights] = scenes[index];
    (isImage ? paintCells : paintTable)(section, weights[moment], highest);
  });
}

function paintTable(section, weights, highest) {
  section.querySelectorAll("tbody tr").forEach((row, y) =>
    row.querySelectorAll("td").forEach((cell, x) => {
      cell.style.backgroundColor = `rgba(var(--weight), ${strength(weights[y][x], highest)})`;
      cell.title = shortNumber(weights[y][x] / 255, 0.005);
    }),
  );
}

function paintCells(section, weights, highest) {
  const rgb = colour().split(",").map(Number);
  section.querySelectorAll("canvas").forEach((canvas, word) => {
    const data = new ImageData(canvas.width, canvas.height);
    weights[word].forEach((weight, cell) => {
      data.data.set([...rgb, Math.round(255 * strength(weight, highest))], 4 * cell);
    });
    canvas.getContext("2d").putImageData(data, 0, 0);
  });
}

function go(moment) {
  slider.value = clamp(moment, 0, last);
  draw();
}

function pause() {
  clearInterval(timer);
  timer = null;
  play.textContent = "Play";
  play.setAttribute("aria-pressed", "false");
}

function start() {
  if (Number(slider.value) === last) go(0);
  play.textContent = "Pause";
  play.setAttribute("aria-pressed", "true");
  timer = setInterval(() => {
    go(Number(slider.value) + 1);
    if (Number(slider.value) === last) pause();
  }, clamp(WHOLE / steps.length, 100, 600));
}

const toggle = () => (timer ? pause() : start());

play.addEventListener("click", toggle);
slider.addEventListener("input", () => {
  pause();
  draw();
});
document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  if (event.key === " " && event.target !== play) {
    toggle();
  } else if (event.target !== slider && ["ArrowLeft", "ArrowRight", "Home", "End"].includes(event.key)) {
    pause();
    const moment = Number(slider.value);
    go({ ArrowLeft: moment - 1, ArrowRight: moment + 1, Home: 0, End: last }[event.key]);
  } else {
    return;
  }
  event.preventDefault();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
draw();
