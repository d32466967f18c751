// Answers requests with the engine, for the tests: reads the path of a JSON file { run, parameters, requests }, and
// prints the answers, or { error }, as JSON.

import { readFileSync } from "node:fs";

const [folder, path] = process.argv.slice(2);
const { Engine } = await import(`${folder}/engine.js`);
const { fromBase64, fromHalf } = await import(`${folder}/tensors.js`);

const { run, parameters, requests } = JSON.parse(readFileSync(path, "utf8"));
const engine = new Engine(run, fromHalf(fromBase64(parameters)));
const answers = [];
for (const request of requests) answers.push(await engine.explain(request).catch(({ message }) => ({ error: message })));
console.log(JSON.stringify(answers));
