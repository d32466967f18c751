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
    { class: "candidates", "data-scroll": "candidates" },
    steps.map((options, step) => {
      const own = target.ids[step], isForced = step < target.forced;
      const head = h("span", { class: `step${isForced ? " forced" : ""}`, title: t("step", { step: step + 1 }) }, `${step + 1}`);
      return h("li", {}, head, options.map((option) => button(option, step, option.id === own, force)));
    }),
  );
}

function button({ id, subword, probability }, step, isOwn, force) {
  const text = label(subword), share = percent(probability);
  const properties = {
    type: "button",
    class: "candidate",
    "data-key": `candidate-${step}-${id}`,
    "aria-current": isOwn ? "true" : null,
    "aria-label": t("candidate", { subword: text, percent: share, step: step + 1 }),
    style: `--p: ${probability.toFixed(4)}`,
    disabled: force === null,
  };
  return h("button", { ...properties, on: { click: () => force?.(step, id) } }, h("bdi", {}, text), h("span", { class: "share" }, share));
}
