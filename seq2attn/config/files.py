"""Configs from presets, TOML files and trees of plain values, and changes that a user types."""

import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from seq2attn.config.idle import refuse_idle
from seq2attn.config.messages import explain
from seq2attn.config.schema import Config
from seq2attn.config.typed import assign_all
from seq2attn.errors import UsageError
from seq2attn.near import nearest

PRESETS = Path(__file__).parents[1] / "presets"
MOST_BYTES = 1 << 20  # bytes of a file of settings
_DEPTH = 12  # levels of sections in a tree of settings, at most


def presets() -> dict[str, Path]:
    """The file of every preset by its name, in alphabetical order."""
    return {path.stem: path for path in sorted(PRESETS.glob("*.toml"))}


def load(preset_or_file: str, settings: Iterable[str] = (), where: str = "settings") -> Config:
    """The config of a preset or a TOML file, changed by `section.key=value` settings in order.

    Settings that end in `.kind` come first. `where` names the settings in errors. A setting that would do
    nothing is refused if `settings` name it. A file may hold one, so that a change to a preset needs no
    second change. Raises UsageError.
    """
    path = file_of(preset_or_file)
    tree = _with_base(_tree(path), path)
    settings = list(settings)
    before = _config_or_none(tree)
    assign_all(tree, settings, where)
    # An error of a file that is valid by itself is due to the settings.
    config = validate(tree, str(path) if before is None else where)
    refuse_idle(settings, [(before, config)], where=where)
    return config


def change(config: Config, settings: Iterable[str], where: str = "settings") -> Config:
    """The config, changed by `section.key=value` settings in order.

    Settings that end in `.kind` come first. `where` names the settings in errors. Raises UsageError.
    """
    tree = config.model_dump(mode="json")
    assign_all(tree, settings, where)
    return validate(tree, where)


def validate(tree: object, where: str) -> Config:
    """The Config of a tree of settings (dicts, lists and plain values, as in JSON).

    Raises UsageError: one line with `where` and the first wrong setting.
    """
    if _is_deep(tree):
        raise UsageError(f"{where}: settings have at most {_DEPTH} levels")
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise UsageError(f"{where}: {explain(error, tree)}") from None


def file_of(preset_or_file: str) -> Path:
    """The file of a preset, or the path itself. Raises UsageError if there is none."""
    path = presets().get(preset_or_file) or Path(preset_or_file)
    if not path.is_file():
        if path.suffix == ".toml":
            raise UsageError(f"{preset_or_file}: no such file; `seq2attn train PRESET --show` writes one")
        near = nearest(preset_or_file, presets())
        hint = f"did you mean {' or '.join(near)}?" if near else "`seq2attn train --list` shows the presets"
        raise UsageError(f"{preset_or_file}: neither a preset nor a file; {hint}")
    return path


def _tree(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise UsageError(f"{path}: not a TOML file of settings: longer than {MOST_BYTES:,} bytes")
        return tomllib.loads(content.decode().replace("\r\n", "\n"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not a TOML file: it is not UTF-8 text; unpack it, or convert it") from None
    except RecursionError:
        raise UsageError(f"{path}: not a TOML file: nested too deep") from None
    except ValueError as error:  # invalid TOML, or a number of thousands of digits
        raise UsageError(f"{path}: not a TOML file: {error}") from None


def _with_base(tree: dict[str, Any], path: Path) -> dict[str, Any]:
    """The settings of a file, on top of those of the preset that it may name with `preset = "NAME"`."""
    if "preset" not in tree:
        return tree
    name = tree.pop("preset")
    if not isinstance(name, str) or name not in presets():
        near = nearest(name, presets()) if isinstance(name, str) else []
        hint = "name a preset of `seq2attn train --list`; a file is not possible here"
        if near:
            hint = f"did you mean {' or '.join(near)}?"
        raise UsageError(f"{path}: preset = {json.dumps(name, default=str)}: no preset; {hint}")
    base = _tree(presets()[name])
    _overlay(tree, base)
    return base


def _overlay(tree: Mapping[str, Any], base: dict[str, Any]) -> None:
    """Put the settings of `tree` in place of those of `base`.

    A section of another kind starts from its own defaults.
    """
    for name, value in tree.items():
        below = base.get(name)
        if not isinstance(value, dict) or not isinstance(below, dict):
            base[name] = value
            continue
        if "kind" in value and value["kind"] != below.get("kind", "rnn"):
            below.clear()
        _overlay(value, below)


def _is_deep(tree: object) -> bool:
    """Whether a tree has more levels than settings have.

    Recursion over it would end in Python's RecursionError.
    """
    level = [tree]
    for _ in range(_DEPTH):
        level = [
            part
            for one in level
            if isinstance(one, dict | list)
            for part in (one.values() if isinstance(one, dict) else one)
        ]
    return bool(level)


def _config_or_none(tree: object) -> Config | None:
    try:
        return validate(tree, "")
    except UsageError:
        return None
