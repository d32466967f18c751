// The recurrent decoder: every recipe is a choice of settings.
//
// At each step: the context, by attention with the state before ("previous") or after the cell ("current"), or
// the fixed summary, or nothing; the cells, layer by layer; the readout; and the output layer.

import { Attention } from "./attention.js";
import { Cell } from "./cells.js";
import { embed, embeddingOf, meanOf } from "./memory.js";
import { apply, concat, rowOf, sigmoid, stack } from "./tensors.js";

export class RNNDecoder {
  constructor(parameters, settings, attention) {
    this.settings = settings;
    this.queryInput = attention.query_input;
    this.embedding = embeddingOf(parameters, "decoder.target_embedding");
    this.attention =
      settings.context_source === "attention" ? new Attention(parameters, "decoder.attention", attention) : null;
    this.cells = Array.from({ length: settings.layers }, (_, layer) => new Cell(parameters, `decoder.cells.${layer}`, settings.cell));
    this.gate = parameters.optionalLinear("decoder.gate");
    this.readout = parameters.optionalLinear("decoder.readout");
    this.outputProj = parameters.optionalLinear("decoder.output_proj");
    this.output = parameters.linear("decoder.output");
    this.bridge = (index) => parameters.linear(`decoder.bridge.${index}`);
    this.queryIsPrevious = settings.query_state === "previous";
    this.contextRecurs = this.attention && ["input", "layer"].some((place) => settings.context_to.includes(place));
    this.layers = this.attention ? 1 : 0;
  }

  /** What every step reads of a source, and the state before the first. */
  start(memory, changes) {
    const projected = this.attention?.projectMemory(memory) ?? null;
    const state = {
      step: 0,
      layers: this.firstLayers(memory),
      context: this.contextRecurs && !this.queryIsPrevious ? new Float32Array(memory.values.length / memory.count) : null,
      readout: null,
      history: this.attention?.firstHistory(memory.count) ?? null,
    };
    if (this.settings.input_feeding) state.readout = new Float32Array(this.readoutSize);
    return { source: { projected, summary: memory.summary, changes }, state };
  }

  firstLayers({ keys, values, count, summary, final }) {
    const { bridge } = this.settings;
    if (bridge === "last") return this.cells.map((cell, layer) => cell.state(final[layer].h, final[layer].c));
    if (bridge === "zero") return this.cells.map((cell) => cell.zero());
    const vector = bridge === "mean" ? meanOf(values, count) : summary;
    let index = 0;
    const next = () => apply(this.bridge(index++), vector, 1).map(Math.tanh);
    return this.cells.map((cell) => (cell.vectors === 2 ? cell.state(next(), next()) : cell.state(next())));
  }

  /** The size of the readout, which with input feeding is part of the next step's input. */
  get readoutSize() {
    return this.readout.outputs / (this.settings.readout === "maxout" ? 2 : 1);
  }

  /** One more token of each row: logits (rows, vocabulary), the next states, and weights [row][layer][head]. */
  step(tokens, states, source) {
    const { context_to: goes, input_feeding: feeds } = this.settings;
    const rows = tokens.length, step = states[0].step;
    const embedded = { x: embed(this.embedding, tokens), size: this.embedding.size };
    const before = this.topOf(states.map(({ layers }) => layers));
    const read = (state) => this.read(state, embedded, rows, states, source, step);

    let output = this.attention && !this.queryIsPrevious ? null : read(before);
    const recurrent = output ? output.context : packed(states.map(({ context }) => context));
    const fed = [goes.includes("input") ? recurrent : null, feeds ? packed(states.map(({ readout }) => readout)) : null];
    const feedback = fed.some(Boolean) ? concat(fed, rows) : null;
    let below = null;
    const layers = this.cells.map((cell, layer) => {
      const gates = cell.gates(below ? below.x : embedded.x, rows);
      const more = layer ? (goes.includes("layer") ? recurrent : null) : feedback;
      const next = cell.step(gates, more, states.map((state) => state.layers[layer]));
      below = packed(next.map(({ h }) => h));
      return next;
    });
    output ??= read(below);
    const readout = this.readOut(below, output.context, embedded, rows);
    const next = states.map((state, row) => ({
      step: step + 1,
      layers: layers.map((layer) => layer[row]),
      context: state.context && rowOf(output.context.x, row, output.context.size),
      readout: feeds ? rowOf(readout.x, row, readout.size) : null,
      history: state.history && this.attention.nextHistory(state.history, output.weights[row]),
    }));
    const features = this.outputProj ? apply(this.outputProj, readout.x, rows) : readout.x;
    const weights = output.weights ? output.weights.map((heads) => [heads]) : null;
    return { logits: apply(this.output, features, rows), states: next, weights, selfAttention: null };
  }

  topOf(layers) {
    return packed(layers.map((own) => own.at(-1).h));
  }

  /** The contexts of rows with these decoder states, and the attention weights; no context gives null. */
  read(state, embedded, rows, states, source, step) {
    if (!this.attention) {
      const { summary } = source;
      const context = this.settings.context_source === "summary" ? packed(states.map(() => summary)) : null;
      return { context, weights: null };
    }
    const query = { state, embedding: embedded, both: null }[this.queryInput] ?? concat([embedded, state], rows);
    const earlier = states[0].history && states.map(({ history }) => history);
    const { context, weights } = this.attention.read(query.x, rows, source.projected, earlier, step, source.changes);
    if (!this.gate) return { context, weights };
    const inputs = this.settings.gate === "scalar" ? state : concat([embedded, state, context], rows);
    const gate = apply(this.gate, inputs.x, rows), width = this.gate.outputs;
    const factor = (i) => sigmoid(width === 1 ? gate[Math.floor(i / context.size)] : gate[i]);
    return { context: { x: context.x.map((value, i) => factor(i) * value), size: context.size }, weights };
  }

  readOut(state, context, embedded, rows) {
    const { context_to: goes, readout: kind, readout_embedding: more } = this.settings;
    const inputs = concat([state, goes.includes("readout") ? context : null, more ? embedded : null], rows);
    if (!this.readout) return inputs;
    const x = apply(this.readout, inputs.x, rows), size = this.readout.outputs;
    if (kind === "tanh") return { x: x.map(Math.tanh), size };
    if (kind === "linear") return { x, size };
    const pairs = new Float32Array(x.length / 2).map((_, i) => Math.max(x[2 * i], x[2 * i + 1]));
    return { x: pairs, size: size / 2 };
  }
}

/** Vectors as { x, size }; null if there are none. */
function packed(vectors) {
  return vectors[0] ? { x: stack(vectors), size: vectors[0].length } : null;
}
