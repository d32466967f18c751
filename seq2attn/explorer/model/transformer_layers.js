// Parts of a Transformer's layers: norms, positions, the feed-forward network, and self-attention.

import { apply, concat, dot, rowOf, sigmoid } from "./tensors.js";

const EPS = 1e-5; // added to a norm's denominator

/** Layer normalisation, or by the root mean square alone: a function of a matrix. Null if it has no parameters. */
export function buildNorm(parameters, name, { norm, size }) {
  if (!parameters.has(`${name}.weight`)) return null;
  const gain = parameters.get(`${name}.weight`);
  const shift = parameters.has(`${name}.bias`) ? parameters.get(`${name}.bias`) : null;
  return (x) => {
    const y = new Float32Array(x.length);
    for (let from = 0; from < x.length; from += size) {
      let mean = 0, squares = 0;
      if (norm === "layer") for (let i = 0; i < size; i++) mean += x[from + i] / size;
      for (let i = 0; i < size; i++) squares += (x[from + i] - mean) ** 2 / size;
      const scale = 1 / Math.sqrt(squares + EPS);
      for (let i = 0; i < size; i++) y[from + i] = (x[from + i] - mean) * scale * gain[i] + (shift ? shift[i] : 0);
    }
    return y;
  };
}

/** Embeddings (rows, size), with the vectors of their positions where those are added. */
export function buildPositions(parameters, name, { positions, size }) {
  const table = positions === "learned" ? parameters.get(`${name}.vectors.weight`) : null;
  const vector = (place, i) => {
    if (table) return table[Math.min(place, table.length / size - 1) * size + i];
    const angle = place / 10000 ** ((2 * (i >> 1)) / size);
    return i % 2 ? Math.cos(angle) : Math.sin(angle);
  };
  if (!table && positions !== "sinusoidal") return (x) => x;
  /** `placeOf` is the position of each row. */
  return (x, placeOf) => x.map((value, i) => value + vector(placeOf(Math.floor(i / size)), i % size));
}

/** W_2 f(W_1 x + b_1) + b_2, or W_2 (silu(W x) * V x). */
export function buildFeedForward(parameters, name, { activation }) {
  const up = parameters.linear(`${name}.up`), down = parameters.linear(`${name}.down`);
  return (x, rows) => {
    const hidden = apply(up, x, rows);
    if (activation !== "swiglu") return apply(down, hidden.map(ACTIVATIONS[activation]), rows);
    const size = up.outputs / 2, gated = new Float32Array(rows * size);
    for (let row = 0; row < rows; row++) {
      for (let i = 0; i < size; i++) {
        const gate = hidden[row * up.outputs + i];
        gated[row * size + i] = gate * sigmoid(gate) * hidden[row * up.outputs + size + i];
      }
    }
    return apply(down, gated, rows);
  };
}

const relu = (x) => Math.max(x, 0);

/** x Phi(x), with erf z = 2 / sqrt(pi) exp(-z^2) z (1 + 2z^2/3 + (2z^2)^2/(3 * 5) + ...), in which no term is negative. */
function gelu(x) {
  const z = Math.min(Math.abs(x) / Math.SQRT2, 6);
  let term = z, sum = z;
  for (let n = 1; term > sum * 1e-12; n++) {
    term *= (2 * z * z) / (2 * n + 1);
    sum += term;
  }
  const erf = Math.sign(x) * (2 / Math.sqrt(Math.PI)) * Math.exp(-z * z) * sum;
  return (x * (1 + erf)) / 2;
}

const ACTIVATIONS = { relu, gelu, silu: (x) => x * sigmoid(x) };

/** Scaled dot products of a sequence with itself. Groups of heads may share keys and values. */
export class SelfAttention {
  constructor(parameters, name, { size, heads, kv_heads: groups, positions }) {
    this.heads = heads;
    this.groups = groups ?? heads;
    this.headSize = size / heads;
    this.rotary = positions === "rotary";
    this.turnsOf = []; // by position, once it is needed
    this.qkv = parameters.linear(`${name}.qkv`);
    this.out = parameters.linear(`${name}.out`);
  }

  /** Queries, keys and values of each row, side by side; `placeOf` is the position of a row. */
  project(x, rows, placeOf) {
    const joint = apply(this.qkv, x, rows), width = this.qkv.outputs;
    if (!this.rotary) return joint;
    for (let row = 0; row < rows; row++) {
      for (let head = 0; head < this.heads + this.groups; head++) {
        rotate(rowOf(joint, row, width), head * this.headSize, this.turns(placeOf(row)));
      }
    }
    return joint;
  }

  /** The cosine and sine by which each pair of a head turns at a position. */
  turns(position) {
    this.turnsOf[position] ??= Array.from({ length: this.headSize / 2 }, (_, i) => {
      const angle = position * 10000 ** ((-2 * i) / this.headSize);
      return [Math.cos(angle), Math.sin(angle)];
    });
    return this.turnsOf[position];
  }

  /** What the queries of one row read of the keys and values in `past`: { context, weights: [head] }. */
  read(row, past) {
    const { heads, groups, headSize } = this, context = new Float32Array(heads * headSize);
    const weights = Array.from({ length: heads }, (_, head) => {
      const group = Math.floor((head * groups) / heads);
      const key = (heads + group) * headSize, value = (heads + groups + group) * headSize;
      const scores = past.map((other) => dot(row, head * headSize, other, key, headSize) / Math.sqrt(headSize));
      const highest = Math.max(...scores);
      const exps = scores.map((score) => Math.exp(score - highest));
      const total = exps.reduce((a, b) => a + b, 0);
      const own = Float32Array.from(exps, (exp) => exp / total);
      for (let i = 0; i < headSize; i++) {
        let sum = 0;
        for (let j = 0; j < past.length; j++) sum += own[j] * past[j][value + i];
        context[head * headSize + i] = sum;
      }
      return own;
    });
    return { context, weights };
  }

  /** The contexts of rows, mapped to the size of the model. */
  finish(contexts) {
    const rows = contexts.map((x) => ({ x, size: x.length }));
    return apply(this.out, concat(rows, 1).x, contexts.length);
  }
}

/** Turn the pairs (x_i, x_{i + d/2}) of a head by its position (Su 2021). */
function rotate(x, from, turns) {
  const half = turns.length;
  turns.forEach(([cos, sin], i) => {
    const a = x[from + i], b = x[from + half + i];
    x[from + i] = a * cos - b * sin;
    x[from + half + i] = b * cos + a * sin;
  });
}

/** A sublayer f with its norm: norm(x + f(x)), or x + f(norm(x)) where the norm comes first. */
export function sublayer(x, norm, first, f) {
  const y = f(first ? norm(x) : x).map((value, i) => value + x[i]);
  return first ? y : norm(y);
}
