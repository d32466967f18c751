"""What is put right in a text: the quotes of a spreadsheet, HTML entities and control characters."""

import html
import re
from collections.abc import Container

ENTITIES, CONTROL, QUOTES = "entities", "control", "quotes"
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
# Tabs and the like separate words; other control characters, a soft hyphen and a byte order mark do not.
_SEPARATES = re.compile("[\t\v\f\r\x1c-\x1f\x85\u2028\u2029]+")
_NOTHING = re.compile("[\0-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\ufeff]+")
_MARKS = "\"“”„‟«»‹›「」『』'‘’‚‛"  # a text in these is a quotation, whatever the other side has


def mend(source: str, target: str, keep: Container[str]) -> tuple[str, str, list[str]]:
    """Both texts, put right, and the reasons for which they were changed; those in `keep` are left out."""
    reasons = []
    if QUOTES not in keep and (source[:1] == '"' or target[:1] == '"'):
        bare = _without_quotes(source, target)
        if bare != (source, target):
            source, target = bare
            reasons.append(QUOTES)
    for reason, there, change in (
        (ENTITIES, "&" in source or "&" in target, _without_entities),
        (CONTROL, not (source.isprintable() and target.isprintable()), _without_control),
    ):
        if there and reason not in keep:
            changed = change(source), change(target)
            if changed != (source, target):
                source, target = changed
                reasons.append(reason)
    return source, target, reasons


def _without_quotes(source: str, target: str) -> tuple[str, str]:
    """Both texts without the quotes that a spreadsheet program puts around a cell.

    It doubles the quotes inside. Without such quotes, the other side tells: in a real quotation it is one,
    too.
    """
    inside = [_inside(source), _inside(target)]
    if None not in inside:
        if not any('""' in (text or "") for text in inside):
            return source, target
    elif any(
        text is not None and '""' not in text and other[:1] in _MARKS and other
        for text, other in zip(inside, (target, source), strict=True)
    ):
        return source, target
    first, second = (text.replace('""', '"') if text is not None else None for text in inside)
    return source if first is None else first, target if second is None else second


def _inside(text: str) -> str | None:
    """The text in the quotes of a cell; None if it is no such cell."""
    if len(text) < 3 or text[0] != '"' or text[-1] != '"':
        return None
    return text[1:-1] if '"' not in text[1:-1].replace('""', "") else None


def _without_entities(text: str) -> str:
    # twice, because an entity that is written twice is as common as one
    return _ENTITY.sub(_character, _ENTITY.sub(_character, text))


def _character(match: re.Match[str]) -> str:
    character = html.unescape(match[0])
    return match[0] if character == "\ufffd" else character


def _without_control(text: str) -> str:
    return _NOTHING.sub("", _SEPARATES.sub(" ", text)).strip(" ")
