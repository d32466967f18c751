"""How a setting is declared: its default, one plain sentence, and marks that say when it acts.

    k: Places = setting(1, "Positions: ...", When("normaliser", "hard-topk", "hard-sample"))

Rules, help and refusals read these declarations, so a new setting needs no second table.
"""

import json
from enum import Enum
from typing import Any, TypeVar

from pydantic import BaseModel, Field
from pydantic.fields import FieldInfo

T = TypeVar("T")


class Stage(Enum):
    TRAINING_ONLY = "changes nothing in a trained run"
    MAY_CHANGE_ON_RESUME = "a resumed run may change it"


TRAINING_ONLY, MAY_CHANGE_ON_RESUME = Stage


class Condition:
    """The setting acts only if the setting `name` has one of `values` or, without values, if it is set.

    `name` is in the same section, or a full name with dots. Names and values give the note in the help, the
    reason of a refusal and the way out. `note`, `why` and `way` replace them; {} in `why` is the value.
    """

    def __init__(
        self, name: str, *values: object, note: str | None = None, why: str = "", way: str | None = None
    ) -> None:
        self.name, self.values, self.why, self.way = name, values, why, way
        self.note = f"Acts only with {self.choices(name)}." if note is None else note

    def full_name(self, section: str) -> str:
        return self.name if "." in self.name else f"{section}.{self.name}"

    def holds(self, value: object) -> bool:
        return value in self.values if self.values else value is not None

    def choices(self, name: str) -> str:
        """Where the setting acts, as text: `optimizer="adam" or "adamw"`."""
        return f"{name}={' or '.join(map(json.dumps, self.values))}" if self.values else f"{name} set"


class When(Condition):
    """A condition that every config must keep. `name` is in the same section."""


class IgnoredUnless(Condition):
    """A condition that matters only if the user names the setting.

    Files may hold the setting all the same, so that a change to a preset needs no second change.
    """


Mark = Stage | Condition


def setting(default: T, text: str, *marks: Mark) -> T:
    """Declare a setting or a section. `text` is "Noun: effect, unit."; "not set: ..." explains None."""
    extra: Any = {"marks": marks}
    field: T = Field(default, description=text, json_schema_extra=extra)
    return field


def marks_of(field: FieldInfo) -> tuple[Mark, ...]:
    extra: Any = field.json_schema_extra or {}
    return tuple(extra.get("marks", ()))


def value_at(root: BaseModel, name: str) -> Any:
    """The value of a setting by its full name; None if this kind of encoder or decoder does not have it."""
    value: Any = root
    for part in name.split("."):
        value = getattr(value, part, None)
    return value
