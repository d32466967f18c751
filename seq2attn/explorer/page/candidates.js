// What each step could have written, with probabilities. A choice forces a subword.

import { label } from "./answer.js";
import { h } from "./dom.js";
import { t } from "./words.js";

export function percent(probability) {
  if (probability >= 0.9995) return "100 %";
  return probability < 0.001 ? "<0.1 %" : `${(100 * probability).toFixed(probability < 0.1 ? 1 : 0)} %`;
}

/** `force(step, id)`, step from 0; null where nothing can be forced. */
export function candidates({ candidates: steps, target }, force) {
  return h(
    "ol",
    { class: "candidates", "data-scroll": "candidates", on: { keydown: walk } },
    steps.map((options, step) => {
      const own = target.ids[step], isForced = step < target.forced;
      const head = h("span", { class: `step${isForced ? " forced" : ""}`, title: t("step", { step: step + 1 }) }, `${step + 1}`);
      // one of them is reached by the Tab key, the others by the arrow keys
      return h("li", {}, head, options.map((option, i) => button(option, { step, isFirst: !step && !i, isOwn: option.id === own, force })));
    }),
  );
}

function walk(event) {
  const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  const own = event.target.closest(".candidate");
  if (!move || !own) return;
  event.preventDefault();
  const lists = [...event.currentTarget.children].map((item) => [...item.querySelectorAll(".candidate")]);
  const step = lists.findIndex((list) => list.includes(own)), place = lists[step].indexOf(own);
  const list = lists[step + move[0]] ?? lists[step], next = list[Math.max(0, Math.min(list.length - 1, place + move[1]))];
  for (const one of lists.flat()) one.tabIndex = one === next ? 0 : -1;
  next.focus();
}

function button({ id, subword, probability }, { step, isFirst, isOwn, force }) {
  const text = label(subword), share = percent(probability);
  const properties = {
    type: "button",
    class: "candidate",
    tabindex: isFirst ? 0 : -1,
    "data-key": `candidate-${step}-${id}`,
    "aria-current": isOwn ? "true" : null,
    "aria-label": t("candidate", { subword: text, percent: share, step: step + 1 }),
    style: `--p: ${probability.toFixed(4)}`,
    disabled: force === null,
  };
  return h("button", { ...properties, on: { click: () => force?.(step, id) } }, h("bdi", {}, text), h("span", { class: "share" }, share));
}
