"""The standard error of a validation's scores, against what other draws of the same kind of sentence show."""

import math
import random

import numpy as np
import pytest

from seq2attn.evaluation import noise, text

WORDS = ["the", "a", "small", "big", "dog", "cat", "house", "tree", "sees", "takes", "likes", "finds"]


def corpus(seed: int, lines: int = 60, wrong: float = 0.3) -> tuple[list[str], list[str]]:
    draw = random.Random(seed)
    references = [" ".join(draw.choices(WORDS, k=draw.randint(4, 12))) for _ in range(lines)]
    outputs = [" ".join(draw.choice(WORDS) if draw.random() < wrong else word for word in line.split()) for line in references]
    return outputs, references


def test_the_score_is_the_plain_one_and_its_error_that_of_other_draws():
    outputs, references = corpus(1)
    found = noise.bleu(outputs, [references], "en")
    assert found.value == text.bleu(outputs, [references], "en").value
    assert found == noise.bleu(outputs, [references], "en")
    others = [text.bleu(outputs, [references], "en").value for outputs, references in map(corpus, range(2, 42))]
    assert found.noise == pytest.approx(np.std(others), rel=0.4)


def test_case_and_form_are_those_of_the_plain_score():
    outputs, references = ["LE PE\u0300RE ET UN CHAT", "x y z w"], ["le père et un chat", "x y z w"]
    assert noise.bleu(outputs, [references], "fr", lowercase=True) == (pytest.approx(100), pytest.approx(0, abs=1e-9))


def test_one_sentence_says_nothing_of_others():
    assert noise.bleu(["a b c d"], [["a b c d"]], "en") == (pytest.approx(100), math.inf)
    assert noise.mean(np.array([1.5])) == (1.5, math.inf)


def test_empty_outputs_have_a_score_and_no_noise():
    assert noise.bleu(["", ""], [["a b c d", "b"]], "en") == (0, 0)


def test_the_error_of_a_mean():
    assert noise.mean(np.array([1.0, 2.0, 3.0, 6.0])) == (3.0, pytest.approx(np.std([1, 2, 3, 6], ddof=1) / 2))
