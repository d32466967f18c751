"""The convolutional model.

Papers: Gehring et al. 2017 (arXiv 1705.03122); Salimans, Kingma 2016 (1602.07868).
"""

import math
from dataclasses import dataclass

import numpy as np

from reference.attention import attend
from reference.recipe import Encoded, memory
from reference.transformer import decoded, sinusoid
from reference.vectors import linear, sigmoid


def normalised_weight(w):
    """Salimans 2016, equation 2: each row of the matrix is g v / |v|. w: "v" (out, in) or (out, in, kernel),
    "g" (out).
    """
    rows = []
    for v, g in zip(w["v"], w["g"], strict=True):
        rows.append(float(g) * v / math.sqrt(sum(float(value) ** 2 for value in v.flatten())))
    return np.stack(rows)


def affine(w, x):
    return linear(normalised_weight(w), x, w["b"])


def gated_convolution(w, sequence, first):
    """Gehring 2017, section 3.2: v([A B]) = A * sigma(B) at one position, whose kernel begins at the position
    `first`; what lies outside is zeros.
    """
    filters = normalised_weight(w)
    count, channels, kernel = filters.shape
    y = np.array([float(b) for b in w["b"]])
    for o in range(count):
        for m in range(kernel):
            if 0 <= first + m < len(sequence):
                for c in range(channels):
                    y[o] += filters[o, c, m] * sequence[first + m][c]
    a, b = y[: count // 2], y[count // 2 :]
    return a * sigmoid(b)


def half_sum(a, b):
    """Section 3.4: the sum of two, times sqrt(0.5)."""
    assert len(a) == len(b)
    return (a + b) * math.sqrt(0.5)


@dataclass(frozen=True)
class Blocks:
    """The choices of a convolutional encoder or decoder; sizes are read off the weights."""

    positions: str  # learned | sinusoidal | none

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
                half_sum(gated_convolution(layer, states, j - (kernel - 1) // 2), states[j])
                for j in range(len(states))
            ]
        outputs = [affine(w["out"], h) for h in states]
        return Encoded(embeddings, outputs, [], sum(outputs) / len(outputs))

    def decode(self, recipe, weights, encoded, tokens, draws=None):
        """weights["decoder"]: as the encoder's, each layer "convolution", "asking" and "answer", and
        "attention" as of `attend`. draws: as of `Layers`. The context joins the convolution's output before
        the residual does, as in the authors' program (fairseq, fconv).
        """
        w, keys, values = weights["decoder"], memory(recipe.keys, encoded), memory(recipe.values, encoded)
        embeddings = [
            self.embed(w["positions"], weights["target_embedding"], t, token)
            for t, token in enumerate(tokens)
        ]
        states = [affine(w["into"], e) for e in embeddings]
        length = len(keys)
        outputs = []  # of attention, layer by layer, of each step
        for number, layer in enumerate(w["layers"]):
            kernel = layer["convolution"]["v"].shape[2]
            of_layer, new = [], []
            for t in range(len(tokens)):
                y = gated_convolution(layer["convolution"], states, t - (kernel - 1))
                query = half_sum(affine(layer["asking"], y), embeddings[t])  # equation 1: d = W h + b + g
                draw, none = None if draws is None else draws[t][number], [()] * recipe.heads
                of_layer.append(attend(recipe, layer["attention"], query, keys, values, none, t, draw))
                context = of_layer[t].context * length * math.sqrt(1 / length)  # section 3.4: m sqrt(1/m)
                new.append(half_sum(half_sum(y, affine(layer["answer"], context)), states[t]))
            states = new
            outputs.append(of_layer)
        return decoded(weights, [affine(w["out"], h) for h in states], outputs)
