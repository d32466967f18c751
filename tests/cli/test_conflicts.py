"""Rules of options: which one is broken, and what the message says."""

import pytest

from seq2attn.cli.conflicts import Conflict, Needs, check, set_options
from seq2attn.errors import UsageError

CONFLICT = Conflict("--a", "--b, --set search.b", "why")
NEEDS = Needs("--c, RUN", "--d FILE, --e", "why")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"--a": 1, "--b": 0}, "--a and --b: why; leave one out"),
        ({"--a": 1, "--set search.b": True}, "--a and --set search.b: why; leave one out"),
        ({"--c": "x", "RUN": ["run"]}, "--c with RUN needs --d FILE or --e: why"),
    ],
)
def test_check_names_the_options_of_the_broken_rule(values: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as error:
        check((CONFLICT, NEEDS), values)
    assert str(error.value) == message


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"--a": 1},
        {"--a": None, "--b": 1},
        {"--a": 1, "--b": False},
        {"--c": "x", "RUN": []},
        {"--c": "x", "RUN": ["run"], "--e": True},
        {"--c": "x", "RUN": ["run"], "--d": "file"},
    ],
)
def test_check_accepts_what_breaks_no_rule(values: dict[str, object]) -> None:
    check((CONFLICT, NEEDS), values)


def test_set_options_are_the_keys_of_one_section() -> None:
    assert set_options(["search.beam=2", " search.max_length = 3", "model.dropout=0"]) == {
        "--set search.beam": True,
        "--set search.max_length": True,
    }
