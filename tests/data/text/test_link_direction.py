"""Word links are read in the direction of the corpus, whichever way their file points."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

import seq2attn
from seq2attn.data.corpus import Row
from seq2attn.data.formats.pharaoh import turn
from seq2attn.data.prepared import Prepared
from seq2attn.data.text import link_direction
from seq2attn.data.text.link_direction import from_source

LONG, SHORT = "a long line of six words", "two words"


def row(number: int, source: str, target: str, links: str | None) -> Row:
    return Row(source, target, f"train.en:{number}", None, links)


def test_turn_turns_each_link_and_leaves_the_rest() -> None:
    assert turn("0-1 12?3  4p5 6:7 -1-2") == "1-0 3?12 5p4 6:7 -1-2"


@pytest.mark.parametrize("before", [0, 3])
def test_links_that_only_fit_the_other_way_are_turned(before: int) -> None:
    rows = [row(number, LONG, SHORT, None) for number in range(before)]
    rows += [row(10, LONG, SHORT, "0-0"), row(11, LONG, SHORT, "1-5 0?3"), row(12, LONG, SHORT, None)]
    notes: list[str] = []
    result = list(from_source(iter(rows), notes))
    assert [one[:4] for one in result] == [one[:4] for one in rows]
    assert [one.alignment for one in result[before:]] == ["0-0", "5-1 3?0", None]
    assert len(notes) == 1


@pytest.mark.parametrize(
    "links",
    [["5-1", "0-0"], ["0-0", "1-1"], ["5-1", "1-5"], ["9-9"], ["nonsense", "0-0"]],
    ids=["fit", "fit both ways", "fit neither way", "fit nowhere", "no links"],
)
def test_other_links_stay_as_they_are(links: list[str]) -> None:
    notes: list[str] = []
    rows = [row(number, LONG, SHORT, line) for number, line in enumerate(links)]
    assert list(from_source(iter(rows), notes)) == rows
    assert notes == []


def test_rows_without_links_are_not_gathered() -> None:
    endless: Iterator[Row] = (row(number, LONG, SHORT, None) for number in itertools.count())
    assert next(from_source(endless, [])).place == "train.en:0"


def test_the_sample_alone_is_gathered_and_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_direction, "SAMPLE", 2)
    numbers: list[int] = []

    def rows() -> Iterator[Row]:
        for number, links in enumerate(("1-5", "0-0", "5-1", "0-4")):
            numbers.append(number)
            yield row(number, LONG, SHORT, links)

    result = from_source(rows(), [])
    assert next(result).alignment == "5-1"
    assert numbers == [0, 1]
    assert [one.alignment for one in result] == ["0-0", "1-5", "4-0"]


def test_both_directions_of_a_folder_have_the_same_links(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for split, repeats in (("train", 8), ("valid", 2), ("test", 2)):
        for name, line in (
            ("en", "we have seen the big dog"),
            ("fr", "vu le chien"),
            ("align", "2-0 3-1 5?2"),
        ):
            (corpus / f"{split}.{name}").write_text(f"{line}\n" * repeats)
    gold = []
    for source, target in (("en", "fr"), ("fr", "en")):
        out = tmp_path / source
        seq2attn.prepare(corpus, out, source=source, target=target, tokenizer="char", keep=["all"])
        gold.append(Prepared(out).split("test").gold)
    assert gold == [["2-0 3-1 5?2"] * 2, ["0-2 1-3 2?5"] * 2]
