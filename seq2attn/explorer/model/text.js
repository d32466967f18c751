// Text as the model reads it: normal form, words, and what is blank. It follows Python's `str`.

export const SPACE = "▁"; // how SentencePiece writes a space
export const STAND_IN = "\ufdd0"; // a noncharacter carries a written "▁" through the tokenizer

// what Python's `str.split` and `str.isspace` take for white space; JavaScript's \s differs
const WHITE = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const ONE_WHITE = new RegExp(`^[${WHITE}]$`);
const WORD = new RegExp(`[^${WHITE}]+`, "g");
const INVISIBLE =
  /^[\p{Zs}\p{Zl}\p{Zp}\p{Cc}\p{Cf}\p{Cs}\p{Mn}\p{Me}\p{Noncharacter_Code_Point}\u115f\u1160\u3164\uffa0\u2800]*$/u;

/** The text in NFC, and in lower case if `lowercase`. An unpaired surrogate becomes U+FFFD. */
export function normalise(text, lowercase) {
  const whole = text.normalize("NFC").replace(/\p{Surrogate}/gu, "\ufffd");
  return lowercase ? whole.toLowerCase() : whole;
}

/** The text with plain marks: `marks` has the plain one of each variant. */
export const withPlainMarks = (text, marks) => Array.from(text, (character) => marks[character] ?? character).join("");

export const isSpace = (character) => ONE_WHITE.test(character);

/** The words of a text, between white space. */
export const words = (text) => text.match(WORD) ?? [];

/** Whether a text holds nothing to read. */
export const isBlank = (text) => INVISIBLE.test(text);

/**
 * The index in `words(text)` of the word of each id; -1 for white space. `ids` are those of the text, or their
 * beginning. A subword that reaches over several words belongs to the first.
 */
export function wordNumbers(text, ids, tokenizer) {
  // the tokenizer puts a space at the beginning
  const normal = Array.from(` ${tokenizer.normal(text).replaceAll(STAND_IN, SPACE)}`);
  const wordAt = [];
  let count = 0, inside = false;
  for (const character of normal) {
    const space = isSpace(character);
    if (!space && !inside) count += 1;
    inside = !space;
    wordAt.push(space ? -1 : count - 1);
  }
  const first = (start, stop) => wordAt.slice(start, stop).find((word) => word >= 0) ?? -1;
  const surfaces = ids.map((id) => Array.from(tokenizer.surface(id).replaceAll(STAND_IN, SPACE)));
  if (tokenizer.kind === "word") return ofWords(normal, surfaces, first);

  const numbers = [];
  let position = 0, unknown = 0;
  ids.forEach((id, place) => {
    if (tokenizer.isUnknown(id)) {
      unknown += 1;
      return;
    }
    const surface = surfaces[place];
    const start = unknown ? Math.max(find(normal, surface, position + unknown), position) : position;
    numbers.push(...spread(position, start, unknown, first), first(start, start + surface.length));
    position = start + surface.length;
    unknown = 0;
  });
  return [...numbers, ...spread(position, normal.length, unknown, first)];
}

/** With a vocabulary of words each id stands between two spaces, known or not. */
function ofWords(normal, surfaces, first) {
  let position = 0;
  return surfaces.map((surface) => {
    while (surface.join("") !== " " && normal[position] === " " && normal[position + 1] === " ") position += 1;
    let end = normal.indexOf(" ", position + 1);
    if (end < 0) end = normal.length;
    const number = first(position, end);
    position = end;
    return number;
  });
}

/** The words of `unknown` ids that share the characters from start to stop: one each, and the last the rest. */
function spread(start, stop, unknown, first) {
  return Array.from({ length: unknown }, (_, i) => first(start + i, i === unknown - 1 ? stop : start + i + 1));
}

function find(characters, part, from) {
  for (let start = from; start + part.length <= characters.length; start++) {
    if (part.every((character, i) => characters[start + i] === character)) return start;
  }
  return -1;
}
