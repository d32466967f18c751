"""Captioned images as they are downloaded today: Flickr8k, Flickr30k and COCO, and a line for what is not
known.
"""

import gzip
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from image_toy import encoded, pixels
from real_data import DATA as REAL

from seq2attn import config
from seq2attn.data.formats import json_lists
from seq2attn.data.images.corpus import ImageCorpus
from seq2attn.data.prepare import prepare
from seq2attn.data.prepared import Prepared
from seq2attn.data.sources import open_corpus
from seq2attn.errors import UsageError, UserError

FLICKR = REAL / "flickr8k"
CAPTIONS = {
    "10_a.jpg": ["A dog runs .", "The dog , which is small , runs"],
    "20_b.jpg": ['A "red" car'],
    "30_c.jpg": ["Two cats", "一只猫"],
}
IMAGES = {name: encoded(pixels("red", "left", number)) for number, name in enumerate(CAPTIONS)}
Write = Callable[[Path], object]


def put(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or IMAGES:
        (folder / name).write_bytes(IMAGES[name])
    return folder


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="")
    return path


def opened(path: Path) -> ImageCorpus:
    corpus = open_corpus(str(path))
    assert isinstance(corpus, ImageCorpus)
    return corpus


def captions_of(corpus: ImageCorpus) -> dict[str, list[str]]:
    images = list(corpus.images())
    for image in images:
        assert image.content() == [IMAGES[image.name.rpartition("/")[2]]]
    return {image.name.rpartition("/")[2]: list(image.captions) for image in images}


def splits(corpus: ImageCorpus) -> dict[str, str | None]:
    return {image.name: image.split for image in corpus.images()}


def cell(text: str) -> str:
    doubled = text.replace('"', '""')
    return f'"{doubled}"' if "," in text or '"' in text else text


COMMAS = "image,caption\n" + "".join(
    f"{name},{cell(text)}\n" for name, texts in CAPTIONS.items() for text in texts
)
BARS = "image_name| comment_number| comment\n"
BARS += "".join(
    f"{name}| {number}| {text}\n" for name, texts in CAPTIONS.items() for number, text in enumerate(texts)
)
TABS = "image\tcaption\n" + "".join(f"{name}\t{text}\n" for name, texts in CAPTIONS.items() for text in texts)
TABLES = {
    "captions.txt": COMMAS,
    "captions.csv": COMMAS,
    "Flickr8k captions.txt": COMMAS.replace("\n", "\r\n"),
    "results.csv": BARS,
    "results_20130124.csv": BARS,
    "captions.tsv": TABS,
}


@pytest.mark.parametrize(
    "images", ["Images", "images", "Flicker8k_Dataset", "flickr30k_images", ".", "deep/er"]
)
@pytest.mark.parametrize("name", TABLES)
def test_open_corpus_reads_a_table_beside_images(name: str, images: str, tmp_path: Path) -> None:
    put(tmp_path / images)
    table = write(tmp_path / name, TABLES[name])
    write(tmp_path / "README.md", "About these images")
    for path in (tmp_path, table):
        assert captions_of(opened(path)) == CAPTIONS
    assert opened(tmp_path).inputs == [table]


def test_open_corpus_reads_a_table_one_folder_down(tmp_path: Path) -> None:
    put(tmp_path / "archive" / "Images")
    write(tmp_path / "archive" / "captions.txt", COMMAS)
    assert captions_of(opened(tmp_path)) == CAPTIONS
    put(tmp_path / "flickr30k" / "flickr30k_images" / "flickr30k_images")
    write(tmp_path / "flickr30k" / "flickr30k_images" / "results.csv", BARS)
    assert captions_of(opened(tmp_path / "flickr30k")) == CAPTIONS
    put(tmp_path / "flickr30k", "10_a.jpg")
    write(tmp_path / "flickr30k" / "results.csv", BARS)
    with pytest.raises(
        UsageError, match=r"several folders of captioned images: name .*archive or .*flickr30k"
    ):
        open_corpus(str(tmp_path))


def test_open_corpus_reads_a_table_with_lists_of_splits(tmp_path: Path) -> None:
    put(tmp_path / "Images")
    write(tmp_path / "captions.txt", COMMAS)
    for name, listed in (("trainImages", "10_a.jpg"), ("devImages", "20_b.jpg"), ("testImages", "30_c.jpg")):
        write(tmp_path / f"Flickr_8k.{name}.txt", f"{listed}\n")
    assert splits(opened(tmp_path)) == {"10_a.jpg": "train", "20_b.jpg": "valid", "30_c.jpg": "test"}


def test_flickr_prefers_token_file_to_table(tmp_path: Path) -> None:
    put(tmp_path / "Images")
    write(tmp_path / "captions.txt", COMMAS)
    token = write(tmp_path / "Flickr8k.token.txt", "10_a.jpg#0\tA dog\n")
    assert opened(tmp_path).inputs == [token]
    token.unlink()
    write(tmp_path / "results.csv", BARS)
    with pytest.raises(
        UsageError, match=r"captions\.txt, results\.csv: name the file of captions instead of its folder"
    ):
        open_corpus(str(tmp_path))


def test_image_names_match_in_any_case(tmp_path: Path) -> None:
    put(tmp_path / "Images")
    for path in (tmp_path / "Images").iterdir():
        path.rename(path.with_suffix(".JPG"))
    write(tmp_path / "captions.txt", COMMAS)
    assert captions_of(opened(tmp_path)) == CAPTIONS
    write(tmp_path / "captions.txt", COMMAS.replace(".jpg", ".JPG"))
    assert [len(image.content()) for image in opened(tmp_path).images()] == [1, 1, 1]


def test_open_corpus_reads_or_refuses_malformed_rows(tmp_path: Path) -> None:
    """Flickr30k's row 19999 has no bar before its caption."""
    put(tmp_path / "flickr30k_images")
    write(tmp_path / "results.csv", BARS + "30_c.jpg| 4   A dog runs across the grass .\n")
    assert captions_of(opened(tmp_path))["30_c.jpg"] == [
        *CAPTIONS["30_c.jpg"],
        "A dog runs across the grass .",
    ]
    write(
        tmp_path / "results.csv",
        BARS + "20_b.jpg| 1| one | two\n" + '20_b.jpg| 2| "quoted ""so"""\n' + '20_b.jpg| 3| "a" and "b"\n',
    )
    assert captions_of(opened(tmp_path))["20_b.jpg"][1:] == ["one | two", 'quoted "so"', '"a" and "b"']
    many = "".join(f"10_a.jpg| {number}| text\n" for number in range(100))
    write(tmp_path / "results.csv", BARS + many + "broken\n| 1| no name\n")
    corpus = opened(tmp_path)
    assert len(captions_of(corpus)["10_a.jpg"]) == 102
    assert corpus.notes == [
        "results.csv: 2 rows do not fit the 3 columns of the first line: line 107, 108; left out"
    ]
    write(tmp_path / "results.csv", BARS + "broken\n")
    with pytest.raises(
        UserError, match=r"results\.csv: 1 row does not fit the 3 columns of the first line: line 7; 5% are"
    ):
        list(opened(tmp_path).images())


@pytest.mark.parametrize(
    ("rows", "texts"),
    [
        ("10_a.jpg,A dog, a cat, and a cow\n", ["A dog, a cat, and a cow"]),
        ('10_a.jpg,"a line\nand another"\n', ["a line and another"]),
        ('10_a.jpg,"open\n10_a.jpg,next\n', ['"open', "next"]),
        ('10_a.jpg,"Hello" he said, and left\n10_a.jpg,next\n', ['"Hello" he said, and left', "next"]),
        ('10_a.jpg,"open to the end\n\n', ['"open to the end']),
        ('10_a.jpg,"a\nb\n' + "c\n" * 200 + '10_a.jpg,"x"\n', None),
        ("10_a.jpg,\n10_a.jpg,   \n10_a.jpg,x\n", ["x"]),
        ("10_a.jpg,\u200b\n10_a.jpg,\0\n10_a.jpg,\u200f \u3164\n10_a.jpg,x\u200b\n", ["x\u200b"]),
    ],
)
def test_open_corpus_reads_quotes_in_captions(rows: str, texts: list[str] | None, tmp_path: Path) -> None:
    put(tmp_path, "10_a.jpg")
    write(tmp_path / "captions.txt", "image,caption\n" + rows)
    if texts is None:
        with pytest.raises(UserError, match=r"captions\.txt: .* rows do not fit the 2 columns"):
            list(opened(tmp_path).images())
        return
    (image,) = opened(tmp_path).images()
    assert list(image.captions) == texts


@pytest.mark.parametrize("line", ["../a.jpg,x", "/etc/passwd,x", "http://localhost/a.jpg,x", "a\0b,x"])
def test_image_names_must_stay_inside_the_folder(line: str, tmp_path: Path) -> None:
    put(tmp_path)
    write(tmp_path / "captions.txt", f"image,caption\n10_a.jpg,x\n{line}\n")
    with pytest.raises(UserError, match=r"captions\.txt:3: .* is no path inside"):
        list(opened(tmp_path).images())


def test_open_corpus_refuses_a_table_that_is_not_utf_8(tmp_path: Path) -> None:
    put(tmp_path)
    (tmp_path / "captions.txt").write_bytes(b"image,caption\n10_a.jpg,caf\xe9\n")
    with pytest.raises(UserError, match=r"captions\.txt:2: not UTF-8"):
        list(opened(tmp_path).images())


def test_open_corpus_reads_lists_in_cells(tmp_path: Path) -> None:
    """As flickr_annotations_30k.csv has them."""
    put(tmp_path / "flickr30k-images")
    rows = [
        f'{cell(json.dumps(texts))},"[0, 1]",{split},{name},7'
        for (name, texts), split in zip(CAPTIONS.items(), ("train", "val", "test"), strict=True)
    ]
    write(
        tmp_path / "flickr_annotations_30k.csv",
        "raw,sentids,split,filename,img_id\n" + "\n".join(rows) + "\n",
    )
    assert captions_of(opened(tmp_path)) == CAPTIONS
    assert list(splits(opened(tmp_path)).values()) == ["train", "valid", "test"]


@pytest.mark.skipif(not FLICKR.is_dir(), reason=f"{FLICKR} is not on this machine")
@pytest.mark.parametrize("listed", [True, False])
def test_prepare_reads_flickr8k_as_it_is_downloaded_today(listed: bool, tmp_path: Path) -> None:
    rows: dict[str, list[str]] = {}
    for line in (FLICKR / "Flickr8k.token.txt").read_text(encoding="utf-8").splitlines():
        name, _, text = line.partition("\t")
        rows.setdefault(name.partition("#")[0], []).append(text.strip())
    names = (FLICKR / "Flickr_8k.trainImages.txt").read_text().split()[:40] + (
        FLICKR / "Flickr_8k.devImages.txt"
    ).read_text().split()[:10]
    (tmp_path / "Images").mkdir()
    for name in names:
        (tmp_path / "Images" / name).write_bytes((FLICKR / "images" / name).read_bytes())
    write(
        tmp_path / "captions.txt",
        "image,caption\n" + "".join(f"{name},{cell(text)}\n" for name in names for text in rows[name]),
    )
    if listed:
        write(tmp_path / "Flickr_8k.trainImages.txt", "\n".join(names[:40]))
        write(tmp_path / "Flickr_8k.devImages.txt", "\n".join(names[40:]))
    report = prepare(
        str(tmp_path), tmp_path / "out", config.DataConfig(), valid=None if listed else 5, shrink=True
    )
    counts = {name: (split["images"], split["kept"]) for name, split in report["splits"].items()}
    assert counts == (
        {"train": (40, 200), "valid": (10, 50)}
        if listed
        else {"train": (43, 215), "valid": (5, 25), "test": (2, 10)}
    )
    split = Prepared(tmp_path / "out").captioned_split("train")
    assert split.captions[0] == rows[split.names[0]]


# COCO


def coco(
    path: Path, names: list[str], indent: int | None = None, reverse: bool = False, **more: object
) -> Path:
    images = [{"license": 3, "file_name": name, "height": 16, "id": 100 + k} for k, name in enumerate(names)]
    texts = [(k, text) for k, name in enumerate(names) for text in CAPTIONS[name]]
    annotations = [
        {"image_id": 100 + k, "id": n, "caption": f"{text}\n"} for n, (k, text) in enumerate(texts)
    ]
    tree = {
        "info": {"year": 2017},
        "images": images,
        "licenses": [{"id": 3}],
        "annotations": annotations[::-1],
    }
    items = list(tree.items())[:: -1 if reverse else 1]
    return write(path, json.dumps(dict(items) | more, indent=indent, ensure_ascii=False))


def whole_coco(folder: Path, year: int = 2017) -> Path:
    put(folder / f"train{year}", "10_a.jpg", "20_b.jpg")
    put(folder / f"val{year}", "30_c.jpg")
    coco(folder / "annotations" / f"captions_train{year}.json", ["10_a.jpg", "20_b.jpg"])
    coco(folder / "annotations" / f"captions_val{year}.json", ["30_c.jpg"])
    write(
        folder / "annotations" / f"instances_val{year}.json",
        json.dumps({"images": [], "annotations": [{"bbox": []}]}),
    )
    return folder


@pytest.mark.parametrize("year", [2014, 2017])
def test_coco_reads_captions_images_and_splits(year: int, tmp_path: Path) -> None:
    folder = whole_coco(tmp_path / "coco", year)
    reversed_ = {name: texts[::-1] for name, texts in CAPTIONS.items()}
    for path in (folder, folder / "annotations", tmp_path):
        assert captions_of(opened(path)) == reversed_
        assert splits(opened(path)) == {"10_a.jpg": "train", "20_b.jpg": "train", "30_c.jpg": "valid"}
    alone = opened(folder / "annotations" / f"captions_val{year}.json")
    assert splits(alone) == {"30_c.jpg": None}
    assert captions_of(alone) == {"30_c.jpg": reversed_["30_c.jpg"]}


@pytest.mark.parametrize("layout", ["images/train2017", "images", ".", "deep/er/train2017"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", ["captions_train2017.json", "mine.json", "captions_train2017.json.gz"])
def test_coco_reads_files_from_other_folders(layout: str, reverse: bool, name: str, tmp_path: Path) -> None:
    put(tmp_path / layout)
    path = coco(tmp_path / name, list(CAPTIONS), 1 if reverse else None, reverse)
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(path.read_bytes()))
    assert {name: sorted(texts) for name, texts in captions_of(opened(tmp_path)).items()} == {
        n: sorted(t) for n, t in CAPTIONS.items()
    }


def test_coco_files_of_two_years_are_refused(tmp_path: Path) -> None:
    whole_coco(tmp_path)
    whole_coco(tmp_path, 2014)
    with pytest.raises(
        UsageError,
        match=r"several files of captions for one split: captions_train2014\.json, .*name one of them",
    ):
        open_corpus(str(tmp_path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"images": [{"id": 1}], "annotations": []}', ':1: no text "file_name"; it has: id'),
        (
            '{"images": [{"id": 1e400, "file_name": "a.jpg"}], "annotations": []}',
            ":1: not JSON: 1e400: too large a number",
        ),
        (
            '{"images": [{"id": NaN, "file_name": "a.jpg"}], "annotations": []}',
            ":1: not JSON: NaN is no number",
        ),
        (
            '{"images": [{"id": ' + "9" * 5000 + ', "file_name": "a.jpg"}], "annotations": []}',
            ":1: not JSON: ",
        ),
        (
            '{"images": [{"id": null, "file_name": "a.jpg"}], "annotations": []}',
            'no number "id" but NoneType',
        ),
        ('{"images": [{"id": [1], "file_name": "a.jpg"}], "annotations": []}', 'no number "id" but list'),
        ('{"images": [{"id": true, "file_name": "a.jpg"}], "annotations": []}', 'no number "id" but bool'),
        (
            '{"images": [{"id": 1, "file_name": "../a.jpg"}], "annotations": []}',
            "'../a.jpg' is no path inside",
        ),
        ('{"images": [{"id": 1, "file_name": 7}], "annotations": []}', 'no text "file_name"'),
        (
            '{"images": [{"id": 1, "file_name": "a.jpg"},\n{"id": 1, "file_name": "b.jpg"}]}',
            ":2: two images have the id 1",
        ),
        ('{"images": [7], "annotations": []}', "not an object in the list 'images' but int"),
        ('{"images": [], "annotations": [{"image_id": 1, "caption": null}]}', 'no text "caption"'),
        ('{"images": [], "annotations": [{"image_id": 1, "caption": ["x"]}]}', 'no text "caption"'),
        (
            '{"images": [], "annotations": [{"image_id": 1, "caption": "x"}]}',
            "of the image 1, which is not in its list",
        ),
        ('{"images": [], "annotations": [{"image_id": 1, "caption": "x"', "the file is cut off"),
        ('{"images": [], "annotations": ' + "[" * 100_000, "nested too deep"),
        ('{"images": [], "x": ' + '{"a":' * 100_000, "nested too deep"),
        ('{"images": [], "annotations": [}', "not JSON"),
        ('{"images": [], "annotations" []}', "no colon after 'annotations'"),
        ('{"images": [], "x": "' + "y" * 3_000_000 + '"}', "a value of more than 1,000,000 characters"),
        (
            '{"images": [], "annotations": [{"image_id": 1, "caption": "' + "y" * 3_000_000 + '"}]}',
            "a value of more than 1,000,000",
        ),
    ],
)
def test_coco_names_faults(text: str, message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "captions_x.json", text)
    with pytest.raises(UserError) as caught:
        list(opened(path).images())
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_unpaired_surrogate_becomes_replacement_character(tmp_path: Path) -> None:
    put(tmp_path)
    write(
        tmp_path / "captions_x.json",
        '{"images": [{"id": 1, "file_name": "10_a.jpg"}], '
        '"annotations": [{"image_id": 1, "caption": "a \\ud83d dog", "\\ud800": 1}]}',
    )
    (image,) = opened(tmp_path).images()
    assert image.captions == ("a \ufffd dog",)


@pytest.mark.parametrize("size", [1, 7, 64])
def test_json_lists_are_streamed(size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for indent in (None, 1):
        path = coco(
            tmp_path / "x.json",
            list(CAPTIONS),
            indent,
            more=[1, [2, {"a": 1.5e3}]],
            number=12345,
            nothing=None,
        )
        with monkeypatch.context() as patch:
            whole = list(json_lists.records(path, "images", "annotations"))
            patch.setattr(json_lists, "_CHUNK", size)
            assert list(json_lists.records(path, "images", "annotations")) == whole
        lines = path.read_text(encoding="utf-8").split("\n")
        assert indent is None or {lines[line - 1].strip() for _, line, _ in whole} == {"{"}
        assert [name for name, *_ in whole] == ["images"] * 3 + ["annotations"] * 5


def test_json_lists_need_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "captions_x.json"
    with path.open("w") as file:
        file.write('{"images": [{"id": 1, "file_name": "a.jpg"}], "more": [')
        file.write(",".join(['{"a": "' + "x" * 10_000 + '"}'] * 2_000))
        file.write('], "annotations": [{"image_id": 1, "caption": "x"}]}')
    tracemalloc.start()
    (image,) = opened(path).images()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert image.captions == ("x",)
    assert most < 8 << 20


# What is not known


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("annotations.json", '{"10_a.jpg": ["a dog"]}'),
        ("labels.csv", "name;class\n10_a.jpg;dog\n"),
        ("list.txt", "10_a.jpg a dog\n"),
        ("Images/labels.csv", "name,class\n10_a.jpg,dog\n"),
        ("captions.json", '{"captions": {"10_a.jpg": "a dog"}}'),
    ],
)
def test_unknown_caption_file_is_named_with_known_layouts(name: str, text: str, tmp_path: Path) -> None:
    put(tmp_path / "Images")
    write(tmp_path / name, text)
    write(tmp_path / "README.md", "About these images")
    write(tmp_path / "LICENSE.txt", "CC BY")
    with pytest.raises(UserError) as caught:
        open_corpus(str(tmp_path))
    line = str(caught.value)
    assert line.startswith(f"{tmp_path}: {name} holds no captions in a form that is known; known layouts: ")
    for form in (
        "metadata.jsonl",
        "captions.txt",
        "results.csv",
        "*.token.txt",
        "dataset_*.json",
        "captions_*.json",
    ):
        assert form in line
    (tmp_path / name).write_bytes(b"name,class\n\xff,cut off\n")
    if name.endswith(".csv"):
        with pytest.raises(UserError, match=r"labels\.csv:2: not UTF-8"):
            open_corpus(str(tmp_path))
    (tmp_path / name).unlink()
    with pytest.raises(UserError, match=r"images without captions: put a metadata\.jsonl beside them"):
        open_corpus(str(tmp_path))
