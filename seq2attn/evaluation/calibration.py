"""How features of words become the probability that a word is right: logistic regression with an L2 penalty,
fitted by Newton's method, and its penalty chosen by cross-validation.

Shapes: n words, F features.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seq2attn.data.tokenizer import normalise
from seq2attn.errors import UserError
from seq2attn.evaluation.confidence import right_words
from seq2attn.inference.confidence import FEATURES, NAMES, probabilities
from seq2attn.runs.calibration import Calibration

if TYPE_CHECKING:
    from seq2attn.inference import Caption, Translation

PENALTIES = (0.1, 1.0, 10.0, 100.0, 1000.0)
FOLDS = 5
LEAST = 10  # right words, and wrong words, without which nothing is fitted
_STEPS = 50  # Newton steps, at most
_SMALL = 1e-9  # change of a weight that ends the steps

Numbers = NDArray[np.float64]


class Logistic(NamedTuple):
    """p(right) = sigmoid(bias + sum_f weights_f (x_f - mean_f) / scale_f)."""

    mean: Numbers  # (F,)
    scale: Numbers  # (F,), above 0
    weights: Numbers  # (F,)
    bias: float


def fit(features: NDArray[Any], right: NDArray[np.bool_], penalty: float) -> Logistic:
    """The regression that minimises sum_n -log p_n + penalty/2 * sum_f weights_f^2; the bias is free.

    A feature that is the same for all words gets the weight 0.
    """
    mean, scale = features.mean(0), features.std(0)
    scale = np.where(scale > 1e-9, scale, 1.0)
    x = np.c_[(features - mean) / scale, np.ones(len(features))]
    y = right.astype(np.float64)
    ridge = np.append(np.full(features.shape[1], penalty), 1e-9)
    w = np.zeros(x.shape[1])
    value = _loss(x, y, ridge, w)
    for _ in range(_STEPS):
        p = np.exp(-np.logaddexp(0.0, -x @ w))  # sigmoid without overflow
        gradient = x.T @ (p - y) + ridge * w
        hessian = x.T @ (x * (p * (1 - p))[:, None]) + np.diag(ridge)
        step = np.linalg.solve(hessian, gradient)
        # far from the minimum a whole step can go too far
        size = 1.0
        while (after := _loss(x, y, ridge, w - size * step)) > value and size > 1e-6:
            size /= 2
        w, value = w - size * step, min(value, after)
        if np.abs(size * step).max() < _SMALL:
            break
    return Logistic(mean, scale, w[:-1], float(w[-1]))


def _loss(x: Numbers, y: Numbers, ridge: Numbers, w: Numbers) -> float:
    logit = x @ w
    return float((np.logaddexp(0.0, logit) - y * logit).sum() + (ridge * w * w).sum() / 2)


class Words(NamedTuple):
    """The words of some outputs."""

    features: Numbers  # (n, F)
    right: NDArray[np.bool_]  # (n,)
    sentence: NDArray[np.int64]  # (n,): the number of the output

    @property
    def product(self) -> Numbers:
        """(n,): the product of the probabilities of a word's tokens, as the model has them."""
        result: Numbers = np.exp(self.features[:, NAMES.index("sum log_p")])
        return result


def label(
    outputs: "Sequence[Translation | Caption]", references: Sequence[Sequence[str]], lowercase: bool
) -> Words:
    """The words of outputs that have features, each held to the references of its output.

    Both sides are compared in NFC, and with `lowercase` without case.
    """
    features, right, sentence = [np.zeros((0, len(FEATURES)))], list[bool](), list[int]()
    for number, (output, of_output) in enumerate(zip(outputs, references, strict=True)):
        assert output.confidence_features is not None
        words, *others = (normalise(text, lowercase).split() for text in (output.text, *of_output))
        features.append(output.confidence_features)
        right += right_words(words, others)
        sentence += [number] * len(words)
    return Words(np.concatenate(features), np.array(right, dtype=bool), np.array(sentence, dtype=np.int64))


class CalibrationFit(NamedTuple):
    """A calibration by all words, and the probability of each of them by those of other words."""

    calibration: Calibration
    penalty: float
    probability: Numbers  # (n,), cross-validated: by a regression that never saw the word's sentence


def fit_calibration(words: Words) -> CalibrationFit:
    """The calibration with the penalty of the least loss in cross-validation, fitted on all words.

    The words of a sentence are in one fold. Raises UserError if there are fewer than LEAST right or wrong
    words.
    """
    features, right, sentence = words
    ones = int(right.sum())
    if min(ones, len(right) - ones) < LEAST:
        raise UserError(
            f"{ones:,} of {len(right):,} words of the validation set are right: to learn which are, at least "
            f"{LEAST} right and {LEAST} wrong ones are needed; raise `limit`, or name other `data`"
        )
    fold = sentence % FOLDS
    best: tuple[float, float, Numbers] | None = None
    for penalty in PENALTIES:
        probability = np.full(len(right), ones / len(right))
        for number in np.unique(fold):
            own = fold == number
            if not own.all():
                model = _calibration(fit(features[~own], right[~own], penalty), len(right))
                probability[own] = probabilities(features[own], model)
        loss = -float(np.log(np.where(right, probability, 1 - probability)).sum())
        if best is None or loss < best[0]:
            best = loss, penalty, probability
    assert best is not None
    _, penalty, probability = best
    return CalibrationFit(_calibration(fit(features, right, penalty), len(right)), penalty, probability)


def _calibration(model: Logistic, words: int) -> Calibration:
    mean, scale, weights = (tuple(map(float, part)) for part in model[:3])
    return Calibration(NAMES, mean, scale, weights, model.bias, words)
