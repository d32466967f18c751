// Text to ids of one vocabulary, and exactly back, as SentencePiece does it: subwords by likelihood (unigram)
// or by merges (bpe), characters, or words. It knows no model.

import { isSpace, normalise, SPACE, STAND_IN, withPlainMarks } from "./text.js";

export const PAD = 0;
export const UNK = 1;
export const BOS = 2;
export const EOS = 3;
const SPECIALS = ["<pad>", "<unk>", "<s>", "</s>"];
const UNKNOWN = "⁇"; // the text of an unknown token
const UNKNOWN_PENALTY = 10; // below the lowest score, as in SentencePiece

export class Tokenizer {
  /** `pieces` are the subwords by id, `scores` their scores in float32. `plainMarks` has the plain mark of variants. */
  constructor({ kind, lowercase, pieces, scores, plainMarks = null }) {
    this.kind = kind;
    this.plainMarks = plainMarks;
    this.lowercase = lowercase;
    this.scores = Float32Array.from(scores);
    this.ids = new Map(pieces.map((piece, id) => [piece, id]).slice(SPECIALS.length));
    this.longest = Math.max(...Array.from(this.ids.keys(), (piece) => Array.from(piece).length));
    const lowest = this.scores.slice(SPECIALS.length).reduce((a, b) => Math.min(a, b), Infinity);
    this.unknownScore = Math.fround(lowest - UNKNOWN_PENALTY);
    this.labels = pieces.map((piece) => piece.replaceAll(STAND_IN, SPACE));
    this.surfaces = pieces.map((piece) => piece.replaceAll(SPACE, " "));
    // an unknown word takes up the space before it
    this.surfaces.splice(0, SPECIALS.length, "", kind === "word" ? ` ${UNKNOWN}` : UNKNOWN, "", "");
  }

  get size() {
    return this.labels.length;
  }

  isUnknown(id) {
    return id === UNK;
  }

  /** The text as its subwords write it. */
  normal(text) {
    const whole = normalise(text, this.lowercase);
    return this.plainMarks ? withPlainMarks(whole, this.plainMarks) : whole;
  }

  /** The ids of a text, without those of its beginning and end. */
  encode(text) {
    const normal = this.normal(text).replaceAll(SPACE, STAND_IN);
    if (!normal) return [];
    if (this.kind === "word") return this.encodeWords(normal);
    const characters = Array.from(SPACE + normal.replaceAll(" ", SPACE));
    const pieces =
      this.kind === "unigram" ? this.likeliest(characters) : this.kind === "bpe" ? this.merge(characters) : characters;
    const ids = pieces.map((piece) => this.ids.get(piece) ?? UNK);
    // neighbours that are unknown become one token
    return ids.filter((id, place) => id !== UNK || ids[place - 1] !== UNK);
  }

  encodeWords(text) {
    const ids = text.split(" ").map((word) => this.ids.get(SPACE + word) ?? (word ? UNK : PAD));
    return ids.filter((id) => id !== PAD); // PAD is a second space, which the vocabulary does not have
  }

  /** The pieces with the highest sum of scores (Kudo 2018), by Viterbi's algorithm, in float32. */
  likeliest(characters) {
    const count = characters.length;
    const best = new Float32Array(count + 1), start = new Int32Array(count + 1).fill(-1);
    const reach = (from, to, score) => {
      const sum = Math.fround(score + best[from]);
      if (start[to] < 0 || sum > best[to]) [best[to], start[to]] = [sum, from];
    };
    for (let from = 0; from < count; from++) {
      let piece = "", single = false;
      for (let to = from + 1; to <= Math.min(count, from + this.longest); to++) {
        piece += characters[to - 1];
        const id = this.ids.get(piece);
        if (id === undefined) continue;
        reach(from, to, this.scores[id]);
        if (to === from + 1) single = true;
      }
      if (!single) reach(from, from + 1, this.unknownScore);
    }
    const pieces = [];
    for (let to = count; to > 0; to = start[to]) pieces.unshift(characters.slice(start[to], to).join(""));
    return pieces;
  }

  /** Joins the neighbours with the highest score, the first of equals, until none can be joined (Sennrich 2016). */
  merge(characters) {
    const pieces = [...characters];
    const score = (place) => {
      const id = place >= 0 && place + 1 < pieces.length ? this.ids.get(pieces[place] + pieces[place + 1]) : undefined;
      return id === undefined ? -Infinity : this.scores[id];
    };
    const scores = pieces.map((_, place) => score(place));
    for (;;) {
      let best = -1;
      for (let place = 0; place < scores.length; place++) {
        if (scores[place] > (best < 0 ? -Infinity : scores[best])) best = place;
      }
      if (best < 0) return pieces;
      pieces.splice(best, 2, pieces[best] + pieces[best + 1]);
      scores.splice(best, 1);
      if (best > 0) scores[best - 1] = score(best - 1);
      scores[best] = score(best);
    }
  }

  /** The text of one token; empty for those that have none. */
  surface(id) {
    return this.surfaces[id];
  }

  decode(ids) {
    const text = ids.map((id) => this.surfaces[id]).join("");
    return (text.startsWith(" ") ? text.slice(1) : text).replaceAll(STAND_IN, SPACE);
  }

  /** The subwords as text for people: "▁" for a space, special tokens by name. */
  subwords(ids) {
    return ids.map((id) => this.labels[id]);
  }

  /** For each id the index in the words of the text of all ids; -1 if it has none. */
  wordIndex(ids) {
    let count = 0, inside = false;
    return ids.map((id) => {
      let number = -1;
      for (const character of this.surfaces[id]) {
        if (isSpace(character)) {
          inside = false;
          continue;
        }
        if (!inside) {
          count += 1;
          inside = true;
        }
        if (number < 0) number = count - 1;
      }
      return number;
    });
  }
}
