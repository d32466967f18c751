"""Vectors in plain loops: nothing broadcasts, and shapes must agree."""

import math

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


def log_softmax(logits):
    highest = max(logits)
    total = math.log(sum(math.exp(x - highest) for x in logits)) + highest
    return [x - total for x in logits]
