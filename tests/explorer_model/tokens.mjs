// What the tokenizers make of texts, for test_tokenizer.py: reads the path of a JSON file { tokenizers, texts }.

import { readFileSync } from "node:fs";

const [folder, path] = process.argv.slice(2);
const { Tokenizer } = await import(`${folder}/tokenizer.js`);
const { isBlank, wordNumbers, words } = await import(`${folder}/text.js`);

const { tokenizers, texts } = JSON.parse(readFileSync(path, "utf8"));
const results = tokenizers.map((about) => {
  const tokenizer = new Tokenizer(about);
  return texts.map((text) => {
    const ids = tokenizer.encode(text);
    return {
      ids,
      text: tokenizer.decode(ids),
      subwords: tokenizer.subwords(ids),
      word_index: tokenizer.wordIndex(ids),
      word_numbers: wordNumbers(text, ids, tokenizer),
      blank: isBlank(text),
      words: words(text),
    };
  });
});
console.log(JSON.stringify(results));
