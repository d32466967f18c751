// Answers requests with the engine, for the tests: reads the path of a JSON file { about, numbers, requests }, and
// prints the answers, or { error }, as JSON. A request { encode: text, side } gives the ids of a text.

import { readFileSync } from "node:fs";

const [folder, path] = process.argv.slice(2);
const { Engine } = await import(`${folder}/engine.js`);
const { fromBase64, fromHalf } = await import(`${folder}/tensors.js`);

const { about, numbers, requests } = JSON.parse(readFileSync(path, "utf8"));
const engine = new Engine(about, fromHalf(fromBase64(numbers)));
const answers = [];
for (const request of requests) {
  if ("encode" in request) {
    const tokenizer = engine[request.side], ids = tokenizer.encode(request.encode);
    answers.push({ ids, text: tokenizer.decode(ids), word_of: tokenizer.wordIndex(ids) });
    continue;
  }
  answers.push(await engine.explain(request).catch(({ message }) => ({ error: message })));
}
console.log(JSON.stringify(answers));
