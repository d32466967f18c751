"""Features of words held to single steps on single sentences, and what confidence must not depend on."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from explained_models import FAMILIES, translator
from reference import confidence as reference

from seq2attn.data.tokenizer import UNK
from seq2attn.errors import UsageError, UserError
from seq2attn.inference import Translation, Translator, confidence
from seq2attn.inference.confidence import (
    FEATURES,
    NAMES,
    QUANTITIES,
    SURE,
    probabilities,
    step_quantities,
    word_features,
)
from seq2attn.inference.scheduling.batches import STEP
from seq2attn.models.seq2seq import build
from seq2attn.runs import calibration as files
from seq2attn.runs.calibration import Calibration

TEXTS = ["the small dog sleeps", "rain", "she sings, and they listen to her songs", "", "we do not eat"]
CALIBRATION = Calibration(
    NAMES,
    tuple(0.1 * place for place in range(len(NAMES))),
    tuple(1 + 0.1 * place for place in range(len(NAMES))),
    tuple((-1) ** place * 0.3 for place in range(len(NAMES))),
    0.2,
    500,
)


def ready(family: str) -> Translator:
    model = translator(family)
    model.run, model._calibration = Path("run"), CALIBRATION
    return model


def expected(model: Translator, translation: Translation) -> list[list[float]]:
    source = model.source_tokenizer.encode(translation.source)
    rows = reference.step_quantities(model.models[0].eval(), source, translation.tokens)
    return reference.word_features(rows, translation.target_subwords, FEATURES)


@pytest.mark.parametrize("family", FAMILIES)
def test_features_are_those_of_single_steps_on_single_sentences(family: str) -> None:
    model = translator(family)
    count = long = 0
    for ranked in model.translate(TEXTS, confidence="features", beam=3, n_best=2):
        for one in ranked:
            assert one.confidence is None
            assert one.confidence_features is not None
            assert one.confidence_features.shape == (len(one.target_words), len(FEATURES))
            if one.tokens:
                assert one.confidence_features == pytest.approx(np.array(expected(model, one)), abs=2e-5)
            count += len(one.target_words)
            long += len(one.tokens) > len(one.target_words)
    assert count > 5
    assert long  # words of several subwords


def test_quantities_of_a_model_without_attention_are_those_of_its_distributions() -> None:
    model = tiny.translator(context_source="none", context_to=[])
    for [one] in model.translate(TEXTS, confidence="features"):
        if one.tokens:
            assert one.confidence_features == pytest.approx(np.array(expected(model, one)), abs=2e-5)


def test_log_probabilities_of_a_model_that_copies_are_those_of_its_mixture() -> None:
    of = tiny.settings()
    of = of.model_copy(update={"model": of.model.model_copy(update={"pointer": True})})
    model = Translator(tiny.model(of), tiny.tokenizer("source"), tiny.tokenizer("target"), of)
    ranked = model.translate(tiny.ENGLISH[:4], beam=2)
    sources = model.source_tokenizer.encode_batch(tiny.ENGLISH[:4])
    with model.inference_mode():
        [memory] = model.encode([sources], [1] * 4)
        tables = step_quantities(model.models[0].decoder, memory, [one.tokens for one, *_ in ranked])
    place = QUANTITIES.index("log_p")
    for [one, *_], table in zip(ranked, tables, strict=True):
        assert len(table) == len(one.tokens) + 1
        assert table[:, place].sum() == pytest.approx(one.log_probability, rel=1e-4)


@pytest.mark.parametrize("family", ["rnn", "conv", "transformer"])
def test_confidence_is_independent_of_batches_and_order(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = ready(family)
    texts = TEXTS + tiny.ENGLISH[:3]

    def values(order: list[int], **options: Any) -> dict[int, list[float]]:
        ranked = model.translate([texts[i] for i in order], confidence=True, **options)
        return {i: one[0].confidence.tolist() for i, one in zip(order, ranked, strict=True)}

    together = values(list(range(len(texts))))
    assert values(list(range(len(texts))), batch_tokens=1) == together
    assert values(list(range(len(texts)))[::-1], batch_tokens=40) == together
    assert values([2]) == {2: together[2]}


def test_probabilities_are_the_logistic_function_of_standardised_features() -> None:
    count = 0
    for [one] in ready("rnn").translate(tiny.ENGLISH[:7], confidence=True):
        assert one.confidence is not None
        assert one.confidence_features is not None
        for value, features in zip(one.confidence, one.confidence_features, strict=True):
            logit = CALIBRATION.bias
            for x, mean, scale, weight in zip(features, *CALIBRATION[1:4], strict=True):
                logit += weight * (x - mean) / scale
            assert value == pytest.approx(min(max(1 / (1 + np.exp(-logit)), 1 / 502), 1 - 1 / 502))
            count += 1
    assert count > 5


@torch.no_grad()
def test_quantities_are_the_same_bits_whatever_the_number_of_steps_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of a model as large as real ones: products of small matrices are rounded alike anyway."""
    torch.manual_seed(1)
    of = tiny.settings(size=256).model.model_copy(update={"embedding": 256})
    model = build(of, 50, 2000).eval()
    model.decoder.output.bias.normal_()
    source_BS = torch.randint(4, 50, (4, STEP))
    memory = model.encoder(source_BS, torch.ones_like(source_BS, dtype=torch.bool))
    outputs = torch.randint(4, 2000, (4, 2 * STEP - 1)).tolist()
    whole = step_quantities(model.decoder, memory, outputs)
    monkeypatch.setattr(confidence, "LOGITS", 1)
    for one, other in zip(whole, step_quantities(model.decoder, memory, outputs), strict=True):
        assert (one == other).all()


@pytest.mark.parametrize("words", [1, 500, 10**9])
def test_probabilities_are_inside_0_and_1_and_no_surer_than_the_calibration(words: int) -> None:
    extreme = np.array([[1e9] * len(NAMES), [-1e9] * len(NAMES)])
    sure = CALIBRATION._replace(weights=(1e3,) * len(NAMES), words=words)
    high, low = probabilities(extreme, sure)
    least = max(SURE, 1 / (words + 2))
    assert (high, low) == pytest.approx((1 - least, least))
    assert 0 < float(f"{low:.4f}") < float(f"{high:.4f}") < 1


def test_empty_output_has_no_confidence() -> None:
    model = ready("rnn")
    [[blank]] = model.translate(["  "], confidence=True)
    assert blank.confidence is not None
    assert blank.confidence.shape == (0,)
    assert blank.confidence_features is not None
    assert blank.confidence_features.shape == (0, len(FEATURES))


def test_unknown_words_have_the_probability_of_the_unknown_token() -> None:
    model = ready("rnn")
    model.models[0].decoder.output.bias.data[UNK] += 8
    unknown = 0
    for [one] in model.translate(TEXTS, confidence=True, replace_unknown=True):
        assert one.confidence is not None
        assert len(one.confidence) == len(one.target_words) == len(one.text.split())
        unknown += UNK in one.tokens
    assert unknown


def test_word_that_an_earlier_token_reaches_into_has_the_features_of_that_token() -> None:
    steps = np.arange(3 * len(QUANTITIES), dtype=float).reshape(3, -1)
    table = word_features(steps, [0, 2], 3)
    assert (table[1] == table[0]).all()
    assert (table[2] != table[0]).all()
    assert word_features(steps[:1], [], 0).shape == (0, len(FEATURES))


def test_impossible_tokens_have_finite_quantities() -> None:
    model = translator("rnn")
    model.models[0].decoder.output.bias.data[20] = -np.inf
    with model.inference_mode():
        [memory] = model.encode([[[7, 8, 9], [7]] * 2], [1] * 4)
        for table in step_quantities(model.models[0].decoder, memory, [[20, 21], [], [22], [20]]):
            assert np.isfinite(table).all()


def test_model_that_returns_nan_is_one_error() -> None:
    model = translator("rnn")
    model.models[0].decoder.output.bias.data[20] = np.nan
    with pytest.raises(UserError, match="not numbers"):
        model.translate(TEXTS[:1], confidence="features")


def test_confidence_needs_one_run_and_its_calibration(tmp_path: Path) -> None:
    run = tiny.save_run(tmp_path / "run")
    model = Translator.load(run, device="cpu")
    with pytest.raises(UserError, match=r"seq2attn calibrate .*run"):
        model.translate(["rain"], confidence=True)
    files.save(run, CALIBRATION, files.checksum(run))
    [[one]] = model.translate(["rain"], confidence=True)
    assert one.confidence is not None
    with pytest.raises(UsageError, match="an ensemble"):
        Translator.load(f"{run},{run}", device="cpu").translate(["rain"], confidence="features")
    with pytest.raises(UsageError, match="not loaded"):
        translator("rnn").translate(["rain"], confidence=True)
    with pytest.raises(UsageError, match="confidence is 'x'"):
        model.translate(["rain"], confidence="x")  # type: ignore[arg-type]
