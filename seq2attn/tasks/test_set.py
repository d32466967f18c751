"""A test set of any modality: references, and how systems are scored on them.

`text_test_set` and `caption_test_set` define what differs.
"""

import abc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from seq2attn.inference.options import SearchOptions
from seq2attn.notes import note
from seq2attn.progress import Stages

if TYPE_CHECKING:
    from seq2attn.evaluation.alignment import AlignmentScore
    from seq2attn.evaluation.forced_decoding import Likelihood
    from seq2attn.evaluation.pointing import Pointing
    from seq2attn.evaluation.significance import Compared
    from seq2attn.evaluation.text import Bucket, Score


@dataclass
class System:
    """A run or another program, with its outputs and their scores, which a test set fills in."""

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
    configuration: str | None = None  # of a run: its settings without the seed, and its data
    seed: int | None = None
    precision: str | None = None  # of a run: the number format of its products


@dataclass
class TestSet(abc.ABC):
    """References, and how systems are scored on them."""

    unit: ClassVar[str]  # name of a line of an output, in the plural

    name: str
    where: str  # name for people: the files or the folder
    language: str | None = field(default=None, kw_only=True)
    lowercase: bool = field(default=False, kw_only=True)  # whether case is ignored
    forces: bool = field(default=True, kw_only=True)  # whether references are forced, too

    @abc.abstractmethod
    def __len__(self) -> int:
        """The number of lines of an output."""

    @property
    @abc.abstractmethod
    def beside(self) -> str:
        """The name of the text or data that an output must match in its number of lines."""

    @abc.abstractmethod
    def take(self, system: System, reader: Any, options: SearchOptions, stages: Stages) -> None:
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


def note_form(where: str, texts: Sequence[str | None]) -> None:
    """Note how many lines are compared in another Unicode form than they have: in that of the tokenizer."""
    from seq2attn.evaluation.form import changed

    lines = [text for text in texts if text is not None]
    if count := changed(lines):
        some = f"{count:,} of {len(lines):,} lines"
        note(f"{where}: {some} are not in Unicode's composed form (NFC); they are compared in it")
