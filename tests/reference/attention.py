"""Attention of one query: scores, normalisers, windows, history, heads and gates.

Papers: Bahdanau, Cho, Bengio 2015 (arXiv 1409.0473); Luong, Pham, Manning 2015 (1508.04025); Chorowski et al.
2015 (1506.07503); Xu et al. 2015 (1502.03044); Tu et al. 2016 (1601.04811); Martins, Astudillo 2016
(1602.02068); Tu et al. 2017 (1608.06043); Vaswani et al. 2017 (1706.03762); Peters, Niculae, Martins 2019
(1905.05702); shared keys: Ainslie et al. 2023 (2305.13245).

A score is of one query q and one key k at position j. `features` are those of the history at that position:
they join additive and concat inside the tanh, w["past"] being a matrix, and are added to every other score,
w["past"] a vector.
"""

import math
from typing import NamedTuple

import numpy as np

from reference.vectors import inner, join, linear, log_softmax, sigmoid, tanh


def additive(w, q, k, j=None, features=None):
    """Bahdanau 2015, appendix A.1.2: v . tanh(W q + U k), with a bias inside where the weights hold one."""
    return inner(
        w["v"],
        tanh(
            linear(w["w"], q, w.get("b"))
            + linear(w["u"], k)
            + (0 if features is None else linear(w["past"], features))
        ),
    )


def concat(w, q, k, j=None, features=None):
    """Luong 2015, section 3.1, `concat`: v . tanh(W [q; k]), with a bias inside if the weights hold one."""
    return inner(
        w["v"],
        tanh(
            linear(w["w"], join(q, k), w.get("b")) + (0 if features is None else linear(w["past"], features))
        ),
    )


def of_history(w, features):
    return 0.0 if features is None else inner(w["past"], features)


def dot(w, q, k, j=None, features=None):
    """Luong 2015, section 3.1, `dot`."""
    return inner(q, k) + of_history(w, features)


def scaled_dot(w, q, k, j=None, features=None):
    """Vaswani 2017, equation 1: divided by the square root of the key's size."""
    return inner(q, k) / math.sqrt(len(k)) + of_history(w, features)


def general(w, q, k, j=None, features=None):
    """Luong 2015, section 3.1, `general`: q . U k, U being its W."""
    return inner(q, linear(w["u"], k)) + of_history(w, features)


def apply_map(w, x):
    """w["kind"]: x, W x, or tanh(W x + b)."""
    if w["kind"] == "identity":
        return x
    return linear(w["w"], x) if w["kind"] == "linear" else tanh(linear(w["w"], x, w["b"]))


def keyed(w, q, k, j=None, features=None):
    """k(h) . q(s), each its own map: w["key"] and w["query"]."""
    return inner(apply_map(w["query"], q), apply_map(w["key"], k)) + of_history(w, features)


def concat_linear(w, q, k, j=None, features=None):
    """w . [q; k], no tanh."""
    return inner(w["w"], join(q, k)) + of_history(w, features)


def sigmoid_score(w, q, k, j=None, features=None):
    """sigma(p . q + u . k + r)."""
    return 1 / (1 + math.exp(-(inner(w["p"], q) + inner(w["u"], k) + float(w["r"])))) + of_history(
        w, features
    )


def cosine(w, q, k, j=None, features=None):
    """The cosine of the angle between them, 0 where one is zero, times 10 e^p."""
    lengths = math.sqrt(inner(q, q)) * math.sqrt(inner(k, k))
    return (10 * math.exp(float(w["p"])) * inner(q, k) / lengths if lengths else 0.0) + of_history(
        w, features
    )


def location(w, q, k, j, features=None):
    """Luong 2015, equation 8, `location`: (W q)_j, with a bias where the weights hold one; -10000 beyond the
    last row of W.
    """
    here = linear(w["w"], q, w.get("b"))[j] if j < w["w"].shape[0] else -10000.0
    return here + of_history(w, features)


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


# Terms of the attention's history: the features of position j, from the weights of all earlier steps in
# order.


def coverage(w, history, keys, j):
    """Tu 2016, section 3.1: C_j, the sum of the weights that j had."""
    return np.array([sum((float(a[j]) for a in history), 0.0)])


def fertility(w, history, keys, j):
    """Tu 2016, equations 8 and 9. C_j / Phi_j, Phi_j = N sigma(U_f h_j). w: "u" a vector, "n" a number."""
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


HISTORY = {"coverage": coverage, "fertility": fertility, "location-aware": location_aware}


# Normalisers of one row: (scores, mask, k) -> weights, exactly 0 where the mask is False.


def softmax(scores, mask=None, k=1):
    """exp(e_j) / sum over the real positions."""
    real = positions(scores, mask)
    highest = max((scores[j] for j in real), default=0.0)
    total = sum(math.exp(scores[j] - highest) for j in real)
    return as_row(scores, {j: math.exp(scores[j] - highest) / total for j in real})


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
        return as_row(scores, {})
    high = max(float(scores[j]) for j in real)
    low = high - 1
    while low < (middle := (low + high) / 2) < high:
        if sum(power(scores[j] - middle) for j in real) >= 1:
            low = middle
        else:
            high = middle
    return as_row(scores, {j: power(scores[j] - low) for j in real})


def sigmoid_weights(scores, mask=None, k=1):
    """sigma(e_j), each position by itself."""
    return as_row(
        scores,
        {j: 1 / (1 + math.exp(-scores[j])) if scores[j] > -700 else 0.0 for j in positions(scores, mask)},
    )


def top_k(scores, mask=None, k=1):
    """1 at the k top_k scores, the earlier position first among equals; at all of them where fewer are
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
    return as_row(scores, ones)


def positions(scores, mask):
    return [j for j in range(len(scores)) if mask is None or mask[j]]


def as_row(scores, weights):
    return np.array([weights.get(j, 0.0) for j in range(len(scores))])


# Outside training: there, `hard-sample` takes what its setting at_inference says.


NORMALISERS = {
    "softmax": softmax,
    "sparsemax": sparsemax,
    "entmax15": entmax15,
    "sigmoid": sigmoid_weights,
    "hard-topk": top_k,
    "gumbel": top_k,
    "hard-sample": top_k,  # decoding "argmax"
    # decoding "expected", and the rows that read the expected value in training
    "hard-sample-expected": softmax,
}


def log_p_of_draws(scores, draws, mask=None):
    """log p of drawing the positions `draws` one after another without putting back, each in proportion to
    exp(e_j).
    """
    left, log_p = positions(scores, mask), 0.0
    for one in draws:
        log_p += log_softmax([scores[one], *(scores[j] for j in left if j != one)])[0]
        left.remove(one)
    return log_p


def entropy(weights):
    """In nats."""
    return -sum(a * math.log(a) for a in weights if a > 0)


# Windows: the positions that may be read at step t (from 0) of `length`, and a factor on the weight of each.


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


def weigh(recipe, w, q, keys, history=(), t=0, draws=None):
    """The weights of one head at step t, its scores / temperature, and the mask of positions that may be
    read. `draws` takes the place of the normaliser's weights.
    """
    scores = []
    for j, k in enumerate(keys):
        features = (
            None if recipe.history == "none" else HISTORY[recipe.history](w["past"], list(history), keys, j)
        )
        scores.append(SCORES[recipe.score](w["score"], q, k, j, features) / recipe.temperature)
    # a position beyond the rows of a location score is never read
    length = min(len(keys), w["score"]["w"].shape[0]) if "location" in recipe.score else len(keys)
    mask, factor = [True] * length, np.ones(length)
    if recipe.window != "none":
        mask, factor = WINDOWS[recipe.window](w.get("window"), q, t, length, recipe.half_width)
    beyond = len(keys) - length
    mask, factor = [*mask, *[False] * beyond], np.append(factor, np.ones(beyond))
    name = recipe.normaliser + ("-expected" if recipe.at_inference == "expected" else "")
    weights = NORMALISERS[name](scores, mask, recipe.k) if draws is None else draws
    return weights * factor, scores, mask


def weighted_sum(weights, values):
    """Bahdanau 2015, equation 5: c = sum_j a_j h_j."""
    context = np.zeros(len(values[0]))
    for a, value in zip(weights, values, strict=True):
        for i in range(len(value)):
            context[i] += a * value[i]
    return context


def soft_attention(score, w, q, keys, values, mask=None):
    """Bahdanau 2015, equations 5 and 6: the context, and the weights a."""
    weights = softmax([SCORES[score](w, q, k, j) for j, k in enumerate(keys)], mask)
    return weighted_sum(weights, values), weights


class AttentionOutput(NamedTuple):
    context: np.ndarray
    weights: list  # of each head, (S,)
    log_p: float  # of `draws`, one position a head
    entropy: float  # of the distribution that `draws` are of


def attend(recipe, w, q, keys, values, histories, t, draws=None):
    """Vaswani 2017, section 3.2.2, around any score.

    w: "query", "key", "value" and "out", with a bias "query_b" and so on where they have one (no "out": one
    head without maps), "value_map", "score", "past", "window". histories: of each head, its weights of every
    earlier step; draws: of each head, the positions that it drew, (S,) of zeros and ones.
    """
    log_p = entropies = 0.0
    contexts, by_head = [], []
    for h in range(recipe.heads):

        def own(name, x, h=h):
            if name not in w:  # heads that compare no keys have no matrix for them
                return x
            count = recipe.heads if name == "query" else recipe.kv_heads or recipe.heads
            return linear(*of_head(w, name, h // (recipe.heads // count), count, x))

        draw = None if draws is None else draws[h]
        weights, scores, mask = weigh(
            recipe, w, own("query", q), [own("key", k) for k in keys], histories[h], t, draw
        )
        contexts.append(
            weighted_sum(
                weights,
                [own("value", value) if "out" in w else apply_map(w["value_map"], value) for value in values],
            )
        )
        by_head.append(weights)
        if draw is not None:
            log_p += log_p_of_draws(scores, [j for j, one in enumerate(draw) if one], mask)
        entropies += entropy(softmax(scores, mask))
    context = linear(w["out"], join(*contexts), w.get("out_b")) if "out" in w else contexts[0]
    return AttentionOutput(context, by_head, log_p, entropies)


def of_head(w, name, number, count, x):
    """The arguments of `linear` for one of `count` heads, whose rows of the matrix (and of the bias, where
    there is one) lie one after another.
    """
    size = w[name].shape[0] // count
    rows = slice(number * size, (number + 1) * size)
    return w[name][rows], x, w[name + "_b"][rows] if w.get(name + "_b") is not None else None


def apply_gate(recipe, w, context, state, embedding):
    if recipe.gate == "scalar":  # Xu 2015, section 4.2.1: beta = sigma(w . s + b)
        return context / (1 + math.exp(-(inner(w["w"], state) + float(w["b"]))))
    if recipe.gate == "context":  # Tu 2017, section 3.1, the source gate: z = sigma(W e + U s + C c + b)
        return (
            sigmoid(linear(w["w"], embedding, w["b"]) + linear(w["u"], state) + linear(w["c"], context))
            * context
        )
    return context
