// Recurrent cells: tanh RNN, GRU and LSTM, with the gates in torch's order. A state is { h }, or { h, c } of an
// LSTM.

import { apply, concat, sigmoid, stack, rowOf } from "./tensors.js";

export class Cell {
  /** `kind` is rnn, gru or lstm; `name` is that of its parameters. */
  constructor(parameters, name, kind) {
    this.kind = kind;
    this.fromInput = parameters.linear(`${name}.input_to_gates`);
    this.fromHidden = parameters.linear(`${name}.hidden_to_gates`);
    this.feedback = parameters.optionalLinear(`${name}.feedback`);
    this.size = this.fromHidden.inputs;
  }

  /** How many vectors a state has. */
  get vectors() {
    return this.kind === "lstm" ? 2 : 1;
  }

  /** A state of given vectors; c is 0 where another kind of cell has none. */
  state(h, c) {
    return this.kind === "lstm" ? { h, c: c ?? new Float32Array(this.size) } : { h };
  }

  zero() {
    return this.state(new Float32Array(this.size));
  }

  /** The part of the gates that comes from inputs (rows, any). */
  gates(x, rows) {
    return apply(this.fromInput, x, rows);
  }

  /** The next state of each row, from the gates' part of its input and what the decoder feeds back, { x, size }. */
  step(gates, feedback, states) {
    const rows = states.length, width = this.fromHidden.outputs;
    const more = this.feedback && feedback ? apply(this.feedback, feedback.x, rows) : null;
    const input = more ? gates.map((gate, i) => gate + more[i]) : gates;
    const hidden = apply(this.fromHidden, stack(states.map(({ h }) => h)), rows);
    return states.map((state, row) => UPDATES[this.kind](rowOf(input, row, width), rowOf(hidden, row, width), state));
  }

  /** The states after each of `count` inputs, one after another; `places` is their order. */
  run(x, count, places) {
    const gates = this.gates(x, count), width = this.fromHidden.outputs;
    const states = new Array(count);
    let state = this.zero();
    for (const place of places) {
      [state] = this.step(rowOf(gates, place, width), null, [state]);
      states[place] = state;
    }
    return { states, last: state };
  }
}

const UPDATES = {
  rnn: (input, hidden) => ({ h: input.map((value, i) => Math.tanh(value + hidden[i])) }),

  gru(input, hidden, { h }) {
    const size = h.length;
    return {
      h: h.map((old, i) => {
        const r = sigmoid(input[i] + hidden[i]), z = sigmoid(input[size + i] + hidden[size + i]);
        const n = Math.tanh(input[2 * size + i] + r * hidden[2 * size + i]);
        return n + z * (old - n);
      }),
    };
  },

  lstm(input, hidden, { c }) {
    const size = c.length, next = new Float32Array(size), h = new Float32Array(size);
    const gate = (k, i) => input[k * size + i] + hidden[k * size + i];
    for (let i = 0; i < size; i++) {
      next[i] = sigmoid(gate(1, i)) * c[i] + sigmoid(gate(0, i)) * Math.tanh(gate(2, i));
      h[i] = sigmoid(gate(3, i)) * Math.tanh(next[i]);
    }
    return { h, c: next };
  },
};

/** The vectors of two directions side by side. */
export function joinStates(states) {
  const join = (part) => concat(states.map((state) => ({ x: state[part], size: state[part].length })), 1).x;
  return states[0].c ? { h: join("h"), c: join("c") } : { h: join("h") };
}
