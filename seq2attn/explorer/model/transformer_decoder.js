// The Transformer decoder: layers of self-attention to earlier tokens, attention to the source and a
// feed-forward network. A state holds the keys and values of the row's earlier tokens, by layer.

import { Attention } from "./attention.js";
import { embed, embeddingOf } from "./memory.js";
import { apply, rowOf } from "./tensors.js";
import { buildFeedForward, buildNorm, buildPositions, SelfAttention, sublayer } from "./transformer_layers.js";

export class TransformerDecoder {
  constructor(parameters, settings, attention) {
    this.settings = settings;
    this.embedding = embeddingOf(parameters, "decoder.target_embedding");
    this.addPositions = buildPositions(parameters, "decoder.positions", settings);
    this.norm = buildNorm(parameters, "decoder.norm", settings);
    this.output = parameters.linear("decoder.output");
    this.layers = settings.layers;
    this.stack = Array.from({ length: settings.layers }, (_, layer) => {
      const name = `decoder.layers.${layer}`, norm = (part) => buildNorm(parameters, `${name}.${part}_norm`, settings);
      return {
        self: new SelfAttention(parameters, `${name}.self_attn`, settings),
        selfNorm: norm("self_attn"),
        source: new Attention(parameters, `${name}.cross_attn`, attention, layer),
        sourceNorm: norm("cross_attn"),
        feedForward: buildFeedForward(parameters, `${name}.ffn`, settings),
        feedForwardNorm: norm("ffn"),
      };
    });
  }

  /** What every step reads of a source, and the state before the first. */
  start(memory, changes) {
    const memories = this.stack.map(({ source }) => source.projectMemory(memory));
    return { source: { memories, changes }, state: { step: 0, past: this.stack.map(() => []) } };
  }

  /**
   * One more token of each row: logits (rows, vocabulary), the next states, weights [row][layer][head], and
   * those of self-attention [row][layer][head].
   */
  step(tokens, states, source) {
    const rows = tokens.length, { prenorm, size } = this.settings, { step } = states[0];
    const placeOf = () => step;
    const weights = states.map(() => []), selfAttention = states.map(() => []), next = states.map(() => ({ step: step + 1, past: [] }));
    let x = this.addPositions(embed(this.embedding, tokens, Math.sqrt(size)), placeOf);
    this.stack.forEach((layer, number) => {
      x = sublayer(x, layer.selfNorm, prenorm, (y) => {
        const joint = layer.self.project(y, rows, placeOf), width = joint.length / rows;
        const reads = states.map((state, row) => {
          const own = rowOf(joint, row, width);
          next[row].past[number] = [...state.past[number], own];
          return layer.self.read(own, next[row].past[number]);
        });
        reads.forEach((read, row) => selfAttention[row].push(read.weights));
        return layer.self.finish(reads.map(({ context }) => context));
      });
      x = sublayer(x, layer.sourceNorm, prenorm, (y) => {
        const read = layer.source.read(y, rows, source.memories[number], null, step, source.changes);
        read.weights.forEach((heads, row) => weights[row].push(heads));
        return read.context.x;
      });
      x = sublayer(x, layer.feedForwardNorm, prenorm, (y) => layer.feedForward(y, rows));
    });
    if (this.norm) x = this.norm(x);
    return { logits: apply(this.output, x, rows), states: next, weights, selfAttention };
  }
}
