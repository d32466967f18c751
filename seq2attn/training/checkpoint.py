"""The run directory: what a person can read and a program can load without pickle, whole at every moment.

    RUN/config.json          settings, format number, version, languages, vocabulary sizes
    RUN/model.safetensors    the best weights so far (averaged where train.ema or train.average is set)
    RUN/tokenizer.model      or source.model and target.model
    RUN/metrics.jsonl        one object a line, each with "step"
    RUN/training/            the last state: state.json, which names the tensor file beside it (weights, their moments, and what is averaged with them)

Each file is written beside its place, flushed to the disk and renamed. The last state is two files, and renaming
state.json is the moment at which the new one counts: a cut before leaves the old state, named and whole. It knows no
training loop and no tokenizer: tokenizer files are bytes.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from seq2attn import __version__, config
from seq2attn.config import Config
from seq2attn.errors import UsageError, UserError
from seq2attn.training.schedule import Course

FORMAT = 1  # of the run directory; a higher number than this is from a newer program
TOKENIZERS = ("tokenizer.model", "source.model", "target.model")
OURS = ("config.json", "model.safetensors", *TOKENIZERS, "metrics.jsonl", "training", "tensorboard", "scores")


@dataclass(frozen=True)
class Run:
    """An open run directory. Sizes are vocabulary sizes; `corpus` is what it was trained on, as it was typed."""

    path: Path
    config: Config
    source_size: int
    target_size: int
    languages: tuple[str | None, str | None]
    corpus: str
    source_lengths: Mapping[str, float] | None = None  # of the training sources, where they are texts: see `data.seen`

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
        """Those that it has: pictures need none."""
        return (self.target_tokenizer,) if self.config.model.pictures else (self.source_tokenizer, self.target_tokenizer)

    def _tokenizer(self, side: str) -> Path:
        joint = self.path / "tokenizer.model"
        return joint if joint.exists() else self.path / f"{side}.model"


@dataclass(frozen=True)
class State:
    """Where training stands after `step` updates, beside its tensors. Together they determine all that follows."""

    step: int = 0
    epoch: int = 0
    position: int = 0  # batches of the epoch already used
    elapsed: float = 0.0  # seconds of training, those of earlier sessions included
    validated: int = 0  # step of the last scheduled validation
    course: Course = field(default_factory=Course)  # what those validations have shown
    kept: tuple[float, float, int] | None = None  # (metric, -loss, step) of the weights in model.safetensors, of any validation
    data: str = ""  # fingerprint of the training data
    scaler: Mapping[str, float] | None = None  # of the fp16 loss scale
    baseline: float | None = None  # moving average of the reward per token, where attention draws what it reads


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
    """A new run directory with settings and tokenizers, and nothing trained yet. Raises UserError where something stands already, unless it is a run and `force` replaces it."""
    refuse_existing(path, force)
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
        for name in OURS:  # never a whole folder: what a user keeps beside a run stays
            old = path / name
            if old.is_dir():
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
    write(run.path / "config.json", (json.dumps(tree, indent=1, ensure_ascii=False) + "\n").encode())


def refuse_existing(path: Path, force: bool) -> None:
    """Raise UserError where a new run may not be created; touches nothing."""
    if is_run(path):
        if not force:
            raise UserError(f"{path}: a run stands here already; go on with it by --resume, or replace it by --force")
    elif path.exists() and not (path.is_dir() and {file.name.removesuffix(".new") for file in path.iterdir()} <= set(OURS)):  # else: cut while it was created
        raise UserError(f"{path}: exists, and is no run of seq2attn; choose another --out")


def open_run(path: str | Path, *, trained: bool = True) -> Run:
    """The run at `path`. Raises UserError, one line, where it is missing, incomplete, damaged or from a newer version; without `trained`, best weights may be missing still."""
    path = Path(path)
    file = path / "config.json"
    if not path.is_dir():
        raise UserError(f"{path}: no such run directory; `seq2attn train` makes one")
    if not file.is_file():
        raise UserError(f"{path}: not a run directory: it has no config.json")
    try:
        tree = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(tree["format"], int):
            raise TypeError("its format is no number")
        if tree["format"] > FORMAT:
            raise UserError(f"{path}: made by seq2attn {tree['seq2attn']}, newer than this one ({__version__}): upgrade seq2attn to open it")
        languages = (tree["languages"][0], tree["languages"][1])
        run = Run(
            path,
            config.validate(tree["config"], str(file)),
            int(tree["vocabulary"]["source"]),
            int(tree["vocabulary"]["target"]),
            languages,
            str(tree["corpus"]),
            _lengths(tree.get("source_lengths")),
        )
    except UsageError as error:
        raise UserError(str(error)) from None
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}") from None
    except (ValueError, LookupError, TypeError, RecursionError) as error:
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


def _lengths(tree: Any) -> Mapping[str, float] | None:
    if tree is not None and not (isinstance(tree, dict) and all(isinstance(number, int | float) for number in tree.values())):
        raise TypeError("its source_lengths are no numbers")
    return tree


def weights(model: nn.Module) -> dict[str, Tensor]:
    """Every parameter and kept buffer of the model by name; one that several names share comes once, under the first."""
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


def restore(model: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Copy tensors named as by `weights` into the model. Raises UserError, naming `where`, when one is missing, unknown or of another shape."""
    own = weights(model)
    for name in sorted(own.keys() | tensors.keys()):
        if name not in tensors or name not in own or own[name].shape != tensors[name].shape:
            raise UserError(f"{where}: does not fit the run's config.json at {name}; restore both from one run, or train again")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(tensors[name])


def save_state(run: Run, state: State, tensors: Mapping[str, Tensor]) -> None:
    """Make this the run's last state. Until the very end the one before stays whole and named."""
    folder = run.path / "training"
    with writing(folder):
        folder.mkdir(exist_ok=True)
        name = f"{state.step}.safetensors"
        write_tensors(folder / name, tensors)
        write(folder / "state.json", (json.dumps({"tensors": name} | asdict(state), indent=1) + "\n").encode())
        for old in folder.glob("*.safetensors*"):
            if old.name != name:
                old.unlink()


def load_state(run: Run) -> tuple[State, dict[str, Tensor]] | None:
    """The run's last state, or None where none was saved yet. Raises UserError when it is damaged."""
    file = run.path / "training" / "state.json"
    if not file.exists():
        return None
    try:
        tree: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        name = str(tree.pop("tensors"))
        course = tree.pop("course")
        best = course.pop("best")
        kept = tree.pop("kept")
        state = State(
            **tree,
            course=Course(**course, best=None if best is None else (float(best[0]), float(best[1]))),
            kept=None if kept is None else (float(kept[0]), float(kept[1]), int(kept[2])),
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{file}: damaged ({error}); restore it, or train again with --force") from None
    return state, read_tensors(file.with_name(name))


def log(run: Run, line: Mapping[str, object]) -> None:
    """Append one object to metrics.jsonl."""
    with writing(run.metrics), run.metrics.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def cut_log(run: Run, state: State) -> None:
    """Drop the lines of metrics.jsonl that tell of steps, or validations, after `state`: they will come again. A line torn by a crash goes too."""
    if not run.metrics.exists():
        return
    kept = []
    for line in run.metrics.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
        try:
            entry = json.loads(line)
            known = entry["step"] <= (state.validated if "valid_loss" in entry else state.step)
        except (ValueError, LookupError, TypeError):
            known = False
        if known and line.endswith("\n"):
            kept.append(line)
    write(run.metrics, "".join(kept).encode())


def refuse_change(old: Config, new: Config, free: tuple[str, ...]) -> None:
    """Raise UserError naming the first setting that differs and that a resumed run may not change; `free` lists those it may."""
    before, after = config.flat(old), config.flat(new)
    for key in [*before, *(key for key in after if key not in before)]:
        if key not in free and before.get(key) != after.get(key):
            was, now = json.dumps(before.get(key)), json.dumps(after.get(key))
            raise UserError(f"--resume: {key} was {was} and would be {now}; a resumed run keeps it: leave it out, or start anew with another --out")


def fingerprint(*lengths: np.ndarray) -> str:
    """A short mark of the training data: the lengths of all its rows, in order."""
    digest = hashlib.sha256()
    for array in lengths:
        digest.update(np.ascontiguousarray(array, dtype=np.int64).tobytes())
    return digest.hexdigest()[:16]


def write(path: Path, content: bytes) -> None:
    """Put the content at `path` whole or not at all. Raises UserError when the disk refuses."""
    beside = path.with_name(path.name + ".new")
    with writing(path, beside):
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        _rename(beside, path)


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Put the tensors at `path` whole or not at all. Raises UserError when the disk refuses."""
    beside = path.with_name(path.name + ".new")
    with writing(path, beside):
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, beside)
        with suppress(OSError):
            beside.chmod(path.parent.stat().st_mode & 0o666)  # whoever may look into the folder; safetensors would hide it from all others
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        _rename(beside, path)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors at `path`, in memory. Raises UserError when the file is missing or damaged."""
    with _reading(path), safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping


def read_shapes(path: Path) -> dict[str, list[int]]:
    """Name -> shape of the tensors at `path`, by its header alone: nothing is allocated. Raises UserError when the file is missing or damaged."""
    with _reading(path), safe_open(path, framework="pt") as file:
        return {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118 - it is no mapping


def _rename(beside: Path, path: Path) -> None:
    os.replace(beside, path)
    if os.name == "posix":  # the new name itself must reach the disk before anything relies on it
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextmanager
def writing(path: Path, beside: Path | None = None) -> Iterator[None]:
    """Turn a refusal of the disk into one line that names `path`; what was half written `beside` goes."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        if beside is not None:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UserError(f"{path}: cannot be written: {reason}; what was saved before is whole: free the disk or choose another --out, then go on") from None


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError) as error:
        if not path.exists():
            raise UserError(f"{path}: missing; restore it, or train again") from None
        raise UserError(f"{path}: damaged ({error}); restore it, or train again") from None
