// An encoder and a decoder, built from the settings of a run.
//
//   memory = encoder.encode(ids)
//   { source, state } = decoder.start(memory, changes)
//   { logits, states, weights, selfAttention } = decoder.step(tokens, states, source)

import { RNNDecoder } from "./rnn_decoder.js";
import { RNNEncoder } from "./rnn_encoder.js";
import { TransformerDecoder } from "./transformer_decoder.js";
import { TransformerEncoder } from "./transformer_encoder.js";

const ENCODERS = { rnn: RNNEncoder, transformer: TransformerEncoder };
const DECODERS = { rnn: RNNDecoder, transformer: TransformerDecoder };

/** `model` holds the settings model.*, `parameters` the numbers. */
export function buildModel({ encoder, decoder, attention }, parameters) {
  const attends = decoder.kind !== "rnn" || decoder.context_source === "attention";
  const parts = attends ? [attention.keys, attention.values] : ["states", "states"];
  for (const [side, { kind }, known] of [["encoder", encoder, ENCODERS], ["decoder", decoder, DECODERS]]) {
    if (!known[kind]) throw new Error(`model.${side}.kind: this page does not know ${kind}`);
  }
  return {
    encoder: new ENCODERS[encoder.kind](parameters, encoder, parts),
    decoder: new DECODERS[decoder.kind](parameters, decoder, attention),
  };
}
