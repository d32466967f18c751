"""The slow truth: encoder-decoders with attention, written from the papers' equations in plain loops.

One sentence at a time, one unit at a time, in float64, without batches, padding or masks (except where the
mask is the
subject). It shares no code with the package and knows neither its configs nor its parameter names: weights
arrive as
plain dicts of NumPy arrays, a model's choices as a `Recipe`. Vectors are one-dimensional arrays, a sentence
is a list.

Papers: Sutskever, Vinyals, Le 2014 (arXiv 1409.3215); Cho et al. 2014 (1406.1078); Bahdanau, Cho, Bengio 2015
(1409.0473); Luong, Pham, Manning 2015 (1508.04025); Chorowski et al. 2015 (1506.07503); Xu et al. 2015
(1502.03044);
Tu et al. 2016 (1601.04811); Martins, Astudillo 2016 (1602.02068); Tu et al. 2017 (1608.06043); Vaswani et al.
2017
(1706.03762); Peters, Niculae, Martins 2019 (1905.05702); label smoothing: Szegedy et al. 2016 (1512.00567).
Of the Transformer beyond
Vaswani: Ba, Kiros, Hinton 2016 (1607.06450); Zhang, Sennrich 2019 (1910.07467); Shazeer 2020 (2002.05202); Su
et al. 2021 (2104.09864);
Ainslie et al. 2023 (2305.13245). Of the convolutional model: Gehring et al. 2017 (1705.03122); Salimans,
Kingma 2016 (1602.07868). Of images: He et al. 2016 (1512.03385);
Ioffe, Szegedy 2015 (1502.03167); Wu, He 2018 (1803.08494); Zhang et al. 2019 (1805.08318).


Ainslie et al. 2023 (2305.13245). Of the convolutional model: Gehring et al. 2017 (1705.03122); Salimans,
Kingma 2016 (1602.07868).
Of scores of captions: Papineni et al. 2002; Lin 2004; Vedantam, Zitnick, Parikh 2015 (1411.5726).
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


# Scores of one query q against one key k at position j. `past` are the features of a past term at that
# position: they
# join additive and concat inside the tanh, w["past"] being a matrix, and are added to every other score,
# w["past"] a vector


def additive(w, q, k, j=None, past=None):
    """Bahdanau 2015, appendix A.1.2: v . tanh(W q + U k), with a bias inside where the weights hold one."""
    return inner(
        w["v"],
        tanh(
            linear(w["w"], q, w.get("b"))
            + linear(w["u"], k)
            + (0 if past is None else linear(w["past"], past))
        ),
    )


def concat(w, q, k, j=None, past=None):
    """Luong 2015, section 3.1, `concat`: v . tanh(W [q; k]), with a bias inside where the weights hold one."""
    return inner(
        w["v"],
        tanh(linear(w["w"], join(q, k), w.get("b")) + (0 if past is None else linear(w["past"], past))),
    )


def beside(w, past):
    return 0.0 if past is None else inner(w["past"], past)


def dot(w, q, k, j=None, past=None):
    """Luong 2015, section 3.1, `dot`."""
    return inner(q, k) + beside(w, past)


def scaled_dot(w, q, k, j=None, past=None):
    """Vaswani 2017, equation 1: divided by the square root of the key's size."""
    return inner(q, k) / math.sqrt(len(k)) + beside(w, past)


def general(w, q, k, j=None, past=None):
    """Luong 2015, section 3.1, `general`: q . W k."""
    return inner(q, linear(w["w"], k)) + beside(w, past)


def mapped(w, x):
    """w["kind"]: x, W x, or tanh(W x + b)."""
    if w["kind"] == "identity":
        return x
    return linear(w["w"], x) if w["kind"] == "linear" else tanh(linear(w["w"], x, w["b"]))


def keyed(w, q, k, j=None, past=None):
    """k(h) . q(s), each its own map: w["key"] and w["query"]."""
    return inner(mapped(w["query"], q), mapped(w["key"], k)) + beside(w, past)


def concat_linear(w, q, k, j=None, past=None):
    """w . [q; k], no tanh."""
    return inner(w["w"], join(q, k)) + beside(w, past)


def sigmoid_score(w, q, k, j=None, past=None):
    """sigma(p . q + u . k + r)."""
    return 1 / (1 + math.exp(-(inner(w["p"], q) + inner(w["u"], k) + float(w["r"])))) + beside(w, past)


def cosine(w, q, k, j=None, past=None):
    """The cosine of the angle between them, 0 where one is zero, times 10 e^p."""
    lengths = math.sqrt(inner(q, q)) * math.sqrt(inner(k, k))
    return (10 * math.exp(float(w["p"])) * inner(q, k) / lengths if lengths else 0.0) + beside(w, past)


def location(w, q, k, j, past=None):
    """Luong 2015, equation 8, `location`: (W q)_j, with a bias where the weights hold one; -10000 beyond the
    last row of W.
    """
    here = linear(w["w"], q, w.get("b"))[j] if j < w["w"].shape[0] else -10000.0
    return here + beside(w, past)


SCORES = {
    "additive": additive,
    "dot": dot,
    "scaled-dot": scaled_dot,
    "general": general,
    "keyed": keyed,
    "concat": concat,
    "concat-linear": concat_linear,
    "sigmoid": sigmoid_score,
    "cosine": cosine,
    "location": location,
    "concat-location": location,  # the query is [e_i; s]
}


# Past terms: the features of position j, from the weights of every step before, in their order


def coverage(w, history, keys, j):
    """Tu 2016, section 3.1: C_j, the sum of the weights that j had."""
    return np.array([sum((float(a[j]) for a in history), 0.0)])


def fertility(w, history, keys, j):
    """Tu 2016, equations 8 and 9: C_j / Phi_j with Phi_j = N sigma(U_f h_j). w: "u" a vector, "n" a number."""
    return coverage(w, history, keys, j) / (float(w["n"]) / (1 + math.exp(-inner(w["u"], keys[j]))))


def location_aware(w, history, keys, j):
    """Chorowski 2015, equation 8: f = F * a_{i-1}, filter by filter; w["f"] is (filters, an odd width), its
    middle on j; zeros outside, and before the first step.
    """
    filters, width = w["f"].shape
    f = np.zeros(filters)
    for c in range(filters):
        for m in range(width):
            there = j + m - width // 2
            if history and 0 <= there < len(keys):
                f[c] += w["f"][c, m] * history[-1][there]
    return f


PAST = {"coverage": coverage, "fertility": fertility, "location-aware": location_aware}


# Normalisers of one row: (scores, mask, k) -> weights; exactly 0 where the mask is False, zeros where it is
# False everywhere


def softmax(scores, mask=None, k=1):
    """exp(e_j) / sum over the real positions."""
    real = positions(scores, mask)
    highest = max((scores[j] for j in real), default=0.0)
    total = sum(math.exp(scores[j] - highest) for j in real)
    return placed(scores, {j: math.exp(scores[j] - highest) / total for j in real})


def sparsemax(scores, mask=None, k=1):
    """Martins 2016, equations 2 and 3: the nearest point of the simplex, max(e_j - tau, 0), with the tau that
    makes the sum 1.
    """
    return threshold(scores, mask, lambda e: max(e, 0.0))


def entmax15(scores, mask=None, k=1):
    """Peters 2019, equation 10 with alpha = 1.5: max(e_j / 2 - tau, 0) ** 2, with the tau that makes the sum
    1.
    """
    return threshold([e / 2 for e in scores], mask, lambda e: max(e, 0.0) ** 2)


def threshold(scores, mask, power):
    """By bisection: the sum falls with tau, is at least 1 one below the highest score and 0 at it."""
    real = positions(scores, mask)
    if not real:
        return placed(scores, {})
    high = max(float(scores[j]) for j in real)
    low = high - 1
    while low < (middle := (low + high) / 2) < high:
        if sum(power(scores[j] - middle) for j in real) >= 1:
            low = middle
        else:
            high = middle
    return placed(scores, {j: power(scores[j] - low) for j in real})


def sigmoid_weights(scores, mask=None, k=1):
    """sigma(e_j), each position by itself."""
    return placed(
        scores,
        {j: 1 / (1 + math.exp(-scores[j])) if scores[j] > -700 else 0.0 for j in positions(scores, mask)},
    )


def largest(scores, mask=None, k=1):
    """1 at the k largest scores, the earlier position first among equals; at all of them where fewer are
    real.
    """
    left, ones = positions(scores, mask), {}
    while left and len(ones) < k:
        best = left[0]
        for j in left:
            if scores[j] > scores[best]:
                best = j
        left.remove(best)
        ones[best] = 1.0
    return placed(scores, ones)


def positions(scores, mask):
    return [j for j in range(len(scores)) if mask is None or mask[j]]


def placed(scores, weights):
    return np.array([weights.get(j, 0.0) for j in range(len(scores))])


# What is read outside training: draws and noise are of training alone, `hard-sample` reads what its decoding
# says
NORMALISERS = {
    "softmax": softmax,
    "sparsemax": sparsemax,
    "entmax15": entmax15,
    "sigmoid": sigmoid_weights,
    "hard-topk": largest,
    "gumbel": largest,
    "hard-sample": largest,  # decoding "argmax"
    # decoding "expected", and the rows that read the expected value in training
    "hard-sample-expected": softmax,
}


def log_p_of_draws(scores, drawn, mask=None):
    """log p of drawing the positions `drawn` one after another without putting back, each in proportion to
    exp(e_j).
    """
    left, log_p = positions(scores, mask), 0.0
    for one in drawn:
        log_p += log_softmax([scores[one], *(scores[j] for j in left if j != one)])[0]
        left.remove(one)
    return log_p


def entropy(weights):
    """In nats."""
    return -sum(a * math.log(a) for a in weights if a > 0)


# Windows: the positions that may be read at step t (from 0) of `length`, and the factor on each one's weight


def local_m(w, q, t, length, half_width):
    """Luong 2015, section 3.2: p_t = t, held at the last position; |j - p_t| <= D."""
    centre = min(t, length - 1)
    return [abs(j - centre) <= half_width for j in range(length)], np.ones(length)


def local_p(w, q, t, length, half_width):
    """Luong 2015, equations 9 and 10: p_t = S sigma(v . tanh(W q)); exp(-(j - p_t)^2 / (2 (D/2)^2))."""
    centre = length / (1 + math.exp(-inner(w["v"], tanh(linear(w["w"], q)))))
    deviation = half_width / 2
    return [abs(j - centre) <= half_width for j in range(length)], np.array(
        [math.exp(-((j - centre) ** 2) / (2 * deviation**2)) for j in range(length)]
    )


WINDOWS = {"local-m": local_m, "local-p": local_p}


def weigh(recipe, w, q, keys, history=(), t=0, drawn=None):
    """The weights of one head at step t, its scores / temperature, and what of them may be read. `drawn`
    stands for the normaliser's answer.
    """
    scores = []
    for j, k in enumerate(keys):
        past = None if recipe.history == "none" else PAST[recipe.history](w["past"], list(history), keys, j)
        scores.append(SCORES[recipe.score](w["score"], q, k, j, past) / recipe.temperature)
    # a position without a row is never read
    read = min(len(keys), w["score"]["w"].shape[0]) if "location" in recipe.score else len(keys)
    mask, factor = [True] * read, np.ones(read)
    if recipe.window != "none":
        mask, factor = WINDOWS[recipe.window](w.get("window"), q, t, read, recipe.half_width)
    mask, factor = [*mask, *[False] * (len(keys) - read)], np.append(factor, np.ones(len(keys) - read))
    name = recipe.normaliser + ("-expected" if recipe.at_inference == "expected" else "")
    weights = NORMALISERS[name](scores, mask, recipe.k) if drawn is None else drawn
    return weights * factor, scores, mask


def weighted_sum(weights, values):
    """Bahdanau 2015, equation 5: c = sum_j a_j h_j."""
    context = np.zeros(len(values[0]))
    for a, value in zip(weights, values, strict=True):
        for i in range(len(value)):
            context[i] += a * value[i]
    return context


def read(score, w, q, keys, values, mask=None):
    """Bahdanau 2015, equations 5 and 6. Returns the context and the weights a."""
    weights = softmax([SCORES[score](w, q, k, j) for j, k in enumerate(keys)], mask)
    return weighted_sum(weights, values), weights


class Attended(NamedTuple):
    context: np.ndarray
    weights: np.ndarray  # (S,), of one head or the mean over them
    by_head: list  # of each head, (S,)
    log_p: float  # of `drawn`, one position a head
    entropy: float  # of what it is drawn from


def attend(recipe, w, q, keys, values, histories, t, drawn=None):
    """Vaswani 2017, section 3.2.2, around any score. w: "query", "key", "value" and "out", with a bias
    "query_b" and so on where they have one (no "out": one
    head that maps nothing), "value_map", "score", "past", "window"; histories, and drawn: of each head, its
    weights of every step before, and what it drew."""
    log_p = entropies = 0.0
    contexts, by_head = [], []
    for h in range(recipe.heads):

        def own(name, x, h=h):
            if name not in w:  # heads that compare no keys have no matrix for them
                return x
            count = recipe.heads if name == "query" else recipe.kv_heads or recipe.heads
            return linear(*of_head(w, name, h // (recipe.heads // count), count, x))

        draw = None if drawn is None else drawn[h]
        weights, scores, mask = weigh(
            recipe, w, own("query", q), [own("key", k) for k in keys], histories[h], t, draw
        )
        contexts.append(
            weighted_sum(
                weights,
                [own("value", value) if "out" in w else mapped(w["value_map"], value) for value in values],
            )
        )
        by_head.append(weights)
        if draw is not None:
            log_p += log_p_of_draws(scores, [j for j, one in enumerate(draw) if one], mask)
        entropies += entropy(softmax(scores, mask))
    context = linear(w["out"], join(*contexts), w.get("out_b")) if "out" in w else contexts[0]
    told = sum(by_head) / recipe.heads if recipe.shown is None else by_head[recipe.shown - 1]
    return Attended(context, told, by_head, log_p, entropies)


def of_head(w, name, number, count, x):
    """The arguments of `linear` for one of `count` heads, whose rows of the matrix (and of the bias, where
    there is one) lie one after another.
    """
    size = w[name].shape[0] // count
    rows = slice(number * size, (number + 1) * size)
    return w[name][rows], x, w[name + "_b"][rows] if w.get(name + "_b") is not None else None


def gated(recipe, w, context, state, embedding):
    if recipe.gate == "scalar":  # Xu 2015, section 4.2.1: beta = sigma(w . s + b)
        return context / (1 + math.exp(-(inner(w["w"], state) + float(w["b"]))))
    if recipe.gate == "context":  # Tu 2017, section 3.1, the source gate: z = sigma(W e + U s + C c + b)
        return (
            sigmoid(linear(w["w"], embedding, w["b"]) + linear(w["u"], state) + linear(w["c"], context))
            * context
        )
    return context


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
    context_source: str = "attention"  # attention | summary | nothing
    score: str = "additive"
    query_state: str = "current"  # current | previous
    context_to: tuple[str, ...] = ("readout",)  # any of input, layer, readout
    input_feeding: bool = False
    readout: str = "tanh"  # linear | tanh | maxout
    readout_embedding: bool = False
    bridge: str = "linear"  # last | linear | mean | zero
    gate: str = "none"  # scalar | context
    query_input: str = "state"  # state | embedding | both: what asks
    keys: str = "states"  # states | embeddings | sum: what is compared
    values: str = "states"  # likewise: what is read
    heads: int = 1
    kv_heads: int | None = None  # keys and values that the heads share
    shown: int | None = None  # the head whose weights are told, from 1; None: the mean
    history: str = "none"  # coverage | fertility | location-aware
    normaliser: str = "softmax"
    temperature: float = 1.0
    k: int = 1
    at_inference: str = "argmax"  # hard-sample: argmax | expected
    window: str = "none"  # local-m | local-p
    half_width: int = 10
    encoder: "Layers | Blocks | None" = None  # None: recurrent, as `encoder_cell` says
    decoder: "Layers | Blocks | None" = None  # None: recurrent, as `cell` says


class Encoded(NamedTuple):
    embeddings: list  # x_j, one a source position
    annotations: list  # h_j of the top layer, one a source position, in the order of the source
    final: list  # (h, c) of each layer after its last step; forward and backward joined
    summary: np.ndarray  # the top layer's last states, forward and backward joined


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


def memory(kind, encoded):
    """What of the source is compared or read: h_j, x_j, or h_j + x_j."""
    if kind == "sum":
        assert all(len(h) == len(x) for h, x in zip(encoded.annotations, encoded.embeddings, strict=True))
        return [h + x for h, x in zip(encoded.annotations, encoded.embeddings, strict=True)]
    return encoded.annotations if kind == "states" else encoded.embeddings


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


class Decoded(NamedTuple):
    logits: list  # one a step, (N,)
    attention: list  # one a step, (S,); None where nothing is attended to
    readouts: list  # r_i, one a step
    log_p: list  # of what was drawn, one a step
    entropy: list  # of what was drawn from


def decode(recipe, weights, encoded, tokens, drawn=None):
    """The decoder fed with `tokens` (y_0 first). weights: "target_embedding" (N, E), "decoder" a cell a
    layer, "attention" as `attend` has it,
    "gate", "readout" {"w", "b"} (absent: the readout is what it reads), "projection" (absent: none), "output"
    {"w", "b"}.
    `drawn`: what each head of each step drew, (S,) of zeros and ones; None: nothing is drawn."""
    if recipe.decoder is not None:
        return recipe.decoder.decode(recipe, weights, encoded, tokens, drawn)
    states = first_state(recipe, weights, encoded)
    keys, values = (
        memory(recipe.keys, encoded),
        memory(recipe.values if recipe.context_source == "attention" else "states", encoded),
    )
    context = np.zeros(len(values[0]))  # c_0
    fed = np.zeros(readout_size(recipe, weights)) if recipe.input_feeding else None  # r_0
    histories = [[] for _ in range(recipe.heads)]
    logits, attention, readouts, log_p, entropies = [], [], [], [], []

    def ask(state, embedding):
        query = {"state": state, "embedding": embedding, "both": join(embedding, state)}[recipe.query_input]
        t = len(logits)
        found = attend(
            recipe,
            weights["attention"],
            query,
            keys,
            values,
            histories,
            t,
            None if drawn is None else drawn[t],
        )
        for history, one in zip(histories, found.by_head, strict=True):
            history.append(one)
        log_p.append(found.log_p)
        entropies.append(found.entropy)
        return gated(recipe, weights.get("gate"), found.context, state, embedding), found.weights

    for token in tokens:
        embedding = weights["target_embedding"][token]
        alignment = None
        if recipe.context_source == "summary":
            context = encoded.summary
        elif recipe.context_source == "attention" and recipe.query_state == "previous":
            context, alignment = ask(states[-1][0], embedding)

        x = join(embedding, context if "input" in recipe.context_to else None, fed)
        new = []
        for number, w in enumerate(weights["decoder"]):
            if number > 0:
                x = join(new[-1][0], context if "layer" in recipe.context_to else None)
            new.append(CELLS[recipe.cell](w, x, states[number]))
        states = new
        top = states[-1][0]

        if recipe.context_source == "attention" and recipe.query_state == "current":
            context, alignment = ask(top, embedding)

        x = join(
            top,
            context if "readout" in recipe.context_to else None,
            embedding if recipe.readout_embedding else None,
        )
        r = read_out(recipe, weights, x)
        if recipe.input_feeding:
            fed = r
        projected = linear(weights["projection"], r) if weights.get("projection") is not None else r
        logits.append(linear(weights["output"]["w"], projected, weights["output"].get("b")))
        attention.append(alignment)
        readouts.append(r)
    return Decoded(logits, attention, readouts, log_p, entropies)


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


# The Transformer


def sinusoid(position, size):
    """Vaswani 2017, section 3.5: PE(p, 2i) = sin(p / 10000^(2i/d)), PE(p, 2i + 1) = cos of the same."""
    angle = [position / 10000 ** ((n - n % 2) / size) for n in range(size)]
    return np.array([math.cos(a) if n % 2 else math.sin(a) for n, a in enumerate(angle)])


def turned(x, position):
    """Su 2021, equation 34: the pair (x_1, x_2) by the angle p theta_1, (x_3, x_4) by p theta_2, with theta_i
    = 10000^(-2(i - 1)/d).
    """
    assert len(x) % 2 == 0
    y = np.zeros(len(x))
    for i in range(0, len(x), 2):
        angle = position * 10000 ** (-i / len(x))
        y[i] = x[i] * math.cos(angle) - x[i + 1] * math.sin(angle)
        y[i + 1] = x[i + 1] * math.cos(angle) + x[i] * math.sin(angle)
    return y


NORM_EPS = 1e-5  # the papers have none, or leave it open


def layer_norm(w, x):
    """Ba 2016, equations 3 and 4."""
    mean = sum(x) / len(x)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in x) / len(x) + NORM_EPS)
    return (x - mean) / deviation * w["gain"] + (0.0 if w.get("bias") is None else w["bias"])


def rms_norm(w, x):
    """Zhang 2019, equation 4."""
    assert w.get("bias") is None
    return x / math.sqrt(inner(x, x) / len(x) + NORM_EPS) * w["gain"]


NORMS = {"layer": layer_norm, "rms": rms_norm}


def feed_forward(kind, w, x):
    """Vaswani 2017, equation 2: max(0, x W_1 + b_1) W_2 + b_2; with x Phi(x) for the maximum (Hendrycks
    2016), or gated (Shazeer 2020, equation 6).
    """
    a = linear(w["w1"], x, w.get("b1"))
    if kind == "relu":
        hidden = np.array([max(0.0, value) for value in a])
    elif kind == "gelu":
        hidden = np.array([value * (1 + math.erf(value / math.sqrt(2))) / 2 for value in a])
    else:
        hidden = a * sigmoid(a) * linear(w["v"], x, w.get("c"))
    return linear(w["w2"], hidden, w.get("b2"))


@dataclass(frozen=True)
class Layers:
    """The choices of a Transformer's encoder or decoder; sizes are read off the weights."""

    heads: int
    kv_heads: int  # head h reads those of number h // (heads / kv_heads): Ainslie 2023, section 2.2
    activation: str  # relu | gelu | swiglu
    norm: str  # layer | rms
    prenorm: bool
    positions: str  # sinusoidal | learned | rotary | none
    weights_of: int | None = None

    def embed(self, weights, table, position, token):
        """Section 3.4: the embedding times sqrt(d); section 3.5: and its position."""
        x = table[token] * math.sqrt(table.shape[1])
        if self.positions == "sinusoidal":
            return x + sinusoid(position, len(x))
        if self.positions == "learned":
            return x + weights[min(position, len(weights) - 1)]
        return x

    def attend_to_itself(self, w, sequence, seen):
        """Equation 1 and section 3.2.2; position i sees those that `seen(i)` names. w: "query", "key",
        "value", "out", and "query_b" and so on or None.
        """
        answers = []
        for i, x in enumerate(sequence):
            contexts = []
            for h in range(self.heads):
                shared = h // (self.heads // self.kv_heads)
                q = linear(*of_head(w, "query", h, self.heads, x))
                keys = [linear(*of_head(w, "key", shared, self.kv_heads, sequence[j])) for j in seen(i)]
                values = [linear(*of_head(w, "value", shared, self.kv_heads, sequence[j])) for j in seen(i)]
                if self.positions == "rotary":
                    q, keys = turned(q, i), [turned(k, j) for j, k in zip(seen(i), keys, strict=True)]
                contexts.append(
                    weighted_sum(softmax([inner(q, k) / math.sqrt(len(q)) for k in keys]), values)
                )
            answers.append(linear(w["out"], join(*contexts), w.get("out_b")))
        return answers

    def sublayer(self, w, sequence, function):
        """Section 3.1: LayerNorm(x + Sublayer(x)); or with the norm first, x + Sublayer(LayerNorm(x)). The
        function is of all positions.
        """
        norm = NORMS[self.norm]
        if self.prenorm:
            return [x + y for x, y in zip(sequence, function([norm(w, x) for x in sequence]), strict=True)]
        return [norm(w, x + y) for x, y in zip(sequence, function(sequence), strict=True)]

    def position_wise(self, w, sequence):
        return self.sublayer(
            w["feeding"],
            sequence,
            lambda xs: [feed_forward(self.activation, w["feedforward"], x) for x in xs],
        )

    def finish(self, w, sequence):
        """A stack whose norms come first ends in one more."""
        assert (w is None) != self.prenorm
        return [NORMS[self.norm](w, x) for x in sequence] if self.prenorm else sequence

    def encode(self, weights, source):
        """weights["encoder"]: "positions" (P, D) or None, "layers", each "attention", "attending",
        "feedforward", "feeding", and "norm" or None.
        """
        w = weights["encoder"]
        embeddings = states = [
            self.embed(w["positions"], weights["source_embedding"], j, token)
            for j, token in enumerate(source)
        ]
        for layer in w["layers"]:
            states = self.sublayer(
                layer["attending"],
                states,
                lambda xs, layer=layer: self.attend_to_itself(
                    layer["attention"], xs, lambda i: range(len(xs))
                ),
            )
            states = self.position_wise(layer, states)
        states = self.finish(w["norm"], states)
        return Encoded(embeddings, states, [], sum(states) / len(states))

    def decode(self, recipe, weights, encoded, tokens, drawn=None):
        """weights["decoder"]: as the encoder's, each layer with "reading" and "source_attention", which is as
        `attend` has it. `drawn`: of each step, layer by
        layer what each head drew. What is shown is of the layer `weights_of` (from 1), or the mean over all
        layers."""
        w, keys, values = weights["decoder"], memory(recipe.keys, encoded), memory(recipe.values, encoded)
        states = [
            self.embed(w["positions"], weights["target_embedding"], t, token)
            for t, token in enumerate(tokens)
        ]
        read = []  # layer by layer, of each step
        for number, layer in enumerate(w["layers"]):
            states = self.sublayer(
                layer["attending"],
                states,
                lambda xs, layer=layer: self.attend_to_itself(layer["attention"], xs, lambda i: range(i + 1)),
            )

            def ask(xs, layer=layer, number=number):
                draws = [None if drawn is None else drawn[t][number] for t in range(len(xs))]
                none = [()] * recipe.heads
                read.append(
                    [
                        attend(recipe, layer["source_attention"], x, keys, values, none, t, draws[t])
                        for t, x in enumerate(xs)
                    ]
                )
                return [found.context for found in read[-1]]

            states = self.sublayer(layer["reading"], states, ask)
            states = self.position_wise(layer, states)
        states = self.finish(w["norm"], states)
        shown = read if self.weights_of is None else [read[self.weights_of - 1]]
        steps = range(len(tokens))
        return Decoded(
            [linear(weights["output"]["w"], x, weights["output"].get("b")) for x in states],
            [sum(layer[t].weights for layer in shown) / len(shown) for t in steps],
            states,
            [sum(layer[t].log_p for layer in read) for t in steps],
            [sum(layer[t].entropy for layer in read) for t in steps],
        )


# The convolutional model


def normalised(w):
    """Salimans 2016, equation 2: each row of the matrix is g v / |v|. w: "v" (out, in) or (out, in, kernel),
    "g" (out).
    """
    rows = []
    for v, g in zip(w["v"], w["g"], strict=True):
        rows.append(float(g) * v / math.sqrt(sum(float(value) ** 2 for value in v.flatten())))
    return np.stack(rows)


def affine(w, x):
    return linear(normalised(w), x, w["b"])


def gated_convolution(w, sequence, first):
    """Gehring 2017, section 3.2: v([A B]) = A * sigma(B) at one position, whose kernel begins at the position
    `first`; what lies outside is zeros.
    """
    filters = normalised(w)
    count, channels, kernel = filters.shape
    y = np.array([float(b) for b in w["b"]])
    for o in range(count):
        for m in range(kernel):
            if 0 <= first + m < len(sequence):
                for c in range(channels):
                    y[o] += filters[o, c, m] * sequence[first + m][c]
    a, b = y[: count // 2], y[count // 2 :]
    return a * sigmoid(b)


def halved(a, b):
    """Section 3.4: the sum of two, times sqrt(0.5)."""
    assert len(a) == len(b)
    return (a + b) * math.sqrt(0.5)


@dataclass(frozen=True)
class Blocks:
    """The choices of a convolutional encoder or decoder; sizes are read off the weights."""

    positions: str  # learned | sinusoidal | none
    weights_of: int | None = None

    def embed(self, weights, table, position, token):
        """Section 3.1: w + p."""
        if self.positions == "learned":
            return table[token] + weights[min(position, len(weights) - 1)]
        return table[token] + (sinusoid(position, table.shape[1]) if self.positions == "sinusoidal" else 0.0)

    def encode(self, weights, source):
        """weights["encoder"]: "positions" (P, E) or None, "into", "layers", each a convolution, and "out";
        each with "v", "g" and "b".
        """
        w = weights["encoder"]
        embeddings = [
            self.embed(w["positions"], weights["source_embedding"], j, token)
            for j, token in enumerate(source)
        ]
        states = [affine(w["into"], e) for e in embeddings]
        for layer in w["layers"]:
            kernel = layer["v"].shape[2]
            states = [
                halved(gated_convolution(layer, states, j - (kernel - 1) // 2), states[j])
                for j in range(len(states))
            ]
        outputs = [affine(w["out"], h) for h in states]
        return Encoded(embeddings, outputs, [], sum(outputs) / len(outputs))

    def decode(self, recipe, weights, encoded, tokens, drawn=None):
        """weights["decoder"]: as the encoder's, each layer "convolution", "asking" and "answer", and
        "attention" as `attend` has it. `drawn` and what is shown:
        as `Layers` has them. What is read joins the convolution's output before the residual does, as in the
        authors' program (fairseq, fconv)."""
        w, keys, values = weights["decoder"], memory(recipe.keys, encoded), memory(recipe.values, encoded)
        embeddings = [
            self.embed(w["positions"], weights["target_embedding"], t, token)
            for t, token in enumerate(tokens)
        ]
        states = [affine(w["into"], e) for e in embeddings]
        length = len(keys)
        read = []  # layer by layer, of each step
        for number, layer in enumerate(w["layers"]):
            kernel = layer["convolution"]["v"].shape[2]
            found, new = [], []
            for t in range(len(tokens)):
                output = gated_convolution(layer["convolution"], states, t - (kernel - 1))
                query = halved(affine(layer["asking"], output), embeddings[t])  # equation 1: d = W h + b + g
                draw = None if drawn is None else drawn[t][number]
                found.append(
                    attend(recipe, layer["attention"], query, keys, values, [()] * recipe.heads, t, draw)
                )
                context = found[t].context * length * math.sqrt(1 / length)  # section 3.4: m sqrt(1/m)
                new.append(halved(halved(output, affine(layer["answer"], context)), states[t]))
            states = new
            read.append(found)
        outputs = [affine(w["out"], h) for h in states]
        shown = read if self.weights_of is None else [read[self.weights_of - 1]]
        steps = range(len(tokens))
        return Decoded(
            [linear(weights["output"]["w"], x, weights["output"].get("b")) for x in outputs],
            [sum(layer[t].weights for layer in shown) / len(shown) for t in steps],
            outputs,
            [sum(layer[t].log_p for layer in read) for t in steps],
            [sum(layer[t].entropy for layer in read) for t in steps],
        )


# Images: x is (channels, rows, columns)


def convolution(w, x, stride=1, b=None):
    """One filter (out, in, n, n) for each channel that comes out, its middle on every stride-th cell; what
    lies outside is zeros.
    """
    count, channels, size, _ = w.shape
    assert channels == x.shape[0]
    assert size % 2 == 1
    rows, columns = x.shape[1:]
    y = np.zeros((count, (rows - 1) // stride + 1, (columns - 1) // stride + 1))
    for row in range(y.shape[1]):
        for column in range(y.shape[2]):
            for m in range(size):
                for n in range(size):
                    a, c = row * stride + m - size // 2, column * stride + n - size // 2
                    if 0 <= a < rows and 0 <= c < columns:
                        y[:, row, column] += [inner(w[o, :, m, n], x[:, a, c]) for o in range(count)]
            y[:, row, column] += 0.0 if b is None else b
    return y


def image_norm(w, x):
    """With "mean" and "variance" by them (Ioffe 2015, algorithm 2), else by those of each of so many "groups"
    of channels (Wu 2018, equations 1 and 3).
    """
    y = np.zeros(x.shape)
    each = 1 if "mean" in w else x.shape[0] // w["groups"]
    for first in range(0, x.shape[0], each):
        group = x[first : first + each]
        mean = w["mean"][first] if "mean" in w else sum(group.flatten()) / group.size
        variance = (
            w["variance"][first]
            if "mean" in w
            else sum((value - mean) ** 2 for value in group.flatten()) / group.size
        )
        for channel in range(first, first + each):
            y[channel] = (x[channel] - mean) / math.sqrt(variance + NORM_EPS) * w["gain"][channel] + w[
                "bias"
            ][channel]
    return y


def rectified(x):
    return np.array([max(0.0, value) for value in x.flatten()]).reshape(x.shape)


def largest_of_nine(x):
    """Of a cell and those around it, for every second cell."""
    channels, rows, columns = x.shape
    y = np.zeros((channels, (rows - 1) // 2 + 1, (columns - 1) // 2 + 1))
    for row in range(y.shape[1]):
        for column in range(y.shape[2]):
            for c in range(channels):
                y[c, row, column] = max(
                    x[c, a, b]
                    for a in range(2 * row - 1, 2 * row + 2)
                    for b in range(2 * column - 1, 2 * column + 2)
                    if 0 <= a < rows and 0 <= b < columns
                )
    return y


def residual_block(w, x):
    """He 2016, equations 1 and 2: relu(F(x) + x), or + W_s x. w: "steps", (filter, norm, stride) each, a relu
    between them; "short", one such, or None.
    """
    y = x
    for number, (filters, norm, stride) in enumerate(w["steps"]):
        y = image_norm(norm, convolution(filters, y if not number else rectified(y), stride))
    if w["short"] is not None:
        filters, norm, stride = w["short"]
        x = image_norm(norm, convolution(filters, x, stride))
    assert x.shape == y.shape
    return rectified(x + y)


def attention_over_cells(w, x):
    """Zhang 2019, equations 1 to 3: beta_ji = softmax over i of f(x_i) . g(x_j), o_j = v(sum_i beta_ji
    h(x_i)), y_j = gamma o_j + x_j. w: (matrix, bias) each.
    """
    rows, columns = x.shape[1:]
    cells = [x[:, row, column] for row in range(rows) for column in range(columns)]
    f, g, h = ([linear(w[name][0], cell, w[name][1]) for cell in cells] for name in ("f", "g", "h"))
    y = np.zeros(x.shape)
    for j, cell in enumerate(cells):
        beta = softmax([inner(f_i, g[j]) for f_i in f])
        y[:, j // columns, j % columns] = (
            float(w["gamma"]) * linear(w["v"][0], weighted_sum(beta, h), w["v"][1]) + cell
        )
    return y


def residual_network(w, x):
    """He 2016, table 1, without what classifies. w: "stem", (filter, norm, stride) each; "stages", lists of
    blocks; "attention", by the number of the stage before it.
    """
    for filters, norm, stride in w["stem"]:
        x = rectified(image_norm(norm, convolution(filters, x, stride)))
    x = largest_of_nine(x)
    for number, stage in enumerate(w["stages"]):
        for block in stage:
            x = residual_block(block, x)
        if number + 1 in w["attention"]:
            x = attention_over_cells(w["attention"][number + 1], x)
    return x


def run(recipe, weights, source, tokens, drawn=None):
    return decode(recipe, weights, encode(recipe, weights, source), tokens, drawn)


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


# Scores of captions. A caption is a list of words; `hypotheses[i]` is scored against the list of captions
# `references[i]`


def grams(words, n):
    """All n-grams in order, repeated ones too."""
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def corpus_bleu(hypotheses, references, orders):
    """Papineni et al. 2002, in points: clipped counts over the whole corpus, the reference nearest in length
    (of two the shorter), no smoothing.
    """
    product = 1.0
    for n in range(1, orders + 1):
        right = total = 0
        for words, captions in zip(hypotheses, references, strict=True):
            mine = grams(words, n)
            total += len(mine)
            right += sum(
                min(mine.count(gram), max(grams(caption, n).count(gram) for caption in captions))
                for gram in set(mine)
            )
        if right == 0:
            return 0.0
        product *= right / total
    c = sum(len(words) for words in hypotheses)
    r = sum(
        min((abs(len(caption) - len(words)), len(caption)) for caption in captions)[1]
        for words, captions in zip(hypotheses, references, strict=True)
    )
    brevity = 1.0 if c > r else math.exp(1.0 - r / c)
    return 100.0 * brevity * product ** (1.0 / orders)


def cider_d(words, captions, all_references, sigma=6.0):
    """Vedantam et al. 2015, section 5 and equation 6, of one candidate against its image's captions; as in
    the authors' code, a length is a number of pairs of words.
    """
    images = len(all_references)

    def weight(gram, caption):
        holding = sum(
            any(gram in grams(other, len(gram)) for other in of_image) for of_image in all_references
        )
        return grams(caption, len(gram)).count(gram) * math.log(images / max(1, holding))

    def norm(caption, n):
        return math.sqrt(sum(weight(gram, caption) ** 2 for gram in set(grams(caption, n))))

    score = 0.0
    for n in (1, 2, 3, 4):
        for caption in captions:
            size = norm(words, n) * norm(caption, n)
            if size > 0.0:
                clipped = sum(
                    min(weight(gram, words), weight(gram, caption)) * weight(gram, caption)
                    for gram in set(grams(words, n))
                )
                distance = len(grams(words, 2)) - len(grams(caption, 2))
                score += (
                    10.0 * math.exp(-(distance**2) / (2.0 * sigma**2)) * clipped / size / len(captions) / 4.0
                )
    return score


def common_words(first, second):
    """Length of the longest common subsequence, by its definition."""
    table = {(i, j): 0 for i in range(len(first) + 1) for j in range(len(second) + 1)}
    for i in range(1, len(first) + 1):
        for j in range(1, len(second) + 1):
            table[i, j] = (
                table[i - 1, j - 1] + 1
                if first[i - 1] == second[j - 1]
                else max(table[i - 1, j], table[i, j - 1])
            )
    return table[len(first), len(second)]


def rouge_l(words, captions, beta=1.2):
    """Lin 2004, equations 2 to 4, in points, with the best precision and the best recall over the captions."""
    if not words:
        return 0.0
    precision = max(common_words(words, caption) / len(words) for caption in captions)
    recall = max(
        (common_words(words, caption) / len(caption) for caption in captions if caption), default=0.0
    )
    if precision * recall == 0.0:
        return 0.0
    return 100.0 * (1.0 + beta**2) * precision * recall / (recall + beta**2 * precision)


# Show, attend and tell (Xu 2015), as the paper has it: beside the recipes above, which know it by its choices


def show_attend_and_tell(w, annotations, tokens):
    """Section 3.1.2 with the gate of section 4.2.1: logits and weights of each step. `w`: "embedding" (N, E),
    "init_h" and "init_c", "score" as `additive`,
    "beta" {"w", "b"}, "lstm", "readout" (tanh) and "output". Sections and equations are those of the paper.
    """
    mean = sum(annotations) / len(annotations)
    # the initial state, from the mean annotation vector
    h = tanh(linear(w["init_h"]["w"], mean, w["init_h"]["b"]))
    c = tanh(linear(w["init_c"]["w"], mean, w["init_c"]["b"]))
    logits, weights = [], []
    for token in tokens:
        e = [math.exp(additive(w["score"], h, a)) for a in annotations]  # equation 4, asked by h_{t-1}
        alpha = [one / sum(e) for one in e]  # equation 5
        beta = 1 / (1 + math.exp(-(inner(w["beta"]["w"], h) + float(w["beta"]["b"]))))
        z = sum(beta * alpha[i] * annotations[i] for i in range(len(annotations)))  # equation 13, gated
        embedding = w["embedding"][token]
        h, c = lstm_cell(w["lstm"], join(embedding, z), (h, c))  # equations 1 to 3
        # of state, context and word, as in equation 7
        seen = tanh(linear(w["readout"]["w"], join(h, z, embedding), w["readout"]["b"]))
        logits.append(linear(w["output"]["w"], seen, w["output"]["b"]))
        weights.append(np.array(alpha))
    return logits, weights


def doubly_stochastic(weights, lengths, positions):
    """Equation 14's second term: for each sentence b and position i, (1 - sum over its steps t of
    alpha_ti)^2, all added up.
    """
    total = 0.0
    for b in range(len(weights)):
        for i in range(positions[b]):
            read = 0.0
            for t in range(lengths[b]):
                read += weights[b][t][i]
            total += (1 - read) ** 2
    return total
