"""Self-attention that can be asked for: shapes, rows that sum to 1, and models that have none."""

import numpy as np
import pytest
import tiny

from seq2attn.errors import UsageError
from seq2attn.inference import Translator


def deep() -> Translator:
    return tiny.translator(
        kind="transformer",
        size=12,
        heads=2,
        layers=2,
        encoder={"kind": "transformer", "size": 12, "heads": 3, "layers": 1},
        attention={"score": "scaled-dot", "heads": 2, "size": 12},
    )


def test_self_attention_of_a_text_is_the_encoders() -> None:
    weights = deep().self_attention("the small dog")
    assert weights.encoder is not None
    assert weights.encoder.shape == (1, 3, len(weights.source), len(weights.source))
    assert (weights.source[-1], weights.decoder, weights.target) == ("</s>", None, [])
    np.testing.assert_allclose(weights.encoder.sum(-1), 1, atol=1e-5)


def test_self_attention_of_a_target_reads_no_later_position() -> None:
    weights = deep().self_attention("the small dog", target="le petit chien")
    assert weights.decoder is not None
    assert weights.encoder is not None
    assert weights.decoder.shape == (2, 2, len(weights.target), len(weights.target))
    assert weights.target[0] == "<s>"
    np.testing.assert_allclose(weights.decoder.sum(-1), 1, atol=1e-5)
    assert not np.triu(weights.decoder, 1).any()


def test_self_attention_of_a_recurrent_model_is_refused_by_its_setting() -> None:
    translator = tiny.translator()
    with pytest.raises(UsageError, match=r"model\.encoder\.kind is rnn: this encoder has no self-attention"):
        translator.self_attention("rain")
    with pytest.raises(UsageError, match=r"model\.decoder\.kind is rnn: this decoder has no self-attention"):
        translator.self_attention("rain", target="pluie")
