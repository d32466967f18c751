"""Right words, areas and calibration errors held to slow references; the regression held to its gradient."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import confidence as reference

from seq2attn.errors import UserError
from seq2attn.evaluation import calibration
from seq2attn.evaluation.calibration import FOLDS, LEAST, Words, fit, fit_calibration, label
from seq2attn.evaluation.confidence import calibration_error, reliability, right_words, roc_area
from seq2attn.inference import Translation
from seq2attn.inference.confidence import FEATURES, NAMES, probabilities

WORDS = st.lists(st.sampled_from("abc"), max_size=5)
SCORED = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.3, 0.35, 0.8, 0.9, 1.0]), st.booleans()), max_size=30
)


@settings(max_examples=60, deadline=None)
@given(WORDS, WORDS)
def test_right_words_are_those_of_an_alignment_with_the_fewest_edits(
    output: list[str], other: list[str]
) -> None:
    _, equal = reference.right_counts(output, other)
    right = right_words(output, [other])
    assert sum(right) == equal
    # the right words stand in the reference in their order
    rest = iter(other)
    assert all(word in rest for word, is_right in zip(output, right, strict=True) if is_right)


@pytest.mark.parametrize(
    ("output", "references", "right"),
    [
        ("le chat dort", ["le chat dort"], [1, 1, 1]),
        ("le petit chat", ["le chat noir"], [1, 0, 1]),
        ("la la", ["la"], [0, 1]),
        ("dort le chat", ["le chat dort"], [0, 1, 1]),  # moved words are not joined twice
        ("le chien dort", ["un chat", "le chat dort"], [1, 0, 1]),  # the reference with the fewest edits
        (
            "le chien noir dort",
            ["dort un petit chat"],
            [0, 0, 0, 0],
        ),  # four edits, and six with the equal word
        ("le chat", [""], [0, 0]),
        ("le chat", [], [0, 0]),
        ("", ["le chat"], []),
    ],
)
def test_right_words_of_examples(output: str, references: list[str], right: list[int]) -> None:
    assert right_words(output.split(), [one.split() for one in references]) == [bool(one) for one in right]


@settings(max_examples=100, deadline=None)
@given(SCORED)
def test_roc_area_and_calibration_error_equal_those_of_all_pairs(scored: list[tuple[float, bool]]) -> None:
    values, right = np.array([one for one, _ in scored]), np.array([two for _, two in scored], dtype=bool)
    if right.any() and not right.all():
        assert roc_area(values, right) == pytest.approx(reference.roc_area(values, right))
    else:
        assert math.isnan(roc_area(values, right))
    if scored:
        for bins in (1, 10):
            expected = reference.calibration_error(values, right, bins)
            assert calibration_error(values, right, bins) == pytest.approx(expected)
    else:
        assert math.isnan(calibration_error(values, right))
    assert sum(one.words for one in reliability(values, right)) == len(scored)


def words(count: int, seed: int = 1, signal: float = 2.0) -> Words:
    """Words of which the first feature tells whether they are right, in sentences of five."""
    generator = np.random.default_rng(seed)
    features = generator.normal(3.0, 2.0, (count, len(FEATURES)))
    features[:, 1] = 7.0  # the same for all
    probability = 1 / (1 + np.exp(-signal * (features[:, 0] - 3) / 2 - 0.5))
    return Words(features, generator.random(count) < probability, np.arange(count) // 5)


@pytest.mark.parametrize("penalty", [0.1, 10.0])
def test_fit_is_where_the_gradient_is_zero(penalty: float) -> None:
    features, right, _ = words(400)
    model = fit(features, right, penalty)
    x = (features - model.mean) / model.scale
    p = 1 / (1 + np.exp(-(x @ model.weights + model.bias)))
    assert x.T @ (p - right) + penalty * model.weights == pytest.approx(np.zeros(len(FEATURES)), abs=1e-6)
    assert (p - right).sum() == pytest.approx(0, abs=1e-4)
    assert model.weights[1] == 0
    assert x[:, 0].std() == pytest.approx(1)


def test_fit_of_separable_words_is_finite() -> None:
    features, _, _ = words(400)
    model = fit(features, features[:, 0] > 3, 1.0)
    assert np.isfinite([*model.weights, model.bias]).all()
    assert model.weights[0] > 2


def test_calibration_finds_the_planted_probabilities() -> None:
    of_valid, of_test = words(4000), words(4000, seed=2)
    result = fit_calibration(of_valid)
    p = probabilities(of_test.features, result.calibration)
    assert roc_area(p, of_test.right) > 0.85
    assert calibration_error(p, of_test.right) < 0.03
    assert roc_area(result.probability, of_valid.right) == pytest.approx(roc_area(p, of_test.right), abs=0.02)


def test_cross_validated_probabilities_never_saw_their_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Features without any signal: a regression that saw a sentence knows it, and one that did not is no
    better than chance.
    """
    monkeypatch.setattr(calibration, "PENALTIES", (1.0,))  # labels may choose another one
    features, right, sentence = words(60, signal=0.0)
    result = fit_calibration(Words(features, right, sentence))
    of_all = probabilities(features, result.calibration)
    assert roc_area(of_all, right) > 0.6
    own = sentence % FOLDS == 0
    changed = right ^ own  # other labels of one fold leave its own probabilities as they are
    other = fit_calibration(Words(features, changed, sentence))
    assert other.probability[own] == pytest.approx(result.probability[own])
    assert other.probability[~own] != pytest.approx(result.probability[~own])


@pytest.mark.parametrize("wrong", [0, LEAST - 1])
def test_calibration_of_too_few_wrong_words_is_one_error(wrong: int) -> None:
    features, _, sentence = words(100)
    right = np.arange(100) >= wrong
    with pytest.raises(UserError, match="of 100 words of the validation set are right"):
        fit_calibration(Words(features, right, sentence))
    with pytest.raises(UserError, match="words of the validation set are right"):
        fit_calibration(Words(features, ~right, sentence))


def translation(text: str) -> Translation:
    table: Any = np.ones((len(text.split()), len(FEATURES))) * len(text)
    return Translation("", text, 0.0, 0.0, confidence_features=table)


def test_labelled_words_are_in_the_order_of_the_outputs() -> None:
    outputs = [translation("Le chat"), translation(""), translation("e\u0301te\u0301 dort")]
    result = label(outputs, [["le chat"], ["le"], ["\u00e9t\u00e9 mange"]], lowercase=False)
    assert result.right.tolist() == [False, True, True, False]
    assert result.sentence.tolist() == [0, 0, 2, 2]
    assert result.features[:, 0].tolist() == [7, 7, 10, 10]
    assert result.product == pytest.approx(np.exp(result.features[:, NAMES.index("sum log_p")]))
    lower = label(outputs, [["le chat"], ["le"], ["été mange"]], lowercase=True)
    assert lower.right.tolist() == [True, True, True, False]
    assert label([], [], False).features.shape == (0, len(FEATURES))
