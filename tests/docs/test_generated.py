"""The parts of pages that follow from the code are up to date: `python docs/generate.py` writes them."""

import importlib.util
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest
from markdown_examples import ROOT


@pytest.fixture(scope="module")
def generate() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(ROOT / "docs"))  # as when the script runs
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(ROOT / "docs"))


def test_generated_pages_are_up_to_date(generate: ModuleType) -> None:
    assert generate.stale() == [], "run `python docs/generate.py`"


def test_generated_parts_replace_old_ones(generate: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(generate.PARTS, "settings", lambda: iter(["new", ""]))
    page = "before\n<!-- generated: settings -->\nold\n<!-- end: settings -->\nafter\n"
    expected = "before\n<!-- generated: settings -->\n\nnew\n\n<!-- end: settings -->\nafter\n"
    assert generate.filled(page) == expected
    assert generate.filled(expected) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a | b", r"a \| b"),
        ("test*; *.token.txt or a_*.json.", "test*; `*.token.txt` or `a_*.json`."),
        ("two\n  lines", "two lines"),
        ("<unigram>", "`<unigram>`"),
    ],
)
def test_cells_of_tables_keep_their_text(generate: ModuleType, text: str, expected: str) -> None:
    assert generate.cell(text) == expected
