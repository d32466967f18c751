"""Whether the order of events is scored as it is told: captions in order, in another, of others and of no
grammar.
"""

import importlib
from pathlib import Path
from types import ModuleType

import pytest

from seq2attn.errors import UserError
from seq2attn.samples.clips import corpus as clips

SIZES = {"train": 8, "valid": 2, "test": 4}


@pytest.fixture
def benchmark_(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(Path(__file__).parent)
    return importlib.import_module("clip_events")


@pytest.fixture(scope="module")
def captions() -> list[list[str]]:
    """Of the test clips, twin beside twin."""
    return [row["captions"] for row in clips.rows(clips.splits(1, SIZES))["test"]]


def test_right_compares_events_and_their_order(benchmark_: ModuleType, captions: list[list[str]]) -> None:
    twins = [captions[number ^ 1][0] for number in range(4)]
    assert benchmark_.right([some[-1] for some in captions], captions) == (4, 4, 4, 4, 4)
    assert benchmark_.right(twins, captions) == (4, 4, 4, 0, 0)
    others = [captions[(number + 2) % 4][0] for number in range(4)]
    assert benchmark_.right(others, captions)[:4] == (4, 4, 0, 0)
    mixed = [captions[0][1], twins[1], "the red circle is here", ""]
    assert benchmark_.right(mixed, captions) == (4, 2, 2, 1, 1)
    assert benchmark_.row("run", benchmark_.right(mixed, captions)) == [
        "run",
        "4",
        "50.0",
        "50.0",
        "25.0",
        "50.0",
        "25.0",
    ]
    assert benchmark_.row("run", benchmark_.right([""] * 4, captions))[-2:] == ["-", "0.0"]


def test_right_counts_every_event(benchmark_: ModuleType) -> None:
    references = [["the red circle grows and then the red circle moves up"]]
    for written, expected in (
        ("first the red circle grows and then it goes up", (1, 1, 1, 1, 1)),
        ("the red circle grows before it moves up", (1, 1, 1, 1, 1)),
        ("the red circle grows", (1, 1, 0, 0, 0)),
        ("the red circle grows and then it moves up and then it grows", (1, 1, 0, 0, 0)),
        ("the red square grows and then it moves up", (1, 1, 0, 0, 1)),
        ("first the blue square moves up and then it grows", (1, 1, 0, 0, 0)),
    ):
        assert benchmark_.right([written], references) == expected, written


def test_right_refuses_references_without_events(benchmark_: ModuleType) -> None:
    with pytest.raises(UserError, match="no caption of the bundled clips"):
        benchmark_.right(["a dog"], [["a dog runs"]])
