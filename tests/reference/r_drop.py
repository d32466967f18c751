"""R-Drop, token by token (Liang et al. 2021, equation 4, divided by 2)."""

import math


def softmax(logits):
    highest = max(logits)
    powers = [math.exp(z - highest) for z in logits]
    return [power / sum(powers) for power in powers]


def smoothed_loss(p, target, smoothing):
    """(1 - e) times -log p of the target, and e times the mean of -log p over all tokens."""
    mean = sum(-math.log(each) for each in p) / len(p)
    return (1 - smoothing) * -math.log(p[target]) + smoothing * mean


def divergence(p, q):
    """KL(p || q)."""
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def r_drop(first, second, targets, smoothing, weight):
    """The objective over tokens whose logits in the two passes are `first` and `second`."""
    total = 0.0
    for z, other, target in zip(first, second, targets, strict=True):
        p, q = softmax(z), softmax(other)
        losses = smoothed_loss(p, target, smoothing) + smoothed_loss(q, target, smoothing)
        total += losses / 2 + weight / 4 * (divergence(p, q) + divergence(q, p))
    return total
