// A run that answers in this page: `explain(request)` gives what the server's /explain gives, from the model's
// own numbers, without a server.

import { Changes } from "./experiment.js";
import { buildModel } from "./model.js";
import { beamSearch, MOST_BEAM } from "./search.js";
import { Parameters } from "./tensors.js";
import { isBlank, wordNumbers, words } from "./text.js";
import { BOS, EOS, PAD, Tokenizer, UNK } from "./tokenizer.js";

const MOST_SOURCE = 128; // subwords of a text
const MOST_OUTPUT = 2 * MOST_SOURCE + 10; // of an output
const MOST_CHARACTERS = 8192; // of a text, before it is cut into subwords
const PARTS = ["self_attention", "candidates", "beam"];
const PAUSE = 24; // milliseconds of work, after which the page may draw and react
const BANNED = [PAD, UNK, BOS]; // what no output holds
const FORMAT = 1;

export class Engine {
  /** `about` describes the run, as the exporter writes it; `numbers` are its parameters. */
  constructor(about, numbers) {
    if (about.format !== FORMAT) throw new Error(`this page reads format ${FORMAT}, and the run has ${about.format}`);
    this.about = about;
    const [source, target = { ...source, ...source.asTarget }] = about.tokenizers;
    this.source = new Tokenizer(source);
    this.target = new Tokenizer(target);
    const { encoder, decoder } = buildModel(about.model, new Parameters(about.parameters, numbers));
    const { heads, normaliser } = about.model.attention;
    this.encoder = encoder;
    this.decoder = decoder;
    this.attention = { layers: decoder.layers, heads, normaliser };
  }

  /** The parts of an answer that a request may ask for. */
  get parts() {
    return PARTS;
  }

  /** The one run that the page holds. */
  async runs() {
    const { run: name, kind: model, languages, search } = this.about;
    return [{ name, kind: "text", model, languages, beam: Math.min(search.beam, MOST_BEAM), attends: this.attention.layers > 0 }];
  }

  /**
   * The answer to a request. Throws an Error of one line which names the field. With a `signal`, the work ends when
   * that is aborted.
   */
  async explain(request, { signal } = {}) {
    const { search } = this.about, asks = (part) => (request.parts ?? []).includes(part);
    const text = request.text;
    if (typeof text !== "string") throw new Error("text: a text is needed");
    const ids = this.read(text), sourceWords = words(text);
    const numbers = wordNumbers(text, ids, this.source).map((word) => (word < sourceWords.length ? word : -1));
    const wordOf = [...numbers, -1];
    const beam = request.beam ?? Math.min(search.beam, MOST_BEAM);
    if (!Number.isInteger(beam) || beam < 1 || beam > MOST_BEAM) throw new Error(`beam ${beam}: a whole number from 1 to ${MOST_BEAM} is needed`);
    const changes = new Changes(request, wordOf.map((word) => word + 1), sourceWords.length, this.attention);

    const memory = this.encoder.encode([...ids, EOS]);
    const { source, state } = this.decoder.start(memory, changes);
    const limits = {
      bos: BOS,
      eos: EOS,
      banned: BANNED,
      maxLength: Math.min(search.max_length ?? 2 * ids.length + 10, MOST_OUTPUT),
      minLength: search.min_length,
      noRepeat: search.no_repeat_ngram,
      prefix: request.prefix ?? [],
    };
    this.checkPrefix(limits);
    const step = (tokens, states) => this.decoder.step(tokens, states, source);
    const pause = pauses(signal);
    const output = await beamSearch({ state, step }, limits, { beam, lengthPenalty: search.length_penalty, pause });
    const { tokens, steps } = output;
    const targetText = this.target.decode(tokens);
    return {
      format: FORMAT,
      run: this.about.run,
      kind: this.about.kind,
      languages: this.about.languages,
      source: { text, words: sourceWords, subwords: this.source.subwords([...ids, EOS]), word_of: wordOf },
      target: {
        text: targetText,
        words: words(targetText),
        subwords: this.target.subwords([...tokens, EOS]),
        ids: [...tokens, EOS],
        word_of: [...this.target.wordIndex(tokens), -1],
        log_probabilities: steps.map(({ logProbability }) => decimals(logProbability, 6)),
        log_probability: decimals(output.logProbability, 6),
        finished: output.finished,
        forced: limits.prefix.length,
      },
      attention: this.decoder.layers ? this.attentionOf(steps) : null,
      self_attention: asks("self_attention") ? this.selfAttentionOf(memory, steps) : null,
      candidates: asks("candidates") ? steps.map(({ candidates }) => candidates.map((one) => this.named(one))) : null,
      beam: asks("beam") ? { nodes: output.nodes.map((node) => this.named(node)) } : null,
      confidence: null,
      attribution: null,
    };
  }

  /** The ids of a text. Throws an Error for one that is blank or too long. */
  read(text) {
    if (isBlank(text)) throw new Error("text: it is blank, so that there is nothing to explain");
    if (text.length > MOST_CHARACTERS) throw new Error(`text: it has ${text.length} characters, and at most ${MOST_CHARACTERS} are read`);
    const ids = this.source.encode(text);
    if (!ids.length) throw new Error("text: the tokenizer reads nothing of it");
    if (ids.length > MOST_SOURCE) throw new Error(`text: it has ${ids.length} subwords, and at most ${MOST_SOURCE} are read`);
    return ids;
  }

  checkPrefix({ prefix, maxLength }) {
    if (!Array.isArray(prefix)) throw new Error("prefix: a list of ids is needed");
    prefix.forEach((id, place) => {
      if (!Number.isInteger(id) || id < 0 || id >= this.target.size) throw new Error(`prefix ${id}: the vocabulary has no such id`);
      const misplaced = id === EOS && place < prefix.length - 1;
      if (id === PAD || id === BOS || misplaced) throw new Error(`prefix ${id}: no output holds it there`);
    });
    if (prefix.length > maxLength) throw new Error(`prefix: ${prefix.length} ids, and an output has at most ${maxLength}`);
  }

  /** A candidate or a node with its subword behind its id. */
  named({ id, ...others }) {
    return { id, subword: this.target.subwords([id])[0], ...others };
  }

  attentionOf(steps) {
    const { layers, heads } = this.attention;
    const of = (layer, head) => steps.map(({ weights }) => rounded(weights[layer][head]));
    const weights = range(layers).map((layer) => range(heads).map((head) => of(layer, head)));
    return { layers, heads, weights, choice: this.about.choice };
  }

  selfAttentionOf(memory, steps) {
    const encoder = memory.selfAttention?.map((layer) => layer.map((head) => head.map(rounded))) ?? null;
    const first = steps[0].selfAttention;
    const pad = (row) => [...rounded(row), ...new Array(steps.length - row.length).fill(0)];
    const decoder = first && first.map((heads, l) => heads.map((_, h) => steps.map((step) => pad(step.selfAttention[l][h]))));
    return encoder || decoder ? { encoder, decoder } : null;
  }
}

const range = (count) => [...Array(count).keys()];
const decimals = (number, count) => Math.round(number * 10 ** count) / 10 ** count;
const rounded = (row) => Array.from(row, (weight) => decimals(weight, 4));

/** A function that lets the page draw and react now and then, and throws once the signal is aborted. */
function pauses(signal) {
  let last = performance.now();
  return async () => {
    signal?.throwIfAborted();
    if (performance.now() - last < PAUSE) return;
    await new Promise((resolve) => setTimeout(resolve));
    signal?.throwIfAborted();
    last = performance.now();
  };
}
