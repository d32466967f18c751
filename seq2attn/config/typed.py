"""Settings as they are typed, `section.key=value`: split, read as TOML, put into a tree of settings."""

import tomllib
import typing
from collections.abc import Iterable, Iterator
from typing import Any

from seq2attn.config.fields import fields
from seq2attn.errors import UsageError


def split(setting: str, where: str = "settings", example: str = "train.lr=0.001") -> tuple[str, str]:
    """The key and the text of the value. Raises UsageError without them."""
    key, equals, value = (part.strip() for part in setting.partition("="))
    if not equals or not key:
        raise UsageError(f"{where} {setting}: write KEY=VALUE, as in {example}")
    return key, value


def refuse_incomplete(settings: Iterable[str], where: str = "settings") -> None:
    """Raise UsageError where a setting has no key or no value."""
    for setting in settings:
        split(setting, where)


def assign_all(tree: dict[str, Any], settings: Iterable[str], where: str = "settings") -> None:
    """Put settings into a tree in order, kinds first: a section of a new kind loses what it held."""
    for setting in sorted(settings, key=lambda setting: not split(setting, where)[0].endswith(".kind")):
        assign(tree, setting, where)


def assign(tree: dict[str, Any], setting: str, where: str = "settings") -> None:
    key, text = split(setting, where)
    value = read(text)
    if isinstance(value, str) and _is_list(key):
        value = [word.strip() for word in value.split(",")]  # bare words: model.decoder.context_to=input
    *parents, last = key.split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise UsageError(f"{where} {setting}: {parent} is a value, not a section")
    if last == "kind" and tree.get("kind", "rnn") != value:
        tree.clear()  # another kind has other settings: it starts from its own
    tree[last] = value


def read(text: str) -> object:
    """A value as TOML writes it, or the bare text: model.encoder.cell=gru."""
    try:
        return tomllib.loads(f"x = {text}")["x"]
    except (ValueError, RecursionError):  # thousands of digits, or of brackets, are no number and no list
        return text


def _is_list(key: str) -> bool:
    return any(name == key and typing.get_origin(field.annotation) is tuple for name, _, field in fields())


def leaves_of(setting: str, where: str = "settings") -> Iterator[str]:
    """The settings that a typed one sets: several where its value is a table."""
    key, text = split(setting, where)
    yield from leaves(key, read(text))


def leaves(key: str, value: object) -> Iterator[str]:
    if not isinstance(value, dict):
        yield key
    else:
        for name, part in value.items():
            yield from leaves(f"{key}.{name}", part)
