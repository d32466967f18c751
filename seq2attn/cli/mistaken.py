"""Hints for arguments that a command cannot use: data instead of a preset, a text instead of a file, a part
of a run instead of the run.

The functions look at names and at the disk, import nothing heavy, and raise an error of one line with the way
out.
"""

import json
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from seq2attn import config
from seq2attn.errors import UsageError, UserError
from seq2attn.near import nearest
from seq2attn.tasks import presets

# The preset to try first for each bundled corpus.
BUNDLED = {"phrases": "", "scenes": "xu15-soft ", "clips": "video "}
DATA = (
    ".tsv",
    ".csv",
    ".jsonl",
    ".json",
    ".parquet",
    ".txt",
    ".gz",
    ".bz2",
    ".xz",
    ".zip",
    ".xlsx",
    ".ods",
    ".arrow",
)
SETTINGS = (".yaml", ".yml", ".json", ".ini", ".cfg", ".py", ".conf")  # endings of settings elsewhere
IN_A_RUN = (
    "config.json",
    "model.safetensors",
    "metrics.jsonl",
    "tokenizer.model",
    "source.model",
    "target.model",
    "training",
    "scores",
    "tensorboard",
)
KINDS = {
    "model.attention.score": "a score",
    "model.attention.normaliser": "a normaliser",
    "model.attention.window": "a window",
    "model.attention.history": "a term of the score",
    "model.encoder.kind": "a kind of encoder",
    "model.decoder.kind": "a kind of decoder",
    "model.encoder.cell": "a cell",
    "model.encoder.backbone": "a backbone",
    "data.tokenizer": "a tokenizer",
    "train.optimizer": "an optimizer",
    "train.schedule": "a schedule",
}
_MAX_ENDING = 7  # letters of the ending of a file, at most
_EXAMPLES = 3  # names in one hint, at most


# Presets


def refuse_no_preset(word: str) -> None:
    """Raise UsageError if `word` is neither a preset nor a file of settings; the message tells what it is."""
    path = Path(word)
    if word in config.presets() or (path.is_file() and path.suffix == ".toml"):
        return
    if hint := _instead_of_a_preset(word, path):
        raise UsageError(hint if hint.startswith((word, str(path))) else f"{word}: {hint}")


def _instead_of_a_preset(word: str, path: Path) -> str | None:
    if word.startswith("hf:") or word in BUNDLED:
        return f"{word} is a corpus: seq2attn train {BUNDLED.get(word, '')}--data {word}"
    if path.is_dir():
        return _folder_instead(path)
    if path.name in IN_A_RUN and is_run(path.parent):
        return (
            f"{word} is a part of a run: continue the run by `seq2attn train --resume --out "
            f"{shell(path.parent)}`"
        )
    if path.name == "prepared.json":
        return f"{word} belongs to a prepared folder: seq2attn train --data {shell(path.parent)}"
    if path.suffix in DATA:
        columns = "" if path.suffix == ".txt" else " --source COLUMN --target COLUMN"
        return f"{word} is data: seq2attn train --data {shell(word)}{columns}" + (
            "" if path.exists() else f" (and there is no file {word})"
        )
    if path.suffix in SETTINGS:
        return f"{word}: settings are read from TOML, which `seq2attn train PRESET --show` writes"
    if path.is_file():
        if _is_toml(path):
            return None
        split = re.fullmatch(r"(train|valid|val|dev|test).*\.[a-z]{2,3}", path.name)
        data = shell(path.parent if split else word)
        return f"{word} is not a file of settings (TOML); if it is data: seq2attn train --data {data}"
    names = config.presets()
    begins = sorted(
        (name for name in names if len(word) > 1 and name.startswith(word.lower())),
        key=lambda name: (len(name), name),
    )
    if near := begins[:_EXAMPLES] or nearest(word, names):
        return f"neither a preset nor a file; did you mean {either(near)}?"
    if hint := _value(word):
        return f"{word} is {hint}"
    if any(presets.listed(names, word)):
        return (
            f"neither a preset nor a file; `seq2attn train --list {shell(word)}` lists presets with that "
            "description"
        )
    return None


def _folder_instead(path: Path) -> str:
    if is_run(path):
        return (
            f"{path} is a run: continue it by `seq2attn train --resume --out {shell(path)}`, "
            f"or use it: seq2attn {reading_command(path)} {shell(path)}"
        )
    if is_prepared(path):
        return f"{path} is prepared data: seq2attn train --data {shell(path)}"
    return f"{path} is a folder: if it holds data, seq2attn train --data {shell(path)}"


def _is_toml(path: Path) -> bool:
    try:
        config.load(str(path))
    except UserError as error:
        return "not a TOML file" not in str(error)
    return True


def _value(word: str) -> str | None:
    """The setting that has this value, and presets with it."""
    typed = word.lower()
    for key, kind in KINDS.items():
        values = [
            str(value)
            for name, _, field in config.fields()
            if name == key
            for value in config.choices(field.annotation)
        ]
        values += [
            str(kind) for name, kind, _ in config.fields() if name == key and key.endswith(".kind") and kind
        ]
        values += config.BACKBONES if key == "model.encoder.backbone" else []
        if typed not in values:
            continue
        groups = list(presets.GROUPS)
        order = sorted(
            config.presets(),
            key=lambda name: (typed not in name, groups.index(presets.head(config.presets()[name]).group)),
        )
        with_value = [name for name in order if config.flat(config.load(name)).get(key) == typed]
        first = None if key.endswith(".kind") else _fit_for(key, typed)
        ways = [f"train {name}" for name in with_value[:1]] + (
            [f"train {first} --set {key}={typed}"] if first else []
        )
        return (
            f"{kind}: {', or '.join(ways)}"
            if ways
            else f"{kind}, a value of {key}; `seq2attn train xu15-soft --show` explains it"
        )
    return None


def _fit_for(key: str, value: str) -> str | None:
    """A small preset that accepts this setting."""
    for name in ("scaled-dot", "keyed-bilinear", "first-try"):
        try:
            if config.flat(config.load(name, [f"{key}={value}"])) != config.flat(config.load(name)):
                return name
        except UserError:
            continue
    return None


# Runs


def is_run(path: Path) -> bool:
    return (path / "config.json").is_file()


def is_prepared(path: Path) -> bool:
    return (path / "prepared.json").is_file()


def refuse_no_run(names: str) -> None:
    """Raise UserError if one of the names, which commas join, is not a run. The message tells what it is.

    A damaged run is not refused here, but by the code that opens it.
    """
    parts = [name.strip() for name in names.split(",") if name.strip()]
    for name in [names] if Path(names).is_dir() or any(" " in part for part in parts) else parts:
        path = Path(name)
        if is_run(path):
            continue
        if hint := _instead_of_a_run(name, path):
            raise UserError(hint)


def _instead_of_a_run(name: str, path: Path) -> str | None:
    if (path.name in IN_A_RUN or path.suffix == ".safetensors") and (
        above := next((p for p in path.parents if is_run(p)), None)
    ):
        return f"{name} is a part of a run: name its folder, {above}"
    if name in config.presets() and not path.exists():
        return (
            f"{name} is a preset, not a run: train it (seq2attn train {name}), then name the run that it "
            "makes" + run_near(name)
        )
    if name in BUNDLED and not path.exists():
        return f"{name} is a corpus, not a run" + (
            run_near(name) or f": seq2attn train {BUNDLED[name]}--data {name} makes one"
        )
    if path.is_dir():
        if is_prepared(path):
            return f"{name} is prepared data, not a run: seq2attn train --data {shell(name)} makes one"
        inside = sorted(file.name for file in path.iterdir() if file.is_dir() and is_run(file))
        return (
            f"{name}: not a run directory: it has no config.json, but contains runs; name one, as "
            f"{path / inside[0]}"
            if inside
            else None
        )
    if path.is_file():
        return None
    if is_text(name) and (" " in name.strip() or not name.isascii() or name.endswith((".", "!", "?"))):
        return (
            f"{quoted(name)}: no such run: name the run first, and pipe the text: "
            f"echo {quoted(name)} | seq2attn translate RUN"
        )
    return f"{name}: no such run directory{run_near(name) or '; `seq2attn train` makes one'}"


def run_near(name: str | Path) -> str:
    """A hint that names runs with a similar name nearby; empty if there are none."""
    name, path = str(name), Path(name)
    around = [folder for folder in (path.parent, Path("runs")) if folder.is_dir()]
    runs = {str(run): run.name for folder in around for run in folder.iterdir() if is_run(run)}
    same = [run for run, own in runs.items() if own == path.name and run != name]
    begins = [
        run for run, own in runs.items() if own.startswith(f"{path.name}-") or own.endswith(f"-{path.name}")
    ]
    near = [run for own in nearest(path.name, runs.values()) for run, other in runs.items() if other == own]
    meant = same or near or begins
    return f"; did you mean {either(meant[:_EXAMPLES])}?" if meant else ""


def reading_command(run: Path) -> str:
    try:
        encoder = json.loads((run / "config.json").read_text(encoding="utf-8"))["config"]["model"]["encoder"]
        return config.of_encoder(encoder).command
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return config.TEXT.command


# Data


def refuse_no_data(word: str) -> None:
    """Raise UsageError if `word` is not data but something else that is known."""
    path = Path(word)
    if path.name == "prepared.json" and path.is_file():
        raise UsageError(f"{word}: name the prepared folder, {path.parent}")
    if is_run(path) and not is_prepared(path):
        raise UsageError(f"{word} is a run, not data: name a corpus or a prepared folder")
    if path.exists() or word.startswith("hf:"):
        return
    if word in config.presets():
        raise UsageError(f"{word} is a preset, not data: seq2attn train {word} --data CORPUS")
    if "/" not in word and (near := nearest(word, BUNDLED)) and word not in BUNDLED:
        raise UsageError(f"{word}: no such file or folder; did you mean {either(near)}?")


# Texts and files


def refuse_no_file(name: str, way: str) -> None:
    """Raise UsageError if no file has that name and the name is a text.

    `way` says what to do with `{text}`.
    """
    if is_text(name):
        raise UsageError(f"{quoted(name)}: no such file. {way.format(text=quoted(name))}")


def is_text(name: str) -> bool:
    """Whether the name of a missing file is a text rather than a path."""
    if name == "-" or not name.strip() or _exists(name):
        return False
    ending = Path(name.rstrip().rsplit(None, 1)[-1]).suffix[1:]
    return not ("/" in name or (ending.isascii() and ending.isalnum() and len(ending) <= _MAX_ENDING))


def _exists(name: str) -> bool:
    try:
        return Path(name).exists()
    except (OSError, ValueError):  # the name is too long
        return False


def quoted(text: str) -> str:
    return f'"{text}"' if not any(c in text for c in '"\\$`!') else shlex.quote(text)


def shell(name: object) -> str:
    return shlex.quote(str(name))


def either(names: Sequence[str], word: str = "or") -> str:
    *others, last = names
    return f"{', '.join(others)} {word} {last}" if others else last
