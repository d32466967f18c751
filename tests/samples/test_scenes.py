"""The corpus `scenes`: its captions against the scenes they speak of, its boxes against the pixels, the
committed files against the generator.
"""

import io
import json
import sys
from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from seq2attn.data.bundled import bundled_folder
from seq2attn.samples import scenes
from seq2attn.samples.backgrounds import ground
from seq2attn.samples.image_files import png
from seq2attn.samples.scenes import __main__ as command
from seq2attn.samples.scenes.scene import SIDE, VISIBLE, visible
from seq2attn.samples.shapes import COLOURS, SHAPES, TEXTURES, mixed

# The relations by the centres of two boxes, told anew.
HOLDS = {
    "left of": lambda a, b: b[0] - a[0] >= 20 and b[0] - a[0] > abs(a[1] - b[1]) - 8,
    "right of": lambda a, b: a[0] - b[0] >= 20 and a[0] - b[0] > abs(a[1] - b[1]) - 8,
    "above": lambda a, b: b[1] - a[1] >= 20 and b[1] - a[1] > abs(a[0] - b[0]) - 8,
    "below": lambda a, b: a[1] - b[1] >= 20 and a[1] - b[1] > abs(a[0] - b[0]) - 8,
}
WORDINGS = {
    f"{text} of": f"{side} of"
    for side in ("left", "right")
    for text in (f"is {side}", f"is to the {side}", f"to the {side}")
}
WORDINGS |= {
    wording: side for side in ("above", "below") for wording in (f"is {side}", f"is placed {side}", side)
}


@pytest.fixture(scope="module")
def splits() -> dict[str, list[scenes.Scene]]:
    return scenes.splits(1, scenes.SIZES)


@pytest.fixture(scope="module")
def committed() -> dict[str, list[dict]]:
    return {
        name: pq.read_table(bundled_folder("scenes") / f"{name}.parquet").to_pylist() for name in scenes.SIZES
    }


def bare(scene: scenes.Scene) -> np.ndarray:
    return ground(scene.ground, scene.pattern, scene.number, SIDE)


def decoded(row) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(row["image"]["bytes"])).convert("RGB"))


def parsed(text: str) -> tuple[set[str], str, set[str]]:
    """The first thing's words, the relation, the second thing's words."""
    words = text.split()
    starts = [number for number, word in enumerate(words) if word in ("a", "an")]
    ends = [number for number, word in enumerate(words) if word in SHAPES]
    assert len(starts) == len(ends) == 2, text
    assert words[: starts[0]] in ([], ["there", "is"]), text
    assert ends[1] == len(words) - 1, text
    wording = " ".join(words[ends[0] + 1 : starts[1]])
    assert wording.startswith("is") != (starts[0] == 2), text
    for start in starts:
        assert (words[start] == "an") == (words[start + 1][0] in "aeiou"), text
    return set(words[starts[0] + 1 : ends[0] + 1]), WORDINGS[wording], set(words[starts[1] + 1 : ends[1] + 1])


def faults(scene: scenes.Scene, text: str, boxes: list[list[int]]) -> list[str]:
    """What is untrue or doubtful about a caption: told by the looks of things and the boxes alone."""
    first, relation, second = parsed(text)
    found = []
    for described, (word, *box) in zip((first, second), boxes, strict=True):
        fitting = [
            thing
            for thing in scene.things
            if described <= {thing.size, thing.colour, thing.texture, thing.shape}
        ]
        if len(fitting) != 1:
            found.append(f"{sorted(described)} fits {len(fitting)} things")
        elif tuple(box) != fitting[0].box or text.split()[word] != fitting[0].shape:
            found.append(f"{text.split()[word]} is not at {box}")
        elif len(described) > 2 and described != {
            fitting[0].size,
            fitting[0].colour,
            fitting[0].texture,
            fitting[0].shape,
        } - {"plain"}:
            found.append("looks are missing")
    (a, b) = (((left + right) / 2, (top + bottom) / 2) for _, left, top, right, bottom in boxes)
    return found if HOLDS[relation](a, b) else [*found, f"{a} is not {relation} {b}"]


# The committed files


@pytest.mark.slow
def test_scenes_in_the_package_equal_the_generator(splits, committed):
    assert (
        {name: len(rows) for name, rows in committed.items()}
        == scenes.SIZES
        == {"train": 4_000, "valid": 500, "test": 500}
    )
    again = scenes.rows({name: members[:10] for name, members in splits.items()})
    for name, rows in again.items():
        for row, scene, there in zip(rows, splits[name], committed[name], strict=False):
            assert (row["captions"], row["boxes"]) == (there["captions"], there["boxes"])
            assert np.array_equal(decoded(there), scenes.render(scene))
    assert [row["image"]["path"] for rows in committed.values() for row in rows] == [
        f"{number:05}.png" for number in range(1, 5_001)
    ]


@pytest.mark.slow
def test_captions_in_the_package_equal_the_generator(splits, committed):
    for name, rows in committed.items():
        for scene, row in zip(splits[name], rows, strict=True):
            assert [caption.text for caption in scenes.captions(scene)] == row["captions"]
            assert [
                [[word, *thing.box] for word, thing in caption.named] for caption in scenes.captions(scene)
            ] == row["boxes"]


def test_splits_of_other_seeds_differ():
    one, two = (scenes.splits(seed, {"test": 20})["test"] for seed in (1, 2))
    assert one == scenes.splits(1, {"test": 20})["test"]
    assert not set(one) & set(two)


def test_scenes_are_small_on_disk():
    assert (
        sum((bundled_folder("scenes") / f"{name}.parquet").stat().st_size for name in scenes.SIZES)
        < 6_000_000
    )


# Images


@pytest.mark.slow
def test_scenes_differ_from_each_other(splits, committed):
    looks = [scene.looks for members in splits.values() for scene in members]
    assert len(set(looks)) == len(looks)
    images = [row["image"]["bytes"] for rows in committed.values() for row in rows]
    assert len(set(images)) == len(images)


@pytest.mark.slow
def test_png_of_a_scene_is_lossless(splits):
    for scene in splits["test"][:50]:
        pixels = scenes.render(scene)
        assert pixels.shape == (SIDE, SIDE, 3)
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) <= 64
        assert np.array_equal(np.array(Image.open(io.BytesIO(png(pixels))).convert("RGB")), pixels)


@pytest.mark.slow
def test_things_vary_and_are_visible(splits):
    things = [thing for scene in splits["train"] for thing in scene.things]
    for position, known in enumerate((("small", "large"), COLOURS, TEXTURES, SHAPES)):
        counts = Counter(thing.looks[position] for thing in things)
        assert set(counts) == set(known)
        assert min(counts.values()) > 0.6 * len(things) / len(known)
    assert {len(scene.things) for scene in splits["train"]} == {2, 3, 4}
    for scene in splits["test"]:
        assert min(visible(scene.things)) >= VISIBLE
    overlapping = sum(min(visible(scene.things)) < 1 for scene in splits["train"])
    assert 200 < overlapping < 2_000


@pytest.mark.slow
def test_scenes_mostly_hold_things_that_share_colour_or_shape(splits):
    def shared(scene: scenes.Scene) -> bool:
        return any(
            len({getattr(thing, name) for thing in scene.things}) < len(scene.things)
            for name in ("colour", "shape")
        )

    assert sum(map(shared, splits["train"])) > 0.6 * len(splits["train"])


@pytest.mark.slow
def test_ground_is_pale_and_unlike_colours_of_things(splits):
    for scene in splits["test"]:
        tones = np.unique(bare(scene).reshape(-1, 3), axis=0).astype(int)
        assert np.ptp(tones, axis=1).max() <= 30
        assert min(np.abs(tones - colour).sum(1).min() for colour in COLOURS.values()) > 100


# Boxes


@pytest.mark.slow
def test_boxes_lie_in_the_image_and_hold_the_thing(splits, committed):
    for name in ("valid", "test"):
        for scene, row in zip(splits[name], committed[name], strict=True):
            pixels = decoded(row)
            for thing in scene.things:
                left, top, right, bottom = thing.box
                assert 0 <= left < right <= SIDE
                assert 0 <= top < bottom <= SIDE
                assert 14 <= right - left <= 40
                assert 14 <= bottom - top <= 40
                inside = (pixels[top:bottom, left:right] == COLOURS[thing.colour]).all(-1).mean()
                assert inside > 0.05, (thing, inside)


@pytest.mark.slow
def test_boxes_are_tight(splits):
    for scene in splits["test"]:
        for number, thing in enumerate(scene.things):
            alone = scenes.render(scene._replace(things=(thing,)))
            rows, columns = np.nonzero((alone != bare(scene)).any(-1))
            assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == thing.box, number


@pytest.mark.slow
def test_textures_show_their_white(splits):
    for scene in splits["test"][:200]:
        for thing in scene.things:
            left, top, right, bottom = thing.box
            alone = scenes.render(scene._replace(things=(thing,)))[top:bottom, left:right]
            white = (alone == mixed((255, 255, 255), COLOURS[thing.colour], 90)).all(-1).mean()
            assert white == 0 if thing.texture == "plain" else white > 0.04, thing


# Captions


@pytest.mark.slow
def test_captions_are_true_and_name_one_thing_each(splits, committed):
    for name, rows in committed.items():
        for scene, row in zip(splits[name], rows, strict=True):
            assert len(set(row["captions"])) == 5
            for text, boxes in zip(row["captions"], row["boxes"], strict=True):
                assert text == text.lower()
                assert not set(text) - set("abcdefghijklmnopqrstuvwxyz ")
                assert not faults(scene, text, boxes), (text, scene)


@pytest.mark.slow
def test_faults_detects_false_captions(splits):
    """The check above can fail: another relation, another thing's box, another colour."""
    opposite = {"left": "right", "right": "left", "above": "below", "below": "above"}
    for scene in splits["test"][:100]:
        caption = scenes.captions(scene)[0]
        boxes = [[word, *thing.box] for word, thing in caption.named]
        assert not faults(scene, caption.text, boxes)
        assert faults(scene, " ".join(opposite.get(word, word) for word in caption.text.split()), boxes)
        assert faults(scene, caption.text, [[boxes[0][0], *boxes[1][1:]], [boxes[1][0], *boxes[0][1:]]])
        colour = caption.named[0][1].colour
        unseen = next(name for name in COLOURS if name not in {thing.colour for thing in scene.things})
        changed = (
            caption.text.replace(f" {colour} ", f" {unseen} ")
            .replace("a orange", "an orange")
            .replace(f"an {unseen}", f"a {unseen}")
        )
        assert faults(scene, changed.replace("a orange", "an orange"), boxes)


@pytest.mark.slow
def test_captions_name_the_ends_of_the_longer_axis(splits):
    for scene in splits["train"]:
        centres = np.array([((t.left + t.side / 2), (t.top + t.side / 2)) for t in scene.things])
        axis = int(np.argmax(np.ptp(centres, axis=0)))
        ends = {
            scene.things[int(np.argmin(centres[:, axis]))],
            scene.things[int(np.argmax(centres[:, axis]))],
        }
        sides = ("left", "right") if axis == 0 else ("above", "below")
        captions = [caption for caption in scenes.captions(scene) if set(caption.text.split()) & set(sides)]
        assert len(captions) in (4, 5)
        assert all({thing for _, thing in caption.named} == ends for caption in captions)
        assert sum(sides[0] in caption.text.split() for caption in captions) == 3


# Where it is found, and written


def test_main_writes_tables_and_folders(tmp_path, monkeypatch, committed):
    sizes = ["--train", "5", "--valid", "3", "--test", "2"]
    for out, more in (("a", []), ("b", []), ("c", ["--folder"])):
        monkeypatch.setattr(sys, "argv", ["scenes", str(tmp_path / out), *sizes, *more])
        command.main()
    for name, size in (("train", 5), ("valid", 3), ("test", 2)):
        assert (tmp_path / "a" / f"{name}.parquet").read_bytes() == (
            tmp_path / "b" / f"{name}.parquet"
        ).read_bytes()
        rows = pq.read_table(tmp_path / "a" / f"{name}.parquet").to_pylist()
        lines = [
            json.loads(line) for line in (tmp_path / "c" / name / "metadata.jsonl").read_text().splitlines()
        ]
        assert len(rows) == len(lines) == size
        for row, line in zip(rows, lines, strict=True):
            assert line == {
                "file_name": row["image"]["path"],
                "captions": row["captions"],
                "boxes": row["boxes"],
            }
            assert (tmp_path / "c" / name / line["file_name"]).read_bytes() == row["image"]["bytes"]
    first = pq.read_table(tmp_path / "a" / "train.parquet").to_pylist()
    assert [row["captions"] for row in first] == [row["captions"] for row in committed["train"][:5]]
