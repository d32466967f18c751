"""The run directory: what a person can read and a program can load without pickle, whole at every moment.

    RUN/config.json          settings, format number, version, languages, vocabulary sizes
    RUN/model.safetensors    the best weights so far (averaged if train.ema or train.average is set)
    RUN/tokenizer.model      or source.model and target.model
    RUN/start.json           the run that the first weights are from, if any: see `tasks.from_run`
    RUN/attention.json       the attention to show, if `seq2attn audit` found one: see `choice`
    RUN/confidence.json      how sure it is of a word, if `seq2attn calibrate` has run: see `calibration`
    RUN/metrics.jsonl        one object a line, each with "step"
    RUN/attention_by_step.jsonl  attention of a few pairs at each validation: see `attention_log`
    RUN/provenance.jsonl     one object a line for each start of training: see `provenance`
    RUN/README.md            the card, if training has ended: see `card_file`
    RUN/training/            the last state of training: see `training.resume`

Each file is whole or not there (`seq2attn.files`). This module reads and writes everything but tensors, and
imports no torch. It knows no training loop and no tokenizer: tokenizer files are bytes.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seq2attn import config, files, strict_json
from seq2attn.config import Config
from seq2attn.errors import UsageError, UserError
from seq2attn.runs.card_file import NAME, is_own
from seq2attn.version import __version__

FORMAT = 1  # of the run directory; a higher number is from a newer program
TOKENIZERS = ("tokenizer.model", "source.model", "target.model")
ATTENTION = "attention_by_step.jsonl"
START = "start.json"
LOGS = ("metrics.jsonl", "provenance.jsonl", ATTENTION)
RUN_FILES = (
    "config.json",
    "model.safetensors",
    *TOKENIZERS,
    *LOGS,
    "training",
    "tensorboard",
    "scores",
    "attention.json",
    "confidence.json",
    START,
)
LOCK = "training.lock"  # is in the directory while the run is trained, and is no part of the run
MAX_BYTES = 2**24  # of a file of settings or counters: the program writes no longer one
MAX_VOCABULARY = 2**24  # tokens
DISK_ADVICE = "what was saved before is whole: free the disk or choose another `out`, then continue"


@dataclass(frozen=True)
class Run:
    """An open run directory. Functions that take the path of a run take the run itself, too."""

    path: Path
    config: Config = field(repr=False)  # all settings
    source_size: int  # of the vocabulary, in tokens
    target_size: int
    languages: tuple[str | None, str | None]  # of source and target, if they are known
    corpus: str  # the training corpus, as the user named it
    # statistics of the lengths of the training texts, as the module source_statistics makes them
    source_lengths: Mapping[str, float] | None = field(default=None, repr=False)

    def __fspath__(self) -> str:
        """Its path, so that a run stands for its folder, as in `seq2attn.load(run)`."""
        return str(self.path)

    @property
    def weights(self) -> Path:
        """The file of the best weights."""
        return self.path / "model.safetensors"

    @property
    def metrics(self) -> Path:
        """The file of losses and scores: a JSON object a line, one for each logged update and validation."""
        return self.path / "metrics.jsonl"

    @property
    def source_tokenizer(self) -> Path:
        return self._tokenizer("source")

    @property
    def target_tokenizer(self) -> Path:
        return self._tokenizer("target")

    @property
    def tokenizers(self) -> tuple[Path, ...]:
        """The files of its tokenizers: images have none."""
        if self.config.model.modality.has_vocabulary:
            return self.source_tokenizer, self.target_tokenizer
        return (self.target_tokenizer,)

    def _tokenizer(self, side: str) -> Path:
        joint = self.path / "tokenizer.model"
        return joint if joint.exists() else self.path / f"{side}.model"


def is_run(path: Path) -> bool:
    return (path / "config.json").is_file()


def create(
    path: Path,
    settings: Config,
    *,
    source_size: int,
    target_size: int,
    languages: tuple[str | None, str | None],
    tokenizers: Mapping[str, bytes],
    corpus: str,
    force: bool,
    source_lengths: Mapping[str, float] | None = None,
    start: bytes | None = None,
) -> Run:
    """A new run directory with settings and tokenizers, and nothing trained yet.

    `start` is the content of start.json; None: the first weights are random. Raises UserError if something is
    there already, unless it is a run and `force` replaces it.
    """
    refuse_existing(path, force)
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
        for name in RUN_FILES:  # never the whole folder: what a user keeps in it stays
            old = path / name
            if old.is_dir() and not old.is_symlink():
                shutil.rmtree(old)
            else:
                old.unlink(missing_ok=True)
        if is_own(path):  # it has the scores of the old run
            (path / NAME).unlink()
        for name, content in tokenizers.items():
            write(path / name, content)
        if start is not None:
            write(path / START, start)
    run = Run(path, settings, source_size, target_size, languages, corpus, source_lengths)
    write_config(run)
    return run


def write_config(run: Run) -> None:
    """Write config.json, again if a resumed run changes its settings. With it the directory is a run."""
    tree = {
        "format": FORMAT,
        "seq2attn": __version__,
        "languages": list(run.languages),
        "vocabulary": {"source": run.source_size, "target": run.target_size},
        "corpus": run.corpus,
        **({} if run.source_lengths is None else {"source_lengths": dict(run.source_lengths)}),
        "config": run.config.model_dump(mode="json"),
    }
    try:
        content = json.dumps(tree, indent=1, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # the corpus has a path that is not UTF-8
        content = json.dumps(tree, indent=1).encode()
    write(run.path / "config.json", content + b"\n")


# What is there already


def refuse_existing(path: Path, force: bool) -> None:
    """Raise UserError if no new run may be created; touches nothing."""
    if is_run(path):
        if not force:
            raise UserError(
                f"{path}: a run is here already; continue it with `resume`, or replace it with `force`"
            )
        if _is_foreign(path / "config.json"):
            problem = "its config.json is not of seq2attn, so `force` does not replace it"
            raise UserError(f"{path}: {problem}; choose another `out`")
    elif path.exists() and not (path.is_dir() and all(_is_run_file(file.name) for file in path.iterdir())):
        raise UserError(f"{path}: exists, and is no run of seq2attn; choose another `out`")
    elif not force and (left := traces(path)):  # no trace: creating a run was interrupted
        advice = "restore it, choose another `out`, or replace everything with `force`"
        raise UserError(f"{path}: {left} of a run without its config.json: {advice}")


def traces(path: Path) -> str:
    """What a training has left at `path` beside settings and first weights, in words; or ""."""
    weights, log = path / "model.safetensors", path / "metrics.jsonl"
    left = {
        "weights": os.path.lexists(weights),
        "a log": os.path.lexists(log) and (not log.is_file() or log.stat().st_size > 0),
        "a training state": any(_is_of_a_state(file) for file in _files_in(path / "training")),
        "TensorBoard files": any(_files_in(path / "tensorboard")),
        "scores": any(_files_in(path / "scores")),
    }
    return " and ".join(name for name, is_there in left.items() if is_there)


def _is_of_a_state(file: Path) -> bool:
    if file.suffix == ".safetensors":
        return file.stem not in ("0", "0-2")  # first weights: nothing was learned yet
    return file.name == "state.json"


def _files_in(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from folder.iterdir()


def _is_foreign(file: Path) -> bool:
    """Whether another program wrote this config.json; a damaged one may be of this program."""
    try:
        tree = strict_json.parse(read_text(file))
    except (OSError, ValueError):
        return False
    return not isinstance(tree, dict) or "format" not in tree


def _is_run_file(name: str) -> bool:
    return name in (*RUN_FILES, LOCK) or files.is_left_of(name, set(RUN_FILES))


# Opening a run


def open_run(path: str | Path, *, trained: bool = True) -> Run:
    """The run at `path`.

    Raises UserError, one line, if it is missing, incomplete, damaged or from a newer version. Without
    `trained`, the best weights may be missing.
    """
    path = Path(path)
    file = path / "config.json"
    if not path.is_dir():
        raise UserError(f"{path}: no such run directory; `seq2attn train` makes one")
    if not file.is_file():
        raise UserError(f"{path}: not a run directory: it has no config.json")
    try:
        run = _parse_config(path, strict_json.parse(read_text(file)))
    except UsageError as error:
        raise UserError(str(error)) from None
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}") from None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{file}: damaged ({error}); restore it, or train again") from None
    for tokenizer in run.tokenizers:
        if not tokenizer.is_file():
            raise UserError(f"{path}: incomplete: {tokenizer.name} is missing; restore it, or train again")
    if trained:
        if not run.weights.is_file():
            raise UserError(
                f"{path}: incomplete: no model.safetensors yet (it comes with the first validation); "
                f"finish it with `seq2attn train --out {path} --resume`"
            )
        from seq2attn.runs.headers import refuse_damaged  # heavy for a command that needs settings alone

        refuse_damaged(run.weights)
    return run


def _parse_config(path: Path, tree: Any) -> Run:
    if not isinstance(tree["format"], int) or isinstance(tree["format"], bool):
        raise TypeError("its format is no number")
    if tree["format"] > FORMAT:
        raise UserError(
            f"{path}: made by seq2attn {tree['seq2attn']}, newer than this one ({__version__}): "
            "upgrade seq2attn to open it"
        )
    if isinstance(tree["config"], dict) and isinstance(data := tree["config"].get("data"), dict):
        tree["config"]["data"] = {**config.BEFORE_CLEANING, **data}
    settings = config.validate(tree["config"], str(path / "config.json"))
    return Run(
        path,
        settings,
        _vocabulary_size(tree["vocabulary"], "source", 1 if settings.model.modality.has_vocabulary else 0),
        _vocabulary_size(tree["vocabulary"], "target", 1),
        _languages(tree["languages"]),
        str(tree["corpus"]),
        _source_lengths(tree.get("source_lengths")),
    )


def _vocabulary_size(sizes: Any, side: str, least: int) -> int:
    size = sizes[side]
    if not isinstance(size, int) or isinstance(size, bool) or not least <= size <= MAX_VOCABULARY:
        rule = f"it must be a number from {least} to {MAX_VOCABULARY}"
        raise ValueError(f"vocabulary.{side} is {str(size)[:40]}: {rule}")
    return size


def _languages(names: Any) -> tuple[str | None, str | None]:
    is_pair = isinstance(names, list) and len(names) == 2  # source and target
    if not is_pair or not all(name is None or isinstance(name, str) for name in names):
        raise ValueError("languages is no pair of names")
    return names[0], names[1]


def _source_lengths(tree: Any) -> Mapping[str, float] | None:
    if tree is None:
        return None
    if not isinstance(tree, dict) or not all(isinstance(number, int | float) for number in tree.values()):
        raise TypeError("its source_lengths are no numbers")
    return tree


# The log


def append_log(run: Run, line: Mapping[str, object]) -> None:
    """Append one object to metrics.jsonl."""
    append_line(run.metrics, line)


def append_line(log: Path, line: Mapping[str, object]) -> None:
    """Append one object to a file of JSON lines: whole, or not at all."""
    with writing(log), log.open("ab", buffering=0) as file:
        content, size = (json.dumps(line) + "\n").encode(), file.seek(0, os.SEEK_END)
        try:
            while content:
                content = content[file.write(content) :]
        except OSError:
            file.truncate(size)  # a line is whole or not there
            raise


def truncate_log(run: Run, step: int, validated: int) -> None:
    """Drop the lines of metrics.jsonl after `step`, and of validations after step `validated`.

    A resumed run writes them again. A line that a crash cut goes too. The file of attention over the training
    holds validations alone.
    """
    _truncate(run.metrics, lambda entry: validated if "valid_loss" in entry else step)
    _truncate(run.path / ATTENTION, lambda entry: validated)


def _truncate(log: Path, last: Callable[[Any], int]) -> None:
    """Drop the lines that are no entry, or whose step is after the `last` one of their kind."""
    if not os.path.lexists(log):
        return
    try:
        if not log.is_file():
            raise UserError(f"{log}: not a file; put the log back, or move away what is there")
        lines = log.read_bytes().splitlines(keepends=True)
    except OSError as error:
        raise UserError(f"{log}: cannot be read: {error.strerror}") from None
    remaining = [line for line in lines if line.endswith(b"\n") and _is_until(line, last)]
    if remaining != lines:
        write(log, b"".join(remaining))


def _is_until(line: bytes, last: Callable[[Any], int]) -> bool:
    try:
        entry = strict_json.parse(line.decode(), constants=True)
        return bool(entry["step"] <= last(entry))
    except (ValueError, LookupError, TypeError):
        return False


# Files


def read_text(file: Path) -> str:
    """A file of settings or counters. Raises OSError, or ValueError for what cannot be one."""
    if not file.is_file():
        raise ValueError("no file")
    if file.stat().st_size > MAX_BYTES:
        raise ValueError(f"longer than {MAX_BYTES:,} bytes")
    return file.read_text(encoding="utf-8")


def refuse_read_only(run: Path) -> None:
    """Raise UserError if no file can be added to the run: before work whose result it would hold."""
    if not os.access(run, os.W_OK):
        raise UserError(f"{run}: cannot be written to: copy the run to a place where you may write")


def write(path: Path, content: bytes) -> None:
    """Put the content at `path` whole or not at all. Raises UserError if the disk refuses."""
    files.write(path, content, DISK_ADVICE)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a refusal of the disk into one line that names `path`."""
    with files.refused(path, DISK_ADVICE):
        yield
