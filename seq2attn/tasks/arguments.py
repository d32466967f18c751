"""Arguments of the functions for Python, checked where they come in, so that an error names the argument."""

import os
from collections.abc import Iterable

from seq2attn.errors import UsageError


def path(value: object, name: str) -> str:
    """The path that the argument `name` gives: a string, a `pathlib.Path`, a `Run` or a `Prepared`.

    Raises UsageError for another type, and for a name that no file can have.
    """
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(text, str):
        several = "; several runs joined by commas are an ensemble" if name == "run" else ""
        raise UsageError(f"{name} is of type {type(value).__name__}: give one path{several}", setting=name)
    if "\0" in text:
        raise UsageError(f"{name} {text!r}: no path has a NUL character", setting=name)
    return str(text)


def count(value: object, name: str, unit: str) -> int:
    """The number that the argument `name` gives. Raises UsageError unless it is whole and above 0."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise UsageError(f"{name} {value!r}: it must be a whole number", setting=name)
    if value < 1:
        raise UsageError(f"{name} {value}: at least one {unit} is needed", setting=name)
    return value


def several(values: object, name: str) -> list[object]:
    """The values of the argument `name`, which is a list or another iterable, but no text and no mapping.

    Raises UsageError for another type.
    """
    if isinstance(values, str | bytes | dict) or not isinstance(values, Iterable):
        raise UsageError(f"{name} is of type {type(values).__name__}: give a list", setting=name)
    return list(values)


def strings(values: object, name: str) -> list[str]:
    """The strings of the argument `name`. Raises UsageError for another type."""
    listed = several(values, name)
    for value in listed:
        if not isinstance(value, str):
            raise UsageError(f"{name} holds a {type(value).__name__}: give strings", setting=name)
    return [value for value in listed if isinstance(value, str)]
