"""Images, (channels, rows, columns): a residual network, self-attention over its cells, and captions of Xu
2015.

Papers: He et al. 2016 (arXiv 1512.03385); Ioffe, Szegedy 2015 (1502.03167); Wu, He 2018 (1803.08494); Zhang
et al. 2019 (1805.08318); Xu et al. 2015 (1502.03044).
"""

import math

import numpy as np

from reference.attention import additive, softmax, weighted_sum
from reference.recurrent import lstm_cell
from reference.transformer import NORM_EPS
from reference.vectors import inner, join, linear, tanh


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


def relu(x):
    return np.array([max(0.0, value) for value in x.flatten()]).reshape(x.shape)


def max_pool(x):
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
        y = image_norm(norm, convolution(filters, y if not number else relu(y), stride))
    if w["short"] is not None:
        filters, norm, stride = w["short"]
        x = image_norm(norm, convolution(filters, x, stride))
    assert x.shape == y.shape
    return relu(x + y)


def self_attention_2d(w, x):
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
        x = relu(image_norm(norm, convolution(filters, x, stride)))
    x = max_pool(x)
    for number, stage in enumerate(w["stages"]):
        for block in stage:
            x = residual_block(block, x)
        if number + 1 in w["attention"]:
            x = self_attention_2d(w["attention"][number + 1], x)
    return x


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
        readout = tanh(linear(w["readout"]["w"], join(h, z, embedding), w["readout"]["b"]))
        logits.append(linear(w["output"]["w"], readout, w["output"]["b"]))
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
