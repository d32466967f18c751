"""The corpus `clips`: its captions against what happens in the frames, its twins against each other, the
committed files against the generator.
"""

import io
import itertools
import json
import sys
from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from seq2attn.data.bundled import bundled_folder
from seq2attn.samples import clips
from seq2attn.samples.backgrounds import ground
from seq2attn.samples.clips import __main__ as command
from seq2attn.samples.clips.clip import COLOURS, KINDS, SHAPES, SIDE


@pytest.fixture(scope="module")
def splits() -> dict[str, list[clips.Clip]]:
    return clips.splits(1, clips.SIZES)


@pytest.fixture(scope="module")
def committed() -> dict[str, list[dict]]:
    return {
        name: pq.read_table(bundled_folder("clips") / f"{name}.parquet").to_pylist() for name in clips.SIZES
    }


def decoded(row) -> np.ndarray:
    image = Image.open(io.BytesIO(row["clip"]["bytes"]))
    frames = []
    for number in range(image.n_frames):
        image.seek(number)
        frames.append(np.array(image.convert("RGB")))
    return np.stack(frames)


def alone(clip: clips.Clip, thing: clips.Thing) -> np.ndarray:
    """The frames with one thing only: (F, Y, X, 3). The events of the other become frames in which nothing
    happens to it.
    """
    other = [there for there in clip.things if there != thing]
    far = [there._replace(x=-200, y=-200) for there in other]
    return clips.render(clip._replace(things=(thing, *far)))


def look_of(clip: clips.Clip, thing: clips.Thing, frame: np.ndarray) -> tuple[float, float, int, str]:
    """Where a thing is (x, y), its width, and its colour, in a frame of its own; width 0 where there is
    nothing.
    """
    mask = (frame != ground(clip.ground, clip.pattern, clip.number, SIDE)).any(-1)
    if not mask.any():
        return 0.0, 0.0, 0, ""
    rows, columns = np.nonzero(mask)
    (colour,) = (name for name, colour in COLOURS.items() if (frame[mask] == colour).all(-1).any())
    return (
        (columns.min() + columns.max()) / 2,
        (rows.min() + rows.max()) / 2,
        int(np.ptp(columns)) + 1,
        colour,
    )


def happened(clip: clips.Clip, thing: clips.Thing, first: np.ndarray, last: np.ndarray) -> str | None:
    """What a thing did between two frames of its own, told by the pixels alone."""
    (x0, y0, width0, colour0), (x1, y1, width1, colour1) = (
        look_of(clip, thing, first),
        look_of(clip, thing, last),
    )
    if width0 == 0 or width1 == 0:
        return None if width0 == width1 else "appears" if width0 == 0 else "vanishes"
    if abs(x1 - x0) > 10 or abs(y1 - y0) > 10:
        assert min(abs(x1 - x0), abs(y1 - y0)) <= 1
        assert width0 == width1
        assert colour0 == colour1
        return f"moves {'left' if x1 < x0 - 10 else 'right' if x1 > x0 + 10 else 'up' if y1 < y0 else 'down'}"
    if abs(width1 - width0) > 3:
        assert colour0 == colour1
        return "grows" if width1 > width0 else "shrinks"
    return None if colour0 == colour1 else f"turns {colour1}"


# The committed files


@pytest.mark.slow
def test_clips_in_the_package_equal_the_generator(splits, committed):
    assert (
        {name: len(rows) for name, rows in committed.items()}
        == clips.SIZES
        == {"train": 4_000, "valid": 250, "test": 250}
    )
    for name, rows in committed.items():
        assert [row["captions"] for row in rows] == [list(clips.captions(clip)) for clip in splits[name]]
        for row, clip in zip(rows[:12], splits[name], strict=False):
            assert np.array_equal(decoded(row), clips.render(clip))
    assert [row["clip"]["path"] for rows in committed.values() for row in rows] == [
        f"{number:05}.gif" for number in range(1, 4_501)
    ]


def test_splits_of_other_seeds_differ():
    one, two = (clips.splits(seed, {"test": 20})["test"] for seed in (1, 2))
    assert one == clips.splits(1, {"test": 20})["test"]
    assert not set(one) & set(two)


def test_clips_are_small_on_disk():
    assert (
        sum((bundled_folder("clips") / f"{name}.parquet").stat().st_size for name in clips.SIZES) < 5_000_000
    )


@pytest.mark.slow
def test_rows_decode_to_the_frames_of_render(splits):
    """No frame is lost, for no two in a row are equal; also in clips made anew."""
    for row, clip in zip(clips.rows({"test": splits["test"][:40]})["test"], splits["test"], strict=False):
        frames = clips.render(clip)
        assert frames.shape == (1 + sum(clip.steps), SIDE, SIDE, 3)
        assert 8 <= len(frames) <= 12
        assert np.array_equal(decoded(row), frames)


# What happens


@pytest.mark.slow
def test_render_shows_the_events_in_order(splits):
    for clip in splits["test"][:120]:
        told = []
        ends = np.cumsum((0, *clip.steps))
        for start, end in itertools.pairwise(ends):
            for thing in clip.things:
                frames = alone(clip, thing)
                action = happened(clip, thing, frames[start], frames[end])
                told += [clips.Event(f"{thing.colour} {thing.shape}", action)] if action else []
        assert tuple(told) == clip.events


@pytest.mark.slow
def test_render_separates_things_from_each_other_and_the_rim(splits):
    for clip in splits["valid"][:100]:
        bare = ground(clip.ground, clip.pattern, clip.number, SIDE)
        masks = [(alone(clip, thing) != bare).any(-1) for thing in clip.things]
        assert sum(mask.astype(int) for mask in masks).max() <= 1
        for mask in masks:
            assert not mask[:, [0, -1]].any()
            assert not mask[:, :, [0, -1]].any()


@pytest.mark.slow
def test_twins_differ_in_order_alone(splits):
    for name, members in splits.items():
        for clip, twin in zip(members[::2], members[1::2], strict=True):
            assert clip.events == twin.events[::-1] != twin.events, name
            assert clip._replace(events=()) == twin._replace(events=())
    for clip, twin in zip(splits["test"][:60:2], splits["test"][1:60:2], strict=True):
        first, second = clips.render(clip), clips.render(twin)
        assert np.array_equal(first[0], second[0])
        assert np.array_equal(first[-1], second[-1])
        assert not any(np.array_equal(a, b) for a, b in zip(first[1:2], second[1:2], strict=True))


@pytest.mark.slow
def test_splits_share_and_repeat_no_events(splits):
    deeds = [clip.deeds for members in splits.values() for clip in members[::2]]
    assert len(set(deeds)) == len(deeds)
    texts = {
        name: {
            tuple(sorted(clips.events(text))) + clip.deeds[0]
            for clip in members
            for text in clips.captions(clip)
        }
        for name, members in splits.items()
    }
    assert not texts["train"] & texts["test"]
    assert not texts["train"] & texts["valid"]


@pytest.mark.slow
def test_clips_vary(splits):
    assert {len(clip.things) for clip in splits["train"]} == {1, 2}
    assert {len(clip.events) for clip in splits["train"]} == {2, 3}
    things = [thing for clip in splits["train"] for thing in clip.things]
    for counts in (Counter(thing.colour for thing in things), Counter(thing.shape for thing in things)):
        assert len(counts) == len(COLOURS) == len(SHAPES)
        assert min(counts.values()) > len(things) / 10
    actions = Counter(
        event.action.split()[0] if "turns" in event.action else event.action
        for clip in splits["train"]
        for event in clip.events
    )
    assert set(actions) == set(KINDS)
    assert min(actions.values()) > 150
    assert sum(len({event.thing for event in clip.events}) == 2 for clip in splits["train"]) > 800


# Captions


@pytest.mark.slow
def test_captions_tell_the_events_in_order(splits, committed):
    for name, rows in committed.items():
        for row, clip in zip(rows, splits[name], strict=True):
            assert len(set(row["captions"])) == 3
            for text in row["captions"]:
                assert text == text.lower()
                assert not set(text) - set("abcdefghijklmnopqrstuvwxyz ")
                assert clips.events(text) == clip.events, text


@pytest.mark.slow
def test_clips_have_one_thing_of_each_name(splits):
    for clip in splits["train"]:
        names = [f"{thing.colour} {thing.shape}" for thing in clip.things]
        assert len(set(names)) == len(names)
        assert {event.thing for event in clip.events} <= set(names)


RED, BLUE = "red circle", "blue square"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "the red circle moves right and then the blue square grows",
            [(RED, "moves right"), (BLUE, "grows")],
        ),
        ("first the red circle goes right and then it gets bigger", [(RED, "moves right"), (RED, "grows")]),
        (
            "the blue square disappears before the red circle becomes black",
            [(BLUE, "vanishes"), (RED, "turns black")],
        ),
        (
            "first the red circle turns blue and then it shrinks and last the blue square shows up",
            [(RED, "turns blue"), (RED, "shrinks"), (BLUE, "appears")],
        ),
        ("the red circle moves up", [(RED, "moves up")]),
    ],
)
def test_events_reads_a_sentence(text, told):
    assert clips.events(text) == tuple(told)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "first",
            "it grows",
            "the red circle",
            "the red circle moves",
            "the red circle turns",
            "the red circle grows right",
        ),
        *(
            "a red circle grows",
            "the red circle grows and the blue square grows",
            "the red circle grows and then",
            "the pink circle grows",
        ),
        *(
            "the red circle grows and then and then it shrinks",
            "the red circle grows after it shrinks",
            "The red circle grows",
            "the red circle grows .",
            "before",
        ),
    ],
)
def test_events_of_other_sentences_are_none(text):
    assert clips.events(text) == ()


# Where it is found, and written


def test_main_writes_tables_and_folders(tmp_path, monkeypatch, committed):
    sizes = ["--train", "5", "--valid", "2", "--test", "2"]
    for out, more in (("a", []), ("b", []), ("c", ["--folder"])):
        monkeypatch.setattr(sys, "argv", ["clips", str(tmp_path / out), *sizes, *more])
        command.main()
    for name, size in (("train", 5), ("valid", 2), ("test", 2)):
        assert (tmp_path / "a" / f"{name}.parquet").read_bytes() == (
            tmp_path / "b" / f"{name}.parquet"
        ).read_bytes()
        rows = pq.read_table(tmp_path / "a" / f"{name}.parquet").to_pylist()
        lines = [
            json.loads(line) for line in (tmp_path / "c" / name / "metadata.jsonl").read_text().splitlines()
        ]
        assert len(rows) == len(lines) == size
        for row, line in zip(rows, lines, strict=True):
            assert line == {"file_name": row["clip"]["path"], "captions": row["captions"]}
            assert (tmp_path / "c" / name / line["file_name"]).read_bytes() == row["clip"]["bytes"]
    assert [row["captions"] for row in pq.read_table(tmp_path / "a" / "train.parquet").to_pylist()] == [
        row["captions"] for row in committed["train"][:5]
    ]
