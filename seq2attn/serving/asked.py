"""The fields of a request, checked: each error is a Refusal of one line that names the field."""

from collections.abc import Mapping
from typing import Any

from seq2attn.serving.errors import Refusal, short
from seq2attn.serving.limits import Limits

# Control characters that no text has: all but white space.
_CONTROLS = frozenset(map(chr, [*range(0x09), *range(0x0E, 0x20), 0x7F]))


def texts(fields: Mapping[str, Any], limits: Limits) -> list[str]:
    """The text or the texts of `q`."""
    value = fields.get("q")
    if value is None:
        raise Refusal(400, "q: the text is missing")
    several = value if isinstance(value, list) else [value]
    if len(several) > limits.texts:
        raise Refusal(400, f"q: {len(several):,} texts; {limits.texts:,} are the most")
    for each in several:
        check_text("q", each)
    check_length("q", sum(map(len, several)), limits)
    return several


def check_text(name: str, value: object) -> None:
    """Raise Refusal unless it is a text without control characters."""
    if not isinstance(value, str):
        raise Refusal(400, f"{name}: it must be a text" + (", or a list of texts" if name == "q" else ""))
    for character in value:
        if character in _CONTROLS:
            raise Refusal(400, f"{name}: it has the control character U+{ord(character):04X}; leave it out")


def check_length(name: str, count: int, limits: Limits) -> None:
    if count > limits.characters:
        raise Refusal(400, f"{name}: {count:,} characters; {limits.characters:,} are the most")


def is_empty(value: object) -> bool:
    """Whether a field counts as left out: clients send those that nobody filled in, too."""
    return value is None or value == ""


def choice(fields: Mapping[str, Any], name: str, values: tuple[str, ...]) -> str:
    """One of the values; without the field, or if it is empty, the first."""
    value = values[0] if is_empty(fields.get(name)) else fields[name]
    if value not in values:
        raise Refusal(400, f"{name} {short(value)}: choose {' or '.join(values)}")
    return str(value)


def whole(fields: Mapping[str, Any], name: str, default: int, least: int, most: int) -> int:
    """A whole number within bounds, the default if it is empty; a form has it as digits."""
    value = default if is_empty(fields.get(name)) else fields[name]
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise Refusal(400, f"{name} {short(value)}: a whole number from {least} to {most} is needed")
    return value
