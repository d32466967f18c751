"""A training that begins with the weights of another run: its model, tokenizers and data, and its record.

    start = FromRun("runs/old", extend_vocabulary=500, replay=0.2)

The model is that of the run, and the optimizer is new. The new data are encoded by the run's tokenizers, with
more subwords if there shall be any, in a folder of the cache. RUN/start.json of the new run says where it
began, so that it can be resumed before its first state was saved.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from seq2attn import config, strict_json
from seq2attn.config import Config
from seq2attn.errors import UsageError, UserError
from seq2attn.notes import note
from seq2attn.progress import Stages
from seq2attn.tasks.corpus_cache import prepared_folder
from seq2attn.tasks.task import refuse_other_modality

if TYPE_CHECKING:
    from seq2attn.data.prepared import Prepared
    from seq2attn.data.tokenizer import Tokenizer
    from seq2attn.models.seq2seq import Seq2Seq
    from seq2attn.runs.directory import Run
    from seq2attn.tasks.training_data import TrainingData

MOST_SUBWORDS = 100_000
VOCABULARY = (
    "vocab_size",
    "tokenizer",
    "joint",
    "lowercase",
    "normalise",
    "protect",
)  # settings of data that the tokenizers fix
# Settings of a model that act before its first weights alone, which here are those of the run.
FIRST_WEIGHTS = ("model.init", "model.init_range", "model.encoder.weights")


@dataclass(frozen=True)
class FromRun:
    """The run whose weights a training begins with, and what is added to its vocabulary and to the data."""

    run: str
    extend_vocabulary: int = 0  # subwords that each of its vocabularies gets
    replay: float = 0.0  # share of pairs of an epoch that come from the run's own training data

    def check(self) -> None:
        """Raise UsageError for numbers that make no sense. It imports no torch."""
        if not isinstance(self.extend_vocabulary, int) or not 0 <= self.extend_vocabulary <= MOST_SUBWORDS:
            problem = f"it must be a whole number from 0 to {MOST_SUBWORDS:,}"
            raise UsageError(
                f"extend_vocabulary {self.extend_vocabulary}: {problem}", setting="extend_vocabulary"
            )
        if not 0 <= self.replay < 1:
            raise UsageError(f"replay {self.replay:g}: it must be from 0 to below 1", setting="replay")

    @cached_property
    def opened(self) -> "Run":
        """The run. Raises UserError if it is missing, unfinished or damaged."""
        from seq2attn.runs.directory import open_run

        return open_run(Path(self.run))

    # Settings

    def settings(self, preset_or_file: str | None, changes: Sequence[str], where: str) -> Config:
        """The settings of the run, those of the training, of the search and of dropout from the preset if one
        is named, with `changes`.

        Raises UsageError for a change of the vocabulary, or of what only first weights need.
        """
        own = self.opened.config
        base = own
        if preset_or_file is not None:
            preset = config.load(preset_or_file)
            model = own.model.model_copy(update={"dropout": preset.model.dropout})
            base = preset.model_copy(update={"data": own.data, "model": model})
        # the names of the sides are those of another corpus
        base = base.model_copy(update={"data": own.data.model_copy(update={"source": None, "target": None})})
        settings = config.change(base, changes, where)
        config.refuse_idle(changes, [(base, settings)], where=where)
        before, after = config.flat(base), config.flat(settings)
        for key in after:
            if before.get(key) == after[key]:
                continue
            if key in FIRST_WEIGHTS:
                problem = f"does nothing: the first weights are those of {self.run}; leave it out"
                raise UsageError(f"{where} {key}: {problem}")
            if key in [f"data.{name}" for name in VOCABULARY]:
                way = "leave it out; `extend_vocabulary` adds subwords"
                raise UsageError(f"{where} {key}: the vocabulary is that of {self.run}: {way}")
        self._refuse_replay(settings)
        return settings

    def _refuse_replay(self, settings: Config) -> None:
        """Raise UsageError if old pairs cannot be mixed into what the model learns from."""
        if self.replay and not settings.model.modality.has_vocabulary:
            problem = "leave it out, or put the old images into the new corpus"
            raise UsageError(
                f"replay is for text, and {self.run} describes images: {problem}", setting="replay"
            )
        if self.replay and settings.train.guide:
            problem = "the old pairs have no word links for train.guide; set train.guide=0, or leave it out"
            raise UsageError(f"replay: {problem}", setting="replay")

    def refuse_other_shapes(self, settings: Config) -> None:
        """Raise UsageError for settings of a model whose weights are not those of the run."""
        from seq2attn.runs.loading import refuse_other_shapes

        refuse_other_shapes(self.opened, settings)

    # Data

    @cached_property
    def _tokenizers(self) -> "tuple[Tokenizer | None, Tokenizer]":
        """Those of source and target; one object if they are one file."""
        from seq2attn.runs.loading import load_tokenizer

        run = self.opened
        known: dict[bytes, Tokenizer] = {}
        target = load_tokenizer(run.target_tokenizer, run.target_size, known)
        if not run.config.model.modality.has_vocabulary:
            return None, target
        return load_tokenizer(run.source_tokenizer, run.source_size, known), target

    def new_data(self, data: str, settings: Config, stages: Stages) -> Path:
        """The prepared folder of a corpus, or of another prepared folder, in the run's vocabulary."""
        from seq2attn.data.preparation import GivenVocabulary
        from seq2attn.data.prepared import REPORT, Prepared

        if (Path(data) / REPORT).is_file():
            prepared = Prepared(data)
            modality = settings.model.modality
            refuse_other_modality(data, prepared.modality, self.run, modality)
            if not self.extend_vocabulary and self._has_tokenizers(prepared):
                return Path(data)
            if not modality.has_vocabulary:
                problem = f"its captions were encoded for another vocabulary than that of {self.run}"
                raise UserError(f"{data}: {problem}: give the corpus itself as `data`")
            fixed = {name: getattr(settings.data, name) for name in VOCABULARY}
            settings = config.validate(
                settings.model_dump(mode="json") | {"data": prepared.report["options"] | fixed}, data
            )
        vocabulary = GivenVocabulary(*self._tokenizers, self.run, self.extend_vocabulary)
        return prepared_folder(data, settings, stages, vocabulary=vocabulary).absolute()

    def old_data(self, stages: Stages) -> Path:
        """The prepared folder of the run's own training. Raises UserError if it is not here."""
        from seq2attn.data.prepared import REPORT

        run = self.opened
        try:
            if (Path(run.corpus) / REPORT).is_file():
                return Path(run.corpus)
            return prepared_folder(run.corpus, run.config, stages)
        except UserError as error:
            problem = f"was trained on {run.corpus}, which is not available here ({error})"
            raise UserError(f"{self.run}: {problem}") from None

    def with_replay(
        self, data: "TrainingData", prepared: "Prepared", settings: Config, stages: Stages
    ) -> None:
        """Mix pairs of the old training data into the new ones, encoded as these are."""
        from seq2attn.data.preparation import GivenVocabulary
        from seq2attn.data.prepared import Prepared
        from seq2attn.data.text.replay import Replay

        if not self.replay:
            return
        folder = self.old_data(stages)
        old = Prepared(folder)
        if [(old.path / name).read_bytes() for name in old.tokenizers] != [
            (prepared.path / name).read_bytes() for name in prepared.tokenizers
        ]:
            vocabulary = GivenVocabulary(prepared.source_tokenizer, prepared.target_tokenizer, self.run)
            old_settings = config.validate(
                settings.model_dump(mode="json") | {"data": old.report["options"]}, str(folder)
            )
            old = Prepared(prepared_folder(str(folder), old_settings, stages, vocabulary=vocabulary))
        new_pairs, old_pairs = prepared.split("train"), old.split("train")
        data.training = Replay(new_pairs, old_pairs, self.replay)
        note(
            f"replay: each epoch has {data.training.count:,} of the {len(old_pairs):,} training pairs of "
            f"{self.run} beside the {len(new_pairs):,} new ones"
        )

    def _has_tokenizers(self, prepared: "Prepared") -> bool:
        """Whether a prepared folder is encoded by the run's tokenizers."""
        return all(
            (prepared.path / file.name).is_file()
            and (prepared.path / file.name).read_bytes() == file.read_bytes()
            for file in self.opened.tokenizers
        )

    # Weights

    def load_weights(self, model: "Seq2Seq", prepared: "Prepared") -> None:
        """Copy the best weights of the run into the model, with rows for the subwords that are new."""
        from seq2attn.runs.more_rows import old_subwords, with_more_rows
        from seq2attn.runs.tensors import load_tensors, read_tensors

        source, target = self._tokenizers
        where = str(prepared.path)
        new_target = old_subwords(target, prepared.target_tokenizer, where)
        new_source = [] if source is None else old_subwords(source, prepared.source_tokenizer, where)
        tensors = with_more_rows(read_tensors(self.opened.weights), new_source, new_target)
        load_tensors(model, tensors, str(self.opened.weights))

    # The record

    @property
    def record(self) -> bytes:
        """The content of start.json."""
        return (json.dumps(asdict(self) | {"run": str(Path(self.run).absolute())}) + "\n").encode()

    @classmethod
    def of(cls, run: Path) -> "FromRun | None":
        """Where a run began; None if with random weights. Raises UserError if its record is damaged."""
        from seq2attn.runs.directory import START, read_text

        file = run / START
        if not file.is_file():
            return None
        try:
            tree = strict_json.parse(read_text(file))
            start = cls(str(tree["run"]), int(tree["extend_vocabulary"]), float(tree["replay"]))
            start.check()
        except (ValueError, LookupError, TypeError, OSError, UsageError) as error:
            raise UserError(f"{file}: damaged ({error}); restore it, or train again") from None
        return start


def from_arguments(run: str | None, extend_vocabulary: int, replay: float) -> FromRun | None:
    """Where a training begins, from the arguments of a caller. Raises UsageError for one without a run."""
    if run is not None:
        return FromRun(run, extend_vocabulary, replay)
    for name, value in (("extend_vocabulary", extend_vocabulary), ("replay", replay)):
        if value:
            raise UsageError(f"{name} needs `from_run`: the run to start from", setting=name)
    return None


def start_of(given: FromRun | None, out: Path, continues: bool) -> FromRun | None:
    """Where a training begins: as it was `given` or, of a run that is resumed, as its record says.

    Raises UserError if both are there and differ.
    """
    if not continues:
        return given
    own = FromRun.of(out)
    if given is None or (own is not None and own.record == given.record):
        return own
    began = "random weights" if own is None else f"{own.run}, extend_vocabulary={own.extend_vocabulary}"
    began += "" if own is None else f", replay={own.replay:g}"
    raise UserError(
        f"resume: {out} began with {began}; a resumed run cannot change it: leave `from_run` out",
        setting="resume",
    )
