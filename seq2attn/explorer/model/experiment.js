// What a request changes in the attention to the source: words that are hidden, weights that are given, heads
// that read all positions equally, another temperature or normaliser.

const SLACK = 1e-4; // weights of a model add up to 1 but for rounding
const NORMALISERS = ["softmax", "sparsemax", "entmax15", "sigmoid", "hard-topk"];
const LEAST_TEMPERATURE = 0.01, MOST_TEMPERATURE = 100;

/** The changes that an attention asks for at each step. */
export class Changes {
  /**
   * `wordOf` is the word of each source position, from 1; 0: none, as the end token. `about` says what the
   * model's attention is: { layers, heads, normaliser }. Throws an Error that names the field.
   */
  constructor(request, wordOf, wordCount, about) {
    this.mask = request.mask ?? [];
    this.attend = Object.entries(request.attend ?? {}).map(([key, weight]) => ({ ...placeOf(key), weight }));
    this.uniform = request.uniform ?? [];
    this.temperature = request.temperature ?? 1;
    this.normaliser = request.normaliser ?? null;
    this.wordOf = wordOf;
    this.hard = (this.normaliser ?? about.normaliser) === "hard-topk";
    this.check(wordCount, about);
  }

  /** The positions that a query may read. Hard attention obeys `attend` here, so that it reads one position. */
  hide(open, step) {
    const left = open.map((is, j) => is && !(this.wordOf[j] > 0 && this.mask.includes(this.wordOf[j])));
    const named = this.hard ? this.attend.filter((one) => one.step === step + 1) : [];
    if (!named.length) return left;
    const share = this.wordOf.map((word) => named.find((one) => one.word === word)?.weight ?? -1);
    // a word of weight 1 is read alone, though a window may leave it out; one of weight 0 is not read
    if (share.includes(1)) return share.map((weight) => weight === 1);
    return left.map((is, j) => is && share[j] !== 0);
  }

  /** The weights that stand in place of those of the model. */
  replace(weights, { layer, head, step, open }) {
    let result = weights;
    if (this.uniform === "all" || this.uniform.some(([l, h]) => l === layer + 1 && h === head + 1)) {
      const count = Math.max(open.filter(Boolean).length, 1);
      result = weights.map((_, j) => (open[j] ? 1 / count : 0));
    }
    const named = this.hard ? [] : this.attend.filter((one) => one.step === step + 1);
    return named.length ? shared(result, open, this.wordOf, named) : result;
  }

  check(wordCount, { layers, heads }) {
    const { mask, attend, uniform, temperature, normaliser } = this;
    const changes = mask.length || attend.length || uniform.length || temperature !== 1 || normaliser;
    if (changes && !layers) throw new Error("mask: the model has no attention that could be changed");
    const whole = (name, number) => {
      if (!Number.isInteger(number) || number < 1) throw new Error(`${name} ${number}: a whole number from 1 is needed`);
    };
    const readable = new Set(this.wordOf.filter((word) => word > 0));
    const word = (name, number) => {
      whole(name, number);
      if (number > wordCount) throw new Error(`${name} ${number}: the source has ${wordCount} words`);
      if (!readable.has(number)) throw new Error(`${name} ${number}: the model reads no subword of source word ${number}`);
    };
    mask.forEach((number) => word("mask", number));
    if (mask.length && [...readable].every((number) => mask.includes(number))) {
      throw new Error(`mask ${mask}: no word of the source would be left to read`);
    }
    const totals = new Map();
    for (const one of attend) {
      word("attend", one.word);
      if (typeof one.weight !== "number" || !(one.weight >= 0 && one.weight <= 1)) {
        throw new Error(`attend ${one.step}:${one.word}: a weight is from 0 to 1`);
      }
      if (mask.includes(one.word)) throw new Error(`attend ${one.step}:${one.word}: mask hides this word; leave one out`);
      if (this.hard && one.weight % 1) throw new Error(`attend ${one.step}:${one.word}: the attention is hard, so that a weight is 0 or 1`);
      totals.set(one.step, (totals.get(one.step) ?? 0) + one.weight);
      if (totals.get(one.step) > 1 + SLACK) throw new Error(`attend: the weights of step ${one.step} add up to more than 1`);
    }
    if (uniform !== "all") {
      for (const [layer, head] of uniform) {
        whole("uniform", layer);
        whole("uniform", head);
        if (layer > layers || head > heads) throw new Error(`uniform ${layer}.${head}: the attention has no such head`);
      }
    }
    if (!(temperature >= LEAST_TEMPERATURE && temperature <= MOST_TEMPERATURE)) {
      throw new Error(`temperature ${temperature}: a number from ${LEAST_TEMPERATURE} to ${MOST_TEMPERATURE} is needed`);
    }
    if (normaliser && !NORMALISERS.includes(normaliser)) {
      throw new Error(`normaliser ${normaliser}: choose ${NORMALISERS.join(", ")}`);
    }
  }
}

function placeOf(key) {
  const match = /^(\d{1,7}):(\d{1,7})$/.exec(key);
  if (!match || !Number(match[1])) throw new Error(`attend ${key}: a key is "STEP:WORD", two numbers from 1`);
  return { step: Number(match[1]), word: Number(match[2]) };
}

/**
 * Weights in which the positions of each named word share its weight, in proportion to their own; equally, if
 * those are all 0. All other positions share what remains of the total.
 */
function shared(weights, open, wordOf, named) {
  const groupOf = wordOf.map((word) => named.findIndex((one) => one.word === word) + 1);
  const sums = new Array(named.length + 1).fill(0), counts = [...sums];
  let total = 0, given = 0;
  weights.forEach((weight, j) => {
    sums[groupOf[j]] += weight;
    counts[groupOf[j]] += open[j] || groupOf[j] > 0 ? 1 : 0;
    total += weight;
  });
  for (const one of named) given += one.weight;
  const targets = [Math.max(total - given, 0), ...named.map((one) => one.weight)];
  return weights.map((weight, j) => {
    const group = groupOf[j], real = open[j] || group > 0 ? 1 : 0;
    return targets[group] * (sums[group] > 0 ? weight / sums[group] : real / Math.max(counts[group], 1));
  });
}
