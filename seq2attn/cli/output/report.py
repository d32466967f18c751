"""The reports of an evaluation on stdout: lines for one system, a table for several, JSON for programs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from seq2attn.cli import console
from seq2attn.tasks.evaluation import score_alignments
from seq2attn.tasks.json_text import as_json
from seq2attn.tasks.report import Report, Reports, alignment_record

if TYPE_CHECKING:
    from seq2attn.evaluation.text import Bucket

FEW = 10  # lines; with fewer, a bootstrap says little


def show(reports: Reports, json: bool, first: bool, named: bool) -> None:
    """Print the reports of one test set, under its name if it is one of several (`named`)."""
    if json:
        for report in reports:
            console.result(as_json(report.to_dict()))
        return
    if named:
        console.result(f"{'' if first else chr(10)}{reports[0].split}")
    if len(reports) == 1:
        for line in reports[0].lines():
            console.result(line)
    else:
        _show_table(reports)
    if reports[0].by_length:
        _show_lengths(reports)


def show_alignments(alignments: Path, gold: Path, first: int, json: bool) -> None:
    """Print the score of an aligner's output."""
    score = score_alignments(alignments, gold, first)
    record: dict[str, object] = {"system": str(alignments), "alignment": alignment_record(score)}
    console.result(as_json(record) if json else str(score))


def _show_lengths(reports: Sequence[Report]) -> None:
    """BLEU and chrF2 by source length."""
    console.result()
    names = [""] if len(reports) == 1 else [f" {report.system}" for report in reports]
    measures = [f"{measure}{name}" for name in names for measure in ("BLEU", "chrF2")]
    rows = [_of_bucket(buckets) for buckets in zip(*(report.by_length for report in reports), strict=True)]
    console.table(["source length", "sentences", *measures], rows)
    if not all(bucket.telling for report in reports for bucket in report.by_length):
        from seq2attn.evaluation.text import FEWEST

        console.note(
            f"BLEU -: of fewer than {FEWEST} sentences, or without a line of the four words it needs"
        )


def _of_bucket(buckets: "Sequence[Bucket]") -> list[str]:
    """One range of lengths, for each system."""
    scores = ((f"{bucket.bleu:.2f}" if bucket.telling else "-", f"{bucket.chrf:.2f}") for bucket in buckets)
    first = buckets[0]
    return [f"{first.low}-{first.high}", f"{first.sentences:,}", *(cell for pair in scores for cell in pair)]


def _show_table(reports: Reports) -> None:
    table, first = reports.table(), reports[0]
    console.table(table.headers, table.rows)
    for score in first.scores:
        if score.name in first.compared:
            console.result(f"{score.name}  {score.signature}")
    for mean in reports.means():
        console.result(str(mean))
    if len({report.likelihood.tokens for report in reports if report.likelihood}) > 1:
        console.note(
            "nats/token counts each run's own tokens; these runs split the references differently, so they "
            "do not compare"
        )
    console.note(
        "p: probability of a difference this large if the system were as good as the first (paired bootstrap)"
    )
    if len(first.outputs) < FEW:
        console.note(f"p and 95%: {len(first.outputs)} lines are too few for reliable values")
