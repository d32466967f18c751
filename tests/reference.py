"""The slow truth: recurrent encoder-decoders with attention, written from the papers' equations in plain loops.

One sentence at a time, one unit at a time, in float64, without batches, padding or masks (except where the mask is the
subject). It shares no code with the package and knows neither its configs nor its parameter names: weights arrive as
plain dicts of NumPy arrays, a model's choices as a `Recipe`. Vectors are one-dimensional arrays, a sentence is a list.

Papers: Sutskever, Vinyals, Le 2014 (arXiv 1409.3215); Cho et al. 2014 (1406.1078); Bahdanau, Cho, Bengio 2015
(1409.0473); Luong, Pham, Manning 2015 (1508.04025); label smoothing: Szegedy et al. 2016 (1512.00567).
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


def linear(w, x, b=None):
    """y_i = sum_j w_ij x_j (+ b_i). The shapes must agree exactly: nothing broadcasts here."""
    assert w.shape[1] == len(x)
    assert b is None or len(b) == w.shape[0]
    y = np.zeros(w.shape[0])
    for i in range(w.shape[0]):
        for j in range(w.shape[1]):
            y[i] += w[i, j] * x[j]
        if b is not None:
            y[i] += b[i]
    return y


def inner(a, b):
    assert len(a) == len(b)
    return sum(float(a[i]) * float(b[i]) for i in range(len(a)))


def sigmoid(x):
    return np.array([1.0 / (1.0 + math.exp(-value)) for value in x])


def tanh(x):
    return np.array([math.tanh(value) for value in x])


def join(*parts):
    """[a; b; ...], the parts that are None left out."""
    return np.concatenate([part for part in parts if part is not None])


# Scores of one query q against one key k


def additive(w, q, k):
    """Bahdanau 2015, appendix A.1.2: v . tanh(W q + U k), with a bias inside where the weights hold one."""
    return inner(w["v"], tanh(linear(w["w"], q, w.get("b")) + linear(w["u"], k)))


def dot(w, q, k):
    """Luong 2015, equation 8, `dot`."""
    return inner(q, k)


def scaled_dot(w, q, k):
    """Vaswani 2017, equation 1: divided by the square root of the key's size."""
    return inner(q, k) / math.sqrt(len(k))


def general(w, q, k):
    """Luong 2015, equation 8, `general`: q . W k."""
    return inner(q, linear(w["w"], k))


def concat(w, q, k):
    """Luong 2015, equation 8, `concat`: v . tanh(W [q; k]), with a bias inside where the weights hold one."""
    return inner(w["v"], tanh(linear(w["w"], join(q, k), w.get("b"))))


SCORES = {"additive": additive, "dot": dot, "scaled-dot": scaled_dot, "general": general, "concat": concat}


def softmax(scores, mask=None):
    """exp(e_j) / sum over the real positions; 0 on the others; zeros when no position is real."""
    real = [True] * len(scores) if mask is None else [bool(m) for m in mask]
    if not any(real):
        return np.zeros(len(scores))
    highest = max(e for e, m in zip(scores, real, strict=True) if m)
    exps = [math.exp(e - highest) if m else 0.0 for e, m in zip(scores, real, strict=True)]
    return np.array([e / sum(exps) for e in exps])


def read(score, w, q, keys, values, mask=None):
    """Bahdanau 2015, equations 5 and 6: c = sum_j a_j h_j. Returns the context and the weights a."""
    weights = softmax([SCORES[score](w, q, k) for k in keys], mask)
    context = np.zeros(len(values[0]))
    for a, value in zip(weights, values, strict=True):
        for i in range(len(value)):
            context[i] += a * value[i]
    return context, weights


# Cells, with the gates stacked as torch stacks them. A state is (h, c); c is None but for the LSTM


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


@dataclass(frozen=True)
class Recipe:
    """The choices of one system; the numbers of units are read off the weights."""

    encoder_cell: str = "lstm"
    reverse: bool = False  # a one-way encoder reads from right to left
    cell: str = "lstm"
    reads: str = "attention"  # attention | summary | nothing
    score: str = "additive"
    query: str = "current"  # current | previous
    context: tuple[str, ...] = ("readout",)  # any of input, layer, readout
    input_feeding: bool = False
    readout: str = "tanh"  # linear | tanh | maxout
    readout_embedding: bool = False
    bridge: str = "linear"  # last | linear | mean | zero


class Encoded(NamedTuple):
    annotations: list  # h_j of the top layer, one a source position, in the order of the source
    final: list  # (h, c) of each layer after its last step; forward and backward joined
    summary: np.ndarray  # the top layer's last states, forward and backward joined


def encode(recipe, weights, source):
    """Bahdanau 2015, section 3.2, stacked. weights: "source_embedding" (N, E) and "encoder", for each layer a list of one
    or two cells (forward, backward)."""
    inputs = [weights["source_embedding"][token] for token in source]
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
        final.append((join(*(h for h, _ in last)), None if last[0][1] is None else join(*(c for _, c in last))))
    return Encoded(inputs, final, final[-1][0])


def first_state(recipe, weights, encoded):
    """The decoder's first (h, c) of each layer. weights["bridge"]: for each layer the maps "h" and "c", each {"w", "b"}."""
    if recipe.bridge == "last":  # between cells of two kinds h alone is copied, and c starts at zero
        return [(h, (np.zeros(len(h)) if c is None else c) if recipe.cell == "lstm" else None) for h, c in encoded.final]
    states = []
    for number, w in enumerate(weights["decoder"]):
        if recipe.bridge == "zero":
            states.append(zero_state(recipe.cell, w["w_hh"].shape[1]))
            continue
        start = sum(encoded.annotations) / len(encoded.annotations) if recipe.bridge == "mean" else encoded.summary
        maps = weights["bridge"][number]
        h = tanh(linear(maps["h"]["w"], start, maps["h"]["b"]))
        c = tanh(linear(maps["c"]["w"], start, maps["c"]["b"])) if recipe.cell == "lstm" else None
        states.append((h, c))
    return states


class Decoded(NamedTuple):
    logits: list  # one a step, (N,)
    attention: list  # one a step, (S,); None where nothing is attended to
    readouts: list  # r_i, one a step


def decode(recipe, weights, encoded, tokens):
    """The decoder fed with `tokens` (y_0 first). weights: "target_embedding" (N, E), "decoder" a cell a layer, "score",
    "readout" {"w", "b"} (absent: the readout is what it reads), "projection" (absent: none), "output" {"w", "b"}."""
    states = first_state(recipe, weights, encoded)
    context = np.zeros(len(encoded.annotations[0]))  # c_0
    fed = np.zeros(readout_size(recipe, weights)) if recipe.input_feeding else None  # r_0
    logits, attention, readouts = [], [], []
    for token in tokens:
        embedding = weights["target_embedding"][token]
        alignment = None
        if recipe.reads == "summary":
            context = encoded.summary
        elif recipe.reads == "attention" and recipe.query == "previous":
            context, alignment = read(recipe.score, weights["score"], states[-1][0], encoded.annotations, encoded.annotations)

        x = join(embedding, context if "input" in recipe.context else None, fed)
        new = []
        for number, w in enumerate(weights["decoder"]):
            if number > 0:
                x = join(new[-1][0], context if "layer" in recipe.context else None)
            new.append(CELLS[recipe.cell](w, x, states[number]))
        states = new
        top = states[-1][0]

        if recipe.reads == "attention" and recipe.query == "current":
            context, alignment = read(recipe.score, weights["score"], top, encoded.annotations, encoded.annotations)

        x = join(top, context if "readout" in recipe.context else None, embedding if recipe.readout_embedding else None)
        r = read_out(recipe, weights, x)
        if recipe.input_feeding:
            fed = r
        projected = linear(weights["projection"], r) if weights.get("projection") is not None else r
        logits.append(linear(weights["output"]["w"], projected, weights["output"].get("b")))
        attention.append(alignment)
        readouts.append(r)
    return Decoded(logits, attention, readouts)


def readout_size(recipe, weights):
    rows = weights["readout"]["w"].shape[0]
    return rows // 2 if recipe.readout == "maxout" else rows


def read_out(recipe, weights, x):
    if weights.get("readout") is None:
        assert recipe.readout == "linear"
        return x
    a = linear(weights["readout"]["w"], x, weights["readout"]["b"])
    if recipe.readout == "maxout":  # Bahdanau 2015, appendix A.2.2: t_i = max(t~_{2i-1}, t~_{2i})
        return np.array([max(a[2 * i], a[2 * i + 1]) for i in range(len(a) // 2)])
    return tanh(a) if recipe.readout == "tanh" else a


def run(recipe, weights, source, tokens):
    return decode(recipe, weights, encode(recipe, weights, source), tokens)


def log_softmax(logits):
    highest = max(logits)
    total = math.log(sum(math.exp(x - highest) for x in logits)) + highest
    return [x - total for x in logits]


def cross_entropy(logits, targets, smoothing=0.0):
    """Sum over the steps of -sum_n q(n) log p(n), with q = (1 - eps) on the target + eps / N on every word."""
    loss = 0.0
    for step, target in zip(logits, targets, strict=True):
        for word, log_p in enumerate(log_softmax(list(step))):
            q = smoothing / len(step) + (1.0 - smoothing if word == target else 0.0)
            loss -= q * log_p
    return loss
