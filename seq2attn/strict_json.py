"""JSON of unknown origin: every error is a ValueError, and the result can be encoded as UTF-8."""

import json
import math
import re
from typing import Any

_HALF = re.compile("[\ud800-\udfff]")
_LONG_INTEGER = re.compile(r"[0-9]{309}")  # from here on an integer may overflow a float
_ESCAPED_HALF = re.compile(r"\\u[dD][89a-fA-F]")


def parse(text: str, *, constants: bool = False) -> Any:
    """The value of the text. Half of a surrogate pair becomes U+FFFD, also in keys.

    Raises ValueError, in one line, for invalid JSON, for nesting that is too deep, for integers that are too
    large for a float and, unless `constants`, for NaN, Infinity and numbers that overflow to infinity.
    """
    value = _loads(text) if constants else _loads(text, parse_constant=_refuse, parse_float=_finite)
    if _ESCAPED_HALF.search(text) or _HALF.search(text):
        value = _whole(value)
    return value


def dump(tree: dict[str, Any]) -> str:
    """`tree` as one line of JSON that can be encoded as UTF-8. Raises ValueError for NaN and infinity."""
    text = json.dumps(tree, ensure_ascii=False, allow_nan=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # half of a surrogate pair, which only an escape can express
        text = json.dumps(tree)
    return text


def rounded(number: float) -> float | None:
    """The number with 6 decimals; None for NaN and infinity, which JSON does not have."""
    return round(number, 6) if math.isfinite(number) else None


def _loads(text: str, **options: Any) -> Any:
    if _LONG_INTEGER.search(text):  # elsewhere the parser in C reads integers by itself, which is faster
        options["parse_int"] = _whole_number
    try:
        return json.loads(text, **options)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise _too_large(digits)
    return value


def _whole_number(digits: str) -> int:
    _finite(digits)
    return int(digits)


def _too_large(digits: str) -> ValueError:
    return ValueError(f"{digits[:20]}{'...' if len(digits) > 20 else ''}: too large a number")


def whole_text(text: str) -> str:
    """`text` with U+FFFD in place of each half of a surrogate pair, so that it can be encoded as UTF-8."""
    return _HALF.sub("\ufffd", text)


def _whole(value: Any) -> Any:
    # Without recursion, because the parser in C accepts deeper nesting than Python's recursion.
    top = [value]
    stack: list[Any] = [top]
    while stack:
        holder = stack.pop()
        if isinstance(holder, dict):
            items = [(whole_text(key), item) for key, item in holder.items()]
            holder.clear()
            holder.update(items)
        for key, item in list(holder.items() if isinstance(holder, dict) else enumerate(holder)):
            if isinstance(item, str):
                holder[key] = whole_text(item)
            elif isinstance(item, list | dict):
                stack.append(item)
    return top[0]
