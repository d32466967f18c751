// What an encoder gives a decoder: keys and values of each position, and the source in one vector.

/** A matrix of the encoder's states, of the embeddings, or of their sums. */
export function partOf(part, states, embeddings) {
  if (part === "sum") return states.map((value, i) => value + embeddings[i]);
  return part === "states" ? states : embeddings;
}

/** The mean of the rows of a matrix. */
export function meanOf(x, rows) {
  const size = x.length / rows, mean = new Float32Array(size);
  for (let i = 0; i < size; i++) {
    let sum = 0;
    for (let row = 0; row < rows; row++) sum += x[row * size + i];
    mean[i] = sum / rows;
  }
  return mean;
}

/** The vectors of tokens in an embedding, times a factor: a matrix with a row for each. */
export function embed({ table, size }, ids, factor = 1) {
  const x = new Float32Array(ids.length * size);
  ids.forEach((id, row) => x.set(table.subarray(id * size, (id + 1) * size), row * size));
  return factor === 1 ? x : x.map((value) => value * factor);
}

/** The embedding of that name. */
export function embeddingOf(parameters, name) {
  return { table: parameters.get(`${name}.weight`), size: parameters.shape(`${name}.weight`)[1] };
}
