// Normalisers turn the scores of one query into weights. `open` says which positions may be read: the weight of
// any other is exactly 0, and so are all weights if no position is open.

import { sigmoid } from "./tensors.js";

const FLOOR = -2; // below the highest score: further down no sparse weight is above 0

/** The weights of scores, which the temperature divides first. `k` is for hard attention. */
export function normalise(kind, scores, open, temperature, k = 1) {
  const weights = new Float32Array(scores.length);
  const places = [];
  for (let place = 0; place < scores.length; place++) if (open[place]) places.push(place);
  if (!places.length) return weights;
  const real = NORMALISERS[kind](places.map((place) => scores[place] / temperature), k);
  places.forEach((place, i) => (weights[place] = real[i]));
  return weights;
}

const NORMALISERS = {
  softmax(scores) {
    const highest = Math.max(...scores);
    const exps = scores.map((score) => Math.exp(score - highest));
    const sum = exps.reduce((a, b) => a + b, 0);
    return exps.map((value) => value / sum);
  },

  /** The nearest point of the simplex (Martins 2016, algorithm 1). */
  sparsemax(scores) {
    const shifted = shift(scores);
    const sorted = [...shifted].sort((a, b) => b - a);
    let sum = 0, tau = 0;
    sorted.forEach((score, i) => {
      sum += score;
      if ((i + 1) * score > sum - 1) tau = (sum - 1) / (i + 1);
    });
    return shifted.map((score) => Math.max(score - tau, 0));
  },

  /** alpha-entmax with alpha = 1.5 (Peters 2019, algorithm 2). */
  entmax15(scores) {
    const shifted = shift(scores.map((score) => score / 2));
    const sorted = [...shifted].sort((a, b) => b - a);
    let sum = 0, squares = 0, tau = 0;
    sorted.forEach((score, i) => {
      sum += score;
      squares += score * score;
      const count = i + 1, mean = sum / count;
      const own = mean - Math.sqrt(Math.max(1 / count - (squares / count - mean * mean), 0));
      if (own <= score) tau = own;
    });
    return shifted.map((score) => Math.max(score - tau, 0) ** 2);
  },

  sigmoid: (scores) => scores.map(sigmoid),

  /** Weight 1 at the k highest scores; of equal scores the earlier is higher. */
  "hard-topk"(scores, k) {
    const order = scores.map((_, i) => i).sort((a, b) => scores[b] - scores[a] || a - b);
    const best = new Set(order.slice(0, k));
    return scores.map((_, i) => (best.has(i) ? 1 : 0));
  },
};

function shift(scores) {
  const highest = Math.max(...scores);
  return scores.map((score) => Math.max(score - highest, FLOOR));
}
