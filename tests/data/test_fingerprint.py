"""The mark of captioned images is that of their content: of every file or, of a large corpus, of its ends."""

from collections.abc import Callable
from pathlib import Path

import image_toy
import numpy as np
import pytest
from PIL import Image

from seq2attn.data.images import dataset
from seq2attn.data.images.corpus import CaptionedImage
from seq2attn.data.images.transforms import CaptionedImages, ImageTransform
from seq2attn.data.prepared import Prepared


def mark(path: Path, images: list[CaptionedImage]) -> str:
    image_toy.prepare(path, images)
    return CaptionedImages(
        Prepared(path).captioned_split("train"), ImageTransform(image_toy.SIDE, "pad", 1)
    ).fingerprint


def images(
    change: Callable[[int, CaptionedImage], CaptionedImage] = lambda number, one: one,
) -> list[CaptionedImage]:
    split = ["train"] * 8 + ["valid"] * 4
    return [change(number, image_toy.image(number, 2, name)) for number, name in enumerate(split)]


@pytest.mark.parametrize("most", [2**30, 1])
def test_fingerprint_is_of_the_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(dataset, "MOST_READ", most)  # with 1, the first and the last 256 bytes of each
    of = mark(tmp_path / "one", images())
    assert mark(tmp_path / "same", images()) == of
    captions = images()
    captions[2] = captions[2]._replace(captions=captions[2].captions[::-1])
    fewer = [one for number, one in enumerate(images()) if number != 5]
    swapped = images()
    swapped[1:3] = (swapped[number]._replace(content=swapped[3 - number].content) for number in (1, 2))
    marks = [
        of,
        *(mark(tmp_path / str(number), some) for number, some in enumerate((captions, fewer, swapped))),
    ]
    assert len(set(marks)) == len(marks)


def test_fingerprint_changes_with_one_bit(tmp_path: Path) -> None:
    def damaged(number: int, one: CaptionedImage) -> CaptionedImage:
        (content,) = one.content()
        # Behind the image: it still opens.
        return one if number != 3 else one._replace(content=lambda: [content + b"\0"])

    assert mark(tmp_path / "one", images()) != mark(tmp_path / "other", images(damaged))
    pixels = np.zeros((image_toy.SIDE, image_toy.SIDE, 3), np.uint8)
    files = []
    for value in (0, 1):
        pixels[0, 0, 0] = value
        Image.fromarray(pixels).save(tmp_path / "a.bmp")
        content = (tmp_path / "a.bmp").read_bytes()
        files.append(images())
        files[-1][3] = files[-1][3]._replace(content=lambda content=content: [content])
    assert len(files[0][3].content()[0]) == len(files[1][3].content()[0])
    assert mark(tmp_path / "black", files[0]) != mark(tmp_path / "nearly", files[1])
