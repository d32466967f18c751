"""Every layout of captioned images gives the same images, and nothing that a file of captions says leads
out of its folder.
"""

import csv
import errno
import gzip
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from real_data import DATA

from seq2attn.data.formats import parquet
from seq2attn.data.formats.records import read_records
from seq2attn.data.images import decoding
from seq2attn.data.images.corpus import Box, CaptionedImage, ImageCorpus, LinkOut
from seq2attn.data.images.lookup import Files
from seq2attn.data.images.pixels import model_pixels
from seq2attn.data.sources import open_corpus
from seq2attn.errors import UsageError, UserError

FLICKR = DATA / "flickr8k"
# name -> split and captions
EXPECTED = {
    "a.png": ("train", ("A dog runs .", "The dog .")),
    "b.png": ("train", ("Two „cats“, 一只猫",)),
    "c.png": ("valid", ("A red car",)),
    "d.png": ("test", ("A tree", "A tall tree", "Leaves")),
}


def png(shade: int = 0, side: int = 4) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), (shade, 0, 0)).save(file, "PNG")
    return file.getvalue()


def gif(frames: int = 3) -> bytes:
    file = io.BytesIO()
    first, *others = [Image.new("L", (4, 4), 40 * number) for number in range(frames)]
    first.save(file, "GIF", save_all=True, append_images=others)
    return file.getvalue()


DATA = {name: png(10 * number) for number, name in enumerate(EXPECTED)}


def corpus_of(
    path: Path | str, source: str | None = None, target: str | None = None, follow_links: bool = False
) -> ImageCorpus:
    corpus = open_corpus(str(path), source, target, follow_links=follow_links)
    assert isinstance(corpus, ImageCorpus)
    return corpus


def images_of(corpus: ImageCorpus) -> dict[str, tuple[str | None, tuple[str, ...]]]:
    images = list(corpus.images())
    by_name = {image.name.rpartition("/")[2]: image for image in images}
    assert len(by_name) == len(images)
    for name, image in by_name.items():
        assert image.content() == [DATA[name]]
    return {name: (image.split, image.captions) for name, image in by_name.items()}


def put(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or DATA:
        (folder / name).write_bytes(DATA[name])
    return folder


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="")
    return path


# Flickr


def flickr(folder: Path, images: str = "images") -> Path:
    put(folder / images)
    lines = [
        f"{name}#{number}\t{caption}"
        for name, (_, captions) in EXPECTED.items()
        for number, caption in enumerate(captions)
    ]
    write(folder / "Flickr8k.token.txt", "\n".join(lines) + "\n")
    for name, split in (("trainImages", "train"), ("devImages", "valid"), ("testImages", "test")):
        write(
            folder / f"Flickr_8k.{name}.txt",
            "".join(f"{name}\n" for name, (mine, _) in EXPECTED.items() if mine == split),
        )
    return folder


@pytest.mark.parametrize("images", ["images", ".", "Flicker8k_Dataset", "deep/er"])
def test_flickr_reads_captions_images_and_splits(images: str, tmp_path: Path) -> None:
    folder = flickr(tmp_path, images)
    write(folder / "readme.txt", "no list")
    write(folder / "Flickr8k.lemma.token.txt", "a.png#0\tdog run\n")
    write(folder / "latest.txt", "b.png\n")
    corpus = corpus_of(folder)
    assert images_of(corpus) == EXPECTED
    assert corpus.language is None
    assert not corpus.clips
    assert [path.name for path in corpus.inputs] == [
        "Flickr8k.token.txt",
        "Flickr_8k.devImages.txt",
        "Flickr_8k.testImages.txt",
        "Flickr_8k.trainImages.txt",
    ]
    assert [image.place for image in corpus.images()] == [
        f"Flickr8k.token.txt:{line}" for line in (1, 3, 4, 5)
    ]
    assert corpus.notes == []
    assert corpus_of(folder, None, "en").language == "en"


def test_flickr_without_lists_is_undivided(tmp_path: Path) -> None:
    folder = flickr(tmp_path)
    for path in folder.glob("*Images.txt"):
        path.unlink()
    expected = {name: (None, captions) for name, (_, captions) in EXPECTED.items()}
    assert images_of(corpus_of(folder)) == expected
    token = (folder / "Flickr8k.token.txt").rename(folder / "results_20130124.token")
    assert images_of(corpus_of(folder)) == expected
    assert images_of(corpus_of(token)) == expected


def test_flickr_ignores_images_that_its_lists_omit(tmp_path: Path) -> None:
    folder = flickr(tmp_path)
    (folder / "Flickr_8k.testImages.txt").unlink()
    with (folder / "Flickr_8k.trainImages.txt").open("a", encoding="utf-8") as file:
        file.write("nowhere.jpg\n")
    corpus = corpus_of(folder)
    for _ in range(2):
        assert list(images_of(corpus)) == ["a.png", "b.png", "c.png"]
        assert corpus.notes == [
            "1 image of Flickr8k.token.txt is in no list of a split, and left out",
            "1 image of the lists is not in Flickr8k.token.txt",
        ]
    write(folder / "val.txt", "a.png\n")
    with pytest.raises(UserError, match=r"val\.txt:1: a\.png is in the list for train too"):
        list(corpus_of(folder).images())


def test_flickr30k_lists_have_numbers(tmp_path: Path) -> None:
    write(tmp_path / "results.token", "7.jpg#0\tx\n8.jpg#0\ty\n")
    write(tmp_path / "train.txt", "7\n")
    write(tmp_path / "val.txt", "8\n")
    assert [(image.name, image.split) for image in corpus_of(tmp_path).images()] == [
        ("7.jpg", "train"),
        ("8.jpg", "valid"),
    ]


def test_flickr_captions_may_be_scattered_and_images_missing(tmp_path: Path) -> None:
    write(tmp_path / "x.token.txt", "a.png#0\tone\nb.png#0\ttwo\r\n\na.png#1\tthree\nc.png#0\t \n")
    put(tmp_path, "a.png")
    corpus = corpus_of(tmp_path)
    first, second = corpus.images()
    assert (first.captions, second.captions) == (("one", "three"), ("two",))
    assert corpus.notes == ["1 image has no caption and is left out"]
    with pytest.raises(UserError, match=r"x\.token\.txt:2: no image b\.png in "):
        second.content()
    put(tmp_path / "one", "b.png")
    put(tmp_path / "two", "b.png")
    with pytest.raises(
        UserError, match=r"x\.token\.txt:2: b\.png is there more than once: \w+/b\.png and \w+/b\.png"
    ):
        list(corpus_of(tmp_path).images())[1].content()
    write(tmp_path / "x.token.txt", "a.png#0\t\n")
    with pytest.raises(UserError, match="none of its 1 images has a caption"):
        list(corpus_of(tmp_path).images())


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.png#0 no tab", "not NAME.jpg#K, a tab and the caption"),
        ("a.png\tno number", "not NAME.jpg#K"),
        ("../a.png#0\tx", "'../a.png' is no path inside"),
        ("/etc/passwd#0\tx", "'/etc/passwd' is no path inside"),
        ("images/../../a.png#0\tx", "is no path inside"),
        ("file:///etc/passwd#0\tx", "is no path inside"),
        ("..\\a.png#0\tx", "is no path inside"),
        ("#0\tx", "is no path inside"),
        ("a\0b#0\tx", "is no path inside"),
    ],
)
def test_flickr_names_faults(line: str, message: str, tmp_path: Path) -> None:
    write(tmp_path / "x.token.txt", f"good.png#0\tx\n{line}\n")
    with pytest.raises(UserError) as caught:
        list(corpus_of(tmp_path).images())
    assert f"{tmp_path / 'x.token.txt'}:2: " in str(caught.value)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_refuses_links_out_of_the_folder(tmp_path: Path) -> None:
    put(tmp_path / "elsewhere")
    folder = put(tmp_path / "set", "a.png")
    (folder / "out.png").symlink_to(tmp_path / "elsewhere" / "b.png")
    (folder / "folder").symlink_to(tmp_path / "elsewhere")
    (folder / "in.png").symlink_to(folder / "a.png")
    (folder / "frames").mkdir()
    (folder / "frames" / "1.png").symlink_to(tmp_path / "elsewhere" / "b.png")
    files = Files(folder)
    assert files.content("in.png", "x:1") == [DATA["a.png"]]
    elsewhere, allow = tmp_path / "elsewhere", "allow links with `follow_links`"
    for name, said in (
        ("out.png", f"out.png is a link to {elsewhere}/b.png, outside of {folder}: "),
        (
            "folder/b.png",
            f"folder/b.png lies behind folder, which is a link to {elsewhere}, outside of {folder}: ",
        ),
        ("folder", f"folder is a link to {elsewhere}, outside of {folder}: "),
        ("frames", f"frames/1.png is a link to {elsewhere}/b.png, outside of {folder}: "),
    ):
        with pytest.raises(LinkOut) as caught:
            files.content(name, "x:1")
        assert str(caught.value).startswith(f"x:1: {said}{allow}")
    with pytest.raises(
        LinkOut,
        match=rf"^x:1: no image c\.png in .*; folder is a link to {elsewhere}, outside of .*: {allow}",
    ):
        files.content("c.png", "x:1", anywhere=True)  # the folder that is a link is not searched
    with pytest.raises(UserError, match=r"^x:1: no image c\.png in ") as missing:
        Files(put(tmp_path / "other", "a.png")).content("c.png", "x:1")
    assert not isinstance(missing.value, LinkOut)


def test_files_follows_links_out_of_the_folder_if_allowed(tmp_path: Path) -> None:
    put(tmp_path / "elsewhere")
    folder = put(tmp_path / "set", "a.png")
    (folder / "out.png").symlink_to(tmp_path / "elsewhere" / "b.png")
    (folder / "folder").symlink_to(tmp_path / "elsewhere")
    (folder / "again").symlink_to(tmp_path / "elsewhere")
    (folder / "loop").symlink_to(folder)
    (folder / "itself.png").symlink_to("itself.png")
    (folder / "gone.png").symlink_to(tmp_path / "gone.png")
    (folder / "endless.png").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe")
    (folder / "pipe.png").symlink_to(tmp_path / "pipe")
    files = Files(folder, follow_links=True)
    assert files.content("out.png", "x:1") == files.content("folder/b.png", "x:1") == [DATA["b.png"]]
    # one file, however many links lead to it
    assert files.content("c.png", "x:1", anywhere=True) == [DATA["c.png"]]
    assert len(files.content("folder", "x:1")) == 4
    for name, said in (
        ("gone.png", "gone.png is a link to .*/gone.png, which is not there"),
        ("itself.png", "which is not there"),
        ("endless.png", "not a file where an image is wanted"),
        ("pipe.png", "not a file where an image is wanted"),
        ("d.jpg", "no image d.jpg in"),
    ):
        with pytest.raises(UserError, match=said):
            files.content(name, "x:1", anywhere=True)
    with pytest.raises(UserError, match="is no path inside"):
        files.checked("folder/../../x", "x:1")


def linked(tmp_path: Path) -> dict[str, Path]:
    """Corpora whose images, or whose folder of images, are links."""
    store = put(tmp_path / "blobs")
    (hub := tmp_path / "snapshots").mkdir()
    for name in DATA:
        (hub / name).symlink_to(Path("..", "blobs", name))
    write(tmp_path / "metadata", "".join(json.dumps(row) + "\n" for row in ROWS))
    (hub / "metadata.jsonl").symlink_to(tmp_path / "metadata")
    shared = tmp_path / "shared"
    karpathy(shared)
    (shared / "images").symlink_to(store)
    lists = flickr(tmp_path / "flickr")
    shutil.rmtree(lists / "images")
    (lists / "Images").symlink_to(store)
    return {"hub": hub, "karpathy": shared, "flickr": lists}


@pytest.mark.parametrize("form", ["hub", "karpathy", "flickr"])
def test_follow_links_reads_corpora_of_linked_images(form: str, tmp_path: Path) -> None:
    folder = linked(tmp_path)[form]
    assert images_of(corpus_of(folder, follow_links=True)) == EXPECTED
    for image in corpus_of(folder).images():
        with pytest.raises(LinkOut, match=r"is a link to .*blobs.*: allow links with `follow_links`"):
            image.content()
    (tmp_path / "name").symlink_to(put(tmp_path / "plain"))
    lines(tmp_path / "plain" / "metadata.jsonl", ROWS)
    # the folder that the user names may be a link at any time
    assert images_of(corpus_of(tmp_path / "name")) == EXPECTED


def test_open_corpus_asks_which_file_of_captions(tmp_path: Path) -> None:
    write(tmp_path / "one.token.txt", "a.png#0\tx\n")
    write(tmp_path / "two.token.txt", "a.png#0\tx\n")
    with pytest.raises(UsageError, match=r"one\.token\.txt, two\.token\.txt: name the file"):
        open_corpus(str(tmp_path))
    assert len(list(corpus_of(tmp_path / "one.token.txt").images())) == 1
    with pytest.raises(UsageError, match="`source` image names a column"):
        open_corpus(str(tmp_path / "one.token.txt"), "image")
    with pytest.raises(UsageError, match="`target` captions is no language"):
        open_corpus(str(tmp_path / "one.token.txt"), None, "captions")


@pytest.mark.skipif(not FLICKR.is_dir(), reason=f"{FLICKR} is not on this machine")
def test_flickr8k_is_read_whole() -> None:
    corpus = corpus_of(FLICKR)
    images = list(corpus.images())
    counts = {
        split: sum(image.split == split for image in images) for split in ("train", "valid", "test", None)
    }
    assert counts == {"train": 6000, "valid": 1000, "test": 0, None: 0}
    assert {len(image.captions) for image in images} == {5}
    assert len({image.name for image in images}) == 7000
    for image in images[::500]:
        assert decoding.check(image.content(), image.name) == (1, 160, 160)
        assert model_pixels(image.content(), image.name, 64).shape == (1, 64, 64, 3)
    assert not corpus.clips


# Karpathy


def karpathy(folder: Path, indent: int | None = None, **more: object) -> Path:
    records = []
    for number, (name, (split, captions)) in enumerate(EXPECTED.items()):
        named = {"a.png": "restval", "valid": "val"}.get(name, {"valid": "val"}.get(split, split))
        sentences = [{"tokens": caption.split(), "raw": caption, "imgid": number} for caption in captions]
        records.append({"filename": name, "imgid": number, "split": named, "sentences": sentences, **more})
    return write(
        folder / "dataset_tiny.json",
        json.dumps({"dataset": "tiny", "images": records, "last": 1}, indent=indent, ensure_ascii=False),
    )


@pytest.mark.parametrize(
    ("below", "filepath"),
    [
        (".", None),
        ("val2014", "val2014"),
        ("deep/er", None),
        ("deep/val2014", "val2014"),
        ("images", "elsewhere"),
    ],
)
def test_karpathy_reads_captions_images_and_splits(below: str, filepath: str | None, tmp_path: Path) -> None:
    file = karpathy(tmp_path, **({"filepath": filepath} if filepath else {}))
    put(tmp_path / below)
    for path in (tmp_path, file):
        corpus = corpus_of(path)
        assert images_of(corpus) == EXPECTED
        assert corpus.inputs == [file]


def test_karpathy_tells_equal_names_in_two_folders_apart(tmp_path: Path) -> None:
    karpathy(tmp_path, filepath="train2014")
    put(tmp_path / "train2014")
    (tmp_path / "val2014").mkdir()
    (tmp_path / "val2014" / "a.png").write_bytes(png(99))
    assert images_of(corpus_of(tmp_path)) == EXPECTED


@pytest.mark.parametrize("size", [1, 7, 64])
def test_karpathy_list_is_streamed(size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = [record for _, record in read_records(karpathy(tmp_path), "images")]
    assert len(whole) == 4
    monkeypatch.setattr("seq2attn.data.formats.json_records._CHUNK", size)
    for indent in (None, 1):
        records = list(read_records(karpathy(tmp_path, indent), "images"))
        assert [record for _, record in records] == whole
        lines = (tmp_path / "dataset_tiny.json").read_text(encoding="utf-8").split("\n")
        assert indent is None or [lines[number - 1].strip() for number, _ in records] == ["{"] * 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", 'no list "images" in it'),
        ("[]", 'no list "images" in it'),
        ("x" * 3_000_000, 'no list "images" in it'),
        ('{"images": [', "the list of objects does not end"),
        ('{"images": [{"filename": "a.png"}]}', ':1: no list "sentences"'),
        ('{"images": [{"sentences": []}]}', ':1: no text "filename"; it has: sentences'),
        ('{"images": [{"filename": "../a.png", "sentences": []}]}', "'../a.png' is no path inside"),
        (
            '{"images": [{"filename": "a.png", "filepath": "/etc", "sentences": []}]}',
            "'/etc' is no path inside",
        ),
        ('{"images": [{"filename": "a.png", "sentences": ["x"]}]}', 'a sentence is no object with "raw"'),
        (
            '{"images": [{"filename": "a.png", "split": "other", "sentences": [{"raw": "x"}]}]}',
            'the split is "other"',
        ),
    ],
)
def test_karpathy_names_faults(text: str, message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "dataset_x.json", text)
    with pytest.raises(UserError) as caught:
        list(corpus_of(path).images())
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)


# Image folders


ROWS = [
    {"file_name": name, "captions": list(captions), "split": split}
    for name, (split, captions) in EXPECTED.items()
]


def write_csv(path: Path, rows: list[list[object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    return path


def lines(path: Path, rows: list[dict[str, object]]) -> Path:
    return write(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def row_a_caption(folder: Path) -> None:
    write_csv(
        folder / "metadata.csv",
        [
            ["file_name", "text", "split"],
            *([n, c, s] for k in range(3) for n, (s, t) in EXPECTED.items() for c in t[k : k + 1]),
        ],
    )


def several_columns(folder: Path) -> None:
    rows = [
        [name, split, *captions, *[""] * (3 - len(captions))] for name, (split, captions) in EXPECTED.items()
    ]
    write_csv(folder / "metadata.csv", [["file_name", "split", "caption_0", "caption_1", "caption_2"], *rows])


METADATA: dict[str, Callable[[Path], object]] = {
    "jsonl": lambda folder: lines(folder / "metadata.jsonl", ROWS),
    "lists in csv": lambda folder: write_csv(
        folder / "metadata.csv",
        [["file_name", "captions", "split"], *([n, json.dumps(c), s] for n, (s, c) in EXPECTED.items())],
    ),
    "a row a caption": row_a_caption,
    "several columns": several_columns,
    "parquet": lambda folder: pq.write_table(pa.Table.from_pylist(ROWS), folder / "metadata.parquet"),
}


@pytest.mark.parametrize("form", METADATA)
def test_image_folder_with_metadata(form: str, tmp_path: Path) -> None:
    METADATA[form](put(tmp_path))
    for name in (tmp_path, f"hf:{tmp_path}", next(tmp_path.glob("metadata.*"))):
        corpus = corpus_of(name)
        assert images_of(corpus) == EXPECTED
        assert [path.name for path in corpus.inputs] == [next(tmp_path.glob("metadata.*")).name]
        assert (corpus.language, corpus.clips, corpus.notes) == (None, False, [])


def test_image_folder_with_a_folder_per_split(tmp_path: Path) -> None:
    for split, folder in (("train", "train"), ("valid", "validation"), ("test", "test")):
        names = [name for name, (mine, _) in EXPECTED.items() if mine == split]
        put(tmp_path / folder, *names)
        lines(
            tmp_path / folder / "metadata.jsonl",
            [{"file_name": name, "captions": EXPECTED[name][1]} for name in names],
        )
    corpus = corpus_of(tmp_path)
    assert images_of(corpus) == EXPECTED
    assert [image.name for image in corpus.images()] == [
        "test/d.png",
        "train/a.png",
        "train/b.png",
        "validation/c.png",
    ]
    assert [image.place for image in corpus.images()][1:3] == [
        "train/metadata.jsonl:1",
        "train/metadata.jsonl:2",
    ]


def test_open_corpus_accepts_other_column_names(tmp_path: Path) -> None:
    put(tmp_path)
    lines(
        tmp_path / "metadata.jsonl",
        [
            {"photo": name, "Deutsch": captions, "split": split}
            for name, (split, captions) in EXPECTED.items()
        ],
    )
    with pytest.raises(UserError, match="no column file_name, image or clip"):
        open_corpus(str(tmp_path))
    with pytest.raises(
        UsageError,
        match="say which column has the captions with `target` NAME; there are: photo, Deutsch, split",
    ):
        open_corpus(str(tmp_path), "photo")
    with pytest.raises(UserError, match="no column French for `target`; there are: photo, Deutsch, split"):
        open_corpus(str(tmp_path), "photo", "French:fr")
    corpus = corpus_of(tmp_path, "photo", "Deutsch:de")
    assert images_of(corpus) == EXPECTED
    assert corpus.language == "de"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"file_name": "../a.png", "text": "x"}, "metadata.jsonl:2: '../a.png' is no path inside"),
        ({"file_name": "/a.png", "text": "x"}, "metadata.jsonl:2: '/a.png' is no path inside"),
        ({"file_name": "hf://datasets/x/a.png", "text": "x"}, "is no path inside"),
        ({"file_name": 7, "text": "x"}, "metadata.jsonl:2: file_name is no image but int"),
        ({"file_name": "a.png", "text": 7}, "metadata.jsonl:2: text is no text but int"),
        ({"file_name": "a.png", "text": "x", "split": "other"}, 'metadata.jsonl:2: the split is "other"'),
        (
            {"file_name": "a.png", "text": "x", "boxes": [[], []]},
            "metadata.jsonl:2: boxes for 2 captions where there are 1",
        ),
        (
            {"file_name": "a.png", "text": "x", "boxes": [[[0, 1, 1, 0, 2]]]},
            "metadata.jsonl:2: a box is [word, left, top, right, bottom]",
        ),
        (
            {"file_name": "a.png", "text": "x", "boxes": [[[0, 1, 1, 2]]]},
            "a box is [word, left, top, right, bottom]",
        ),
        ({"file_name": "a.png", "text": "x", "boxes": [[[-1, 0, 0, 2, 2]]]}, "a box is"),
        ({"file_name": "a.png", "text": "x", "boxes": [[["0", 0, 0, 2, 2]]]}, "a box is"),
        (
            {"file_name": "a.png", "text": "x y", "boxes": [[[0, 0, 0, 2, 2], [2, 0, 0, 2, 2]]]},
            "a box names word 2, counted from 0, and its caption has 2: 'x y'",
        ),
        ({"file_name": "a.png", "text": "x", "boxes": "["}, "metadata.jsonl:2: not a list of JSON"),
        ({"file_name": "a.png", "text": "x", "boxes": 3}, "are no list but int"),
        ({"file_name": ["a.png"], "text": "x"}, "a list of paths in file_name"),
    ],
)
def test_table_names_faults(row: dict[str, object], message: str, tmp_path: Path) -> None:
    put(tmp_path)
    lines(tmp_path / "metadata.jsonl", [{"file_name": "a.png", "text": "fine"}, row])
    with pytest.raises(UserError) as caught:
        list(corpus_of(tmp_path).images())
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_table_reads_boxes(tmp_path: Path) -> None:
    put(tmp_path)
    box, lost, other = [1, 0, 0, 2.5, 3], [2, 0, 0, 1, 1], [0, 1, 1, 2, 2]
    whole = Box(1, 0.0, 0.0, 2.5, 3.0)
    rows = [
        {
            "file_name": "a.png",
            "captions": ["a dog", "", "b"],
            "boxes": [[box], [lost], [dict(zip(Box._fields, other, strict=True))]],
        },
        {"file_name": "b.png", "captions": ["a cat", "no box"], "boxes": [[box, other], None]},
        {"file_name": "c.png", "captions": ["none"], "boxes": None},
        {"file_name": "d.png", "captions": ["a tree"], "boxes": json.dumps([[box]])},
    ]
    lines(tmp_path / "metadata.jsonl", rows)
    images = list(corpus_of(tmp_path).images())
    assert [image.captions for image in images] == [
        ("a dog", "b"),
        ("a cat", "no box"),
        ("none",),
        ("a tree",),
    ]
    second = Box(0, 1.0, 1.0, 2.0, 2.0)
    assert [image.boxes for image in images] == [
        ((whole,), (second,)),
        ((whole, second), ()),
        (),
        ((whole,),),
    ]
    lines(
        tmp_path / "metadata.jsonl",
        [
            {"file_name": "a.png", "text": word, "boxes": boxes}
            for word, boxes in (("x y", [box]), ("z", [[other]]), ("w", None))
        ],
    )
    (image,) = corpus_of(tmp_path).images()
    assert (image.captions, image.boxes) == (("x y", "z", "w"), ((whole,), (second,), ()))


# Tables with the bytes in them


def embedded(form: str) -> list[dict[str, object]]:
    def cell(name: str) -> object:
        return {
            "struct": {"bytes": DATA[name], "path": name},
            "bytes": DATA[name],
            "path alone": {"bytes": None, "path": name},
        }[form]

    return [
        {"image": cell(name), "captions": list(captions), "id": 3} for name, (_, captions) in EXPECTED.items()
    ]


@pytest.mark.parametrize("form", ["struct", "bytes", "path alone"])
def test_image_table_with_embedded_images(form: str, tmp_path: Path) -> None:
    path = put(tmp_path) / "images.parquet"
    pq.write_table(pa.Table.from_pylist(embedded(form)), path)
    images = list(corpus_of(path).images())
    assert [image.content() for image in images] == [[data] for data in DATA.values()]
    assert [image.captions for image in images] == [captions for _, captions in EXPECTED.values()]
    assert [image.name for image in images] == (
        [f"images.parquet:{n}" for n in range(1, 5)] if form == "bytes" else list(DATA)
    )
    packed = path.with_name("packed.parquet.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert [image.content() for image in corpus_of(packed).images()] == [[data] for data in DATA.values()]


def split_tables(folder: Path, column: str = "image") -> Path:
    folder.mkdir(exist_ok=True, parents=True)
    for split in ("train", "valid", "test"):
        rows = [
            {column: {"bytes": DATA[n], "path": n}, "captions": list(c), "boxes": [[]] * len(c)}
            for n, (s, c) in EXPECTED.items()
            if s == split
        ]
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{split}.parquet")
    return folder


def test_image_tables_one_per_split(tmp_path: Path) -> None:
    folder = split_tables(tmp_path / "set")
    write(folder / "extra.jsonl", "{}")
    corpus = corpus_of(folder)
    assert images_of(corpus) == EXPECTED
    assert corpus.notes == ["tables left out: extra.jsonl"]
    assert [path.name for path in corpus.inputs] == ["test.parquet", "train.parquet", "valid.parquet"]
    (folder / "extra.jsonl").unlink()
    (folder / "data").mkdir()
    for name in ("train", "valid", "test"):
        (folder / f"{name}.parquet").rename(folder / "data" / f"{name}-00000-of-00001.parquet")
    assert images_of(corpus_of(folder)) == EXPECTED
    assert images_of(corpus_of(f"hf:{folder}")) == EXPECTED


@pytest.mark.parametrize("name", ["scenes", "clips"])
def test_open_corpus_knows_bundled_corpora_by_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = split_tables(tmp_path / name, "clip" if name == "clips" else "image")
    monkeypatch.setattr("seq2attn.data.sources.bundled_folder", lambda _: folder)
    corpus = corpus_of(name)
    assert images_of(corpus) == EXPECTED
    assert (corpus.name, corpus.language, corpus.clips) == (name, "en", name == "clips")
    assert corpus_of(name, None, "captions:de").language == "de"


def test_parquet_rows_with_equal_bytes_are_one_image(tmp_path: Path) -> None:
    rows = [
        {"image": {"bytes": DATA[name], "path": name}, "text": caption}
        for name, (_, captions) in EXPECTED.items()
        for caption in captions
    ]
    rows += [
        {"image": {"bytes": png(200), "path": "a.png"}, "text": "another image of that name"},
        {"image": None, "text": "none"},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "x.parquet")
    images = list(corpus_of(tmp_path / "x.parquet").images())
    assert [image.captions for image in images] == [
        *(c for _, c in EXPECTED.values()),
        ("another image of that name",),
        ("none",),
    ]
    assert [image.name for image in images] == [*DATA, "a.png (x.parquet:8)", "x.parquet:9"]
    with pytest.raises(UserError, match=r"x\.parquet:9: no image in this row"):
        images[-1].content()


def test_parquet_images_are_unpacked_in_small_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seq2attn.data.formats.parquet._BYTES", 3000)
    sizes = []
    rows_at_once = parquet._rows
    rows = [{"image": np.random.default_rng(number).bytes(1000), "text": "x"} for number in range(20)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "x.parquet")

    def counting(*facts: Any) -> int:
        sizes.append(rows_at_once(*facts))
        return sizes[-1]

    monkeypatch.setattr(parquet, "_rows", counting)
    assert len(list(read_records(tmp_path / "x.parquet"))) == 20
    assert sizes == [2]


def test_text_table_with_an_image_column_stays_text(tmp_path: Path) -> None:
    path = lines(tmp_path / "multi30k.jsonl", [{"image": "a.jpg", "en": "a", "de": "b"}])
    assert [(row.source, row.target) for row in open_corpus(str(path)).rows()] == [("a", "b")]
    assert [(row.source, row.target) for row in open_corpus(str(path), "de", "en").rows()] == [("b", "a")]
    assert [image.captions for image in corpus_of(path, "image", "de").images()] == [("b",)]


# Clips


def clip_folder(folder: Path, frames: int = 12) -> Path:
    folder.mkdir(parents=True)
    for number in range(1, frames + 1):
        (folder / f"frame{number}.png").write_bytes(png(number))
    write(folder / "notes.txt", "no frame")
    return folder


def refused(path: Path) -> Iterator[Path]:
    raise PermissionError(errno.EACCES, "Permission denied", str(path))


def test_open_corpus_reads_folders_of_frames_as_clips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip_folder(tmp_path / "videos" / "one")
    lines(tmp_path / "metadata.jsonl", [{"file_name": "videos/one", "captions": ["a clip"]}])
    corpus = corpus_of(tmp_path)
    assert corpus.clips
    (clip,) = corpus.images()
    (tmp_path / "videos" / "one" / "._frame1.png").write_bytes(b"as a Mac leaves them")
    assert clip.content() == [png(number) for number in range(1, 13)]  # 9 before 10
    monkeypatch.setattr("seq2attn.data.images.files.MOST_FRAMES", 3)
    assert clip.content() == [png(number) for number in (1, 7, 12)]
    monkeypatch.setattr("seq2attn.data.images.files._MOST_TOGETHER", 100)
    with pytest.raises(UserError, match="frames of more than 0 MiB together"):
        clip.content()
    monkeypatch.setattr(Path, "iterdir", refused)
    with pytest.raises(UserError, match="one: Permission denied"):  # counted as missing
        clip.content()
    monkeypatch.undo()
    (tmp_path / "videos" / "none").mkdir()
    lines(tmp_path / "metadata.jsonl", [{"clip": "videos/none", "captions": ["a clip"]}])
    corpus = corpus_of(tmp_path)
    assert corpus.clips
    with pytest.raises(UserError, match="none: no images in this folder"):
        next(corpus.images()).content()


@pytest.mark.parametrize("layout", ["flickr", "karpathy", "metadata", "bytes"])
def test_open_corpus_recognises_clips_in_every_layout(layout: str, tmp_path: Path) -> None:
    data = gif()
    (tmp_path / "a.gif").write_bytes(data)
    if layout == "flickr":
        write(tmp_path / "x.token.txt", "a.gif#0\tit moves\n")
    elif layout == "karpathy":
        write(
            tmp_path / "dataset_x.json",
            json.dumps({"images": [{"filename": "a.gif", "sentences": [{"raw": "it moves"}]}]}),
        )
    elif layout == "metadata":
        lines(tmp_path / "metadata.jsonl", [{"file_name": "a.gif", "text": "it moves"}])
    else:
        pq.write_table(
            pa.Table.from_pylist([{"image": data, "text": "it moves"}]), tmp_path / "train.parquet"
        )
    corpus = corpus_of(tmp_path)
    assert corpus.clips
    (clip,) = corpus.images()
    assert (clip.content(), clip.captions) == ([data], ("it moves",))
    assert decoding.check(clip.content(), "a", clip=True)[0] == 3


def test_open_corpus_reads_one_animated_image_as_a_still(tmp_path: Path) -> None:
    put(tmp_path)
    (tmp_path / "0.gif").write_bytes(gif())
    lines(tmp_path / "metadata.jsonl", [{"file_name": name, "text": "x"} for name in ("0.gif", *DATA)])
    assert not corpus_of(tmp_path).clips


def test_parquet_lists_of_frames_are_clips(tmp_path: Path) -> None:
    frames = [png(number) for number in range(3)]
    rows = [{"clip": [{"bytes": frame, "path": None} for frame in frames], "caption": "a clip"}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "x.parquet")
    corpus = corpus_of(tmp_path / "x.parquet")
    assert corpus.clips
    assert [clip.content() for clip in corpus.images()] == [frames]


# The hub's library


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import datasets
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()


def features(column: str = "image") -> object:
    import datasets

    return datasets.Features({column: datasets.Image(), "captions": datasets.List(datasets.Value("string"))})


@pytest.mark.usefixtures("offline")
def test_open_corpus_reads_a_saved_dataset(tmp_path: Path) -> None:
    import datasets

    put(tmp_path / "files")
    parts = {}
    for split, ours in (("train", "train"), ("validation", "valid"), ("test", "test")):
        rows = [
            {"image": str(tmp_path / "files" / n), "captions": list(c)}
            for n, (s, c) in EXPECTED.items()
            if s == ours
        ]
        parts[split] = datasets.Dataset.from_list(rows, features=features())
    datasets.DatasetDict({**parts, "extra": parts["train"]}).save_to_disk(str(tmp_path / "saved"))
    for name in (tmp_path / "saved", f"hf:{tmp_path / 'saved'}"):
        corpus = corpus_of(name)
        assert images_of(corpus) == EXPECTED
        assert corpus.notes == ["splits left out: extra"]


@pytest.mark.usefixtures("offline")
def test_open_corpus_does_not_follow_paths_of_a_saved_dataset(tmp_path: Path) -> None:
    """A saved table may name any path on the disk."""
    import datasets

    put(tmp_path / "elsewhere")
    rows = pa.Table.from_pylist(
        [{"image": {"bytes": None, "path": str(tmp_path / "elsewhere" / "a.png")}, "captions": ["x"]}]
    )
    saved = datasets.Dataset(pa.table(rows)).save_to_disk(str(tmp_path / "saved"))
    assert saved is None
    with pytest.raises(UserError, match="is no path inside"):
        list(corpus_of(tmp_path / "saved").images())


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("form", ["parquet", "remote"])
def test_open_corpus_streams_a_dataset_of_the_hub(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library's own streams, as it gives them for a repository of the hub."""
    import datasets

    rows = {
        split: [(name, captions) for name, (mine, captions) in EXPECTED.items() if mine == split]
        for split in ("train", "valid", "test")
    }

    def stream(split: str) -> object:
        def examples() -> Iterator[dict[str, object]]:
            for name, captions in rows[split]:
                bare = {"bytes": None, "path": f"hf://datasets/me/set@main/{name}"}
                yield {
                    "image": {"bytes": DATA[name], "path": name} if form == "parquet" else bare,
                    "captions": list(captions),
                }

        return datasets.IterableDataset.from_generator(examples, features=features())

    class Builder:
        config = SimpleNamespace()

        def as_streaming_dataset(self) -> dict[str, object]:
            return {split: stream(split) for split in rows}

    monkeypatch.setattr(datasets, "load_dataset_builder", lambda *_, **__: Builder())
    monkeypatch.setattr(
        "datasets.utils.file_utils.xopen", lambda name, _: io.BytesIO(DATA[name.rpartition("/")[2]])
    )
    corpus = corpus_of("hf:me/set")
    assert images_of(corpus) == EXPECTED
    assert [image.place for image in corpus.images()] == ["test:1", "train:1", "train:2", "valid:1"]
    if form == "remote":
        monkeypatch.setattr("seq2attn.data.hf_datasets.MOST_BYTES", 10)
        with pytest.raises(UserError, match="hf:me/set: test:1: a file of more than"):
            next(corpus.images()).content()


@pytest.mark.usefixtures("offline")
def test_hub_paths_to_local_files_are_refused(tmp_path: Path) -> None:
    from seq2attn.data.hf_datasets import _locate

    put(tmp_path)
    for name in (
        str(tmp_path / "a.png"),
        f"file://{tmp_path}/a.png",
        "http://localhost/a.png",
        f"zip://a.png::{tmp_path}/x.zip",
    ):
        content = _locate("hf:me/set", None)(name, "train:1")[1]
        with pytest.raises(UserError, match="hf:me/set: train:1: its image is elsewhere, as "):
            content()


def test_open_corpus_reads_no_image_before_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = flickr(tmp_path)
    corpus = corpus_of(folder)
    monkeypatch.setattr("seq2attn.data.images.lookup.read_file", lambda path: pytest.fail(f"{path} was read"))
    images: list[CaptionedImage] = list(corpus.images())
    assert len(images) == 4
