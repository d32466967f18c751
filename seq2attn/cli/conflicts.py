"""Rules in tables: options that exclude each other, and options that need another.

They are checked before a run is loaded.

    RULES = (
        Conflict("--resume", "--force", "one continues the run and the other replaces it"),
        Needs("--line", "--from FILE", "it chooses a line of that file"),
    )
    check(RULES, {"--resume": resume, "--force": force, ...})
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from seq2attn.errors import UsageError


class Conflict(NamedTuple):
    """`option` must not be given together with any of `others`, which commas separate."""

    option: str
    others: str
    why: str


class Needs(NamedTuple):
    """If all of `options` are given, one of `needed` must be given, too. Commas separate both.

    A word after an option in `needed`, such as FILE in "--from FILE", is only for the message.
    """

    options: str
    needed: str
    why: str


def check(rules: Iterable[Conflict | Needs], values: Mapping[str, object]) -> None:
    """Raise UsageError for the first rule that the `values` of the options break.

    None, False and an empty list stand for an option that was not given, and so does an option without a
    value.
    """
    given = {
        name for name, value in values.items() if value is not None and value is not False and value != []
    }
    for rule in rules:
        if isinstance(rule, Conflict):
            other = next((name for name in rule.others.split(", ") if name in given), None)
            if rule.option in given and other is not None:
                raise UsageError(f"{rule.option} and {other}: {rule.why}; leave one out")
        else:
            needed = rule.needed.split(", ")
            options = rule.options.split(", ")
            if given.issuperset(options) and given.isdisjoint(_name(phrase) for phrase in needed):
                raise UsageError(f"{' with '.join(options)} needs {' or '.join(needed)}: {rule.why}")


def _name(phrase: str) -> str:
    return phrase if phrase.startswith("--set") else phrase.split(" ")[0]


def set_options(settings: Iterable[str], section: str = "search") -> dict[str, bool]:
    """The settings of a section that --set changes, as names of options for `check`: "--set search.beam"."""
    keys = (setting.partition("=")[0].strip() for setting in settings)
    return {f"--set {key}": True for key in keys if key.startswith(f"{section}.")}
