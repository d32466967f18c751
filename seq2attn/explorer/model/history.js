// Features of earlier attention weights, which a score may read: coverage, fertility, location-aware.
//
// The weights of one head are { previous, cumulative }, a number for each source position.

import { apply, sigmoid } from "./tensors.js";

const MIN_FERTILITY = 1e-3;

/** The feature that the settings name, or null: { prepare(keys, count), features(earlier, prepared, count) }. */
export function buildHistory(parameters, prefix, { history, max_fertility: most }) {
  switch (history) {
    case "none":
      return null;
    case "coverage":
      return { prepare: () => null, features: ({ cumulative }) => ({ x: cumulative, size: 1 }) };
    case "fertility": {
      const linear = parameters.linear(`${prefix}.fertility`);
      return {
        prepare: (keys, count) => apply(linear, keys, count).map((x) => most * Math.max(sigmoid(x), MIN_FERTILITY)),
        features: ({ cumulative }, fertility) => ({ x: cumulative.map((sum, j) => sum / fertility[j]), size: 1 }),
      };
    }
    case "location-aware": {
      const [filters, , kernel] = parameters.shape(`${prefix}.filters`), f = parameters.get(`${prefix}.filters`);
      return { prepare: () => null, features: ({ previous }) => ({ x: convolve(previous, f, filters, kernel), size: filters }) };
    }
  }
  throw new Error(`model.attention.history: this page does not know ${history}`);
}

/** f_j = sum_m F_m a_{j+m}; weights outside the source are 0. */
function convolve(weights, f, filters, kernel) {
  const y = new Float32Array(weights.length * filters), middle = kernel >> 1;
  for (let j = 0; j < weights.length; j++) {
    for (let filter = 0; filter < filters; filter++) {
      let sum = 0;
      for (let m = 0; m < kernel; m++) sum += f[filter * kernel + m] * (weights[j + m - middle] ?? 0);
      y[j * filters + filter] = sum;
    }
  }
  return y;
}
