// Elements. Text is always set as text, never as HTML.

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element. `properties`: attributes, `on` with event listeners, `class`; false and null leave one out. */
export function h(tag, properties = {}, ...children) {
  return build(document.createElement(tag), properties, children);
}

/** An SVG element. */
export function s(tag, properties = {}, ...children) {
  return build(document.createElementNS(SVG, tag), properties, children);
}

function build(element, { on = {}, ...attributes }, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  for (const [name, listener] of Object.entries(on)) element.addEventListener(name, listener);
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Replace the children, and leave the focus on the element with the same data-key. */
export function replace(parent, ...children) {
  const key = parent.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  const scrolls = new Map([...parent.querySelectorAll("[data-scroll]")].map((one) => [one.dataset.scroll, one.scrollLeft]));
  parent.replaceChildren(...children.flat(Infinity).filter(Boolean));
  for (const one of parent.querySelectorAll("[data-scroll]")) one.scrollLeft = scrolls.get(one.dataset.scroll) ?? 0;
  if (key) find(parent, key)?.focus({ preventScroll: true });
}

export function find(parent, key) {
  return [...parent.querySelectorAll("[data-key]")].find((one) => one.dataset.key === key);
}

const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]/u;
const LEFT_TO_RIGHT = /[\p{L}]/u;

/** The direction of a text, by its first letter. */
export function direction(text) {
  for (const character of text) {
    if (RIGHT_TO_LEFT.test(character)) return "rtl";
    if (LEFT_TO_RIGHT.test(character)) return "ltr";
  }
  return "ltr";
}
