"""JSON that every program can read."""

import json
import math


def as_json(tree: dict[str, object], indent: int | None = None) -> str:
    """The tree as JSON.

    A number that is not finite is null; a character that is not printable is an escape.
    """
    text = json.dumps(_plain(tree), ensure_ascii=False, indent=indent, allow_nan=False)
    return "".join(c if c.isprintable() or c == "\n" else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return "\\u007f" if character == "\x7f" else json.dumps(character)[1:-1]


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): _plain(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(held) for held in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
