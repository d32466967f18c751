"""What a modality of sources does with them: its corpora, training data, predictors and test sets.

`translation` and `captioning` define one task each. Everything outside of them asks the task instead of
asking what the sources are.
"""

import abc
import importlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

from seq2attn.config import Config, Modality
from seq2attn.errors import UserError
from seq2attn.progress import Stages

if TYPE_CHECKING:
    from seq2attn.data.prepared import Prepared
    from seq2attn.inference.predictor import Predictor
    from seq2attn.models.seq2seq import Seq2Seq
    from seq2attn.tasks.test_set import TestSet
    from seq2attn.tasks.training_data import TrainingData
    from seq2attn.training.distributed import World


class Sources(Protocol):
    """A corpus, a prepared folder, or what its report says of it."""

    @property
    def modality(self) -> Modality: ...


class Summary(NamedTuple):
    """The report of a prepared folder, for people."""

    title: str
    headers: list[str]
    rows: list[list[str]]
    overlaps: dict[str, str]  # by split: how many of its sources are in train too


class Task(abc.ABC):
    """One modality of sources."""

    modality: ClassVar[Modality]

    # Corpora

    @abc.abstractmethod
    def first_corpus(self, settings: Config) -> str:
        """The bundled corpus for a first try."""

    @abc.abstractmethod
    def first_preset(self, sources: "Sources") -> str:
        """The preset for a first try with these sources."""

    @abc.abstractmethod
    def way_to_train(self, sources: "Sources") -> str:
        """What to change, for people, if a model does not read this modality."""

    def refuse_corpus(self, data: str, settings: Config, sources: "Sources") -> None:  # noqa: B027
        """Raise UserError if data of this modality does not fit the model, as clips do not fit for stills."""

    def source_files(self, path: Path, follow_links: bool) -> Iterable[Path]:
        """The files of sources beside those that the corpus at this path lists as its `inputs`."""
        return ()

    @abc.abstractmethod
    def summary(self, report: Mapping[str, Any]) -> Summary:
        """The report of a prepared folder."""

    @abc.abstractmethod
    def is_empty(self, prepared: "Prepared", split: str) -> bool:
        """Whether a split of a prepared folder has no pairs."""

    def source_lengths(self, prepared: "Prepared") -> Mapping[str, float] | None:
        """Statistics of the source lengths of the training split, for a run to remember."""
        return None

    # Models

    @abc.abstractmethod
    def training_data(
        self, settings: Config, prepared: "Prepared", model: "Seq2Seq", world: "World", stages: Stages
    ) -> "TrainingData":
        """The splits that a training reads, and how it validates and tests."""

    @abc.abstractmethod
    def load(
        self,
        run: str | os.PathLike[str],
        device: str = "auto",
        precision: str = "auto",
        settings: Iterable[str] = (),
        processes: bool = False,
        allow_code: bool = False,
    ) -> "Predictor[Any, Any]":
        """The predictor of a run. Arguments and errors: see `Translator.load`."""

    # Test sets

    @abc.abstractmethod
    def test_set(self, prepared: "Prepared", split: str, by_length: bool) -> "TestSet":
        """A split of a prepared folder as a test set."""

    @abc.abstractmethod
    def test_set_of_lines(
        self,
        name: str,
        where: str,
        references: Sequence[Sequence[str]],
        sources: Sequence[str] | None,
        language: str | None,
        by_length: bool,
    ) -> "TestSet":
        """Sets of references, line by line, and the sources if there are any."""

    def refuse_options(self, options: Mapping[str, object], runs: Sequence[str]) -> None:  # noqa: B027
        """Raise UsageError for an argument of `evaluate` that this modality has no use for.

        `options` holds the arguments by name. A value that is false or None was not set.
        """


def task_of(modality: Modality) -> Task:
    """The task of a modality. It is imported on first use."""
    module, name = modality.task.split(".")
    task: Task = getattr(importlib.import_module(f"seq2attn.tasks.{module}"), name)()
    return task


def refuse_other_modality(data: str | Path, of_data: Modality, run: str, of_run: Modality) -> None:
    """Raise UserError if a prepared folder and a run are of different modalities."""
    if of_data != of_run:
        way_out = f"name a prepared folder of {of_run.data} with `data`"
        raise UserError(f"{data}: holds {of_data.name}, and {run} {of_run.does}: {way_out}")
