"""The mark of captioned images is that of their content: of every file or, of a large corpus, of its ends."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import picture_toy
import pytest
from PIL import Image

from seq2attn.data import picture_split
from seq2attn.data.pictures import Picture
from seq2attn.data.prepared import Prepared
from seq2attn.data.views import View, Views


def mark(path: Path, pictures: list[Picture]) -> str:
    picture_toy.prepare(path, pictures)
    return Views(Prepared(path).picture_split("train"), View(picture_toy.SIDE, "pad", 1)).fingerprint


def pictures(change: Callable[[int, Picture], Picture] = lambda number, one: one) -> list[Picture]:
    split = ["train"] * 8 + ["valid"] * 4
    return [change(number, picture_toy.picture(number, 2, name)) for number, name in enumerate(split)]


@pytest.mark.parametrize("most", [2**30, 1])
def test_it_is_that_of_the_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(picture_split, "MOST_READ", most)  # with 1, the first and the last 256 bytes of each
    of = mark(tmp_path / "one", pictures())
    assert mark(tmp_path / "same", pictures()) == of
    captions = pictures()
    captions[2] = captions[2]._replace(captions=captions[2].captions[::-1])
    fewer = [one for number, one in enumerate(pictures()) if number != 5]
    swapped = pictures()
    swapped[1:3] = (swapped[number]._replace(content=swapped[3 - number].content) for number in (1, 2))
    marks = [
        of,
        *(mark(tmp_path / str(number), some) for number, some in enumerate((captions, fewer, swapped))),
    ]
    assert len(set(marks)) == len(marks)


def test_one_bit_is_enough(tmp_path: Path) -> None:
    def damaged(number: int, one: Picture) -> Picture:
        (content,) = one.content()
        # Behind the image: it still opens.
        return one if number != 3 else one._replace(content=lambda: [content + b"\0"])

    assert mark(tmp_path / "one", pictures()) != mark(tmp_path / "other", pictures(damaged))
    pixels = np.zeros((picture_toy.SIDE, picture_toy.SIDE, 3), np.uint8)
    files = []
    for value in (0, 1):
        pixels[0, 0, 0] = value
        Image.fromarray(pixels).save(tmp_path / "a.bmp")
        content = (tmp_path / "a.bmp").read_bytes()
        files.append(pictures())
        files[-1][3] = files[-1][3]._replace(content=lambda content=content: [content])
    assert len(files[0][3].content()[0]) == len(files[1][3].content()[0])
    assert mark(tmp_path / "black", files[0]) != mark(tmp_path / "nearly", files[1])
