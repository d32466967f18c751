"""Scores of a validation with their standard errors: how they would vary over other such sentences.

Deterministic: samples are drawn by a fixed seed. Knows no model and no training.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seq2attn.evaluation import text
from seq2attn.evaluation.form import comparables

SAMPLES = 200


class Measured(NamedTuple):
    """A score, and its standard error: infinite for one sentence alone, which says nothing of others."""

    value: float
    noise: float


def bleu(
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    target_language: str | None = None,
    lowercase: bool = False,
) -> Measured:
    """`text.bleu`, and its standard error by a bootstrap of the sentences (Koehn 2004); arguments as there."""
    text.check(hypotheses, references)
    ours = comparables(hypotheses, lowercase)
    theirs = [comparables(reference, lowercase) for reference in references]
    scorer = text.metric("BLEU", theirs, target_language, lowercase)
    statistics = scorer._extract_corpus_statistics(ours, theirs)
    value = float(scorer._aggregate_and_compute(statistics).score)
    count = len(ours)
    if count == 1:
        return Measured(value, math.inf)
    times = np.random.default_rng(1).multinomial(count, np.full(count, 1 / count), SAMPLES)
    drawn = times @ np.array(statistics)
    samples = [float(scorer._compute_score_from_stats(row).score) for row in drawn.tolist()]
    return Measured(value, float(np.std(samples, ddof=1)))


def mean(values: NDArray[np.float64]) -> Measured:
    """The mean of one value a sentence or image, (S,)."""
    if len(values) == 1:
        return Measured(float(values[0]), math.inf)
    return Measured(float(values.mean()), float(values.std(ddof=1)) / math.sqrt(len(values)))
