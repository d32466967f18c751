"""What counts as copied right."""

import importlib.util
from pathlib import Path

import pytest

from seq2attn.samples.names.words import unseen

SPEC = importlib.util.spec_from_file_location("copying_benchmark", Path(__file__).with_name("copying.py"))
assert SPEC is not None
assert SPEC.loader is not None
copying = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(copying)
SOURCE, REFERENCE = "Tramida gave 463 mirrors to Paul.", "Tramida a donné 463 miroirs à Paul."


@pytest.fixture(autouse=True)
def _all_are_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "unseen", lambda word: word != "Paul")


@pytest.mark.parametrize(
    ("output", "right"),
    [
        ("Tramida donne 463 miroirs à Anna.", True),
        ("Tramida donne 436 miroirs.", False),
        ("Tramidas donne 463 miroirs.", False),
        ("Tramida donne 463 miroirs, Tramida.", False),
        ("", False),
    ],
)
def test_output_is_right_if_it_has_each_new_word_as_often(output: str, right: bool) -> None:
    assert copying.is_copied(SOURCE, REFERENCE, output) == right


def test_share_is_of_sentences() -> None:
    assert copying.share_copied([SOURCE] * 2, [REFERENCE] * 2, [REFERENCE, SOURCE.lower()]) == 0.5


def test_only_what_training_never_saw_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "unseen", unseen)
    assert set(copying.to_copy("Paris 5 x", "Paris 5 y")) == {w for w in ("Paris", "5") if unseen(w)}
