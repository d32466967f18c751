"""Errors of settings in one line: pydantic's errors in plain words, and what a misspelt name may mean."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from seq2attn.config.fields import choices, fields
from seq2attn.config.own_code import FORM, NAMES_CODE
from seq2attn.config.typed import leaves
from seq2attn.near import nearest
from seq2attn.synonyms import known_as

FEW = 12  # settings that an error lists at most


def explain(error: ValidationError, tree: object) -> str:
    """One line for the first error of a tree of settings: the setting, what is wrong and the way out."""
    first = error.errors()[0]
    names = [part for part in first["loc"] if isinstance(part, str)]  # without the index in a list
    kind = names.pop(2) if names[1:2] in (["encoder"], ["decoder"]) and len(names) > 2 else None
    settings = {name for name, _, _ in fields()}
    if ".".join(names[:-1]) in settings:  # of several types, pydantic adds the one that it has tried
        names.pop()
    key, context = ".".join(names), first.get("ctx", {})
    match first["type"]:
        case "extra_forbidden":
            return _unknown(key, kind, first["input"], tree)
        case "union_tag_not_found":
            return f"{key} is a section, not {_short(first['input'])}: set {key}.kind, and what belongs to it"
        case "union_tag_invalid":
            return f"{key}.kind: choose {_unquoted(context['expected_tags'])}, not {_short(context['tag'])}"
        case "value_error":
            return first["msg"].removeprefix("Value error, ")
        case "model_type" | "model_attributes_type":
            return (
                f"{key or 'the whole'} is a section, not {_short(first['input'])}: set what is in it, "
                "which `seq2attn train --show` lists"
            )
    return f"{key}: {_correction(first['type'], context, first['msg'], key)}, not {_short(first['input'])}"


def _unknown(key: str, kind: str | None, value: object, tree: object) -> str:
    kinds = list(dict.fromkeys(other for name, other, _ in fields() if name == key and other is not None))
    if kinds:
        owner = f"{key.rpartition('.')[0]}.kind"
        return (
            f'{key} is for {owner}={" or ".join(map(json.dumps, kinds))}: with "{kind}" there is no such '
            "setting; leave it out, or choose that kind"
        )
    key = next(leaves(key, value), key)
    return f"{key}: no such setting; {_hint(key, _kinds(tree))}"


def _correction(type_: str, context: Mapping[str, Any], message: str, key: str) -> str:
    """What to write instead, for a type of pydantic's errors."""
    match type_:
        case "literal_error":
            code = f", or {FORM}" if key in NAMES_CODE else ""
            return f"choose {_unquoted(context['expected'])}{code}"
        case "tuple_type":
            values = next(list(choices(field.annotation)) for name, _, field in fields() if name == key)
            return f"write a list, of any of {json.dumps(values)}" if values else "write a list of numbers"
        case "bool_type":
            return "write true or false"
        case "int_type" | "int_from_float":
            words = [
                str(word) for name, _, field in fields() if name == key for word in choices(field.annotation)
            ]
            return " or ".join(["write a whole number", *words])
        case "float_type" | "finite_number":
            return "write a number"
        case "string_type":
            return "write text, in quotes"
        case "greater_than_equal":
            return f"it must be at least {context['ge']}"
        case "greater_than":
            return f"it must be above {context['gt']}"
        case "less_than_equal":
            return f"it must be at most {_grouped(context['le'])}"
        case "less_than":
            return f"it must be below {context['lt']}"
    return f"{message[0].lower()}{message[1:]}"


def _unquoted(text: str) -> str:
    return text.replace("'", "")


def _grouped(number: float) -> str:
    return f"{number:,}" if number < 1e9 or isinstance(number, int) else f"{number:g}"


def _short(value: object) -> str:
    """A value as JSON, or the beginning of one that is long."""
    try:
        text = json.dumps(value, default=str)
    except (ValueError, RecursionError):  # an integer of thousands of digits, or lists in lists in lists
        text = f"a {type(value).__name__} that is too long to be shown"
    return text if len(text) <= 80 else f"{text[:60]}..."


# Misspelt names


def _hint(key: str, kinds: Mapping[str, object], most: int = 3) -> str:
    """What a misspelt setting may mean: one with that ending, one with that name elsewhere, or a similar one.

    Settings of the kinds of encoder and decoder in use come first. If nothing is similar, the hint lists the
    section.
    """
    every = list(dict.fromkeys(name for name, _, _ in fields()))
    in_use = list(
        dict.fromkeys(name for name, kind, _ in fields() if kind is None or kind == kinds[name.split(".")[1]])
    )
    typed = key.lower()
    last = typed.rsplit(".", 1)[-1]
    near = _first(_ending(names, typed) or _ending(names, last) for names in (in_use, every))
    if not near and (hint := known_as(last)):
        return hint
    near = near or _first(
        meant
        for meaning in (_beginning, _similar)
        for names in (in_use, every)
        if (meant := meaning(names, typed))
    )
    if near:
        *others, final = near[:most]
        return f"did you mean {' or '.join(filter(None, (', '.join(others), final)))}?"
    section = typed.rpartition(".")[0]
    inside = [
        name.removeprefix(f"{section}.") for name in in_use if section and name.startswith(f"{section}.")
    ]
    if inside and len(inside) <= FEW:
        return f"{section} has {', '.join(inside)}"
    return "`seq2attn train PRESET --show` lists all"


def _first(candidates: Iterable[list[str]]) -> list[str]:
    return next(filter(None, candidates), [])


def _ending(names: Iterable[str], end: str) -> list[str]:
    return [name for name in names if f".{name}".endswith(f".{end}")]


def _beginning(names: list[str], typed: str) -> list[str]:
    """Settings whose last name begins with the typed one, such as `dropout` for `drop`."""
    last = typed.rpartition(".")[2]
    begin = [name for name in names if len(last) > 2 and name.rpartition(".")[2].startswith(last)]
    return _in_its_section(begin, typed)


def _similar(names: list[str], typed: str) -> list[str]:
    ends = nearest(typed.rpartition(".")[2], dict.fromkeys(name.rpartition(".")[2] for name in names))
    return _in_its_section([name for end in ends for name in _ending(names, end)], typed)


def _in_its_section(names: list[str], typed: str) -> list[str]:
    section = typed.rpartition(".")[0]
    return [name for name in names if name.rpartition(".")[0] == section] or names


def _kinds(tree: object) -> dict[str, object]:
    """The kinds of encoder and decoder that a tree of settings names; "rnn" if it names none."""
    model = tree.get("model") if isinstance(tree, dict) else None
    sections = model if isinstance(model, dict) else {}
    sides = {side: sections.get(side, {}) for side in ("encoder", "decoder")}
    return {side: part.get("kind", "rnn") if isinstance(part, dict) else None for side, part in sides.items()}
