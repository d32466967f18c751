// Windows: the source positions that a query may read, around a centre (Luong 2015, section 3.2).
//
// A window is a function (query, step, open) -> { open, factor }: the positions that stay open, and a factor
// on the weight of each, or null.

import { apply, dot, sigmoid } from "./tensors.js";

/** The window that the settings name; null for none. */
export function buildWindow(parameters, prefix, { window, half_width: half }) {
  const count = (open) => open.filter(Boolean).length; // open positions come first
  const around = (centre, open) => open.map((is, j) => is && Math.abs(j - centre) <= half);
  switch (window) {
    case "none":
      return null;
    case "local-m":
      return (query, step, open) => ({ open: around(Math.min(step, count(open) - 1), open), factor: null });
    case "local-p": {
      const linear = parameters.linear(`${prefix}.query`), v = parameters.get(`${prefix}.v`);
      return (query, step, open) => {
        const share = sigmoid(dot(apply(linear, query, 1).map(Math.tanh), 0, v, 0, v.length));
        const centre = count(open) * share;
        return { open: around(centre, open), factor: open.map((_, j) => Math.exp(-2 * ((j - centre) / half) ** 2)) };
      };
    }
  }
  throw new Error(`model.attention.window: this page does not know ${window}`);
}
