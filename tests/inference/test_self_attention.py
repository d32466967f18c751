"""Self-attention of one text, image or clip: shapes, rows that sum to 1, and models that have none."""

import io

import numpy as np
import pytest
import tiny
import tiny_images
from PIL import Image

from seq2attn.errors import UsageError
from seq2attn.inference import Captioner, Translator


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


def png(colour: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (tiny_images.SIDE, tiny_images.SIDE), colour).save(file, "png")
    return file.getvalue()


def deep_captioner(frames: int = 1, **encoder: object) -> Captioner:
    decoder = {"kind": "transformer", "size": 12, "heads": 2, "layers": 2, "feedforward": 8}
    attention = {"score": "scaled-dot", "heads": 2}
    return tiny_images.captioner(frames=frames, attention=attention, encoder=encoder, **decoder)


def test_self_attention_of_an_image_is_between_the_cells_of_its_map() -> None:
    captioner = deep_captioner(self_attention=1)
    result = captioner.self_attention(png("red"), caption="le petit chien")
    assert result.encoder is not None
    cells = result.encoder.shape[-1]
    assert result.encoder.shape == (1, 1, cells, cells)
    assert cells == 2 * captioner.cells**0.5 * 2 * captioner.cells**0.5  # one stage before the last
    np.testing.assert_allclose(result.encoder.sum(-1), 1, atol=1e-5)
    assert result.decoder is not None
    assert result.decoder.shape == (2, 2, len(result.target), len(result.target))
    assert (result.source, result.target[0]) == ([], "<s>")
    assert not np.triu(result.decoder, 1).any()


def test_self_attention_of_a_clip_is_between_its_frames() -> None:
    captioner = deep_captioner(frames=3, temporal="transformer", temporal_layers=2, temporal_heads=4)
    pixels = captioner.decode_pixels([png("red"), png("blue")], "clip")  # one frame less than the model reads
    result = captioner.self_attention(pixels)
    assert result.encoder is not None
    assert result.encoder.shape[1:] == (4, 2, 2)
    np.testing.assert_allclose(result.encoder.sum(-1), 1, atol=1e-5)
    assert (result.decoder, result.target) == (None, [])


def test_self_attention_of_a_convolutional_captioner_is_refused_by_its_setting() -> None:
    captioner = tiny_images.captioner()
    with pytest.raises(UsageError, match=r"model\.encoder\.self_attention is None: this encoder has no"):
        captioner.self_attention(png("red"))
    with pytest.raises(UsageError, match=r"model\.decoder\.kind is rnn: this decoder has no"):
        captioner.self_attention(png("red"), caption="le chien")
