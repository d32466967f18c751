"""The run directory: what a person can read and a program can load without pickle, whole at every moment.

    RUN/config.json          settings, format number, version, languages, vocabulary sizes
    RUN/model.safetensors    the best weights so far (averaged where train.ema or train.average is set)
    RUN/tokenizer.model      or source.model and target.model
    RUN/metrics.jsonl        one object a line, each with "step"
    RUN/provenance.jsonl     one object a line for each time that it was trained: see `provenance`
    RUN/training/            the last state: state.json, which names the tensor file beside it (weights, their
    moments, and what is averaged with them)

Each file is whole or not there (`seq2attn.files`). The last state is two files, and renaming
state.json is the moment at which the new one counts: a cut before leaves the old state, named and whole. It
knows no
training loop and no tokenizer: tokenizer files are bytes.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from seq2attn import config, files, strict_json
from seq2attn.config import Config
from seq2attn.errors import UsageError, UserError
from seq2attn.training import state as states
from seq2attn.training.state import State as State  # noqa: PLC0414 - those who save one need no other module
from seq2attn.version import __version__

# out of a refusal to write
_WAY = "what was saved before is whole: free the disk or choose another --out, then go on"
FORMAT = 1  # of the run directory; a higher number than this is from a newer program
TOKENIZERS = ("tokenizer.model", "source.model", "target.model")
LOGS = ("metrics.jsonl", "provenance.jsonl")
OURS = ("config.json", "model.safetensors", *TOKENIZERS, *LOGS, "training", "tensorboard", "scores")
LOCK = "training.lock"  # stands in the run while it is trained, and is no part of it
LONGEST = 2**24  # bytes of a file of settings or counters: what is longer is none of ours
MOST_PIECES = 2**24  # of a vocabulary
STORED = {torch.float32: "F32", torch.float64: "F64", torch.int64: "I64"}  # as safetensors calls them


@dataclass(frozen=True)
class Run:
    """An open run directory. Sizes are vocabulary sizes; `corpus` is what it was trained on, as it was typed."""

    path: Path
    config: Config
    source_size: int
    target_size: int
    languages: tuple[str | None, str | None]
    corpus: str
    # of the training sources, where they are texts: see `data.seen`
    source_lengths: Mapping[str, float] | None = None

    @property
    def weights(self) -> Path:
        return self.path / "model.safetensors"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def source_tokenizer(self) -> Path:
        return self._tokenizer("source")

    @property
    def target_tokenizer(self) -> Path:
        return self._tokenizer("target")

    @property
    def tokenizers(self) -> tuple[Path, ...]:
        """Those that it has: images need none."""
        return (
            (self.target_tokenizer,)
            if self.config.model.images
            else (self.source_tokenizer, self.target_tokenizer)
        )

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
) -> Run:
    """A new run directory with settings and tokenizers, and nothing trained yet. Raises UserError where
    something stands already, unless it is a run and `force` replaces it.
    """
    refuse_existing(path, force)
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
        for name in OURS:  # never a whole folder: what a user keeps beside a run stays
            old = path / name
            if old.is_dir() and not old.is_symlink():
                shutil.rmtree(old)
            else:
                old.unlink(missing_ok=True)
        for name, content in tokenizers.items():
            write(path / name, content)
    run = Run(path, settings, source_size, target_size, languages, corpus, source_lengths)
    describe(run)
    return run


def describe(run: Run) -> None:
    """Write config.json, anew where its settings were changed on resuming. With it the directory is a run."""
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
    except UnicodeEncodeError:  # the corpus has a path that is no UTF-8
        content = json.dumps(tree, indent=1).encode()
    write(run.path / "config.json", content + b"\n")


def refuse_existing(path: Path, force: bool) -> None:
    """Raise UserError where a new run may not be created; touches nothing."""
    if is_run(path):
        if not force:
            raise UserError(
                f"{path}: a run stands here already; go on with it by --resume, or replace it by --force"
            )
        if _is_of_others(path / "config.json"):
            problem = "its config.json is not of seq2attn, so --force does not replace it"
            raise UserError(f"{path}: {problem}; choose another --out")
    elif path.exists() and not (path.is_dir() and all(_ours(file.name) for file in path.iterdir())):
        raise UserError(f"{path}: exists, and is no run of seq2attn; choose another --out")
    elif not force and (left := traces(path)):  # else: cut while it was created
        ways = "bring that back, choose another --out, or replace all by --force"
        raise UserError(f"{path}: {left} of a run without its config.json: {ways}")


def refuse_going_on(path: Path) -> None:
    """Raise UserError where `--resume` would begin anew on top of a training; touches nothing."""
    ways = "bring it back, or start anew with --force or another --out"
    if not is_run(path):
        refuse_existing(path, force=True)
        if left := traces(path):
            raise UserError(f"--resume: {path} has {left}, but no config.json to go on from: {ways}")
    elif not os.path.lexists(_state_file(path)):
        if left := traces(path):
            raise UserError(f"--resume: {path} has {left}, but no training/state.json to go on from: {ways}")
    else:
        state, tensors = _read_state(path)
        if state.kept is not None and not (path / "model.safetensors").is_file():
            lost = f"missing: the best weights so far, those of step {state.kept[2]}"
            raise UserError(f"{path / 'model.safetensors'}: {lost}; {ways}")
        for file in (tensors, path / "model.safetensors"):
            if file == tensors or file.exists():
                with _reading(file), safe_open(file, framework="pt"):
                    pass


def traces(path: Path) -> str:
    """What a training, or its use, has left at `path` beside settings and first weights, in words, or ""."""
    weights, log = path / "model.safetensors", path / "metrics.jsonl"
    left = {
        "weights": os.path.lexists(weights),
        "a log": os.path.lexists(log) and (not log.is_file() or log.stat().st_size > 0),
        "a training state": any(_is_of_a_state(file) for file in _inside(path / "training")),
        "TensorBoard files": any(_inside(path / "tensorboard")),
        "scores": any(_inside(path / "scores")),
    }
    return " and ".join(name for name, is_there in left.items() if is_there)


def _is_of_a_state(file: Path) -> bool:
    if file.suffix == ".safetensors":
        return file.name != "0.safetensors"  # of first weights, which nothing was learned by
    return file.name == "state.json"


def _inside(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from folder.iterdir()


def _is_of_others(file: Path) -> bool:
    """Whether it is a config.json that another program wrote; a damaged one may be ours."""
    try:
        tree = strict_json.parse(_text(file))
    except (OSError, ValueError):
        return False
    return not isinstance(tree, dict) or "format" not in tree


def _ours(name: str) -> bool:
    return name in (*OURS, LOCK) or files.is_left_of(name, set(OURS))


def open_run(path: str | Path, *, trained: bool = True) -> Run:
    """The run at `path`. Raises UserError, one line, where it is missing, incomplete, damaged or from a newer
    version; without `trained`, best weights may be missing still.
    """
    path = Path(path)
    file = path / "config.json"
    if not path.is_dir():
        raise UserError(f"{path}: no such run directory; `seq2attn train` makes one")
    if not file.is_file():
        raise UserError(f"{path}: not a run directory: it has no config.json")
    try:
        tree = strict_json.parse(_text(file))
        if not isinstance(tree["format"], int) or isinstance(tree["format"], bool):
            raise TypeError("its format is no number")
        if tree["format"] > FORMAT:
            raise UserError(
                f"{path}: made by seq2attn {tree['seq2attn']}, newer than this one ({__version__}): upgrade seq2attn to open it"
            )
        settings = config.validate(tree["config"], str(file))
        run = Run(
            path,
            settings,
            _pieces(tree["vocabulary"], "source", 0 if settings.model.images else 1),
            _pieces(tree["vocabulary"], "target", 1),
            _languages(tree["languages"]),
            str(tree["corpus"]),
            _lengths(tree.get("source_lengths")),
        )
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
                f"{path}: incomplete: no model.safetensors yet (it comes with the first validation); finish it with `seq2attn train --out {path} --resume`"
            )
        with _reading(run.weights), safe_open(run.weights, framework="pt"):
            pass
    return run


def _pieces(sizes: Any, side: str, least: int) -> int:
    size = sizes[side]
    if not isinstance(size, int) or isinstance(size, bool) or not least <= size <= MOST_PIECES:
        wanted = f"a number from {least} to {MOST_PIECES}"
        raise ValueError(f"vocabulary.{side} is {str(size)[:40]}, where {wanted} is wanted")
    return size


def _languages(names: Any) -> tuple[str | None, str | None]:
    if (
        not isinstance(names, list)
        or len(names) != 2  # source and target
        or not all(name is None or isinstance(name, str) for name in names)
    ):
        raise ValueError("languages is no pair of names")
    return names[0], names[1]


def _lengths(tree: Any) -> Mapping[str, float] | None:
    if tree is not None and not (
        isinstance(tree, dict) and all(isinstance(number, int | float) for number in tree.values())
    ):
        raise TypeError("its source_lengths are no numbers")
    return tree


def weights(model: nn.Module) -> dict[str, Tensor]:
    """Every parameter and kept buffer of the model by name; one that several names share comes once, under
    the first.
    """
    seen: set[int] = set()
    found = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            seen.add(id(tensor))
            found[name] = tensor.detach()
    return found


def save_weights(run: Run, model: nn.Module) -> None:
    """Keep the model's weights as the run's best."""
    write_tensors(run.weights, weights(model))


def load_weights(run: Run, model: nn.Module) -> None:
    """Give the model the run's best weights, in place. Raises UserError where they are damaged or do not fit."""
    restore(model, read_tensors(run.weights), str(run.weights))


def refuse_unfit_weights(run: Run, model: nn.Module) -> None:
    """Raise UserError where the best weights are damaged, or of another model by names, shapes or dtypes."""
    own = weights(model)
    with _reading(run.weights), safe_open(run.weights, framework="pt") as file:
        there = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
        shapes = {name: torch.Size(one.get_shape()) for name, one in there.items()}
        dtypes = {name: one.get_dtype() for name, one in there.items()}
    _refuse_unfit(_shapes(own), shapes, str(run.weights))
    for name, tensor in own.items():
        if tensor.dtype in STORED and dtypes[name] != STORED[tensor.dtype]:
            raise _other_dtype(str(run.weights), name, dtypes[name], STORED[tensor.dtype])


def restore(model: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Copy tensors named as by `weights` into the model.

    Raises UserError, naming `where`, when one is missing, unknown, or of another shape or dtype.
    """
    own = weights(model)
    _refuse_unfit(_shapes(own), _shapes(tensors), where)
    for name, tensor in own.items():
        if tensor.dtype != tensors[name].dtype:
            raise _other_dtype(where, name, _dtype(tensors[name]), _dtype(tensor))
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(tensors[name])


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in tensors.items()}


def _refuse_unfit(own: Mapping[str, torch.Size], there: Mapping[str, torch.Size], where: str) -> None:
    for name in sorted(own.keys() | there.keys()):
        if own.get(name) != there.get(name):
            problem = f"does not fit the run's config.json at {name}"
            raise UserError(f"{where}: {problem}; restore both from one run, or train again")


def _other_dtype(where: str, name: str, there: str, own: str) -> UserError:
    problem = f"{name} is {there}, where the model has {own}"
    return UserError(f"{where}: {problem}; restore the file, or train again")


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def save_state(run: Run, state: State, tensors: Mapping[str, Tensor]) -> None:
    """Make this the run's last state. Until the very end the one before stays whole and named."""
    folder = run.path / "training"
    with writing(folder):
        folder.mkdir(exist_ok=True)
        name = f"{state.step}.safetensors"
        write_tensors(folder / name, tensors)
        write(folder / "state.json", states.text(state, name).encode())
        files.sweep(folder)
        for old in folder.glob("*.safetensors"):
            if old.name != name:
                old.unlink()


def load_state(run: Run) -> tuple[State, dict[str, Tensor]] | None:
    """The run's last state, or None where none was saved yet. Raises UserError when it is damaged."""
    if not os.path.lexists(_state_file(run.path)):
        return None
    state, tensors = _read_state(run.path)
    return state, read_tensors(tensors)


def has_state(run: Run) -> bool:
    """Whether a state was saved, whole or not."""
    return os.path.lexists(_state_file(run.path))


def last_step(run: Run) -> int:
    """That of the last state, 0 without one. Raises UserError when it is damaged."""
    return _read_state(run.path)[0].step if has_state(run) else 0


def _state_file(path: Path) -> Path:
    return path / "training" / "state.json"


def _read_state(path: Path) -> tuple[State, Path]:
    """The last state of the run at `path`, and the file of its tensors."""
    file = _state_file(path)
    try:
        state, name = states.parse(_text(file))
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"{file}: damaged ({error}); restore it, or train again with --force") from None
    tensors = file.with_name(name)
    if tensors.is_symlink() and not tensors.resolve().is_relative_to(path.resolve()):
        way = "put the file itself there, or train again with --force"
        raise UserError(f"{tensors}: a link out of the run; {way}")
    return state, tensors


def _text(file: Path) -> str:
    """A file of settings or counters. Raises OSError or ValueError for what is none."""
    if not file.is_file():
        raise ValueError("no file")
    if file.stat().st_size > LONGEST:
        raise ValueError(f"longer than {LONGEST:,} bytes")
    return file.read_text(encoding="utf-8")


def log(run: Run, line: Mapping[str, object]) -> None:
    """Append one object to metrics.jsonl."""
    with writing(run.metrics), run.metrics.open("ab", buffering=0) as file:
        content, size = (json.dumps(line) + "\n").encode(), file.seek(0, os.SEEK_END)
        try:
            while content:
                content = content[file.write(content) :]
        except OSError:
            file.truncate(size)  # a line is whole or not there
            raise


def cut_log(run: Run, state: State) -> None:
    """Drop the lines of metrics.jsonl that tell of steps, or validations, after `state`: they will come
    again. A line torn by a crash goes too.
    """
    if not os.path.lexists(run.metrics):
        return
    try:
        if not run.metrics.is_file():
            raise UserError(f"{run.metrics}: no file; put the log back, or move away what stands there")
        lines = run.metrics.read_bytes().splitlines(keepends=True)
    except OSError as error:
        raise UserError(f"{run.metrics}: cannot be read: {error.strerror}") from None
    known = []
    for line in lines:
        try:
            entry = strict_json.parse(line.decode(), constants=True)
            told = entry["step"] <= (state.validated if "valid_loss" in entry else state.step)
        except (ValueError, LookupError, TypeError):
            told = False
        if told and line.endswith(b"\n"):
            known.append(line)
    if known != lines:
        write(run.metrics, b"".join(known))


def refuse_change(old: Config, new: Config, free: tuple[str, ...]) -> None:
    """Raise UserError naming the first setting that differs and that a resumed run may not change; `free`
    lists those it may.
    """
    before, after = config.flat(old), config.flat(new)
    for key in [*before, *(key for key in after if key not in before)]:
        if key not in free and before.get(key) != after.get(key):
            was, now = json.dumps(before.get(key)), json.dumps(after.get(key))
            raise UserError(
                f"--resume: {key} was {was} and would be {now}; a resumed run keeps it: leave it out, or start anew with another --out"
            )


def fingerprint(*lengths: np.ndarray) -> str:
    """The mark of the data in states older than marks of content: that of all lengths, in order."""
    digest = hashlib.sha256()
    for array in lengths:
        digest.update(np.ascontiguousarray(array, dtype=np.int64).tobytes())
    return digest.hexdigest()[:16]


def write(path: Path, content: bytes) -> None:
    """Put the content at `path` whole or not at all. Raises UserError when the disk refuses."""
    files.write(path, content, _WAY)


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Put the tensors at `path` whole or not at all. Raises UserError when the disk refuses."""
    with writing(path), files.replacing(path, _WAY) as new:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, new)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors at `path`, in memory. Raises UserError when the file is missing or damaged."""
    with _reading(path), safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping


def read_shapes(path: Path) -> dict[str, list[int]]:
    """Name -> shape of the tensors at `path`, by its header alone: nothing is allocated. Raises UserError
    when the file is missing or damaged.
    """
    with _reading(path), safe_open(path, framework="pt") as file:
        return {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118 - it is no mapping


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a refusal of the disk into one line that names `path`."""
    try:
        with files.refused(path, _WAY):
            yield
    except SafetensorError as error:
        raise files.refusal(path, error, _WAY) from None


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        with path.open("rb"):  # safetensors does not tell why it cannot
            pass
        os.fspath(path).encode()  # nor does it open what is not named in UTF-8
        yield
    except FileNotFoundError:
        raise UserError(f"{path}: missing; restore it, or train again") from None
    except UnicodeEncodeError:
        problem = "weights can only be read where the path is valid UTF-8"
        raise UserError(f"{path}: {problem}: rename the folder") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None
    except SafetensorError as error:
        raise UserError(f"{path}: damaged ({error}); restore it, or train again") from None
