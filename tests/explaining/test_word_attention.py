"""The attention between words, against that of `score_targets`, and the next step in plain loops."""

import numpy as np
import pytest
from explained_models import FAMILIES, SOURCES, TARGETS, translator

from seq2attn.explaining.attention import select, word_attention
from seq2attn.explaining.forced import ForcedModel
from seq2attn.explaining.pairs import of_texts


@pytest.mark.parametrize("family", FAMILIES)
def test_written_is_what_translations_have(family: str) -> None:
    model = translator(family)
    ours = word_attention(ForcedModel(model), of_texts(model, SOURCES, TARGETS))
    for matrix, other in zip(
        ours.matrices, model.score_targets(SOURCES, TARGETS, attention="all"), strict=True
    ):
        assert other.attention_heads is not None
        assert other.attention is not None
        np.testing.assert_allclose(matrix[0], other.attention_heads, atol=1e-5)
        np.testing.assert_allclose(select(matrix, None, None, 0), other.attention, atol=1e-5)
    assert ours.outside == [0.0] * len(SOURCES)


@pytest.mark.parametrize("family", FAMILIES)
def test_read_is_the_step_after_in_plain_loops(family: str) -> None:
    model = translator(family)
    pairs = of_texts(model, SOURCES, TARGETS)
    ours = word_attention(ForcedModel(model), pairs)
    outputs = model.score_targets(SOURCES, TARGETS, attention="all")
    ends = []
    for pair, matrix, output in zip(pairs, ours.matrices, outputs, strict=True):
        steps = output.subword_attention_heads  # (L, H, T, S), end tokens last
        assert steps is not None
        layers, heads = steps.shape[:2]
        for layer in range(layers):
            for head in range(heads):
                for word in range(len(pair.words)):
                    tokens = [t for t, of in enumerate(pair.word_of) if of == word]
                    for unit in range(len(pair.units)):
                        places = [s for s, of in enumerate(pair.unit_of) if of == unit]
                        total = sum(steps[layer, head, t + 1, s] for t in tokens for s in places)
                        mine = matrix[1, layer, head, word, unit]
                        assert mine == pytest.approx(total / len(tokens), abs=1e-5)
        ends += [steps[0, 0, t, -1] for t, of in enumerate(pair.word_of) if of >= 0]
    assert ours.end[0, 0, 0] == pytest.approx(np.mean(ends), abs=1e-5)


def test_pairs_leave_out_what_is_blank() -> None:
    model = translator("rnn")
    pairs = of_texts(model, ["a dog", "", "a cat"], ["un chien", "rien", " "])
    assert [pair.number for pair in pairs] == [0]
    assert pairs[0].punctuation[-1] is False
    assert any(of_texts(model, ["the table!"], ["x"])[0].punctuation)
