// Beam search over a step function; with a beam of 1 it is greedy search. It knows no model.
//
// Log-probabilities are in float32, scores in double precision.

import { logSoftmax, rowOf } from "./tensors.js";

const CANDIDATES = 8; // of a step, at most

/**
 * The best output: { tokens, logProbability, finished, steps, nodes }. `steps` has for each token and for the end
 * { logProbability, candidates, weights, selfAttention }, and `nodes` is the tree of the beam.
 *
 * `start` is { state, step }: step(tokens, states) gives logits (rows, vocabulary), the next states and weights by
 * row. `limits` is { bos, eos, banned, maxLength, minLength, noRepeat, prefix }. `pause` is awaited between steps.
 */
export async function beamSearch({ state, step }, limits, { beam, lengthPenalty, pause }) {
  const { eos } = limits, longest = Math.max(limits.maxLength, limits.prefix.length);
  const nodes = [];
  let rows = [{ state, token: limits.bos, tokens: [], logProbability: 0, node: -1, trace: null }];
  let pool = []; // the best finished hypotheses, the best first

  for (let length = 0; length <= longest && rows.length; length++) {
    await pause();
    const output = step(rows.map(({ token }) => token), rows.map((row) => row.state));
    const candidates = continuations(rows, output, limits, length, longest).slice(0, 2 * beam);
    candidates.forEach((one, place) => {
      one.ends = one.id === eos;
      one.node = nodes.length;
      const node = { parent: rows[one.row].node, step: length + 1, id: one.id, log_probability: one.sum };
      nodes.push({ ...node, state: one.ends && place < beam ? "finished" : "pruned", best: false });
    });
    const extend = (one) => ({
      state: output.states[one.row],
      token: one.id,
      tokens: one.ends ? rows[one.row].tokens : [...rows[one.row].tokens, one.id],
      logProbability: one.sum,
      node: one.node,
      trace: { before: rows[one.row].trace, ...one.about() },
    });
    // the end counts only among the best candidates: with a beam of 1 that is greedy search
    for (const one of candidates.slice(0, beam).filter(({ ends }) => ends)) {
      pool.push({ ...extend(one), score: one.sum / (length + 1) ** lengthPenalty, finished: length < longest });
    }
    pool = pool.sort((a, b) => b.score - a.score).slice(0, beam);
    const alive = candidates.filter(({ ends }) => !ends).slice(0, beam);
    // no live hypothesis can reach a higher score than this
    const possible = alive.length ? alive[0].sum / (longest + 1) ** lengthPenalty : -Infinity;
    if (pool.length && (beam === 1 || !(possible > pool[0].score))) rows = [];
    else rows = alive.map(extend);
    for (const { node } of rows) nodes[node].state = "alive";
  }
  if (!pool.length) throw new Error("prefix: no output is possible after it");
  const [best] = pool;
  for (let node = best.node; node >= 0; node = nodes[node].parent) nodes[node].best = true;
  const steps = [];
  for (let trace = best.trace; trace; trace = trace.before) steps.unshift(trace);
  return { tokens: best.tokens, logProbability: best.logProbability, finished: best.finished, steps, nodes };
}

/** What may follow the rows, the best first: { row, id, sum, about() }. */
function continuations(rows, output, limits, length, longest) {
  const size = output.logits.length / rows.length, never = new Set(limits.banned), results = [];
  rows.forEach((row, number) => {
    const logs = logSoftmax(rowOf(output.logits, number, size));
    const forced = length < limits.prefix.length ? limits.prefix[length] : length >= longest ? limits.eos : null;
    const banned = forced === null ? bannedAfter(row.tokens, limits, length, longest) : null;
    const ids = forced === null ? highest(logs, 2 * MOST_BEAM, banned) : [forced];
    for (const id of ids) {
      const about = () => ({
        logProbability: logs[id],
        candidates: highest(logs, CANDIDATES, never).map((other) => ({ id: other, probability: Math.exp(logs[other]) })),
        weights: output.weights?.[number] ?? null,
        selfAttention: output.selfAttention?.[number] ?? null,
      });
      results.push({ row: number, id, sum: Math.fround(row.logProbability + logs[id]), about });
    }
  });
  return results.sort((a, b) => b.sum - a.sum);
}

export const MOST_BEAM = 8;

/** The tokens that may not come next. */
function bannedAfter(tokens, { banned, eos, minLength, noRepeat }, length, longest) {
  const ids = new Set(banned);
  if (length < Math.min(minLength, longest)) ids.add(eos);
  if (noRepeat) {
    const before = tokens.slice(tokens.length - noRepeat + 1).join(" ");
    for (let i = 0; i + noRepeat <= tokens.length; i++) {
      const last = tokens[i + noRepeat - 1];
      if (last !== eos && tokens.slice(i, i + noRepeat - 1).join(" ") === before) ids.add(last);
    }
  }
  return ids;
}

/** The places of the `count` highest numbers, the highest first, without those in `banned`. */
function highest(numbers, count, banned = null) {
  const best = [];
  for (let id = 0; id < numbers.length; id++) {
    if (best.length === count && !(numbers[id] > numbers[best[count - 1]])) continue;
    if (banned?.has(id) || numbers[id] === -Infinity) continue;
    let place = best.length;
    while (place > 0 && numbers[id] > numbers[best[place - 1]]) place -= 1;
    best.splice(place, 0, id);
    if (best.length > count) best.pop();
  }
  return best;
}
