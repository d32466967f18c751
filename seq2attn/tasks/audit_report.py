"""What an audit says, for people and for programs: a sentence, a table, and plain values."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from seq2attn.evaluation.alignment import percent
from seq2attn.explaining.audit import Audit, Row
from seq2attn.explaining.choice import MEAN, AttentionChoice
from seq2attn.tasks.report import alignment_record
from seq2attn.tasks.table import Table
from seq2attn.version import __version__

MOST_ROWS = 12  # of attention in a table for people; the mean is always there


@dataclass(frozen=True)
class AuditReport:
    """The audit of one run on one split."""

    run: str
    data: str
    split: str
    audit: Audit = field(repr=False)
    remembered: AttentionChoice | None = None  # what the run showed before
    reverse: str | None = None

    @property
    def default(self) -> AttentionChoice:
        """The attention that the run shows where nobody names one."""
        return self.remembered or MEAN

    def sentences(self) -> Iterator[str]:
        """What the audit found, and what to do."""
        audit = self.audit
        best, usual = audit.row(audit.best), audit.row(self.default)
        where = str(audit.best) if len({row.choice for row in audit.rows if row.choice}) > 2 else _step(best)
        if best.alignment is not None:
            yield (
                f"{where}, aligns best: {percent(best.alignment.error_rate)} ({best.rule}); "
                f"{_usual(self.remembered)} has {percent(usual.aer_arg_max)}"
            )
            others = [row for row in audit.rows if row.choice is None and row.alignment is not None]
            other = min(others, key=lambda row: row.aer_valid or 1.0, default=None)
            if other is not None and other.alignment is not None:
                less = (other.aer_valid or 1.0) < (best.aer_valid or 1.0)
                yield (
                    f"{other.name} has {percent(other.alignment.error_rate)} ({other.rule}): "
                    f"{'it aligns better than any attention' if less else 'no attribution aligns better'}"
                )
        elif best.pointing is not None:
            yield (
                f"{where}, points best: {percent(best.pointing.accuracy)}; {_usual(self.remembered)} has "
                f"{percent(usual.pointing.accuracy if usual.pointing else None)}"
            )
        else:
            yield f"{where}, is best by {audit.by}: there are no gold links and no boxes to compare with"
        yield self._faithful(best)
        for finding in audit.findings:
            yield str(finding)

    def _faithful(self, best: Row) -> str:
        rows = {row.name: row for row in self.audit.rows}
        by_loss = sorted(rows.values(), key=_loss, reverse=True)
        most, random = by_loss[0], _loss(rows["random"])
        unit = self.audit.unit
        count = self.audit.counts[0]
        which = f"the {unit}" if count == "1" else f"{count} of the {unit}s"
        return (
            f"hiding {which} that it names costs {_loss(best):.2f} nats a word, a random one {random:.2f}; "
            f"{most.name} names what costs most, {_loss(most):.2f}"
        )

    def table(self, whole: bool = False) -> Table:
        """A row for each method: attention first, the best of it first; then attributions."""
        audit = self.audit
        attention = sorted((row for row in audit.rows if row.choice is not None), key=self._order)
        if not whole and len(attention) > MOST_ROWS:
            attention = attention[:MOST_ROWS] + [
                row for row in attention[MOST_ROWS:] if row.choice in (MEAN, self.default)
            ]
        rows = attention + [row for row in audit.rows if row.choice is None]
        columns = self._columns()
        return Table(
            ("method", *(name for name, _ in columns)),
            tuple((row.name, *(cell(row) for _, cell in columns)) for row in rows),
        )

    def _order(self, row: Row) -> float:
        if row.aer_valid is not None:
            return row.aer_valid
        if row.pointing_valid is not None:
            return -row.pointing_valid
        return -(row.agreement if row.agreement is not None else _loss(row))

    def _columns(self) -> list[tuple[str, Any]]:
        rows, counts = self.audit.rows, self.audit.counts
        columns: list[tuple[str, Any]] = []
        if any(row.alignment for row in rows):
            columns += [
                ("AER valid", lambda row: percent(row.aer_valid)),
                ("AER", lambda row: percent(row.alignment.error_rate if row.alignment else None)),
                ("links", lambda row: row.rule or "–"),
                ("AER arg max", lambda row: percent(row.aer_arg_max)),
            ]
        if any(row.pointing for row in rows):
            columns += [
                ("pointing valid", lambda row: percent(row.pointing_valid)),
                ("pointing", lambda row: percent(row.pointing.accuracy if row.pointing else None)),
            ]
        if any(row.agreement is not None for row in rows):
            columns.append(("agree", lambda row: percent(row.agreement)))
        for number, count in enumerate(counts):
            columns.append((f"hide {count}", lambda row, i=number: _nats(row.faithfulness.lost[i])))
        columns.append((f"only {counts[0]}", lambda row: _nats(row.faithfulness.lost_without[0])))
        columns += [
            ("rank", lambda row: _nats(row.faithfulness.correlation)),
            ("permuted", lambda row: _nats(row.permutation.total_variation if row.permutation else None)),
            ("entropy", lambda row: _nats(row.entropy)),
        ]
        if self.audit.unit == "word":
            columns += [
                ("end", lambda row: percent(row.end)),
                ("punct.", lambda row: percent(row.punctuation)),
            ]
        return columns

    def legend(self) -> Iterator[str]:
        """What the columns mean, one line each."""
        audit = self.audit
        if any(row.alignment for row in audit.rows):
            yield (
                f"AER: alignment error rate on {self.split}, lower is better, by the links that were best on "
                f"{audit.valid_pairs:,} validation pairs (AER valid); arg max: one link a target word; of "
                f"{audit.pairs:,} pairs, of attributions {audit.hidden_pairs:,}"
            )
        if any(row.pointing for row in audit.rows):
            yield "pointing: share of words whose largest value lies in the box of the thing that they name"
        if any(row.agreement is not None for row in audit.rows):
            yield f"agree: share of links that {self.reverse} has too ({audit.reverse_choice})"
        yield (
            f"hide k: nats of log p that a word loses when the k {audit.unit}s that the method names are "
            f"replaced by {audit.hidden_by}, more is better; only k: when all others are, less is better "
            f"({audit.hidden_pairs:,} pairs)"
        )
        yield (
            "rank: Spearman's correlation with occlusion; permuted: median change of the output (total "
            "variation) when the weights are permuted"
        )
        yield "entropy in nats; end and punct.: share of the weight on the end token and on punctuation"

    def to_dict(self) -> dict[str, object]:
        """All results as plain values. `seq2attn audit --json` prints them."""
        audit = self.audit
        return {
            "run": self.run,
            "data": self.data,
            "split": self.split,
            "pairs": audit.pairs,
            "valid_pairs": audit.valid_pairs,
            "hidden_pairs": audit.hidden_pairs,
            "hidden_by": audit.hidden_by,
            "best": audit.best._asdict(),
            "best_by": audit.by,
            "default": self.default._asdict(),
            "reverse": self.reverse,
            "reverse_choice": None if audit.reverse_choice is None else audit.reverse_choice._asdict(),
            "sentences": list(self.sentences()),
            "findings": [finding._asdict() for finding in audit.findings],
            "completeness_gap": _number(audit.gap),
            "methods": [_record(row, audit.counts) for row in audit.rows],
            "seq2attn": __version__,
        }

    def to_markdown(self) -> str:
        """The whole table in Markdown."""
        return self.table(whole=True).to_markdown()

    def _repr_html_(self) -> str:
        return self.table(whole=True).to_html()


def _step(row: Row) -> str:
    """The name of the only head, by the step it is read at."""
    assert row.choice is not None
    return (
        "the attention, read one step later" if row.choice.shift else "the attention, at the step that writes"
    )


def _usual(remembered: AttentionChoice | None) -> str:
    if remembered is None:
        return "the mean that is shown by default, by arg max,"
    return f"what the run remembers ({remembered}), by arg max,"


def _loss(row: Row) -> float:
    value = row.faithfulness.lost[0] if row.faithfulness else math.nan
    return -math.inf if math.isnan(value) else value


def _nats(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.2f}"


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, 6)


def _record(row: Row, counts: tuple[str, ...]) -> dict[str, object]:
    faithful, effect = row.faithfulness, row.permutation
    return {
        "method": row.name,
        "choice": None if row.choice is None else row.choice._asdict(),
        "links": row.rule or None,
        "aer_valid": _number(row.aer_valid),
        "alignment": None if row.alignment is None else alignment_record(row.alignment),
        "aer_arg_max": _number(row.aer_arg_max),
        "pointing_valid": _number(row.pointing_valid),
        "pointing": None if row.pointing is None else row.pointing._asdict(),
        "agreement": _number(row.agreement),
        "entropy": _number(row.entropy),
        "end": _number(row.end),
        "punctuation": _number(row.punctuation),
        "comprehensiveness": {}
        if faithful is None
        else dict(zip(counts, map(_number, faithful.lost), strict=True)),
        "sufficiency": {}
        if faithful is None
        else dict(zip(counts, map(_number, faithful.lost_without), strict=True)),
        "rank_correlation": None if faithful is None else _number(faithful.correlation),
        "permutation": None
        if effect is None
        else {name: _number(value) for name, value in effect._asdict().items()},
    }
