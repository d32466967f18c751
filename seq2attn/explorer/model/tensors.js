// The numbers of a model, and the product that takes most of its time.
//
// A matrix is a Float32Array, row after row. Whoever holds it knows its sizes. Sums are in double precision
// and are rounded once, when they are stored.

/** The float32 numbers of half-precision ones (IEEE 754 binary16, little-endian bytes). */
export function fromHalf(bytes) {
  const table = halfTable();
  const numbers = new Float32Array(bytes.length >> 1);
  for (let i = 0; i < numbers.length; i++) numbers[i] = table[bytes[2 * i] | (bytes[2 * i + 1] << 8)];
  return numbers;
}

/** The bytes of base64 text. */
export function fromBase64(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

/** The parameters of a model by name. */
export class Parameters {
  /** `index` holds [name, shape, place of the first number] of each; `numbers` holds them all. */
  constructor(index, numbers) {
    this.numbers = numbers;
    this.places = new Map(index.map(([name, shape, first]) => [name, { shape, first }]));
  }

  has(name) {
    return this.places.has(name);
  }

  /** The numbers of a parameter, as a view. */
  get(name) {
    const { shape, first } = this.place(name);
    return this.numbers.subarray(first, first + shape.reduce((product, size) => product * size, 1));
  }

  shape(name) {
    return this.place(name).shape;
  }

  place(name) {
    const place = this.places.get(name);
    if (!place) throw new Error(`the page has no parameter ${name}`);
    return place;
  }

  /** The linear map W x + b, or W x, whose parameters are NAME.weight and NAME.bias. */
  linear(name) {
    const [outputs, inputs] = this.shape(`${name}.weight`);
    const bias = this.has(`${name}.bias`) ? this.get(`${name}.bias`) : null;
    return { weight: this.get(`${name}.weight`), bias, inputs, outputs };
  }

  /** The same; null if there is no such map. */
  optionalLinear(name) {
    return this.has(`${name}.weight`) ? this.linear(name) : null;
  }
}

/** A linear map of each of `rows` rows x: a new matrix (rows, outputs). */
export function apply({ weight, bias, inputs, outputs }, x, rows) {
  const y = new Float32Array(rows * outputs);
  let row = 0;
  for (; row + 1 < rows; row += 2) twoRows(weight, inputs, outputs, x, row * inputs, y, row * outputs);
  if (row < rows) oneRow(weight, inputs, outputs, x, row * inputs, y, row * outputs);
  if (bias) for (let r = 0; r < rows; r++) for (let i = 0; i < outputs; i++) y[r * outputs + i] += bias[i];
  return y;
}

// Four outputs at once: each number of x is read once for four products, and the four sums do not wait for
// each other. That is twice as fast as one output after another; two rows at once are faster again.
function oneRow(weight, inputs, outputs, x, from, y, to) {
  let output = 0;
  for (; output + 3 < outputs; output += 4) {
    const a = output * inputs, b = a + inputs, c = b + inputs, d = c + inputs;
    let sumA = 0, sumB = 0, sumC = 0, sumD = 0;
    for (let i = 0; i < inputs; i++) {
      const value = x[from + i];
      sumA += weight[a + i] * value;
      sumB += weight[b + i] * value;
      sumC += weight[c + i] * value;
      sumD += weight[d + i] * value;
    }
    y[to + output] = sumA;
    y[to + output + 1] = sumB;
    y[to + output + 2] = sumC;
    y[to + output + 3] = sumD;
  }
  for (; output < outputs; output++) y[to + output] = dot(weight, output * inputs, x, from, inputs);
}

function twoRows(weight, inputs, outputs, x, from, y, to) {
  const other = from + inputs, toOther = to + outputs;
  let output = 0;
  for (; output + 3 < outputs; output += 4) {
    const a = output * inputs, b = a + inputs, c = b + inputs, d = c + inputs;
    let sumA = 0, sumB = 0, sumC = 0, sumD = 0, otherA = 0, otherB = 0, otherC = 0, otherD = 0;
    for (let i = 0; i < inputs; i++) {
      const value = x[from + i], second = x[other + i];
      const weightA = weight[a + i], weightB = weight[b + i], weightC = weight[c + i], weightD = weight[d + i];
      sumA += weightA * value;
      sumB += weightB * value;
      sumC += weightC * value;
      sumD += weightD * value;
      otherA += weightA * second;
      otherB += weightB * second;
      otherC += weightC * second;
      otherD += weightD * second;
    }
    y[to + output] = sumA;
    y[to + output + 1] = sumB;
    y[to + output + 2] = sumC;
    y[to + output + 3] = sumD;
    y[toOther + output] = otherA;
    y[toOther + output + 1] = otherB;
    y[toOther + output + 2] = otherC;
    y[toOther + output + 3] = otherD;
  }
  for (; output < outputs; output++) {
    y[to + output] = dot(weight, output * inputs, x, from, inputs);
    y[toOther + output] = dot(weight, output * inputs, x, other, inputs);
  }
}

/** The product of `size` numbers of two matrices, from the places `i` and `j` on. */
export function dot(a, i, b, j, size) {
  let sum = 0;
  for (let k = 0; k < size; k++) sum += a[i + k] * b[j + k];
  return sum;
}

/** Vectors of one size as the rows of a matrix. */
export function stack(vectors) {
  const size = vectors.length ? vectors[0].length : 0;
  const matrix = new Float32Array(vectors.length * size);
  vectors.forEach((vector, row) => matrix.set(vector, row * size));
  return matrix;
}

/** The rows of matrices [{ x, size }] side by side, one long row for each; null parts are left out. */
export function concat(parts, rows) {
  const real = parts.filter(Boolean);
  const size = real.reduce((sum, part) => sum + part.size, 0);
  const joint = new Float32Array(rows * size);
  let column = 0;
  for (const part of real) {
    for (let row = 0; row < rows; row++) {
      joint.set(part.x.subarray(row * part.size, (row + 1) * part.size), row * size + column);
    }
    column += part.size;
  }
  return { x: joint, size };
}

/** Row number `row` of a matrix, as a view. */
export function rowOf(matrix, row, size) {
  return matrix.subarray(row * size, (row + 1) * size);
}

/** x + y, number by number. */
export function add(x, y) {
  return x.map((value, i) => value + y[i]);
}

export const sigmoid = (value) => 1 / (1 + Math.exp(-value));

/** The logarithms of the softmax of a row. */
export function logSoftmax(row) {
  let highest = -Infinity, sum = 0;
  for (const value of row) if (value > highest) highest = value;
  for (const value of row) sum += Math.exp(value - highest);
  const all = highest + Math.log(sum);
  return row.map((value) => value - all);
}

let halves = null;

function halfTable() {
  if (halves) return halves;
  halves = new Float32Array(1 << 16);
  for (let bits = 0; bits < halves.length; bits++) {
    const sign = bits >> 15 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
    if (exponent === 0) halves[bits] = sign * fraction * 2 ** -24;
    else if (exponent === 31) halves[bits] = fraction ? NaN : sign * Infinity;
    else halves[bits] = sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }
  return halves;
}
