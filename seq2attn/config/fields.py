"""Lists of settings: all that the schema declares, and those of one config."""

import functools
import typing
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from seq2attn.config.marks import Condition, Mark, Stage, marks_of
from seq2attn.config.schema import Config


class Declared(NamedTuple):
    """A setting or a section of settings, with its own marks and those of the sections around it."""

    name: str  # with dots
    kind: str | None  # the kind of encoder or decoder that has it; None: all have it, or it is of neither
    field: FieldInfo
    marks: tuple[Mark, ...]
    is_section: bool


@functools.cache
def declared() -> tuple[Declared, ...]:
    """Every section and setting, in the order of the schema.

    A section of several kinds, such as the encoder, comes once for each kind.
    """
    return tuple(_declared(Config, "", ()))


def _declared(section: type[BaseModel], prefix: str, outer: tuple[Mark, ...]) -> Iterator[Declared]:
    kind = None
    if "kind" in section.model_fields:
        kind = typing.get_args(section.model_fields["kind"].annotation)[0]
    for name, field in section.model_fields.items():
        parts, marks = list(_sections(field.annotation)), (*outer, *marks_of(field))
        yield Declared(prefix + name, kind, field, marks, bool(parts))
        for part in parts:
            yield from _declared(part, f"{prefix}{name}.", marks)


@functools.cache
def fields() -> tuple[tuple[str, str | None, FieldInfo], ...]:
    """Every setting: its name, the kind of encoder or decoder that has it (or None), its declaration."""
    return tuple((one.name, one.kind, one.field) for one in declared() if not one.is_section)


def names_marked(stage: Stage) -> list[str]:
    """The sections and settings that have a mark, or that are in a section with it."""
    return list(dict.fromkeys(one.name for one in declared() if stage in one.marks))


def _sections(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in typing.get_args(annotation):
        yield from _sections(part)


def choices(annotation: object) -> Iterator[object]:
    """The values of the Literals in an annotation."""
    if typing.get_origin(annotation) is Literal:
        yield from typing.get_args(annotation)
    else:
        for part in typing.get_args(annotation):
            yield from choices(part)


def flat(config: Config) -> Mapping[str, object]:
    """Every setting as `section.key` -> value, in the order of the schema."""

    def walk(tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, object]]:
        for name, value in tree.items():
            if isinstance(value, dict):
                yield from walk(value, f"{prefix}{name}.")
            else:
                yield prefix + name, value

    return dict(walk(config.model_dump(mode="json"), ""))


def description(config: Config, name: str) -> str:
    """In one line: what a setting does, its possible values, and when it acts."""
    *outer, (_, field) = path_to(config, name)
    text = field.description or ""
    values = [str(value) for value in choices(field.annotation)]
    if name.endswith(".kind"):
        values = [str(kind) for other, kind, _ in fields() if other == name]
    if not all(f"{value}: " in text for value in values):  # the text does not explain each value
        text += f" {'Any' if typing.get_origin(field.annotation) is tuple else 'One'} of {', '.join(values)}."
    marks = [mark for _, part in (*outer, ("", field)) for mark in marks_of(part)]
    return " ".join([text, *(mark.note for mark in marks if isinstance(mark, Condition) and mark.note)])


def path_to(config: Config, name: str) -> Iterator[tuple[str, FieldInfo]]:
    """The fields on the way to a setting, outermost first, each with the name of its section."""
    section: object = config
    for part in name.split("."):
        if not isinstance(section, BaseModel) or part not in type(section).model_fields:
            return
        yield getattr(section, "path", ""), type(section).model_fields[part]
        section = getattr(section, part)
