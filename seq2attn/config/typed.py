"""Settings as a user types them, `section.key=value`: split, read as TOML, put into a tree of settings."""

import json
import tomllib
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from seq2attn.config.fields import fields
from seq2attn.errors import UsageError


def split(setting: str, where: str = "settings", example: str = "train.lr=0.001") -> tuple[str, str]:
    """The key and the text of the value. Raises UsageError if there is no "=" or no key."""
    key, equals, value = (part.strip() for part in setting.partition("="))
    if not equals or not key:
        raise UsageError(f"{where} {setting}: write KEY=VALUE, as in {example}")
    return key, value


# Changes of settings, as a caller of the library gives them.
Changes = Mapping[str, object] | Iterable[str]


def as_typed(changes: Changes) -> list[str]:
    """Changes of settings as a user types them: `{"train.seed": 2}` -> `["train.seed=2"]`.

    Raises UsageError for a single string or another type, and for a value that no setting has.
    """
    if isinstance(changes, str):
        raise UsageError(f"settings {changes}: put a single one in brackets", setting="settings")
    if not isinstance(changes, Mapping):
        typed = list(changes) if isinstance(changes, Iterable) else [changes]
        if not all(isinstance(one, str) for one in typed):
            raise UsageError("settings are a dict, or a list of strings KEY=VALUE", setting="settings")
        return typed
    return [f"{name}={_written(name, value)}" for name, value in changes.items()]


def _written(name: str, value: object) -> str:
    """A value as TOML. JSON writes strings, numbers, truth values and lists alike."""
    if not isinstance(value, (str, bool, int, float, list, tuple)):
        kind = "None" if value is None else f"a {type(value).__name__}"
        problem = "give a string, a number, True, False or a list, or leave the setting out"
        raise UsageError(f"settings {name}: {kind} is no value of a setting: {problem}", setting="settings")
    return json.dumps(value, ensure_ascii=False)


def refuse_incomplete(settings: Iterable[str], where: str = "settings") -> None:
    """Raise UsageError if a setting has no "=" or no key."""
    for setting in settings:
        split(setting, where)


def assign_all(tree: dict[str, Any], settings: Iterable[str], where: str = "settings") -> None:
    """Put settings into a tree in order, but those that end in `.kind` first.

    A section that gets another kind loses its settings. Raises UsageError.
    """
    for setting in sorted(settings, key=lambda setting: not split(setting, where)[0].endswith(".kind")):
        assign(tree, setting, where)


def assign(tree: dict[str, Any], setting: str, where: str = "settings") -> None:
    """Put one setting into a tree. Raises UsageError."""
    key, text = split(setting, where)
    value = read(text)
    if isinstance(value, str) and _is_list(key):
        value = [word.strip() for word in value.split(",")]  # words without quotes
    *parents, last = key.split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise UsageError(f"{where} {setting}: {parent} is a value, not a section")
    if last == "kind" and tree.get("kind", "rnn") != value:
        tree.clear()  # another kind has other settings and starts from its own defaults
    tree[last] = value


def read(text: str) -> object:
    """The value as TOML or, if it is not TOML, the text itself, as in model.encoder.cell=gru."""
    try:
        return tomllib.loads(f"x = {text}")["x"]
    except (ValueError, RecursionError):  # not TOML, thousands of digits, or thousands of brackets
        return text


def _is_list(key: str) -> bool:
    return any(name == key and typing.get_origin(field.annotation) is tuple for name, _, field in fields())


def leaves_of(setting: str, where: str = "settings") -> Iterator[str]:
    """The names of the settings that a typed setting sets: several if its value is a table."""
    key, text = split(setting, where)
    yield from leaves(key, read(text))


def leaves(key: str, value: object) -> Iterator[str]:
    """The names of the settings in a value: several if it is a table."""
    if not isinstance(value, dict):
        yield key
    else:
        for name, part in value.items():
            yield from leaves(f"{key}.{name}", part)
