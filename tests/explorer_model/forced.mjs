// Runs models on given ids, for test_models.py: reads the path of a JSON file with cases, and prints the logits
// and weights of each step of each case as JSON.

import { readFileSync } from "node:fs";

const [folder, path] = process.argv.slice(2);
const { buildModel } = await import(`${folder}/model.js`);
const { Changes } = await import(`${folder}/experiment.js`);
const { fromBase64, fromHalf, Parameters } = await import(`${folder}/tensors.js`);

const results = JSON.parse(readFileSync(path, "utf8")).map(({ model, index, numbers, source, target }) => {
  const { encoder, decoder } = buildModel(model, new Parameters(index, fromHalf(fromBase64(numbers))));
  const memory = encoder.encode(source);
  const about = { layers: decoder.layers, heads: model.attention.heads, normaliser: model.attention.normaliser };
  const start = decoder.start(memory, new Changes({}, source.map(() => 0), 0, about));
  let states = [start.state, start.state]; // two rows, as a beam has them
  const steps = target.map((token) => {
    const output = decoder.step([token, token], states, start.source);
    states = output.states;
    const half = output.logits.length / 2;
    return {
      logits: [...output.logits.subarray(half)],
      weights: output.weights?.[1].map((heads) => heads.map((row) => [...row])) ?? null,
      self: output.selfAttention?.[1].map((heads) => heads.map((row) => [...row])) ?? null,
    };
  });
  const encoderSelf = memory.selfAttention?.map((heads) => heads.map((rows) => rows.map((row) => [...row]))) ?? null;
  return { steps, encoderSelf };
});
console.log(JSON.stringify(results));
