"""The page of images: complete in itself, words as text, pixels and weights that a browser reads back."""

import base64
import io
import json
import re

import numpy as np
import pytest
from html_reader import HOSTILE, Reader
from PIL import Image

from seq2attn.errors import UsageError
from seq2attn.plotting import html_overlay
from seq2attn.plotting.html_overlay import CaptionAttention

PIXELS = np.random.default_rng(1).integers(0, 256, (12, 20, 3), dtype=np.uint8)


class ImageReader(Reader):
    def images(self) -> list[np.ndarray]:
        sources = [str(attributes["src"]) for tag, attributes in self.tags if tag == "img"]
        return [
            np.asarray(Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))))
            for source in sources
        ]


def test_render_writes_words_as_text_pixels_and_all_weights():
    weights = np.random.default_rng(1).random((len(HOSTILE), 6))
    reader = ImageReader(html_overlay.render(CaptionAttention(PIXELS, HOSTILE, weights, (2, 3))))
    assert reader.words == HOSTILE
    [rows, columns, highest, read] = json.loads(reader.data)
    assert (rows, columns, highest) == (2, 3, 1)
    np.testing.assert_allclose(read, weights, atol=1e-5)
    np.testing.assert_array_equal(reader.images(), [PIXELS])
    tags = [tag for tag, _ in reader.tags]
    assert tags.count("script") == 2
    assert tags.count("b") == 1  # of the line itself


def test_render_writes_all_frames_of_a_clip_in_order():
    frames = np.stack([PIXELS, PIXELS[::-1], PIXELS[:, ::-1]])
    reader = ImageReader(html_overlay.render(CaptionAttention(frames, ["a", "b"], np.ones((2, 3)) / 3, None)))
    np.testing.assert_array_equal(reader.images(), frames)
    assert json.loads(reader.data)[:3] == [0, 0, 0.4]
    assert not [tag for tag, _ in reader.tags if tag == "canvas"]


def test_render_refers_to_no_other_files():
    text = html_overlay.render(CaptionAttention(PIXELS, ["a"], np.ones((1, 1)), (1, 1)))
    assert all(
        str(attributes["src"]).startswith("data:image/png;base64,")
        for _, attributes in Reader(text).tags
        if "src" in attributes
    )
    assert not any("href" in attributes for _, attributes in Reader(text).tags)
    assert "://" not in text
    assert "@import" not in text
    [policy] = [attributes["content"] for _, attributes in Reader(text).tags if attributes.get("http-equiv")]
    assert (
        policy == "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
    )


@pytest.mark.slow
def test_render_scales_a_large_image_down():
    y, x = np.mgrid[:2000, :3000]
    large = np.stack([y % 256, x % 256, (x + y) % 256], -1).astype(np.uint8)
    still = CaptionAttention(large, [], np.zeros((0, 9)), (3, 3))
    clip = CaptionAttention(large[None], ["x"], np.ones((1, 1)), None)
    shapes = [ImageReader(html_overlay.render(one)).images()[0].shape for one in (still, clip)]
    assert shapes == [(320, 480, 3), (107, 160, 3)]


def test_render_fills_all_placeholders():
    text = html_overlay.render(CaptionAttention(PIXELS, ["a"], np.ones((1, 1)), (1, 1)))
    assert not re.search(r"\{(gamma|warm|title|how|style|policy)\}", text)


@pytest.mark.parametrize("weights", [np.ones((1, 5)), np.ones((2, 6)), np.full((1, 6), np.nan)])
def test_render_refuses_weights_that_do_not_fit(weights):
    with pytest.raises(UsageError, match="for 1 words and 6 cells"):
        html_overlay.render(CaptionAttention(PIXELS, ["a"], weights, (2, 3)))


@pytest.mark.parametrize(
    ("pixels", "grid"),
    [(PIXELS, None), (PIXELS[None], (1, 1)), (PIXELS.astype(float), (1, 1)), (PIXELS[:0], (1, 1))],
)
def test_render_refuses_pixels_of_other_shapes(pixels, grid):
    with pytest.raises(UsageError, match=r"a clip is \(F, Y, X, 3\)|an image is \(Y, X, 3\)"):
        html_overlay.render(CaptionAttention(pixels, ["a"], np.ones((1, 1)), grid))
