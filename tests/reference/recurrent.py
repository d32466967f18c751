"""Recurrent encoders and decoders.

Papers: Hochreiter, Schmidhuber 1997; Sutskever, Vinyals, Le 2014 (arXiv 1409.3215); Cho et al. 2014
(1406.1078); Bahdanau, Cho, Bengio 2015 (1409.0473); Luong, Pham, Manning 2015 (1508.04025).
"""

import math

import numpy as np

from reference.attention import apply_gate, attend
from reference.recipe import Decoded, Encoded, memory
from reference.vectors import join, linear, sigmoid, tanh

# Cells, with the gates stacked as torch stacks them. A state is (h, c); c is None but for the LSTM.


def rnn_cell(w, x, state):
    h, _ = state
    return tanh(linear(w["w_ih"], x, w["b_ih"]) + linear(w["w_hh"], h, w["b_hh"])), None


def gru_cell(w, x, state):
    """Cho 2014, equations 5 to 8, with r inside around (U h + b) as torch has it; z keeps the old state."""
    h, _ = state
    size = len(h)
    a, b = linear(w["w_ih"], x, w["b_ih"]), linear(w["w_hh"], h, w["b_hh"])
    r = sigmoid(a[:size] + b[:size])
    z = sigmoid(a[size : 2 * size] + b[size : 2 * size])
    n = tanh(a[2 * size :] + r * b[2 * size :])
    return np.array([(1 - z[i]) * n[i] + z[i] * h[i] for i in range(size)]), None


def lstm_cell(w, x, state):
    """Hochreiter 1997 with a forget gate, no peepholes; gates input, forget, cell, output."""
    h, c = state
    size = len(h)
    a = linear(w["w_ih"], x, w["b_ih"]) + linear(w["w_hh"], h, w["b_hh"])
    i, f, o = sigmoid(a[:size]), sigmoid(a[size : 2 * size]), sigmoid(a[3 * size :])
    g = tanh(a[2 * size : 3 * size])
    c = np.array([f[k] * c[k] + i[k] * g[k] for k in range(size)])
    return np.array([o[k] * math.tanh(c[k]) for k in range(size)]), c


CELLS = {"rnn": rnn_cell, "gru": gru_cell, "lstm": lstm_cell}


def zero_state(cell, size):
    return np.zeros(size), (np.zeros(size) if cell == "lstm" else None)


def encode(recipe, weights, source):
    """Bahdanau 2015, section 3.2, stacked. weights: "source_embedding" (N, E) and "encoder", for each layer a
    list of one
    or two cells (forward, backward)."""
    if recipe.encoder is not None:
        return recipe.encoder.encode(weights, source)
    embeddings = inputs = [weights["source_embedding"][token] for token in source]
    final = []
    for layer in weights["encoder"]:
        states, last = [], []
        for direction, w in enumerate(layer):
            backward = direction == 1 or recipe.reverse
            order = range(len(inputs) - 1, -1, -1) if backward else range(len(inputs))
            state = zero_state(recipe.encoder_cell, w["w_hh"].shape[1])
            at = {}
            for j in order:
                state = CELLS[recipe.encoder_cell](w, inputs[j], state)
                at[j] = state[0]
            states.append(at)
            last.append(state)
        inputs = [join(*(at[j] for at in states)) for j in range(len(inputs))]
        final.append(
            (join(*(h for h, _ in last)), None if last[0][1] is None else join(*(c for _, c in last)))
        )
    return Encoded(embeddings, inputs, final, final[-1][0])


def first_state(recipe, weights, encoded):
    """The decoder's first (h, c) of each layer. weights["bridge"]: for each layer the maps "h" and "c", each
    {"w", "b"}.
    """
    if recipe.bridge == "last":  # between cells of two kinds h alone is copied, and c starts at zero
        return [
            (h, (np.zeros(len(h)) if c is None else c) if recipe.cell == "lstm" else None)
            for h, c in encoded.final
        ]
    states = []
    for number, w in enumerate(weights["decoder"]):
        if recipe.bridge == "zero":
            states.append(zero_state(recipe.cell, w["w_hh"].shape[1]))
            continue
        values = memory(recipe.values if recipe.context_source == "attention" else "states", encoded)
        start = sum(values) / len(values) if recipe.bridge == "mean" else encoded.summary
        maps = weights["bridge"][number]
        h = tanh(linear(maps["h"]["w"], start, maps["h"]["b"]))
        c = tanh(linear(maps["c"]["w"], start, maps["c"]["b"])) if recipe.cell == "lstm" else None
        states.append((h, c))
    return states


def decode(recipe, weights, encoded, tokens, draws=None):
    """The decoder fed with `tokens` (y_0 first).

    weights: "target_embedding" (N, E), "decoder" a cell a layer, "attention" as of `attend`, "gate",
    "readout" {"w", "b"} (absent: the readout is its input), "projection" (absent: none), "output" {"w", "b"}.
    draws: the positions that each head of each step drew, (S,) of zeros and ones; None: nothing is drawn.
    """
    if recipe.decoder is not None:
        return recipe.decoder.decode(recipe, weights, encoded, tokens, draws)
    states = first_state(recipe, weights, encoded)
    keys, values = (
        memory(recipe.keys, encoded),
        memory(recipe.values if recipe.context_source == "attention" else "states", encoded),
    )
    context = np.zeros(len(values[0]))  # c_0
    fed = np.zeros(readout_size(recipe, weights)) if recipe.input_feeding else None  # r_0
    histories = [[] for _ in range(recipe.heads)]
    logits, weights_by_step, readouts, log_p, entropies = [], [], [], [], []

    def ask(state, embedding):
        query = {"state": state, "embedding": embedding, "both": join(embedding, state)}[recipe.query_input]
        t = len(logits)
        draw = None if draws is None else draws[t]
        output = attend(recipe, weights["attention"], query, keys, values, histories, t, draw)
        for history, of_head in zip(histories, output.weights, strict=True):
            history.append(of_head)
        log_p.append(output.log_p)
        entropies.append(output.entropy)
        context = apply_gate(recipe, weights.get("gate"), output.context, state, embedding)
        return context, [output.weights]  # one layer

    for token in tokens:
        embedding = weights["target_embedding"][token]
        attention = None
        if recipe.context_source == "summary":
            context = encoded.summary
        elif recipe.context_source == "attention" and recipe.query_state == "previous":
            context, attention = ask(states[-1][0], embedding)

        x = join(embedding, context if "input" in recipe.context_to else None, fed)
        new = []
        for number, w in enumerate(weights["decoder"]):
            if number > 0:
                x = join(new[-1][0], context if "layer" in recipe.context_to else None)
            new.append(CELLS[recipe.cell](w, x, states[number]))
        states = new
        top = states[-1][0]

        if recipe.context_source == "attention" and recipe.query_state == "current":
            context, attention = ask(top, embedding)

        x = join(
            top,
            context if "readout" in recipe.context_to else None,
            embedding if recipe.readout_embedding else None,
        )
        r = readout(recipe, weights, x)
        if recipe.input_feeding:
            fed = r
        projected = linear(weights["projection"], r) if weights.get("projection") is not None else r
        logits.append(linear(weights["output"]["w"], projected, weights["output"].get("b")))
        weights_by_step.append(attention)
        readouts.append(r)
    return Decoded(logits, weights_by_step, readouts, log_p, entropies)


def readout_size(recipe, weights):
    rows = weights["readout"]["w"].shape[0]
    return rows // 2 if recipe.readout == "maxout" else rows


def readout(recipe, weights, x):
    if weights.get("readout") is None:
        assert recipe.readout == "linear"
        return x
    a = linear(weights["readout"]["w"], x, weights["readout"]["b"])
    if recipe.readout == "maxout":  # Bahdanau 2015, appendix A.2.2: t_i = max(t~_{2i-1}, t~_{2i})
        return np.array([max(a[2 * i], a[2 * i + 1]) for i in range(len(a) // 2)])
    return tanh(a) if recipe.readout == "tanh" else a
