// What is drawn of an answer: its lines of words or subwords, and the weights between them.

const END = "</s>", LAST = "\u23ce"; // a subword, and a word
const HARDLY = 0.2; // the sum of the weights on a word, below which it was hardly read
const SPACE = "\u2581";

/** The subword for people: a space is shown, the end is not a token of a model. */
export function label(subword) {
  return subword === END ? LAST : subword.replaceAll(SPACE, "\u00b7");
}

/** The source positions by word, or each by itself: [{ label, positions, word }]; `word` from 1, or 0. */
export function columns(answer, unit) {
  const { source } = answer;
  if (source.subwords.length === 0) return cells(answer);
  if (unit === "subwords")
    return source.subwords.map((subword, i) => ({ label: label(subword), positions: [i], word: source.word_of[i] + 1 }));
  return source.words.map((word, w) => ({ label: word, positions: places(source.word_of, w), word: w + 1 }));
}

/** Source words with letters that hardly any word of the output reads: their columns. */
export function hardlyRead(answer, view, weights) {
  const isShown = view.unit === "words" && view.layer === "attention" && weights?.length && answer.source.words.length;
  if (!isShown || answer.attention.shares || answer.attention.self) return [];
  const read = weights.filter((_, r) => answer.target.words[r] !== LAST);
  const sums = answer.source.words.map((_, c) => read.reduce((sum, row) => sum + row[c], 0));
  return sums.flatMap((sum, c) => (sum < HARDLY && isWord(answer.source.words[c]) ? [c] : []));
}

export const isWord = (text) => text !== LAST && /[\p{L}\p{N}\p{S}]/u.test(text);

/** A function of row and column: "sure" or "possible" where gold links join them, else null; null without links. */
export function linked(answer, view) {
  if (!answer.links || !view.gold) return null;
  const { source, target } = answer, key = (s, t) => `${s}:${t}`;
  const kinds = new Map(["possible", "sure"].flatMap((kind) => answer.links[kind].map(([s, t]) => [key(s, t), kind])));
  const word = view.unit === "words" ? (_, place) => place : ({ word_of }, place) => word_of[place];
  return (row, column) => kinds.get(key(word(source, column), word(target, row))) ?? null;
}

function cells({ source, attention }) {
  const count = source.grid ? source.grid[0] * source.grid[1] : source.frames ?? attention?.weights[0][0][0].length ?? 0;
  return Array.from({ length: count }, (_, i) => ({ label: String(i + 1), positions: [i], word: i + 1 }));
}

/** The steps by target word, or each by itself: [{ label, steps }], steps from 0. */
export function rows(answer, unit) {
  const { target } = answer;
  if (unit === "subwords") return target.subwords.map((subword, i) => ({ label: label(subword), steps: [i] }));
  return target.words.map((word, w) => ({ label: word, steps: places(target.word_of, w) }));
}

const places = (wordOf, word) => wordOf.flatMap((own, place) => (own === word ? [place] : []));

/** The layer, the head and the shift that a view means: "auto" is what the run shows by itself. */
export function resolve(attention, view) {
  const choice = attention.choice ?? { layer: null, head: null, shift: 0 };
  const shift = view.shift ?? choice.shift;
  if (view.head === "auto") return { layer: choice.layer, head: choice.head, shift };
  const [layer, head] = view.head === "mean" ? [null, null] : view.head.split(".").map(Number);
  const exists = layer === null || (layer <= attention.layers && head <= attention.heads);
  return exists ? { layer, head, shift } : { layer: null, head: null, shift };
}

/** The weights [T][S] of a layer and a head, numbered from 1; null is the mean. */
export function select(weights, layer, head) {
  const layers = layer === null ? weights : [weights[layer - 1]];
  const matrices = layers.flatMap((heads) => (head === null ? heads : [heads[head - 1]]));
  return matrices[0].map((row, t) => row.map((_, i) => matrices.reduce((sum, one) => sum + one[t][i], 0) / matrices.length));
}

/** The weights of what is shown, row by row and column by column; null if there are none. */
export function table(answer, view) {
  const down = rows(answer, view.unit), across = columns(answer, view.unit);
  if (view.layer === "attribution" && answer.attribution) return attributionTable(answer, view, down, across);
  if (!answer.attention) return null;
  const { layer, head, shift } = resolve(answer.attention, view);
  let own = select(answer.attention.weights, layer, head);
  if (shift) own = [...own.slice(1), own[own.length - 1]]; // the step that reads a token is the next one
  return down.map(({ steps }) =>
    across.map(({ positions }) => {
      const sum = steps.reduce((all, t) => all + positions.reduce((part, i) => part + own[t][i], 0), 0);
      return steps.length ? sum / steps.length : 0;
    }),
  );
}

/** The share that each source word has of all that raises the probability of a target word. */
function attributionTable({ attribution, source, target }, view, down, across) {
  const shares = attribution.weights.map((row) => {
    const raised = row.map((one) => Math.max(0, one));
    const sum = raised.reduce((all, one) => all + one, 0);
    return raised.map((one) => (sum ? one / sum : 0));
  });
  if (view.unit === "words") return shares;
  return down.map(({ steps }) => across.map(({ word }) => shares[target.word_of[steps[0]]]?.[word - 1] ?? 0));
}

/** Which words are new: for each of `now` whether the longest common part with `before` lacks it; and the reverse. */
export function differences(before, now) {
  const length = before.map(() => new Array(now.length + 1).fill(0)).concat([new Array(now.length + 1).fill(0)]);
  for (let i = before.length - 1; i >= 0; i--)
    for (let j = now.length - 1; j >= 0; j--)
      length[i][j] = before[i] === now[j] ? length[i + 1][j + 1] + 1 : Math.max(length[i + 1][j], length[i][j + 1]);
  const lost = before.map(() => true), gained = now.map(() => true);
  for (let i = 0, j = 0; i < before.length && j < now.length; ) {
    if (before[i] === now[j]) (lost[i++] = false), (gained[j++] = false);
    else if (length[i + 1][j] >= length[i][j + 1]) i++;
    else j++;
  }
  return { lost, gained };
}
