// The beam as a tree, in SVG: from left to right, a column for each step.

import { label } from "./answer.js";
import { h, s } from "./dom.js";
import { width } from "./matrix.js";
import { t } from "./words.js";

const ROW = 21, GAP = 26;

export function tree({ beam: { nodes } }, { pruned, togglePruned }) {
  const isOpen = (node) => node.best || pruned || node.state !== "pruned";
  const children = new Map();
  nodes.forEach((node, i) => isOpen(node) && children.set(node.parent, [...(children.get(node.parent) ?? []), i]));
  const steps = Math.max(0, ...nodes.filter(isOpen).map(({ step }) => step));
  const widths = Array.from({ length: steps }, (_, i) =>
    Math.max(14, ...nodes.filter((node) => isOpen(node) && node.step === i + 1).map(({ subword }) => width(label(subword)))),
  );
  const left = widths.reduce((all, one) => [...all, all[all.length - 1] + one + GAP], [24]);
  const height = new Map();
  let line = 0;
  const place = (i) => {
    // the best path stays on top, the others follow by their probability
    const own = [...(children.get(i) ?? [])].sort((a, b) => nodes[b].best - nodes[a].best || nodes[b].log_probability - nodes[a].log_probability);
    const top = line;
    own.forEach((child, k) => {
      if (k) line += 1;
      place(child);
    });
    height.set(i, top);
  };
  place(-1);
  const y = (i) => 16 + height.get(i) * ROW;
  const open = nodes.flatMap((node, i) => (height.has(i) ? [i] : []));
  const lines = open.map((i) => {
    const { parent, step, best, state } = nodes[i];
    const x1 = parent < 0 ? 9 : left[nodes[parent].step - 1] + width(label(nodes[parent].subword)) + 3, x2 = left[step - 1] - 4;
    const middle = x2 - GAP / 2 + 5;
    return s("path", { class: `${state}${best ? " best" : ""}`, d: `M${x1} ${y(parent)} H${middle} C${middle + 8} ${y(parent)} ${middle - 2} ${y(i)} ${x2} ${y(i)}` });
  });
  const texts = open.map((i) => {
    const { step, best, state, subword, log_probability } = nodes[i];
    return s("text", { class: `${state}${best ? " best" : ""}`, x: left[step - 1], y: y(i), dy: "0.34em" }, s("title", {}, `${label(subword)} · ${t("log_p", { value: log_probability.toFixed(2) })}`), label(subword));
  });
  const ends = open.filter((i) => nodes[i].state === "finished").map((i) => s("circle", { class: nodes[i].best ? "best" : "", cx: left[nodes[i].step - 1] + 6, cy: y(i), r: 9 }));
  const wide = left[left.length - 1], high = 32 + line * ROW;
  const picture = s("svg", { class: "tree", role: "img", "aria-label": t("beam_tree"), viewBox: `0 0 ${wide} ${high}`, width: wide, height: high }, s("circle", { class: "start", cx: 6, cy: y(-1), r: 3.5 }), lines, ends, texts);
  const box = h("input", { type: "checkbox", checked: pruned, "data-key": "pruned", on: { change: togglePruned } });
  return h("div", {}, h("div", { class: "scroll", "data-scroll": "tree", tabindex: 0, role: "group", "aria-label": t("beam_tree"), "data-key": "tree" }, picture), h("label", { class: "check" }, box, t("beam_pruned")));
}
