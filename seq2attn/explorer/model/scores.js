// Scores: how well each key answers a query. Keys are mapped once for a source, queries at each step.
//
// A score is { keys(x, rows), queries(x, rows), compare(query, keys, count, history) }. Matrices come with
// their size as { x, size }. `history` adds to the score of each position what it remembers of earlier
// weights: { x, size } with `size` features of each position, or null.

import { apply, dot } from "./tensors.js";

const LOWEST = -10000; // the score of a position beyond those that a location score knows
const MIN_LENGTH = 1e-6; // a shorter vector has no direction

/** The score that the settings name, with its parameters under `prefix`. */
export function buildScore(parameters, prefix, { score, query_map: queryMap, key_map: keyMap }) {
  const history = parameters.optionalLinear(`${prefix}.history_proj`);
  const map = (side, kind = "linear") => mapOf(parameters.optionalLinear(`${prefix}.${side}`), kind);
  const product = (scale, factor = 1) => ({
    compare: (query, keys, count, features) =>
      each(count, (j) => factor * scale(keys.size) * dot(query, 0, keys.x, j * keys.size, keys.size), history, features),
  });
  switch (score) {
    case "dot":
      return { queries: same, keys: same, ...product(() => 1) };
    case "scaled-dot":
      return { queries: same, keys: same, ...product((size) => size ** -0.5) };
    case "general":
      return { queries: same, keys: map("key"), ...product(() => 1) };
    case "keyed":
      return { queries: map("query", queryMap), keys: map("key", keyMap), ...product(() => 1) };
    case "cosine":
      return { queries: direction, keys: direction, ...product(() => 1, 10 * Math.exp(parameters.get(`${prefix}.p`)[0])) };
    case "additive":
      return { queries: map("query"), keys: map("key"), ...additive(parameters.get(`${prefix}.v`), history) };
    case "concat":
      return concat(parameters, prefix, history);
    case "concat-linear":
    case "sigmoid": {
      const finish = score === "sigmoid" ? (sum) => 1 / (1 + Math.exp(-sum)) : (sum) => sum;
      const compare = (query, keys, count, features) =>
        each(count, (j) => finish(query[0] + keys.x[j]), history, features);
      return { queries: map("query"), keys: map("key"), compare };
    }
    case "location":
    case "concat-location":
      return location(parameters.linear(`${prefix}.positions`), history);
  }
  throw new Error(`model.attention.score: this page does not know ${score}`);
}

const same = (x, rows) => ({ x, size: x.length / rows });

/** A linear map with its kind; without parameters the identity. */
export function mapOf(linear, kind) {
  if (!linear) return same;
  return (x, rows) => {
    const y = apply(linear, x, rows);
    return { x: kind === "nonlinear" ? y.map(Math.tanh) : y, size: linear.outputs };
  };
}

function direction(x, rows) {
  const size = x.length / rows, y = new Float32Array(x.length);
  for (let row = 0; row < rows; row++) {
    const length = Math.sqrt(dot(x, row * size, x, row * size, size));
    for (let i = 0; i < size; i++) y[row * size + i] = x[row * size + i] / (length < MIN_LENGTH ? 1 : length);
  }
  return { x: y, size };
}

/** The scores of `count` positions, each with what the history adds. */
function each(count, score, history, features) {
  const scores = Array.from({ length: count }, (_, j) => score(j));
  if (!history || !features) return scores;
  const more = apply(history, features.x, count);
  return scores.map((value, j) => value + more[j]);
}

/** v . tanh(query + key + U f) */
function additive(v, history) {
  return {
    compare(query, keys, count, features) {
      const more = history && features ? apply(history, features.x, count) : null;
      const scores = new Array(count);
      for (let j = 0; j < count; j++) {
        let sum = 0;
        for (let i = 0; i < v.length; i++) {
          const place = j * v.length + i;
          sum += v[i] * Math.tanh(query[i] + keys.x[place] + (more ? more[place] : 0));
        }
        scores[j] = sum;
      }
      return scores;
    },
  };
}

/** v . tanh(W [q; k]): the left half of the one matrix is for queries, the rest for keys. */
function concat(parameters, prefix, history) {
  const [size, both] = parameters.shape(`${prefix}.weight`), weight = parameters.get(`${prefix}.weight`);
  const part = (from, to) => {
    const rows = Array.from({ length: size }, (_, row) => weight.subarray(row * both + from, row * both + to));
    return { weight: Float32Array.from(rows.flatMap((row) => [...row])), bias: null, inputs: to - from, outputs: size };
  };
  // a map of vectors of any size up to the whole: queries come first
  const half = (side) => {
    let linear = null;
    return (x, rows) => {
      const inputs = x.length / rows;
      linear ??= side === "queries" ? part(0, inputs) : part(both - inputs, both);
      return { x: apply(linear, x, rows), size };
    };
  };
  return { queries: half("queries"), keys: half("keys"), ...additive(parameters.get(`${prefix}.v`), history) };
}

/** (W q)_j, of the query alone. */
function location(linear, history) {
  return {
    longest: linear.outputs,
    queries: (x, rows) => ({ x: apply(linear, x, rows), size: linear.outputs }),
    keys: (x, rows) => ({ x: new Float32Array(0), size: 0, rows }),
    compare: (query, keys, count, features) =>
      each(count, (j) => (j < query.length ? query[j] : LOWEST), history, features),
  };
}
