"""Results of an evaluation: a report for each system and test set, tables of them, and means over seeds."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from seq2attn.strict_json import rounded
from seq2attn.tasks.table import Table
from seq2attn.tasks.test_set import System, TestSet
from seq2attn.version import __version__

if TYPE_CHECKING:
    from seq2attn.evaluation.alignment import AlignmentScore
    from seq2attn.evaluation.forced_decoding import Likelihood
    from seq2attn.evaluation.pointing import Pointing
    from seq2attn.evaluation.significance import Compared
    from seq2attn.evaluation.text import Bucket, Score

KEYS = {  # keys of scores in a record
    "BLEU": "bleu",
    "chrF2": "chrf",
    "TER": "ter",
    "BLEU-1": "bleu_1",
    "BLEU-2": "bleu_2",
    "BLEU-3": "bleu_3",
    "BLEU-4": "bleu_4",
    "CIDEr-D": "cider",
    "ROUGE-L": "rouge_l",
}


@dataclass(frozen=True)
class Report:
    """The scores of one system, a run or another program, on one test set."""

    system: str  # its path
    split: str  # of prepared data, or the name of a file
    data: str  # where the test set is
    unit: str  # name of a line of an output, in the plural: sentences or images
    outputs: tuple[str, ...] = field(repr=False)
    scores: "tuple[Score, ...]"  # BLEU first; values are in percent, but CIDEr-D
    likelihood: "Likelihood | None" = None  # of the references, under a run
    alignment: "AlignmentScore | None" = None  # attention against gold alignments
    pointing: "Pointing | None" = None  # attention against boxes
    compared: "Mapping[str, Compared]" = field(default_factory=dict)  # with the first system, by score
    by_length: "tuple[Bucket, ...]" = ()
    search: Mapping[str, object] = field(default_factory=dict)  # options, the run's own included
    changed: Mapping[str, object] = field(default_factory=dict)  # settings that differ from the training
    run: Path | None = None  # the run directory; None: an ensemble, or another program
    seed: int | None = None  # of the training
    # settings of the run without the seed, and its data; None: an ensemble, or another program
    configuration: str | None = field(default=None, repr=False)
    precision: str | None = None  # of a run: the number format of its products

    @classmethod
    def of(cls, test: TestSet, system: System) -> "Report":
        """The report of a system that the test set has scored."""
        return cls(
            system.name,
            test.name,
            test.where,
            test.unit,
            tuple(system.outputs),
            tuple(system.scores),
            system.likelihood,
            system.alignment,
            system.pointing,
            dict(system.compared),
            tuple(system.buckets),
            system.search,
            system.changed,
            system.run,
            system.seed,
            system.configuration,
            system.precision,
        )

    def __getitem__(self, score: str) -> float:
        """The value of a score by its name, or by its key in `to_dict`: `report["BLEU"]`, `report["bleu"]`.

        Raises KeyError if it was not computed.
        """
        for one in self.scores:
            if score in (one.name, KEYS[one.name]):
                return one.value
        raise KeyError(f"{score}: there are {', '.join(one.name for one in self.scores)}")

    def to_dict(self) -> dict[str, object]:
        """All results but the outputs, as plain values. `seq2attn evaluate --json` prints them."""
        result: dict[str, object] = {
            "system": self.system,
            "split": self.split,
            "data": self.data,
            self.unit: len(self.outputs),
        }
        result |= {KEYS[score.name]: round(score.value, 4) for score in self.scores}
        result["signatures"] = {KEYS[score.name]: score.signature for score in self.scores}
        result["search"] = dict(self.search)
        if self.precision is not None:
            result["precision"] = self.precision
        if self.changed:
            result["set"] = dict(self.changed)
        if self.compared:
            result["compared"] = {
                KEYS[name]: {
                    "mean": round(against.mean, 4),
                    "interval": round(against.interval, 4),
                    "p": against.p_value,
                }
                for name, against in self.compared.items()
            }
        if (likely := self.likelihood) is not None:
            result["cross_entropy"] = rounded(likely.cross_entropy)
            result["perplexity"] = rounded(likely.perplexity)
            result["forced"] = {
                "tokens": likely.tokens,
                "references": likely.references,
                "left_out": likely.left_out,
            }
        if self.alignment is not None:
            result["alignment"] = alignment_record(self.alignment)
        if self.pointing is not None:
            result["pointing"] = self.pointing._asdict()
        if self.by_length:
            result["by_length"] = [_bucket_record(bucket) for bucket in self.by_length]
        return result | {"seq2attn": __version__}

    def lines(self) -> Iterator[str]:
        """The scores as lines for people, BLEU first."""
        yield from map(str, self.scores)
        if self.alignment is not None:
            yield f"{self.alignment}  (attention to gold, the reference forced)"
        if self.pointing is not None:
            yield f"{self.pointing}"
        if self.likelihood is not None:
            yield _likely(self.likelihood, len(self.outputs))
        if self.precision not in (None, "fp32"):
            yield f"computed in {self.precision}"

    def to_markdown(self) -> str:
        """The scores as a table in Markdown."""
        return Reports([self]).to_markdown()

    def to_latex(self) -> str:
        """The scores as a table for LaTeX with the package booktabs."""
        return Reports([self]).to_latex()

    def _repr_html_(self) -> str:
        return Reports([self])._repr_html_()


class Reports(list[Report]):
    """The reports of an evaluation, which show themselves as one table."""

    def table(self) -> Table:
        """A row for each report.

        The columns "95%" and "p" hold a paired bootstrap against the first system.
        """
        return _table(self, splits=len({report.split for report in self}) > 1)

    def means(self) -> "list[Mean]":
        """Means over the seeds of one configuration, for every configuration with several seeds.

        Runs have one configuration if their settings differ in nothing but train.seed, if they were trained
        on the same data, and if they were scored with the same options. Of several reports of one seed, the
        first counts.
        """
        groups: dict[tuple[str, str, str], dict[int | None, Report]] = {}
        for report in self:
            if report.configuration is not None:
                group = groups.setdefault((report.split, report.data, report.configuration), {})
                group.setdefault(report.seed, report)
        return [Mean.of(list(group.values())) for group in groups.values() if len(group) > 1]

    def to_dict(self) -> list[dict[str, object]]:
        """The results as plain values, one entry for each report."""
        return [report.to_dict() for report in self]

    def to_markdown(self) -> str:
        """The scores as a table in Markdown."""
        return self.table().to_markdown()

    def to_latex(self) -> str:
        """The scores as a table for LaTeX with the package booktabs."""
        return self.table().to_latex()

    def __str__(self) -> str:
        return self.to_markdown()

    def _repr_html_(self) -> str:
        return self.table().to_html()


class Spread(NamedTuple):
    """The mean of a score over seeds, and its standard deviation (with n - 1)."""

    mean: float
    deviation: float


@dataclass(frozen=True)
class Mean:
    """The scores of several seeds of one configuration on one test set."""

    systems: tuple[str, ...]
    seeds: tuple[int | None, ...]
    split: str
    scores: Mapping[str, Spread]  # by name

    @classmethod
    def of(cls, reports: Sequence[Report]) -> "Mean":
        names = [score.name for score in reports[0].scores]
        values = {name: [report[name] for report in reports] for name in names}
        return cls(
            tuple(report.system for report in reports),
            tuple(report.seed for report in reports),
            reports[0].split,
            {name: Spread(statistics.mean(of), statistics.stdev(of)) for name, of in values.items()},
        )

    def __str__(self) -> str:
        scores = "  ".join(
            f"{name} {spread.mean:.2f} ± {spread.deviation:.2f}" for name, spread in self.scores.items()
        )
        return f"mean of {len(self.seeds)} seeds: {scores}  (± standard deviation)"

    def to_dict(self) -> dict[str, object]:
        """The means as plain values."""
        scores = {KEYS[name]: spread._asdict() for name, spread in self.scores.items()}
        return {"systems": list(self.systems), "seeds": list(self.seeds), "split": self.split} | scores


def _table(reports: Sequence[Report], splits: bool) -> Table:
    from seq2attn.evaluation.alignment import percent

    compared = list(reports[0].compared) if reports else []
    measures = compared or ([score.name for score in reports[0].scores] if reports else [])
    aligned, pointed, forced = (
        any(getattr(report, name) for report in reports) for name in ("alignment", "pointing", "likelihood")
    )
    rows = []
    for report in reports:
        row = [report.system, *([report.split] if splits else [])]
        values = {score.name: f"{score.value:.2f}" for score in report.scores}
        for measure in measures:
            if not compared:
                row.append(values.get(measure, "-"))
            elif (result := report.compared.get(measure)) is None:  # of another evaluation
                row += [values.get(measure, "-"), "-", "-"]
            else:
                p_value = "-" if result.p_value is None else f"{result.p_value:.3f}"
                row += [f"{result.value:.2f}", f"±{result.interval:.2f}", p_value]
        if aligned:
            row.append(percent(report.alignment.error_rate) if report.alignment else "-")
        if pointed:
            pointing = report.pointing
            row += [percent(pointing.accuracy), percent(pointing.chance)] if pointing else ["-", "-"]
        if forced:
            likely = report.likelihood
            row += [f"{likely.cross_entropy:.3f}", f"{likely.perplexity:.2f}"] if likely else ["-", "-"]
        rows.append(row)
    headers = ["system", *(["split"] if splits else [])]
    headers += [
        header for measure in measures for header in ((measure, "95%", "p") if compared else (measure,))
    ]
    headers += [
        *(["AER"] if aligned else []),
        *(["pointing", "chance"] if pointed else []),
        *(["nats/token", "perplexity"] if forced else []),
    ]
    return Table(tuple(headers), tuple(map(tuple, rows)))


def _likely(likelihood: "Likelihood", outputs: int) -> str:
    left_out = f", {likelihood.left_out:,} blank or too long left out" if likelihood.left_out else ""
    several = likelihood.references + likelihood.left_out > outputs
    what = (
        f"of the reference{'s' if several else ''}, {likelihood.tokens:,} tokens with their end "
        f"tokens{left_out}"
    )
    if not likelihood.tokens:
        return f"perplexity -  cross-entropy -  ({what})"
    return (
        f"perplexity {likelihood.perplexity:.2f}  cross-entropy {likelihood.cross_entropy:.3f} nats a "
        f"token  ({what})"
    )


def _bucket_record(bucket: "Bucket") -> dict[str, object]:
    scores = {"bleu": round(bucket.bleu, 4) if bucket.telling else None, "chrf": round(bucket.chrf, 4)}
    return {"low": bucket.low, "high": bucket.high, "sentences": bucket.sentences, **scores}


def alignment_record(score: "AlignmentScore") -> dict[str, object]:
    """A score of word alignments as plain values."""
    return {
        "aer": score.error_rate,
        "precision": score.precision,
        "recall": score.recall,
        "links": score.links,
        "sure": score.sure,
        "possible": score.possible,
    }
