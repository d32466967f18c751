// The recurrent encoder: layers of cells that read the source in one direction or in both.

import { Cell, joinStates } from "./cells.js";
import { embed, embeddingOf, partOf } from "./memory.js";
import { stack } from "./tensors.js";

export class RNNEncoder {
  constructor(parameters, settings, parts) {
    this.parts = parts;
    this.reverse = settings.reverse;
    this.embedding = embeddingOf(parameters, "encoder.embedding");
    const directions = settings.bidirectional ? 2 : 1;
    this.layers = Array.from({ length: settings.layers }, (_, layer) =>
      Array.from({ length: directions }, (_, way) => new Cell(parameters, `encoder.layers.${layer}.${way}`, settings.cell)),
    );
  }

  /** The memory of a source of ids. */
  encode(ids) {
    const count = ids.length, forward = [...ids.keys()], backward = [...forward].reverse();
    const embeddings = embed(this.embedding, ids);
    const final = [];
    let x = embeddings;
    for (const cells of this.layers) {
      const runs = cells.map((cell, way) => cell.run(x, count, this.reverse || way === 1 ? backward : forward));
      x = stack(forward.map((place) => joinStates(runs.map(({ states }) => ({ h: states[place].h }))).h));
      final.push(joinStates(runs.map(({ last }) => last)));
    }
    const [keys, values] = this.parts.map((part) => partOf(part, x, embeddings));
    return { keys, values, count, summary: final.at(-1).h, final, selfAttention: null };
  }
}
