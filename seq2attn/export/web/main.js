// The page: a text field, the translation, its attention by head, and what each step could have written.

import { Engine } from "../../explorer/model/engine.js";
import { fromBase64, fromHalf } from "../../explorer/model/tensors.js";

const SVG = "http://www.w3.org/2000/svg";
const read = (id) => document.getElementById(id).textContent;

/** An element with properties and children; text is set as text. */
function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

function start(engine) {
  const { run, languages } = engine.about;
  const sides = languages.every(Boolean) ? ` (${languages.join(" to ")})` : "";
  const field = element("textarea", { rows: "2", dir: "auto", "aria-label": "text to translate", oninput: () => ask([]) });
  const output = element("div", { class: "words", dir: "auto", role: "group", "aria-label": "translation, by subword" });
  const whole = element("p", { dir: "auto", "aria-live": "polite" });
  const error = element("p", { class: "error", role: "alert" });
  const heads = element("select", { "aria-label": "layer and head", onchange: () => draw() });
  const matrix = element("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "attention" });
  const candidates = element("ol", { class: "candidates" });
  const free = element("button", { type: "button", onclick: () => ask([]) }, "forget the choice");
  document.getElementById("page").replaceChildren(
    element("h1", {}, `${run}${sides}`),
    element("p", { class: "soft" }, "Type: the model in this page translates, and shows what it read. Nothing is sent."),
    field,
    error,
    whole,
    output,
    element("h2", {}, "Attention"),
    element("div", { class: "controls" }, heads),
    matrix,
    element("h2", {}, "What this step could have written"),
    element("p", { class: "soft" }, "Choose one: the output goes on from there."),
    candidates,
    element("div", { class: "controls" }, free),
  );
  let answer = null, step = 0, newest = null;

  async function ask(prefix) {
    newest?.abort();
    const { signal } = (newest = new AbortController());
    free.hidden = !prefix.length;
    try {
      answer = field.value.trim() ? await engine.explain({ text: field.value, prefix, parts: ["candidates"] }, { signal }) : null;
      error.textContent = "";
    } catch (problem) {
      if (signal.aborted) return;
      answer = null;
      error.textContent = problem.message;
    }
    step = Math.max(prefix.length - 1, 0);
    const { layers = 0, heads: count = 0 } = answer?.attention ?? {};
    if (heads.options.length !== layers * count + (layers * count > 1)) fillHeads(layers, count);
    draw();
  }

  function fillHeads(layers, count) {
    const names = layers * count > 1 ? [["mean", "mean of all heads"]] : [];
    for (let layer = 0; layer < layers; layer++) {
      for (let head = 0; head < count; head++) names.push([`${layer}.${head}`, `layer ${layer + 1}, head ${head + 1}`]);
    }
    heads.replaceChildren(...names.map(([value, name]) => element("option", { value }, name)));
    heads.hidden = names.length < 2;
  }

  function weights() {
    const { weights: all } = answer.attention;
    if (heads.value !== "mean") {
      const [layer, head] = heads.value.split(".").map(Number);
      return all[layer][head];
    }
    const every = all.flat();
    return every[0].map((row, t) => row.map((_, s) => every.reduce((sum, one) => sum + one[t][s], 0) / every.length));
  }

  function point(place) {
    step = place;
    draw();
    output.children[place]?.focus();
  }

  function draw() {
    const subwords = answer?.target.subwords ?? [];
    whole.textContent = answer?.target.text ?? "";
    output.replaceChildren(
      ...subwords.map((subword, place) =>
        element(
          "button",
          {
            type: "button",
            "aria-pressed": String(place === step),
            tabindex: place === step ? "0" : "-1",
            onclick: () => point(place),
            onpointerenter: () => place !== step && ((step = place), draw()),
            onkeydown: ({ key }) => {
              const rtl = getComputedStyle(output).direction === "rtl" ? -1 : 1;
              const move = { ArrowRight: rtl, ArrowLeft: -rtl }[key];
              if (move && subwords[place + move] !== undefined) point(place + move);
            },
          },
          element("bdi", {}, subword),
        ),
      ),
    );
    matrix.replaceChildren(...(answer?.attention ? [table(answer, weights(), step)] : []));
    const own = answer?.candidates[step] ?? [];
    candidates.replaceChildren(
      ...own.map(({ id, subword, probability }) =>
        element(
          "li",
          {},
          element(
            "button",
            { type: "button", onclick: () => ask([...answer.target.ids.slice(0, step), id]) },
            element("bdi", {}, subword),
            ` ${probability.toFixed(3)}`,
          ),
        ),
      ),
    );
  }

  free.hidden = true;
  heads.hidden = true;
  field.focus();
}

/** The weights as a table: a row for each target subword, a column for each of the source. */
function table({ source, target }, weights, step) {
  const head = source.subwords.map((subword) => element("th", { scope: "col" }, element("bdi", {}, subword)));
  const rows = target.subwords.map((subword, t) =>
    element(
      "tr",
      t === step ? { class: "pointed" } : {},
      element("th", { scope: "row" }, element("bdi", {}, subword)),
      ...weights[t].map((weight) => cell(weight)),
    ),
  );
  return element("table", {}, element("thead", {}, element("tr", {}, element("td"), ...head)), element("tbody", {}, ...rows));
}

function cell(weight) {
  const svg = document.createElementNS(SVG, "svg"), rect = document.createElementNS(SVG, "rect");
  for (const [name, value] of Object.entries({ width: "100%", height: "100%", "fill-opacity": Math.min(weight, 1) })) rect.setAttribute(name, value);
  svg.setAttribute("aria-hidden", "true");
  svg.append(rect);
  return element("td", { title: weight.toFixed(3), class: weight > 0.55 ? "strong" : "weak" }, svg, element("span", {}, weight >= 0.01 ? weight.toFixed(2).slice(1 - Number(weight >= 0.995)) : ""));
}

// one turn later, so that the browser shows the page before the weights are read
setTimeout(() => {
  const page = document.getElementById("page");
  try {
    start(new Engine(JSON.parse(read("run")), fromHalf(fromBase64(read("parameters")))));
  } catch (problem) {
    page.replaceChildren(element("p", { class: "error", role: "alert" }, problem.message));
  }
});
