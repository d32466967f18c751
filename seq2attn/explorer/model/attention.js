// Attention to the source: a score, a normaliser and values, in one head or several.
//
//   weights a_ij = normalise(score(query_i, key_j))        context c_i = sum_j a_ij value_j
//
// It stores nothing between two calls: what one step leaves to the next is in the caller's state.

import { buildHistory } from "./history.js";
import { normalise } from "./normalisers.js";
import { buildScore, mapOf } from "./scores.js";
import { apply, rowOf } from "./tensors.js";
import { buildWindow } from "./windows.js";

export class Attention {
  /** `layer` is its number among the attentions of the decoder, from 0. */
  constructor(parameters, prefix, settings, layer = 0) {
    this.settings = settings;
    this.layer = layer;
    this.heads = settings.heads;
    this.query = parameters.optionalLinear(`${prefix}.query`);
    this.key = parameters.optionalLinear(`${prefix}.key`);
    this.value = mapOf(parameters.optionalLinear(`${prefix}.value`), this.query ? "linear" : settings.value_map);
    this.mapsValues = parameters.has(`${prefix}.value.weight`);
    this.out = parameters.optionalLinear(`${prefix}.out`);
    this.normaliser = atInference(settings);
    this.k = settings.normaliser === "gumbel" ? 1 : settings.k;
    this.score = { longest: Infinity, ...buildScore(parameters, `${prefix}.score`, settings) };
    this.history = buildHistory(parameters, `${prefix}.history_feature`, settings);
    this.window = buildWindow(parameters, `${prefix}.window`, settings);
  }

  /** Keys and values of a source of `count` positions as every step reads them, by head. */
  projectMemory({ keys, values, count }) {
    const groups = this.settings.kv_heads ?? this.heads;
    const perHead = (parts) => Array.from({ length: this.heads }, (_, h) => parts[Math.floor((h * parts.length) / this.heads)]);
    const keyParts = this.key ? split(apply(this.key, keys, count), count, groups) : [keys];
    const valueParts = this.mapsValues ? split(this.value(values, count).x, count, groups) : [values];
    return {
      count,
      keys: perHead(keyParts.map((part) => this.score.keys(part, count))),
      values: perHead(valueParts),
      history: this.history && perHead(keyParts.map((part) => this.history.prepare(part, count))),
    };
  }

  /**
   * What `rows` queries read: { context: { x, size }, weights: [row][head] }. `earlier` holds the history of each
   * row, or null. `step` is their number, from 0. `changes` is what an experiment changes.
   */
  read(queries, rows, memory, earlier, step, changes) {
    const mapped = this.query ? apply(this.query, queries, rows) : queries;
    const size = mapped.length / rows / this.heads;
    const compared = this.score.queries(mapped, rows * this.heads);
    const width = memory.values[0].length / memory.count;
    const context = new Float32Array(rows * this.heads * width);
    const weights = Array.from({ length: rows }, (_, row) =>
      Array.from({ length: this.heads }, (_, head) => {
        const place = row * this.heads + head;
        const query = { own: rowOf(mapped, place, size), compared: rowOf(compared.x, place, compared.size) };
        const weights = this.weigh(query, memory, head, earlier?.[row][head], step, changes);
        mix(weights, memory.values[head], width, context, place * width);
        return weights;
      }),
    );
    const joint = { x: context, size: this.heads * width };
    return { context: this.out ? { x: apply(this.out, context, rows), size: this.out.outputs } : joint, weights };
  }

  /** The weights of one query and one head. */
  weigh(query, memory, head, earlier, step, changes) {
    const { count } = memory;
    let open = Array.from({ length: count }, (_, j) => j < this.score.longest);
    let factor = null;
    if (this.window) ({ open, factor } = this.window(query.own, step, open));
    open = changes.hide(open, step);
    const features = this.history ? this.history.features(earlier, memory.history[head]) : null;
    const scores = this.score.compare(query.compared, memory.keys[head], count, features);
    const kind = changes.normaliser ?? this.normaliser;
    let weights = normalise(kind, scores, open, this.settings.temperature * changes.temperature, this.k);
    if (factor) weights = weights.map((weight, j) => weight * factor[j]);
    return changes.replace(weights, { layer: this.layer, head, step, open });
  }

  /** The history before the first step, of each head; null if no score reads any. */
  firstHistory(count) {
    if (!this.history) return null;
    const zeros = new Float32Array(count);
    return Array.from({ length: this.heads }, () => ({ previous: zeros, cumulative: zeros }));
  }

  /** The history of each head one step later. */
  nextHistory(history, weights) {
    if (!history) return null;
    return history.map(({ cumulative }, head) => ({
      previous: weights[head],
      cumulative: cumulative.map((sum, j) => sum + weights[head][j]),
    }));
  }
}

/** The normaliser after training: nothing is sampled any more. */
function atInference({ normaliser, at_inference: sampled }) {
  if (normaliser === "hard-sample") return sampled === "expected" ? "softmax" : "hard-topk";
  return normaliser === "gumbel" ? "hard-topk" : normaliser;
}

/** The columns of a matrix in equal parts, one matrix for each. */
function split(x, rows, parts) {
  if (parts === 1) return [x];
  const size = x.length / rows, own = size / parts;
  return Array.from({ length: parts }, (_, part) => {
    const y = new Float32Array(rows * own);
    for (let row = 0; row < rows; row++) y.set(rowOf(x, row, size).subarray(part * own, (part + 1) * own), row * own);
    return y;
  });
}

/** The sum of the rows of `values` by their weights, written to `context` from the place `to` on. */
function mix(weights, values, size, context, to) {
  for (let i = 0; i < size; i++) {
    let sum = 0;
    for (let j = 0; j < weights.length; j++) sum += weights[j] * values[j * size + i];
    context[to + i] = sum;
  }
}
