"""Captioned images in a prepared folder: what was read is there, what was left out is counted and named,
equal files are on one side, damage is one line.
"""

import math
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import image_toy as toy
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from seq2attn import config
from seq2attn.config import IMAGES
from seq2attn.data import prepare as preparing
from seq2attn.data.images import prepare as images_prepare
from seq2attn.data.images.corpus import Box
from seq2attn.data.images.dataset import CAPTIONS, CaptionedSplit
from seq2attn.data.images.files import content_of, frame_files, image_files
from seq2attn.data.prepared import Prepared
from seq2attn.errors import UserError

SPLITS = ["train"] * 6 + ["valid"] * 2 + ["test"] * 2


def ten() -> list:
    return [toy.image(number, 1 + number % 3, split) for number, split in enumerate(SPLITS)]


def test_prepared_holds_all_images_and_captions(tmp_path: Path) -> None:
    report = toy.prepare(tmp_path / "out", ten())
    opened = Prepared(tmp_path / "out")
    assert opened.report == report
    assert (opened.modality, opened.clips, opened.splits, opened.languages) == (
        IMAGES,
        False,
        ["train", "valid", "test"],
        (None, "en"),
    )
    assert (opened.source_size, opened.tokenizers) == (0, ("target.model",))
    assert report["vocabulary"] == {"source": 0, "target": opened.target_tokenizer.size}
    assert report["options"]["tokenizer"] == "word"  # type: ignore[index]
    for name in opened.splits:
        expected = [image for image in ten() if image.split == name]
        split = opened.captioned_split(name)
        assert split.names == [image.name for image in expected]
        assert split.sizes == [(toy.SIDE, toy.SIDE)] * len(expected)
        assert split.captions == [list(image.captions) for image in expected]
        assert [split.content(number) for number in range(len(expected))] == [
            image.content() for image in expected
        ]
        if name == "train":  # whose words are all known
            assert [opened.target_tokenizer.decode(ids.tolist()) for ids in split.target_ids] == [
                text for image in expected for text in image.captions
            ]
        assert split.target_lengths.tolist() == [
            len(text.split()) for image in expected for text in image.captions
        ]
        assert split.boxes is None
        facts = report["splits"][name]  # type: ignore[index]
        assert (facts["images"], facts["kept"], facts["dropped"]) == (len(expected), len(split), {})
        assert facts["target"]["tokens"] == split.target_lengths.sum()
    assert not (tmp_path / "out" / "work").exists()


def test_prepared_holds_boxes_unchanged(tmp_path: Path) -> None:
    toy.prepare(
        tmp_path / "out",
        [toy.boxed(0)._replace(split="train"), toy.image(1, 2, "train"), toy.image(2, 2, "valid")],
    )
    opened = Prepared(tmp_path / "out")
    boxes = opened.captioned_split("train").boxes
    assert boxes == [[list(some) for some in toy.boxed(0).boxes], [[], []]]
    assert isinstance(boxes[0][1][1], Box)
    assert isinstance(boxes[0][0][0].word, int)
    assert opened.captioned_split("valid").boxes is None


def test_prepared_turns_boxes_by_exif_orientation(tmp_path: Path) -> None:
    """Image sizes are turned too, and pointing and overlays read both together."""
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    data = toy.encoded(np.zeros((20, 30, 3), np.uint8), exif=exif)
    image = toy.image(0, 1, "train", [data])._replace(boxes=((Box(0, 0, 0, 10, 5), Box(1, 2, 3, 4, 6)),))
    toy.prepare(tmp_path / "out", [image, toy.image(1, 1, "valid")])
    split = Prepared(tmp_path / "out").captioned_split("train")
    assert split.sizes == [(20, 30)]
    assert split.boxes == [[[Box(0, 15, 0, 20, 10), Box(1, 14, 2, 17, 4)]]]


def test_prepared_keeps_frames_in_order(tmp_path: Path) -> None:
    clips = [
        toy.image(number, 1, split, frames=frames)
        for number, (split, frames) in enumerate([("train", 3), ("train", 1), ("valid", 2)])
    ]
    report = toy.prepare(tmp_path / "out", clips, clips=True)
    opened = Prepared(tmp_path / "out")
    assert opened.clips
    assert report["clips"]
    assert [opened.captioned_split("train").content(number) for number in (0, 1)] == [
        clip.content() for clip in clips[:2]
    ]
    table = pa.ipc.open_stream((tmp_path / "out" / "train" / "images.arrow").read_bytes()).read_all()
    assert table.column("count").to_pylist() == [3, 1]


def test_prepare_writes_several_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows keep their place whatever is flushed together, in reading, dividing, encoding and leaving out."""
    monkeypatch.setattr("seq2attn.data.images.prepare._BATCH", 4)
    monkeypatch.setattr(images_prepare, "_SPOOL", images_prepare._SPOOL._replace(max_rows=4))
    images = [toy.image(number, 1 + number % 2) for number in range(41)]
    images[7] = images[7]._replace(captions=("", ""))
    images[20] = images[20]._replace(captions=("", "red left"))
    report = toy.prepare(tmp_path / "out", images, valid=5, test=6, workers=3)
    opened = Prepared(tmp_path / "out")
    by_name = {image.name: image for image in images}
    told = []
    for name in opened.splits:
        split = opened.captioned_split(name)
        told += split.names
        assert split.names == sorted(split.names)
        for number, one in enumerate(split.names):
            assert split.content(number) == by_name[one].content()
            assert split.captions[number] == [text for text in by_name[one].captions if text]
    assert sorted(told) == sorted(name for name in by_name if name != "007.png")
    dropped = [
        facts["dropped"].get("empty", {"pairs": 0, "examples": []}) for facts in report["splits"].values()
    ]  # type: ignore[attr-defined]
    assert sum(facts["pairs"] for facts in dropped) == 3
    assert {place for facts in dropped for place in facts["examples"]} == {
        "captions.txt:8",
        "captions.txt:21",
    }


def test_prepare_drops_long_captions_of_train_only(tmp_path: Path) -> None:
    images = [
        toy.image(0, 3, "train"),
        toy.image(1, 1, "train")._replace(captions=("one two three four five six",)),
        toy.image(2, 3, "valid"),
    ]
    report = toy.prepare(tmp_path / "out", images, max_length=4)
    opened = Prepared(tmp_path / "out")
    assert opened.captioned_split("train").names == ["000.png"]
    assert [len(some) for some in opened.captioned_split("train").captions] == [2]
    assert [len(some) for some in opened.captioned_split("valid").captions] == [3]
    assert report["splits"]["train"]["dropped"] == {
        "too long": {"pairs": 2, "examples": ["captions.txt:1", "captions.txt:2"]}
    }  # type: ignore[index]


def test_prepare_counts_images_without_caption(tmp_path: Path) -> None:
    report = toy.prepare(
        tmp_path / "out", [toy.image(0, 1, "train"), toy.image(1, 0, "train"), toy.image(2, 1, "valid")]
    )
    assert report["splits"]["train"]["dropped"] == {
        "without a caption": {"pairs": 1, "examples": ["captions.txt:2"]}
    }  # type: ignore[index]
    assert Prepared(tmp_path / "out").captioned_split("train").names == ["000.png"]


def test_prepare_refuses_a_split_without_captions(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^valid: no caption is left: 1 empty \(.*\)$"):
        toy.prepare(
            tmp_path / "out", [toy.image(0, 1, "train"), toy.image(1, 1, "valid")._replace(captions=(" ",))]
        )
    assert not (tmp_path / "out").exists()


# Missing and damaged


def test_prepare_counts_and_names_missing_and_damaged_images(tmp_path: Path) -> None:
    images = [toy.image(number, 2, "valid" if number > 17 else "train") for number in range(20)]
    images[3] = toy.broken(3)._replace(split="train")
    whole = images[9].content()[0]
    images[9] = toy.image(9, 2, "train", [whole[: len(whole) // 2]])
    report = toy.prepare(tmp_path / "out", images, max_missing=0.1)
    names = Prepared(tmp_path / "out").captioned_split("train").names
    assert names == [f"{number:03}.png" for number in range(18) if number not in (3, 9)]
    assert report["missing"]["images"] == 2  # type: ignore[index]
    (note,) = [note for note in report["notes"] if "missing" in note]  # type: ignore[attr-defined]
    assert note.startswith("2 images are missing or damaged, and left out: 003.png: no such file; 009.png: ")
    assert len(note.splitlines()) == 1


def test_prepare_refuses_more_missing_images_than_allowed(tmp_path: Path) -> None:
    images = [
        toy.broken(number)._replace(split="train") if number < 5 else toy.image(number, 2, "train")
        for number in range(20)
    ]
    with pytest.raises(
        UserError,
        match=r"^toy: 5 of 20 images are missing or damaged: 000\.png: no such file; 001.*; 002.*; \.\.\.; "
        r"24% are .*`max_missing`",
    ):
        toy.prepare(tmp_path / "out", images, max_missing=0.24)
    assert not (tmp_path / "out").exists()
    toy.prepare(tmp_path / "out", [*images, toy.image(30, 1, "valid")], max_missing=0.25)


# Division


def test_hold_out_keeps_equal_files_together(tmp_path: Path) -> None:
    """Under other names and captions too: a test must not show what was trained on."""
    images = [toy.image(number, 1) for number in range(30)]
    images += [
        toy.image(number, 1)._replace(name=f"again-{number}.png", captions=(f"copy {number}",))
        for number in range(15)
    ]
    report = toy.prepare(tmp_path / "out", images, valid=8, test=8)
    opened = Prepared(tmp_path / "out")
    contents: dict[str, set[bytes]] = {}
    for name in opened.splits:
        split = opened.captioned_split(name)
        contents[name] = {b"".join(split.content(number)) for number in range(len(split.names))}
        assert split.names == sorted(split.names, key=[image.name for image in images].index)
    assert not (contents["train"] & contents["valid"])
    assert not (contents["train"] & contents["test"])
    assert not (contents["valid"] & contents["test"])
    assert [report["splits"][name]["images"] for name in ("valid", "test")] == [8, 8]  # type: ignore[index]
    assert [report["splits"][name]["images_in_train"] for name in ("valid", "test")] == [0, 0]  # type: ignore[index]


def test_prepare_counts_images_of_train_in_other_splits(tmp_path: Path) -> None:
    images = [
        toy.image(0, 1, "train"),
        toy.image(1, 1, "train"),
        toy.image(1, 1, "valid"),
        toy.image(2, 1, "valid"),
    ]
    assert toy.prepare(tmp_path / "out", images)["splits"]["valid"]["images_in_train"] == 1  # type: ignore[index]


def test_hold_out_notes_smaller_splits(tmp_path: Path) -> None:
    same = toy.image(0, 1)
    report = toy.prepare(tmp_path / "out", [same, same, same, toy.image(1, 1), toy.image(2, 1)], valid=4)
    assert (
        "valid: 2 images are set aside, not 4: equal images stay together" in report["notes"]
        or report["splits"]["valid"]["images"] == 4
    )  # type: ignore[operator,index]


def test_prepare_refuses_data_without_training_captions(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"^6 images for validation and 0 for test leave nothing to train on: there are 6"
    ):
        toy.prepare(tmp_path / "out", [toy.image(number) for number in range(6)], valid=6)
    with pytest.raises(UserError, match=r"^toy: no image to train on; its splits are: valid"):
        toy.prepare(tmp_path / "out", [toy.image(0, 1, "valid")])
    with pytest.raises(UserError, match=r"^toy: empty: there is no image in it"):
        toy.prepare(tmp_path / "out", [])


# Damage afterwards


@pytest.fixture
def out(tmp_path: Path) -> Path:
    toy.prepare(tmp_path / "out", ten())
    return tmp_path / "out"


def rewritten(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    table = change(pa.ipc.open_stream(path.read_bytes()).read_all())
    with pa.ipc.new_stream(str(path), table.schema) as stream:
        stream.write_table(table)


@pytest.mark.parametrize("name", ["images", "captions"])
@pytest.mark.parametrize(
    "harm",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:200]),
        lambda path: path.write_bytes(b"x" * 900),
    ],
)
def test_captioned_split_reports_damaged_tables_on_one_line(
    out: Path, name: str, harm: Callable[[Path], object]
) -> None:
    harm(out / "train" / f"{name}.arrow")
    with pytest.raises(
        UserError, match=re.escape(f"{out / 'train'}: damaged (") + r".*\); run `seq2attn prepare` again$"
    ):
        Prepared(out).captioned_split("train")


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("images", lambda table: table.slice(0, 3)),  # captions of those that are gone
        ("captions", lambda table: table.slice(0, 4)),  # images without any
        ("captions", lambda table: table.take(list(range(len(table) - 1, -1, -1)))),  # in another order
        ("captions", lambda table: table.drop_columns(["target"])),
        ("captions", lambda table: table.slice(0, 0)),
        ("images", lambda table: table.rename_columns(["name", "width", "height", "count", "pixels"])),
    ],
)
def test_captioned_split_refuses_unfitting_tables_on_one_line(
    out: Path, name: str, change: Callable[[pa.Table], pa.Table]
) -> None:
    rewritten(out / "train" / f"{name}.arrow", change)
    with pytest.raises(UserError, match=r"train: damaged \(.*\); run `seq2attn prepare` again$"):
        Prepared(out).captioned_split("train")


def changed(column: str, values: Callable[[list[object]], list[object]]) -> Callable[[pa.Table], pa.Table]:
    """One cell or more replaced, the type kept."""

    def change(table: pa.Table) -> pa.Table:
        place = table.column_names.index(column)
        cells = pa.array(values(table.column(column).to_pylist()), table.field(column).type)
        return table.set_column(place, table.field(column), cells)

    return change


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("captions", changed("target_ids", lambda rows: [[10**6], *rows[1:]])),
        ("captions", changed("target_ids", lambda rows: [[-1], *rows[1:]])),
        ("captions", changed("target_ids", lambda rows: [None, *rows[1:]])),
        ("captions", changed("target_ids", lambda rows: [[4, None], *rows[1:]])),
        ("captions", changed("target", lambda rows: [*rows[:-1], None])),
        ("captions", changed("image", lambda rows: [*rows[:-1], None])),
        ("captions", changed("boxes", lambda rows: [[[0, math.nan, 0, 1, 1]], *rows[1:]])),
        ("captions", changed("boxes", lambda rows: [[[math.inf, 0, 0, 1, 1]], *rows[1:]])),
        ("captions", changed("boxes", lambda rows: [[[0, 0, 0, 1e30, 1]], *rows[1:]])),
        ("captions", changed("boxes", lambda rows: [[[0, None, 0, 1, 1]], *rows[1:]])),
        ("images", changed("name", lambda rows: [None, *rows[1:]])),
        ("images", changed("frames", lambda rows: [None, *rows[1:]])),
        ("images", changed("frames", lambda rows: [[None], *rows[1:]])),
        ("images", changed("width", lambda rows: [0, *rows[1:]])),
        ("images", changed("height", lambda rows: [-5, *rows[1:]])),
        ("images", changed("count", lambda rows: [None, *rows[1:]])),
        ("images", lambda table: table.set_column(0, "name", pa.array([b"\xff"] * len(table)))),
        ("images", lambda table: table.set_column(0, "name", pa.array([[1]] * len(table)))),
        ("images", lambda table: table.set_column(1, "width", pa.array([2**40] * len(table)))),
        ("captions", lambda table: table.set_column(2, "target_ids", pa.array([["a"]] * len(table)))),
    ],
)
def test_captioned_split_reports_impossible_cells_on_one_line(
    out: Path, name: str, change: Callable[[pa.Table], pa.Table]
) -> None:
    rewritten(out / "train" / f"{name}.arrow", change)
    with pytest.raises(UserError, match=r"train: damaged \(.*\); run `seq2attn prepare` again$"):
        Prepared(out).captioned_split("train")


def test_captioned_split_reports_a_box_of_a_missing_word_on_one_line(out: Path) -> None:
    change = changed("boxes", lambda rows: [[[9, 0, 0, 1, 1]], *rows[1:]])
    rewritten(out / "train" / "captions.arrow", change)
    split = Prepared(out).captioned_split("train")
    with pytest.raises(UserError, match=r"train: damaged \(a box of a word that its caption does not have\)"):
        _ = split.boxes


READ = """
import sys
from pathlib import Path
import numpy as np
from seq2attn.data.prepared import Prepared
from seq2attn.errors import UserError
out = Path(sys.argv[1])
chance = np.random.default_rng(3)
for name in ("images", "captions"):
    path = out / "train" / f"{name}.arrow"
    whole = path.read_bytes()
    for number in range(int(sys.argv[2])):
        broken = bytearray(whole)
        for place in chance.integers(0, len(whole) if number % 2 else min(2000, len(whole)), 1 + number % 5):
            broken[place] = chance.integers(256)
        path.write_bytes(broken[: int(chance.integers(len(whole)))] if number % 7 == 0 else broken)
        try:
            split = Prepared(out).captioned_split("train")
            split.names, split.sizes, split.captions, split.boxes
            split.target_ids, split.target_lengths, split.first
            for image in range(len(split.names)):
                split.content(image)
        except UserError as error:
            assert "damaged" in str(error)
            assert "\\n" not in str(error)
    path.write_bytes(whole)
print("read")
"""


@pytest.mark.slow
@pytest.mark.parametrize("count", [150, pytest.param(3000, marks=pytest.mark.slow)])
def test_captioned_split_survives_flipped_bytes(out: Path, count: int) -> None:
    """In a process of its own: what Arrow believes without looking ends one."""
    environment = os.environ | {"PYTHONPATH": str(Path(preparing.__file__).parents[2])}
    command = [sys.executable, "-W", "ignore", "-c", READ, str(out), str(count)]
    ended = subprocess.run(command, capture_output=True, check=False, env=environment)
    assert (ended.returncode, ended.stdout) == (0, b"read\n"), ended.stderr.decode()[-2000:]


def test_captioned_split_reads_several_chunks_alike(out: Path) -> None:
    before = CaptionedSplit(out / "train")
    ids, captions, first = [row.tolist() for row in before.target_ids], before.captions, before.first
    path = out / "train" / "captions.arrow"
    table = pa.ipc.open_stream(path.read_bytes()).read_all()
    with pa.ipc.new_stream(str(path), CAPTIONS) as stream:
        for start in range(0, len(table), 2):
            stream.write_table(table.slice(start, 2))
    after = CaptionedSplit(out / "train")
    assert [row.tolist() for row in after.target_ids] == ids
    assert after.captions == captions
    assert np.array_equal(after.first, first)


# Folders of one kind opened as of the other


def test_prepared_refuses_images_as_text_and_text_as_images(out: Path, tmp_path: Path) -> None:
    for act in (lambda: Prepared(out).split("train"), lambda: Prepared(out).source_tokenizer):
        with pytest.raises(
            UserError, match=re.escape(f"{out}: holds captioned images, not text: prepare a corpus of text")
        ):
            act()
    text = tmp_path / "text"
    text.mkdir()
    for language in ("en", "de"):
        (text / f"train.{language}").write_text("".join(f"a b c{number}\n" for number in range(50)))
    preparing.prepare(
        str(text), tmp_path / "texts", config.DataConfig(source="en", target="de", vocab_size=40), shrink=True
    )
    with pytest.raises(
        UserError,
        match=re.escape(
            f"{tmp_path / 'texts'}: holds text, not captioned images: prepare a corpus of images"
        ),
    ):
        Prepared(tmp_path / "texts").captioned_split("train")
    with pytest.raises(UserError, match="no split nothing"):
        Prepared(out).captioned_split("nothing")


# Files


def test_frame_files_are_in_numeric_order(tmp_path: Path) -> None:
    for name in ("10.png", "2.png", "1.PNG", "notes.txt", ".3.png", "a1.png"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "5.png").mkdir()
    assert [path.name for path in frame_files(tmp_path)] == ["1.PNG", "2.png", "10.png", "a1.png"]
    assert content_of(tmp_path, clip=True) == [b"1.PNG", b"2.png", b"10.png", b"a1.png"]
    assert content_of(tmp_path / "2.png") == content_of(tmp_path / "2.png", clip=True) == [b"2.png"]


def test_image_files_searches_below_a_folder(tmp_path: Path) -> None:
    for name in ("b.png", "a/2.JPG", "a/1.gif", "a/notes.txt", ".hidden/1.png", "a/.1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "gone.png").symlink_to("nowhere.png")
    assert [path.relative_to(tmp_path).as_posix() for path in image_files(tmp_path)] == [
        "b.png",
        "a/1.gif",
        "a/2.JPG",
    ]


def test_content_of_refuses_folders_without_images(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=re.escape(f"{tmp_path}: a folder, not an image")):
        content_of(tmp_path)
    with pytest.raises(UserError, match=re.escape(f"{tmp_path}: no images in this folder, so it is no clip")):
        content_of(tmp_path, clip=True)
    with pytest.raises(UserError, match=r"nowhere\.png: no such file"):
        content_of(tmp_path / "nowhere.png")


def test_content_of_reads_evenly_spaced_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        (tmp_path / f"{number}.png").write_bytes(str(number).encode())
    monkeypatch.setattr("seq2attn.data.images.files.MOST_FRAMES", 3)
    assert content_of(tmp_path, clip=True) == [b"0", b"2", b"4"]
    monkeypatch.setattr("seq2attn.data.images.files._MOST_TOGETHER", 2)
    with pytest.raises(UserError, match="frames of more than 0 MiB together"):
        content_of(tmp_path, clip=True)
