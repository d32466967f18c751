// The Transformer encoder: layers of self-attention and a feed-forward network.

import { embed, embeddingOf, meanOf, partOf } from "./memory.js";
import { rowOf } from "./tensors.js";
import { buildFeedForward, buildNorm, buildPositions, SelfAttention, sublayer } from "./transformer_layers.js";

export class TransformerEncoder {
  constructor(parameters, settings, parts) {
    this.parts = parts;
    this.settings = settings;
    this.embedding = embeddingOf(parameters, "encoder.embedding");
    this.addPositions = buildPositions(parameters, "encoder.positions", settings);
    this.norm = buildNorm(parameters, "encoder.norm", settings);
    this.layers = Array.from({ length: settings.layers }, (_, layer) => {
      const name = `encoder.layers.${layer}`;
      return {
        attention: new SelfAttention(parameters, `${name}.self_attn`, settings),
        attentionNorm: buildNorm(parameters, `${name}.self_attn_norm`, settings),
        feedForward: buildFeedForward(parameters, `${name}.ffn`, settings),
        feedForwardNorm: buildNorm(parameters, `${name}.ffn_norm`, settings),
      };
    });
  }

  /** The memory of a source of ids, with the weights of self-attention [layer][head][position]. */
  encode(ids) {
    const count = ids.length, placeOf = (row) => row, { prenorm, size } = this.settings;
    const embeddings = this.addPositions(embed(this.embedding, ids, Math.sqrt(size)), placeOf);
    const selfAttention = [];
    let x = embeddings;
    for (const layer of this.layers) {
      x = sublayer(x, layer.attentionNorm, prenorm, (y) => {
        const joint = layer.attention.project(y, count, placeOf), width = joint.length / count;
        const rows = ids.map((_, row) => rowOf(joint, row, width));
        const reads = rows.map((row) => layer.attention.read(row, rows));
        selfAttention.push(byHead(reads));
        return layer.attention.finish(reads.map(({ context }) => context));
      });
      x = sublayer(x, layer.feedForwardNorm, prenorm, (y) => layer.feedForward(y, count));
    }
    if (this.norm) x = this.norm(x);
    const [keys, values] = this.parts.map((part) => partOf(part, x, embeddings));
    return { keys, values, count, summary: meanOf(x, count), final: null, selfAttention };
  }
}

/** Weights [position][head] as [head][position]. */
function byHead(reads) {
  return reads[0].weights.map((_, head) => reads.map(({ weights }) => weights[head]));
}
