"""Paired bootstrap of captions: BLEU-4, CIDEr-D and ROUGE-L of each system against the first.

A sample has images with all their references. In every sample, the document frequencies of CIDEr-D are those
of all images. This module knows only names and outputs of systems.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sacrebleu.metrics.base import Metric
from sacrebleu.metrics.base import Score as SacreScore

from seq2attn.evaluation.captions import bleu, check, rouge_l_values, signature, streams, tokenised
from seq2attn.evaluation.cider import CiderD
from seq2attn.evaluation.ptb_tokenizer import tokens
from seq2attn.evaluation.significance import SAMPLES, Comparison, compare

METRICS = ("BLEU-4", "CIDEr-D", "ROUGE-L")

Values = Callable[[list[tuple[str, ...]]], NDArray[np.float64]]  # hypotheses -> one value each (S,)


def paired_bootstrap_captions(
    systems: Sequence[tuple[str, Sequence[str]]], references: Sequence[Sequence[str]], samples: int = SAMPLES
) -> Comparison:
    """The comparison of `significance.paired_bootstrap`, for METRICS.

    `references` are grouped by image. Units and errors are those of `captions.scores`.
    """
    for _, hypotheses in systems:
        check(hypotheses, references)
    _, theirs = tokenised([], references)
    metrics = {
        "BLEU-4": bleu(),
        "CIDEr-D": _Mean("CIDEr-D", CiderD(theirs).scores),
        "ROUGE-L": _Mean("ROUGE-L", lambda ours: rouge_l_values(ours, theirs)),
    }
    lines = [(name, [" ".join(tokens(line)) for line in hypotheses]) for name, hypotheses in systems]
    comparison = compare(lines, metrics, streams(theirs), samples)
    settings = [
        part for part in comparison.signatures["BLEU-4"].split("|") if part.startswith(("bs:", "seed:"))
    ]
    return comparison._replace(
        signatures={name: "|".join([signature(name, references), *settings]) for name in METRICS}
    )


class _Mean(Metric):
    """The mean of one value for each line, as a metric of sacreBLEU, which draws the samples.

    The function `values` has the references.
    """

    def __init__(self, name: str, values: Values) -> None:
        super().__init__()
        self.name = name
        self.values = values
        self.num_refs = -1

    def _extract_corpus_statistics(self, hypotheses: Sequence[str], references: Any) -> list[list[float]]:
        return [[value, 1.0] for value in self.values([tuple(line.split()) for line in hypotheses]).tolist()]

    def _aggregate_and_compute(self, stats: Any) -> SacreScore:
        return self._compute_score_from_stats(np.sum(stats, axis=0))

    def _compute_score_from_stats(self, stats: Any) -> SacreScore:
        return SacreScore(self.name, float(stats[0] / stats[1]))

    def _preprocess_segment(self, sent: str) -> str:
        raise NotImplementedError

    def _extract_reference_info(self, refs: Sequence[str]) -> dict[str, Any]:
        raise NotImplementedError

    def _compute_segment_statistics(self, hypothesis: str, ref_kwargs: Any) -> list[float]:
        raise NotImplementedError
