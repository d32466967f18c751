// Small multiples: the matrix of each head, to choose from.

import { select } from "./answer.js";
import { h } from "./dom.js";
import { thumbnail } from "./matrix.js";
import { t } from "./words.js";

/**
 * `weights` [L][H][T][S]; `chosen` is "mean" or "layer.head"; `choose` takes such a name. With `automatic`, "auto" is
 * one of them.
 */
export function heads(weights, chosen, choose, { name, names = null, automatic = null } = {}) {
  const places = weights.flatMap((layer, l) => layer.map((_, i) => [l + 1, i + 1]));
  const options = [
    ...(automatic ? [["auto", t("head_auto"), automatic]] : []),
    ["mean", t("head_mean"), select(weights, null, null)],
    ...places.map(([layer, head]) => [`${layer}.${head}`, names?.[layer - 1][head - 1] ?? t("head_name", { layer, head }), weights[layer - 1][head - 1]]),
  ];
  const buttons = options.map(([value, label, own]) => {
    const isChosen = value === chosen;
    const properties = { type: "button", class: "head", role: "radio", "aria-checked": String(isChosen), tabindex: isChosen ? 0 : -1, "data-key": `${name}-${value}` };
    return h("button", { ...properties, on: { click: () => choose(value) } }, thumbnail(own), h("span", {}, names || value === "auto" || value === "mean" ? label : value.replace(".", "\u00b7")), h("span", { class: "unseen" }, ` ${label}`));
  });
  if (!buttons.some((one) => one.tabIndex === 0)) buttons[0].tabIndex = 0;
  const keydown = (event) => {
    const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    const place = buttons.indexOf(document.activeElement);
    if (!step || place < 0) return;
    event.preventDefault();
    const next = (place + step + buttons.length) % buttons.length;
    buttons[next].focus();
    choose(options[next][0]);
  };
  return h("div", { class: "heads", role: "radiogroup", "aria-label": t("heads"), on: { keydown } }, buttons);
}
