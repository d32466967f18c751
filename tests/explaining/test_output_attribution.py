"""The attribution of one translation to be drawn: that of the pairs of an audit, between subwords."""

import numpy as np
import pytest
import torch
from explained_models import COPYING, SOURCES, TARGETS, translator

from seq2attn.data.tokenizer import BOS, EOS, PAD, UNK
from seq2attn.errors import UsageError
from seq2attn.explaining.attribution import input_x_gradient, integrated_gradients
from seq2attn.explaining.forced import ForcedModel
from seq2attn.explaining.output_attribution import positive_shares, with_attribution
from seq2attn.explaining.pairs import of_texts
from seq2attn.inference import Translation, Translator
from seq2attn.inference.translator import Member


def of(model: Translator, number: int = 1) -> Translation:
    [result] = model.score_targets([SOURCES[number]], [TARGETS[number]])
    return result


def log_p(model: Translator, source: list[int], target: list[int]) -> np.ndarray:
    ids = torch.tensor([source])
    with torch.no_grad():
        logits = model.models[0].eval()(ids, ids != PAD, torch.tensor([[BOS, *target]])).logits
    return logits.log_softmax(-1)[0, range(len(target) + 1), [*target, EOS]].numpy()


@pytest.mark.parametrize("family", ["rnn", "transformer", *COPYING])
def test_occlusion_of_units_is_that_of_a_plain_loop(family: str) -> None:
    model = translator(family)
    result = of(model)
    ids = [*model.source_tokenizer.encode(result.source), EOS]
    for units in (None, [s // 3 for s in range(len(ids) - 1)]):
        matrix = with_attribution(model, result, "occlusion", units).subword_attention
        assert matrix is not None
        assert matrix.shape == (len(result.tokens) + 1, len(ids))
        assert (matrix[:, -1] == 0).all()
        whole = log_p(model, ids, result.tokens)
        groups = range(len(ids) - 1) if units is None else units
        for unit in set(groups):
            members = [s for s, own in enumerate(groups) if own == unit]
            hidden = [UNK if s in members else token for s, token in enumerate(ids)]
            expected = whole - log_p(model, hidden, result.tokens)
            np.testing.assert_allclose(matrix[:, members].sum(1), expected, atol=1e-4)


@pytest.mark.parametrize("family", ["transformer", "conv"])
def test_gradients_by_words_are_those_of_the_audit(family: str) -> None:
    """With a word for each subword of the target: there, gradients of a word are those of all its tokens."""
    model = translator(family)
    result = of(model)
    pairs = of_texts(model, [result.source], [result.text])
    ends = [*range(len(result.tokens))]
    pairs = [pairs[0]._replace(words=[str(t) for t in ends], word_of=ends)]
    to_word = np.zeros((len(pairs[0].unit_of), len(pairs[0].units)))
    for position, unit in enumerate(pairs[0].unit_of):
        if unit >= 0:
            to_word[position, unit] = 1
    for method, compute in (("gradient", input_x_gradient), ("integrated", integrated_gradients)):
        matrix = with_attribution(model, result, method).subword_attention
        [expected] = compute(ForcedModel(model), pairs).matrices  # type: ignore[operator]
        assert matrix is not None
        np.testing.assert_allclose(matrix[:-1] @ to_word, expected, atol=1e-4)


def test_attribution_between_words_sums_over_the_subwords_of_the_source() -> None:
    model = translator("rnn")
    result = with_attribution(model, of(model), "gradient")
    assert result.attention is not None
    assert result.subword_attention is not None
    assert result.attention.shape == (len(result.target_words), len(result.source_words))
    # the mean over subwords of the target is over those of a word
    numbers = np.array(model.target_tokenizer.word_index(result.tokens))
    counts = np.bincount(numbers[numbers >= 0])
    total = (result.attention * counts[:, None]).sum()
    assert total == pytest.approx(result.subword_attention[:-1, :-1][numbers >= 0].sum(), abs=1e-3)


def test_positive_shares_add_up_to_1() -> None:
    shares = positive_shares(np.array([[1.0, 3.0, -4.0], [-1.0, 0.0, -2.0]], np.float32))
    assert shares.tolist() == [[0.25, 0.75, 0.0], [0.0, 0.0, 0.0]]


def test_attribution_refuses_an_ensemble() -> None:
    model = translator("rnn")
    both = Translator(
        model.models[0],
        model.source_tokenizer,
        model.target_tokenizer,
        model.config,
        others=[Member(translator("rnn", 2).models[0], model.source_tokenizer)],
    )
    with pytest.raises(UsageError, match="an attribution is of one run"):
        with_attribution(both, of(model), "gradient")
