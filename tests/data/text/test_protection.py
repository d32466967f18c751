"""Items that must stay as they are: which there are, markers in place of them, and back."""

import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seq2attn.data.text.protection import MARKERS, Restorer, find_items, mark, mark_as, mark_pair, markers_in


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("Hello {name}, %d of %1$s and %(n)s.", ["{name}", "%d", "%1$s", "%(n)s"]),
        ("Visit https://a.org/b?c=1&d=2. Or (www.x.com)!", ["https://a.org/b?c=1&d=2", "www.x.com"]),
        (
            "Mail a.b+c@d-e.org, pay $1 or ${x} {{y}} %name%",
            ["a.b+c@d-e.org", "$1", "${x}", "{{y}}", "%name%"],
        ),
        (
            '<b>x</b> <a href="p q">y</a> <br/> 1 < 2',
            ["<b>", "</b>", '<a href="p q">', "</a>", "<br/>", "1", "2"],
        ),
        ("1,234 cats, 56.7% of 2024-05-06 at 10:30, -5", ["1,234", "56.7", "2024-05-06", "10:30", "-5"]),
        ("B2B, 3rd, 100% sure, AT&T &amp; {}", ["100", "&amp;", "{}"]),
    ],
)
def test_find_items_names_what_must_stay(text: str, items: list[str]) -> None:
    assert [item.text for item in find_items(text)] == items
    assert all(text[item.start : item.stop] == item.text for item in find_items(text))


@given(st.text(alphabet="ab {}<>/%$1.@:w" + MARKERS[:2], max_size=60))
def test_mark_and_restore_are_the_text_again(text: str) -> None:
    marked = mark(text)
    assert Restorer(marked)(marked.text) == text


def test_mark_gives_equal_items_one_marker_and_others_another() -> None:
    marked = mark("7 and 8 and 7")
    assert marked.text[0] == marked.text[-1] != marked.text[6]
    assert sorted(map(len, marked.items.values())) == [1, 2]


def test_mark_uses_every_marker_about_as_often() -> None:
    counts = Counter(next(iter(mark(f"line {n}x {{a}}").items)) for n in range(800))
    assert set(counts) == set(MARKERS)
    assert max(counts.values()) < 2 * min(counts.values())


def test_mark_pair_marks_what_both_sides_have_equally_often() -> None:
    source, target = mark_pair("{x} has 3 and 5 and 5", "{x} a trois, 5 et 4")
    assert [list(side.items.values()) for side in (source, target)] == [[["{x}"]], [["{x}"]]]
    assert source.text[0] == target.text[0] in MARKERS
    assert "3 and 5 and 5" in source.text


def test_mark_pair_may_leave_items_with_spaces() -> None:
    pair = ('<a b="c d"> 5', '<a b="c d"> 5')
    assert len(mark_pair(*pair)[0].text.split()) == 2
    assert len(mark_pair(*pair, whole=False)[0].text.split()) == 4


def test_mark_as_has_the_markers_of_the_other_text() -> None:
    marked = mark("at 10:30 and 7")
    assert mark_as("um 10:30, 9", marked) == f"um {marked.text[3]}, 9"


def test_restorer_leaves_out_a_marker_without_items() -> None:
    marked = mark("only 7")
    other = next(marker for marker in MARKERS if marker not in marked.text)
    own = next(iter(marked.items))
    assert Restorer(marked)(f"{own}{other}{own}") == "77"
    assert markers_in(f"a{own}b{own}") == {own: 2}


def test_more_items_than_markers_come_back_in_their_order() -> None:
    text = " ".join(map(str, range(100, 130)))
    marked = mark(text)
    assert Restorer(marked)(marked.text) == text
    assert Restorer(marked).all(marked.text.split()) == text.split()


@pytest.mark.parametrize(
    "piece", ["1-", "<a", ' b="', "{", "%", "$", "a.b", "www.", "http://", "a@", "&a", "1.1x"]
)
def test_find_items_takes_time_in_proportion_to_the_length(piece: str) -> None:
    started = time.process_time()
    find_items(piece * (100_000 // len(piece)))
    assert time.process_time() - started < 2
