"""The Transformer.

Papers: Vaswani et al. 2017 (arXiv 1706.03762); Ba, Kiros, Hinton 2016 (1607.06450); Zhang, Sennrich 2019
(1910.07467); Shazeer 2020 (2002.05202); Su et al. 2021 (2104.09864); Ainslie et al. 2023 (2305.13245).
"""

import math
from dataclasses import dataclass

import numpy as np

from reference.attention import attend, of_head, softmax, weighted_sum
from reference.recipe import Decoded, Encoded, memory
from reference.vectors import inner, join, linear, sigmoid


def sinusoid(position, size):
    """Vaswani 2017, section 3.5: PE(p, 2i) = sin(p / 10000^(2i/d)), PE(p, 2i + 1) = cos of the same."""
    angle = [position / 10000 ** ((n - n % 2) / size) for n in range(size)]
    return np.array([math.cos(a) if n % 2 else math.sin(a) for n, a in enumerate(angle)])


def rotate(x, position):
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
    2016), or x sigmoid(x) (Ramachandran 2017), or gated (Shazeer 2020, equation 6).
    """
    a = linear(w["w1"], x, w.get("b1"))
    if kind == "relu":
        hidden = np.array([max(0.0, value) for value in a])
    elif kind == "gelu":
        hidden = np.array([value * (1 + math.erf(value / math.sqrt(2))) / 2 for value in a])
    elif kind == "silu":
        hidden = a * sigmoid(a)
    else:
        hidden = a * sigmoid(a) * linear(w["v"], x, w.get("c"))
    return linear(w["w2"], hidden, w.get("b2"))


@dataclass(frozen=True)
class Layers:
    """The choices of a Transformer's encoder or decoder; sizes are read off the weights."""

    heads: int
    kv_heads: int  # head h reads those of number h // (heads / kv_heads): Ainslie 2023, section 2.2
    activation: str  # relu | gelu | silu | swiglu
    norm: str  # layer | rms
    prenorm: bool
    positions: str  # sinusoidal | learned | rotary | none

    def embed(self, weights, table, position, token):
        """Section 3.4: the embedding times sqrt(d); section 3.5: and its position."""
        x = table[token] * math.sqrt(table.shape[1])
        if self.positions == "sinusoidal":
            return x + sinusoid(position, len(x))
        if self.positions == "learned":
            return x + weights[min(position, len(weights) - 1)]
        return x

    def self_attention(self, w, sequence, visible):
        """Equation 1 and section 3.2.2; position i reads those that `visible(i)` names. w: "query", "key",
        "value", "out", and "query_b" and so on or None.
        """
        answers = []
        for i, x in enumerate(sequence):
            contexts = []
            for h in range(self.heads):
                shared = h // (self.heads // self.kv_heads)
                q = linear(*of_head(w, "query", h, self.heads, x))
                keys = [linear(*of_head(w, "key", shared, self.kv_heads, sequence[j])) for j in visible(i)]
                values = [
                    linear(*of_head(w, "value", shared, self.kv_heads, sequence[j])) for j in visible(i)
                ]
                if self.positions == "rotary":
                    q, keys = rotate(q, i), [rotate(k, j) for j, k in zip(visible(i), keys, strict=True)]
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
                lambda xs, layer=layer: self.self_attention(layer["attention"], xs, lambda i: range(len(xs))),
            )
            states = self.position_wise(layer, states)
        states = self.finish(w["norm"], states)
        return Encoded(embeddings, states, [], sum(states) / len(states))

    def decode(self, recipe, weights, encoded, tokens, draws=None):
        """weights["decoder"]: as the encoder's, each layer with "reading" and "source_attention", which is as
        of `attend`. draws: of each step, layer by layer, the positions that each head drew.
        """
        w, keys, values = weights["decoder"], memory(recipe.keys, encoded), memory(recipe.values, encoded)
        states = [
            self.embed(w["positions"], weights["target_embedding"], t, token)
            for t, token in enumerate(tokens)
        ]
        outputs = []  # layer by layer, of each step
        for number, layer in enumerate(w["layers"]):
            states = self.sublayer(
                layer["attending"],
                states,
                lambda xs, layer=layer: self.self_attention(layer["attention"], xs, lambda i: range(i + 1)),
            )

            def ask(xs, layer=layer, number=number):
                none = [()] * recipe.heads
                outputs.append([])
                for t, x in enumerate(xs):
                    draw = None if draws is None else draws[t][number]
                    outputs[-1].append(
                        attend(recipe, layer["source_attention"], x, keys, values, none, t, draw)
                    )
                return [output.context for output in outputs[-1]]

            states = self.sublayer(layer["reading"], states, ask)
            states = self.position_wise(layer, states)
        return decoded(weights, self.finish(w["norm"], states), outputs)


def decoded(weights, states, outputs):
    """What a stack of layers returns: `outputs` of attention, layer by layer, of each step."""
    steps = range(len(states))
    return Decoded(
        [linear(weights["output"]["w"], x, weights["output"].get("b")) for x in states],
        [[layer[t].weights for layer in outputs] for t in steps],
        states,
        [sum(layer[t].log_p for layer in outputs) for t in steps],
        [sum(layer[t].entropy for layer in outputs) for t in steps],
    )
