// The texts of the page, in the language that the reader chose.

import { en } from "../texts/en.js";
import { zh } from "../texts/zh.js";

const LANGUAGES = { en, zh };
let language = "en";

export function speak(chosen) {
  language = chosen ?? (navigator.language.startsWith("zh") ? "zh" : "en");
  document.documentElement.lang = language;
}

export const spoken = () => language;

/** A text by its key, with the values in place of {names}. */
export function t(key, values = {}) {
  const text = LANGUAGES[language][key];
  if (text === undefined) throw new Error(`no text ${key}`);
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** Write the texts of all elements of the page that name one. */
export function translate(root) {
  for (const one of root.querySelectorAll("[data-text]")) one.textContent = t(one.dataset.text);
  for (const one of root.querySelectorAll("[data-label]")) one.setAttribute("aria-label", t(one.dataset.label));
  for (const one of root.querySelectorAll("[data-hint]")) one.setAttribute("placeholder", t(one.dataset.hint));
}
