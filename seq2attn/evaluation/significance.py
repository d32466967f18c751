"""Whether a difference between systems is more than chance, by sacreBLEU's paired bootstrap.

Each system is compared with the first. This module knows only names and outputs of systems.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sacrebleu.metrics.base import Metric
from sacrebleu.significance import PairedTest, Result

from seq2attn.evaluation.form import comparables
from seq2attn.evaluation.text import METRICS, check, metric

SAMPLES = 1000


class Compared(NamedTuple):
    """One metric of one system.

    `value` is its score, `mean` the mean over bootstrap samples, and `interval` half the width of its 95%
    interval. `p_value` compares it with the first system; None for the first system, and for a single line.
    """

    value: float
    mean: float
    interval: float
    p_value: float | None


class Comparison(NamedTuple):
    """`systems[name][metric]` for every system in order, and sacreBLEU's signature of each metric."""

    systems: dict[str, dict[str, Compared]]
    signatures: dict[str, str]


def paired_bootstrap(
    systems: Sequence[tuple[str, Sequence[str]]],
    references: Sequence[Sequence[str]],
    target_language: str | None = None,
    samples: int = SAMPLES,
    lowercase: bool = False,
) -> Comparison:
    """Paired bootstrap resampling (Koehn 2004) of (name, outputs) of systems against the first.

    Names must be distinct. The p-value is the probability of a difference at least as large between two
    systems that are equally good. Raises UserError as `text.bleu` does.
    """
    for _, hypotheses in systems:
        check(hypotheses, references)
    theirs = [comparables(reference, lowercase) for reference in references]
    metrics: dict[str, Metric] = {name: metric(name, theirs, target_language, lowercase) for name in METRICS}
    return compare(systems, metrics, theirs, samples, lowercase)


def compare(
    systems: Sequence[tuple[str, Sequence[str]]],
    metrics: Mapping[str, Metric],
    references: Sequence[Sequence[str]],
    samples: int = SAMPLES,
    lowercase: bool = False,
) -> Comparison:
    """`paired_bootstrap` by any sacreBLEU metrics, given lines and references (parallel sets) in any form."""
    test = PairedTest(
        [(name, comparables(hypotheses, lowercase)) for name, hypotheses in systems],
        metrics,
        [comparables(reference, lowercase) for reference in references],
        test_type="bs",
        n_samples=samples,
    )
    signatures, results = test()
    compared: dict[str, dict[str, Compared]] = {name: {} for name, _ in systems}
    for measure, called in zip(metrics, signatures, strict=True):  # sacreBLEU calls BLEU of any order BLEU
        first = _compared(results[called][0])
        for (name, _), result in zip(systems, results[called], strict=True):
            system = _compared(result)
            # Where no sample differs, sacreBLEU counts none beyond the difference and calls equal systems
            # different.
            same = system.p_value is not None and system.value == first.value
            compared[name][measure] = system._replace(p_value=1.0) if same else system
            if len(references[0]) == 1:  # drawn anew it is the same line: no sample could differ
                compared[name][measure] = system._replace(p_value=None)
    return Comparison(
        compared,
        {measure: str(signature) for measure, signature in zip(metrics, signatures.values(), strict=True)},
    )


def _compared(result: str | Result) -> Compared:
    if not isinstance(result, Result) or result.mean is None or result.ci is None:
        raise TypeError(f"sacreBLEU gave no bootstrap result: {result!r}")
    return Compared(float(result.score), float(result.mean), float(result.ci), result.p_value)
