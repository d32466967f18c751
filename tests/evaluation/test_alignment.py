"""Alignment error rate by hand on small pairs, the Pharaoh format, and the published score of a known
aligner.
"""

import pytest
from real_data import DATA

from seq2attn.errors import UserError
from seq2attn.evaluation import alignment


def test_score_equals_error_rates_by_hand():
    gold = alignment.parse_lines(["0-0 1-1 2?1", "0-0"])
    predicted = [{(0, 0), (2, 1), (3, 3)}, {(0, 1)}]
    result = alignment.score(predicted, gold)
    assert (result.links, result.sure, result.possible) == (4, 3, 4)
    assert result.precision == pytest.approx(2 / 4)
    assert result.recall == pytest.approx(1 / 3)
    assert result.error_rate == pytest.approx(1 - (1 + 2) / (4 + 3))


def test_score_is_zero_for_all_sure_and_some_possible_links():
    gold = alignment.parse_lines(["0-0 1p1 2?2"])
    assert alignment.score([{(0, 0), (1, 1)}], gold).error_rate == 0
    assert str(alignment.score([{(0, 0)}], gold)) == "AER 0.0%  precision 100.0%  recall 100.0%"


def test_score_without_links_has_no_precision_or_recall():
    assert str(alignment.score([set()], alignment.parse_lines([""]))) == "AER –  precision –  recall –"
    assert (
        str(alignment.score([set()], alignment.parse_lines(["0-0"])))
        == "AER 100.0%  precision –  recall 0.0%"
    )
    assert (
        str(alignment.score([{(0, 0)}], alignment.parse_lines([""])))
        == "AER 100.0%  precision 0.0%  recall –"
    )
    assert (
        str(alignment.score([{(0, 0)}], alignment.parse_lines(["0?0"])))
        == "AER 0.0%  precision 100.0%  recall –"
    )
    assert alignment.score([set()], alignment.parse_lines([""]))[:3] == (None, None, None)


def test_parse_reads_links_counted_from_one_and_from_zero():
    assert (
        alignment.parse("1-1 3p2", first=1)
        == alignment.parse("0-0 2?1")
        == alignment.Links(frozenset({(0, 0)}), frozenset({(0, 0), (2, 1)}))
    )


@pytest.mark.parametrize(
    ("line", "first", "words"),
    [
        ("0-0 1:1", 0, "gold.txt, line 1: '1:1' is no link"),
        ("0-", 0, "'0-'"),
        ("-1-2", 0, "'-1-2'"),
        ("0-1", 1, "counts from 0"),
        ("a-b", 0, "'a-b'"),
        ("1-", 0, "'1-'"),
        ("-1", 0, "'-1'"),
        ("0-\0", 0, r"'0-\\x00'"),
        ("0-٣", 0, "'0-٣' is no link"),
        ("0-²", 0, "is no link"),
    ],
)
def test_parse_lines_names_a_bad_line(line, first, words):
    with pytest.raises(UserError, match=words):
        alignment.parse_lines([line], first, "gold.txt")


@pytest.mark.parametrize(
    "line", ["1" * 5000 + "-0", "0-" + "9" * 5000, "0?1" + "0" * 40, "x" * 900_000, "0-1" * 300_000]
)
def test_parse_lines_refuses_absurd_numbers_in_a_short_message(line):
    with pytest.raises(UserError, match=r"^gold, line 2: .* is no link") as error:
        alignment.parse_lines(["0-0", line], where="gold")
    assert len(str(error.value)) < 200


def test_score_refuses_different_numbers_of_lines():
    with pytest.raises(UserError, match=r"2 alignments to score, but the gold has 1 lines"):
        alignment.score([set(), set()], alignment.parse_lines([""]))


def test_check_words_refuses_links_past_the_end_of_a_sentence():
    gold = alignment.parse_lines(["0-0", "1-2"])
    with pytest.raises(
        UserError, match=r"gold, line 2: the link 1-2 .* the source has 2 words, the target 2"
    ):
        alignment.check_words(gold, ["a", "a b"], ["x", "x y"])
    with pytest.raises(UserError, match="2 lines of alignments for 1 pairs"):
        alignment.check_words(gold, ["a"], ["x"])
    alignment.check_words(gold, ["a", "a b"], ["x", "x y z"])


def test_score_equals_the_published_value_of_an_aligner():
    folder = DATA / "align-roen"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent: the Romanian-English gold alignments are not part of the project")
    gold = alignment.parse_lines(
        (folder / "gold.1based.txt").read_text(encoding="utf-8").splitlines(), first=1
    )
    predicted = alignment.parse_lines(
        (folder / "giza-grow-diag-final.0based.txt").read_text(encoding="utf-8").splitlines()
    )
    result = alignment.score([links.sure for links in predicted], gold)
    assert str(result) == "AER 26.4%  precision 90.9%  recall 61.8%"
