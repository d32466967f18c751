"""The scores of systems on a test set: text and a table for people, JSON for programs, files in a run.

`evaluate_texts` and `evaluate_images` define the test sets and run the models.
"""

import abc
import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from seq2attn import files
from seq2attn.cli import console
from seq2attn.errors import UserError
from seq2attn.version import __version__

if TYPE_CHECKING:
    from seq2attn.evaluation.alignment import AlignmentScore
    from seq2attn.evaluation.forced_decoding import Likelihood
    from seq2attn.evaluation.pointing import Pointing
    from seq2attn.evaluation.significance import Compared
    from seq2attn.evaluation.text import Bucket, Score
    from seq2attn.inference import SearchOptions

LONGEST = 240  # bytes of a file's name without its ending; most file systems allow 255
FEW = 10  # lines; with fewer, a bootstrap says little
KEYS = {"BLEU": "bleu", "chrF2": "chrf", "TER": "ter"}  # keys of scores in a record
KEYS |= {
    "BLEU-1": "bleu_1",
    "BLEU-2": "bleu_2",
    "BLEU-3": "bleu_3",
    "BLEU-4": "bleu_4",
    "CIDEr-D": "cider",
    "ROUGE-L": "rouge_l",
}


@dataclass
class System:
    """A run or another program, with its outputs and their scores."""

    name: str
    outputs: list[str] = field(default_factory=list)
    run: Path | None = None  # run into which its scores are written
    search: dict[str, object] = field(default_factory=dict)
    changed: dict[str, object] = field(default_factory=dict)  # settings that differ from the training
    likelihood: "Likelihood | None" = None
    alignment: "AlignmentScore | None" = None
    pointing: "Pointing | None" = None
    scores: "list[Score]" = field(default_factory=list)
    compared: "dict[str, Compared]" = field(default_factory=dict)
    buckets: "list[Bucket]" = field(default_factory=list)


@dataclass
class TestSet(abc.ABC):
    """References, and how systems are scored on them."""

    unit: ClassVar[str]  # name of a line of an output, in the plural

    name: str
    where: str  # name for people: the files or the folder
    language: str | None = field(default=None, kw_only=True)
    lowercase: bool = field(default=False, kw_only=True)  # whether case is ignored

    @abc.abstractmethod
    def __len__(self) -> int:
        """The number of lines of an output."""

    @property
    @abc.abstractmethod
    def beside(self) -> str:
        """The name of the text or data that an output must match in its number of lines."""

    @abc.abstractmethod
    def take(self, system: System, reader: Any, options: "SearchOptions") -> None:
        """Set the outputs of a run's translator or captioner, and the likelihood of the references."""

    @abc.abstractmethod
    def score(self, systems: Sequence[System]) -> None:
        """Score the outputs; several systems are compared with the first."""

    @abc.abstractmethod
    def parallel(self) -> list[list[str]]:
        """Sets of references, each with a line for each line of an output."""

    def why_zero(self, systems: Sequence[System]) -> Iterator[str]:
        """Why a score of 0 is not informative, for people."""
        from seq2attn.evaluation.text import without_four

        references, of_reason = self.parallel(), dict[str, list[str]]()
        for system in systems:
            if reason := without_four(system.outputs, references, self.language):
                of_reason.setdefault(reason, []).append(system.name)
        for reason, names in of_reason.items():
            whose = "" if len(names) == len(systems) else f" for {', '.join(names)}"
            yield f"{self.name}: BLEU is not informative{whose}: {reason}; use chrF2"


def numbered(systems: Sequence[System]) -> list[tuple[str, list[str]]]:
    """Names and outputs for a comparison. The names are made distinct, because a run may be given twice."""
    return [(f"{number} {system.name}", system.outputs) for number, system in enumerate(systems)]


# For people


def note_form(where: str, texts: Sequence[str | None]) -> None:
    """Note how many lines are compared in another Unicode form than they have: in that of the tokenizer."""
    from seq2attn.evaluation.form import changed

    lines = [text for text in texts if text is not None]
    if count := changed(lines):
        some = f"{count:,} of {len(lines):,} lines"
        console.note(f"{where}: {some} are not in Unicode's composed form (NFC); they are compared in it")


def lines(system: System) -> Iterator[str]:
    """The scores of a system as lines, BLEU first."""
    yield from map(str, system.scores)
    if system.alignment is not None:
        yield f"{system.alignment}  (attention to gold, the reference forced)"
    if system.pointing is not None:
        yield f"{system.pointing}"
    if system.likelihood is not None:
        yield _likely(system.likelihood, len(system.outputs))


def show(systems: Sequence[System]) -> None:
    """Print the scores on stdout: lines for one system, a table for several, and BLEU by length below."""
    if len(systems) == 1:
        for line in lines(systems[0]):
            console.result(line)
    else:
        _show_table(systems)
    if systems[0].buckets:
        console.result()
        names = [""] if len(systems) == 1 else [f" {system.name}" for system in systems]
        measures = [f"{measure}{name}" for name in names for measure in ("BLEU", "chrF2")]
        rows = [_of_bucket(buckets) for buckets in zip(*(system.buckets for system in systems), strict=True)]
        console.table(["source length", "sentences", *measures], rows)
        if not all(bucket.telling for system in systems for bucket in system.buckets):
            from seq2attn.evaluation.text import FEWEST

            console.note(
                f"BLEU -: of fewer than {FEWEST} sentences, or without a line of the four words it needs"
            )


def _of_bucket(buckets: "Sequence[Bucket]") -> list[str]:
    """One range of lengths, for each system."""
    scores = ((f"{bucket.bleu:.2f}" if bucket.telling else "-", f"{bucket.chrf:.2f}") for bucket in buckets)
    first = buckets[0]
    return [f"{first.low}-{first.high}", f"{first.sentences:,}", *(cell for pair in scores for cell in pair)]


def _show_table(systems: Sequence[System]) -> None:
    from seq2attn.evaluation.alignment import percent

    measures = list(systems[0].compared)
    aligned, pointed, forced = (
        any(getattr(system, name) for system in systems) for name in ("alignment", "pointing", "likelihood")
    )
    rows = []
    for system in systems:
        row = [system.name]
        for measure in measures:
            result = system.compared[measure]
            row += [
                f"{result.value:.2f}",
                f"±{result.interval:.2f}",
                "-" if result.p_value is None else f"{result.p_value:.3f}",
            ]
        row += [percent(system.alignment.error_rate) if system.alignment else "-"] if aligned else []
        row += (
            (
                [percent(system.pointing.accuracy), percent(system.pointing.chance)]
                if system.pointing
                else ["-", "-"]
            )
            if pointed
            else []
        )
        likely = system.likelihood
        rows.append(
            row
            + (
                ([f"{likely.cross_entropy:.3f}", f"{likely.perplexity:.2f}"] if likely else ["-", "-"])
                if forced
                else []
            )
        )
    headers = ["system", *(header for measure in measures for header in (measure, "95%", "p"))]
    headers += [
        *(["AER"] if aligned else []),
        *(["pointing", "chance"] if pointed else []),
        *(["nats/token", "perplexity"] if forced else []),
    ]
    console.table(headers, rows)
    for score in systems[0].scores:
        if score.name in measures:
            console.result(f"{score.name}  {score.signature}")
    if len({system.likelihood.tokens for system in systems if system.likelihood}) > 1:
        console.note(
            "nats/token counts each run's own tokens; these runs split the references differently, so they "
            "do not compare"
        )
    console.note(
        "p: probability of a difference this large if the system were as good as the first (paired bootstrap)"
    )
    if len(systems[0].outputs) < FEW:
        console.note(f"p and 95%: {len(systems[0].outputs)} lines are too few for reliable values")


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


# For programs


def record(test: TestSet, system: System) -> dict[str, object]:
    """All results of a system on a test set, for programs."""
    result: dict[str, object] = {
        "system": system.name,
        "split": test.name,
        "data": test.where,
        test.unit: len(system.outputs),
    }
    result |= {KEYS[score.name]: round(score.value, 4) for score in system.scores}
    result["signatures"] = {KEYS[score.name]: score.signature for score in system.scores}
    result["search"] = system.search
    if system.changed:
        result["set"] = system.changed
    if system.compared:
        result["compared"] = {
            KEYS[name]: {
                "mean": round(against.mean, 4),
                "interval": round(against.interval, 4),
                "p": against.p_value,
            }
            for name, against in system.compared.items()
        }
    if system.likelihood is not None:
        likely = system.likelihood
        result |= {"cross_entropy": _number(likely.cross_entropy), "perplexity": _number(likely.perplexity)}
        result["forced"] = {
            "tokens": likely.tokens,
            "references": likely.references,
            "left_out": likely.left_out,
        }
    if system.alignment is not None:
        result["alignment"] = alignment_record(system.alignment)
    if system.pointing is not None:
        result["pointing"] = system.pointing._asdict()
    if system.buckets:
        result["by_length"] = [_bucket_record(bucket) for bucket in system.buckets]
    return result | {"seq2attn": __version__}


def _bucket_record(bucket: "Bucket") -> dict[str, object]:
    scores = {"bleu": round(bucket.bleu, 4) if bucket.telling else None, "chrf": round(bucket.chrf, 4)}
    return {"low": bucket.low, "high": bucket.high, "sentences": bucket.sentences, **scores}


def _number(value: float) -> float | None:
    """The number, or None if there was nothing to measure: JSON has no NaN and no infinity."""
    return round(value, 6) if math.isfinite(value) else None


def as_json(tree: dict[str, object], indent: int | None = None) -> str:
    """JSON that every program can read.

    A number that is not finite is null; a character that is not printable is an escape.
    """
    text = json.dumps(_plain(tree), ensure_ascii=False, indent=indent, allow_nan=False)
    return "".join(c if c.isprintable() or c == "\n" else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return "\\u007f" if character == "\x7f" else json.dumps(character)[1:-1]


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): _plain(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(held) for held in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def alignment_record(score: "AlignmentScore") -> dict[str, object]:
    return {
        "aer": score.error_rate,
        "precision": score.precision,
        "recall": score.recall,
        "links": score.links,
        "sure": score.sure,
        "possible": score.possible,
    }


def keep(test: TestSet, system: System) -> None:
    """Write scores and outputs into the run.

    A run that is not writable (somebody else's) is scored all the same.
    """
    if system.run is None:
        return
    folder = system.run / "scores"
    try:
        folder.mkdir(exist_ok=True)
        files.sweep(folder)
        name = _short(",".join([test.name, *(f"{key}={value}" for key, value in system.changed.items())]))
        files.write(folder / f"{name}.txt", "".join(line + "\n" for line in system.outputs).encode())
        files.write(folder / f"{name}.json", (as_json(record(test, system), indent=1) + "\n").encode())
    except (OSError, UserError) as error:
        console.warn(
            f"{folder}: the scores are not kept: {error.strerror if isinstance(error, OSError) else error}"
        )


def _short(name: str) -> str:
    """The name, or a part of it that a file system accepts, with a hash of the whole.

    The file also holds what --set changed. A name stays within its folder: separators, as in a path in --set,
    and characters that are not printable become "_".
    """
    whole = name.encode(errors="surrogatepass")
    within = "".join(c if c.isprintable() and c not in "/\\" else "_" for c in name)
    if within == name and len(whole) <= LONGEST:
        return name
    return f"{within.encode()[: LONGEST - 9].decode(errors='ignore')}-{hashlib.sha256(whole).hexdigest()[:8]}"
