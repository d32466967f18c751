"""The paired bootstrap against what sacreBLEU's own scores say, and against systems whose difference is
known.
"""

import random

import pytest

from seq2attn.errors import UserError
from seq2attn.evaluation import significance, text

WORDS = [
    "the",
    "a",
    "small",
    "big",
    "dog",
    "cat",
    "house",
    "tree",
    "sees",
    "takes",
    "likes",
    "finds",
    "under",
    "over",
    "near",
]


def corpus(lines: int, wrong: float, seed: int) -> tuple[list[str], list[str]]:
    rng = random.Random(seed)
    references = [" ".join(rng.choices(WORDS, k=8)) for _ in range(lines)]
    outputs = [
        " ".join(rng.choice(WORDS) if rng.random() < wrong else word for word in line.split())
        for line in references
    ]
    return outputs, references


def test_paired_bootstrap_tells_a_worse_system_from_an_equal_one():
    good, references = corpus(120, 0.1, 1)
    bad, _ = corpus(120, 0.6, 1)
    alike = ["the " + line.split(" ", 1)[1] if number % 40 == 0 else line for number, line in enumerate(good)]
    result = significance.paired_bootstrap(
        [("good", good), ("bad", bad), ("alike", alike)], [references], "en", samples=200
    )
    assert list(result.systems) == ["good", "bad", "alike"]
    assert result.systems["good"]["BLEU"].p_value is None
    assert result.systems["bad"]["BLEU"].p_value < 0.01
    assert result.systems["alike"]["BLEU"].p_value > 0.05
    assert "bs:200" in result.signatures["BLEU"]


def test_paired_bootstrap_of_a_system_with_itself_shows_no_difference():
    output, references = corpus(60, 0.3, 3)
    result = significance.paired_bootstrap(
        [("a", output), ("b", list(output))], [references], "en", samples=100
    )
    assert {comparison.p_value for comparison in result.systems["b"].values()} == {1.0}


def test_paired_bootstrap_of_one_line_has_no_p_value():
    result = significance.paired_bootstrap(
        [("a", ["one two"]), ("b", ["x"])], [["one two three"]], "en", samples=20
    )
    assert {comparison.p_value for system in result.systems.values() for comparison in system.values()} == {
        None
    }


def test_paired_bootstrap_gives_plain_scores_inside_their_interval():
    output, references = corpus(60, 0.3, 2)
    result = significance.paired_bootstrap(
        [("a", output), ("b", references)], [references], "en", samples=100
    )
    for score in text.scores(output, [references], "en"):
        compared = result.systems["a"][score.name]
        assert compared.value == pytest.approx(score.value)
        assert abs(compared.value - compared.mean) < 3 * compared.interval


def test_paired_bootstrap_refuses_systems_of_other_length():
    with pytest.raises(UserError, match="2 lines to score, but the reference has 1"):
        significance.paired_bootstrap([("a", ["x"]), ("b", ["x", "y"])], [["x"]], "en")
