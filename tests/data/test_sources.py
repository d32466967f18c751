"""Every form of raw text gives the same rows, and every fault of a file is one line that names the place."""

import csv
import gc
import gzip
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seq2attn.data.corpus import split_name
from seq2attn.data.formats import json_records, lines
from seq2attn.data.formats.text import MAX_LENGTH
from seq2attn.data.sources import open_corpus
from seq2attn.data.text.columns import choose_columns
from seq2attn.data.text.corpus import Corpus
from seq2attn.errors import UsageError, UserError

ROOT = Path(__file__).parents[2]
PAIRS = [
    ("Hi.", "嗨。"),
    ('He said "no", twice', "Er sagte „nein“; zweimal"),
    ("a\u2028b\x0bc\x1cd\x85e\u00a0f", "one\rline"),
    ("None", "NA"),
    ("  spaces ", "1.0"),
    ("", "nothing on one side"),
]
RECORDS = [{"en": source, "zh": target, "id": number} for number, (source, target) in enumerate(PAIRS)]
NESTED = [{"translation": {"en": source, "zh": target}} for source, target in PAIRS]


def pairs(corpus: Corpus) -> list[tuple[str, str]]:
    return [(row.source, row.target) for row in corpus.rows()]


def write_csv(path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(
            [("en", "zh", "id"), *((s, t, i) for i, (s, t) in enumerate(PAIRS))]
        )


FILES: dict[str, Callable[[Path], object]] = {
    "tsv": lambda path: path.write_text(
        "en\tzh\tid\n" + "".join(f"{s}\t{t}\t1\n" for s, t in PAIRS), encoding="utf-8", newline=""
    ),
    "csv": write_csv,
    "jsonl": lambda path: path.write_text(
        "\n".join(json.dumps(r, ensure_ascii=False) for r in RECORDS) + "\n\n", encoding="utf-8"
    ),
    "json": lambda path: path.write_text(json.dumps(RECORDS, indent=2), encoding="utf-8"),
    "parquet": lambda path: pq.write_table(pa.Table.from_pylist(RECORDS), path),
}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("ending", FILES)
def test_open_corpus_reads_equal_rows_from_every_format(ending: str, packed: bool, tmp_path: Path) -> None:
    path = tmp_path / f"corpus.{ending}"
    FILES[ending](path)
    if packed:
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        path = path.with_name(path.name + ".gz")
    for source, target, expected in ((None, None, PAIRS), ("zh", "en", [(t, s) for s, t in PAIRS])):
        corpus = open_corpus(str(path), source, target)
        assert pairs(corpus) == expected
        assert corpus.languages == (source or "en", target or "zh")
        assert corpus.inputs == [path]
        places = [row.place for row in corpus.rows()]
        assert all(place.startswith(f"{path.name}:") for place in places)
        assert all(int(a.split(":")[1]) < int(b.split(":")[1]) for a, b in pairwise(places))


@pytest.mark.parametrize("ending", ["jsonl", "json", "parquet"])
def test_open_corpus_reads_both_sides_from_one_column(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"corpus.{ending}"
    if ending == "jsonl":
        path.write_text("\n".join(map(json.dumps, NESTED)), encoding="utf-8")
    elif ending == "json":
        path.write_text(json.dumps(NESTED), encoding="utf-8")
    else:
        pq.write_table(pa.Table.from_pylist(NESTED), path)
    assert pairs(open_corpus(str(path))) == PAIRS
    with pytest.raises(UserError, match="no column fr for `target`; there are: en, zh"):
        open_corpus(str(path), "en", "fr")


def test_open_corpus_reads_a_table_without_a_header(tmp_path: Path) -> None:
    path = tmp_path / "cmn.txt"
    path.write_text("".join(f"{s}\t{t}\n" for s, t in PAIRS), encoding="utf-8", newline="")
    for source, target, languages in (
        (None, None, (None, None)),
        ("eng", "cmn", ("eng", "cmn")),
        ("1:en", "2:zh", ("en", "zh")),
        ("1", "2", (None, None)),
    ):
        corpus = open_corpus(str(path), source, target)
        assert pairs(corpus) == PAIRS
        assert corpus.languages == languages
        assert corpus.notes
    assert pairs(open_corpus(str(path), "2", "1")) == [(t, s) for s, t in PAIRS]
    with pytest.raises(UserError, match="no column 3 for `target`; there are: 1, 2"):
        open_corpus(str(path), "1", "3")


def test_open_corpus_selects_columns_by_name(tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text("English\tGerman\nyes\tja\n", encoding="utf-8")
    corpus = open_corpus(str(path), "English:en", "German:de")
    assert (pairs(corpus), corpus.languages) == ([("yes", "ja")], ("en", "de"))
    with pytest.raises(
        UserError,
        match=r"no column english for `source` \(did you mean English\?\); there are: English, German",
    ):
        open_corpus(str(path), "english", "German")
    path.write_text("a\tb\tc\n1\t2\t3\n", encoding="utf-8")
    with pytest.raises(
        UsageError, match="say which column is which with `source` NAME and `target` NAME; there are: a, b, c"
    ):
        open_corpus(str(path))
    with pytest.raises(UsageError, match="both the column a"):
        open_corpus(str(path), "a", "a")


def test_open_corpus_reads_split_and_alignment_columns(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    rows = [
        {"split": split, "en": "a", "de": "b", "alignment": "0-0"}
        for split in ("train", "dev", "validation", "test_2016")
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    found = list(open_corpus(str(path)).rows())
    assert [row.split for row in found] == ["train", "valid", "valid", "test_2016"]
    assert {row.alignment for row in found} == {"0-0"}
    path.write_text(json.dumps({"split": "other", "en": "a", "de": "b"}), encoding="utf-8")
    with pytest.raises(UserError, match=r"pairs\.jsonl:1: the split is \"other\""):
        list(open_corpus(str(path)).rows())


def test_open_corpus_replaces_line_breaks_in_cells_with_spaces(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text('en,de\n"two\nlines","zwei\r\nZeilen"\nx,y\n', encoding="utf-8", newline="")
    rows = list(open_corpus(str(path)).rows())
    assert [(row.source, row.target, row.place) for row in rows] == [
        ("two lines", "zwei Zeilen", "pairs.csv:2"),
        ("x", "y", "pairs.csv:5"),
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '{"en": "a", "de": "b"}\n{"en": "a"}\n', r"a\.jsonl:2: no de; it has: en"),
        ("a.jsonl", '{"en": "a", "de": "b"}\n{"en": "a", "de": 3}\n', r"a\.jsonl:2: de is no text but int"),
        ("a.jsonl", '{"en": "a", "de": "b"}\n{"en": \n', r"a\.jsonl:2: not JSON"),
        ("a.jsonl", '["en"]\n', r"a\.jsonl:1: not an object with keys"),
        ("a.jsonl", "[" * 100_000, r"a\.jsonl:1: not JSON"),
        ("a.json", '[{"en": "a", "de": "b"},\n{"en": "c", "d', r"a\.json:2: not a list of objects"),
        ("a.json", '[{"en": "a", "de": "b"},\n', r"a\.json: the list of objects does not end"),
        ("a.json", '[{"en": "a", "de": "b"},\n7]', r"a\.json:2: not a list of objects"),
        (
            "a.json",
            '[{"en": "' + "a" * (MAX_LENGTH * 2),
            r"a\.json:1: not a list of objects: a record of more than 1,000,000 characters",
        ),
        (
            "a.tsv",
            "en\tde\na\tb\nc\n",
            r'a\.tsv:3: 1 column where the first line has 2: "c" \(a cell with a line break\?\)',
        ),
        ("a.csv", 'en,de\n"a,b\n', r"a\.csv:2: not a row of CSV"),
        (
            "a.csv",
            'en,de\na,b\n"' + ("x" * 1000 + "\n") * 1100,
            r"a\.csv:3: not a row of CSV: a quote that does not close",
        ),
        ("a.parquet", "PAR1 no", r"a\.parquet: not a Parquet file, or damaged"),
        ("a.tsv", "x" * (MAX_LENGTH + 100), r"a\.tsv:1: a line of more than 1,000,000 bytes"),
        ("a.xlsx", "", r"a\.xlsx: not a format that is known"),
        ("a.jpg", "", r"a\.jpg: an image without captions"),
        ("a.mp4", "", r"a\.mp4: an image without captions"),
    ],
)
def test_open_corpus_reports_a_fault_on_one_line_with_its_place(
    name: str, content: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8", newline="")
    with pytest.raises(UserError, match=message) as caught:
        list(open_corpus(str(path)).rows())
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_open_corpus_reads_json_records_across_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    for text in (
        json.dumps(RECORDS, ensure_ascii=False),
        json.dumps(RECORDS, indent=1),
        "\n".join(map(json.dumps, RECORDS)),
        "\ufeff" + json.dumps(RECORDS),
    ):
        path.write_text(text, encoding="utf-8")
        for size in (1, 2, 3, 7, 64):
            monkeypatch.setattr(json_records, "_CHUNK", size)
            assert pairs(open_corpus(str(path))) == PAIRS


# Folders


def fill(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text, encoding="utf-8", newline="")
    return folder


def test_open_corpus_reads_a_folder_of_line_aligned_files(tmp_path: Path) -> None:
    fill(
        tmp_path,
        train__en="a\r\nb\u2028c\n",
        train__de="x\ny",
        val__en="v\n",
        val__de="w\n",
        test_2016__en="s\n",
        test_2016__de="t\n",
        README__md="# no",
    )
    fill(tmp_path, test_2016__align="0-0\n", trainer__txt="no", **{"train_part2.de": "z\n"})
    (tmp_path / "train_part2.en.gz").write_bytes(gzip.compress(b"d\n"))
    corpus = open_corpus(str(tmp_path), "en", "de")
    rows = [(row.split, row.source, row.target, row.place, row.alignment) for row in corpus.rows()]
    assert rows == [
        ("test_2016", "s", "t", "test_2016.en:1", "0-0"),
        ("train", "a", "x", "train.en:1", None),
        ("train", "b\u2028c", "y", "train.en:2", None),
        ("train", "d", "z", "train_part2.en.gz:1", None),
        ("valid", "v", "w", "val.en:1", None),
    ]
    assert len(corpus.inputs) == 9
    assert [row.source for row in open_corpus(str(tmp_path), "de").rows()][:1] == ["t"]


def test_open_corpus_never_guesses_the_direction(tmp_path: Path) -> None:
    fill(tmp_path, train__en="a\n", train__de="b\n")
    with pytest.raises(
        UsageError, match="say which way to translate, as in `source` de `target` en; its endings are: de, en"
    ):
        open_corpus(str(tmp_path))
    with pytest.raises(UserError, match="for `target` fr; its endings are: de, en"):
        open_corpus(str(tmp_path), "en", "fr")
    with pytest.raises(UsageError, match="both en"):
        open_corpus(str(tmp_path), "en", "en")


@pytest.mark.parametrize(
    ("english", "german", "line"),
    [("a\nb\nc\n", "x\n", 2), ("a\n", "x\ny\nz\n", 2), ("", "x\n", 1), ("a\nb", "x\ny\n\n", 3)],
)
def test_open_corpus_refuses_sides_of_different_length(
    english: str, german: str, line: int, tmp_path: Path
) -> None:
    fill(tmp_path, train__en=english, train__de=german)
    counts = [len(re.findall(r"[^\n]+\n?|\n", text)) for text in (english, german)]
    longer, shorter = ("train.en", "train.de") if counts[0] > counts[1] else ("train.de", "train.en")
    expected = f"not line-aligned: train.en has {counts[0]} lines, train.de has {counts[1]} lines; "
    expected += f"line {line} of {longer} has no partner in {shorter}"
    with pytest.raises(UserError, match=re.escape(expected)):
        list(open_corpus(str(tmp_path), "en", "de").rows())


def test_open_corpus_names_faults_of_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no corpus in this folder"):
        open_corpus(str(tmp_path))
    fill(tmp_path, train__en="a\n", train__de="b\n", test__en="c\n")
    with pytest.raises(UserError, match=r"test\.en: there is no test\.de beside it"):
        open_corpus(str(tmp_path), "en", "de")
    fill(tmp_path, test__de="d\n")
    (tmp_path / "train.en.gz").write_bytes(gzip.compress(b"a\n"))
    with pytest.raises(UserError, match=r"train\.en and train\.en\.gz are both there"):
        open_corpus(str(tmp_path), "en", "de")
    (tmp_path / "train.en").unlink()
    (tmp_path / "train.en.gz").write_bytes(gzip.compress(b"a\n" * 5000)[:-20])
    with pytest.raises(UserError, match=r"train\.en\.gz: damaged gzip file"):
        list(open_corpus(str(tmp_path), "en", "de").rows())
    with pytest.raises(UserError, match="no such file or folder"):
        open_corpus(str(tmp_path / "none"))


@pytest.mark.parametrize("bad", [b"\xff", b"\xe9t\xe9", b"\xed\xa0\x80"])
def test_open_corpus_names_a_file_that_is_not_utf8(bad: bytes, tmp_path: Path) -> None:
    fill(tmp_path, train__en="a\nb\n")
    (tmp_path / "train.de").write_bytes(b"x\nok " + bad + b"\n")
    with pytest.raises(UserError, match=r"train\.de:2: not UTF-8: byte 0x.. at byte 4"):
        list(open_corpus(str(tmp_path), "en", "de").rows())
    (tmp_path / "train.de").write_text("x\ny\n", encoding="utf-16")
    with pytest.raises(UserError, match=r"train\.de: UTF-16"):
        list(open_corpus(str(tmp_path), "en", "de").rows())


def test_open_corpus_refuses_a_decompression_bomb(tmp_path: Path) -> None:
    fill(tmp_path, train__en="a\n")
    with gzip.open(tmp_path / "train.de.gz", "wb", compresslevel=1) as file:
        for _ in range(64):
            file.write(b"x" * (1 << 20))
    with pytest.raises(UserError, match=r"train\.de\.gz:1: a line of more than 1,000,000 bytes"):
        list(open_corpus(str(tmp_path), "en", "de").rows())


def test_read_lines_accepts_a_line_of_the_largest_size(tmp_path: Path) -> None:
    path = tmp_path / "x"
    for end in (b"", b"\n", b"\r\n"):
        path.write_bytes(b"x" * MAX_LENGTH + end + (b"y" if end else b""))
        assert [len(line) for line in lines.read_lines(path)] == [MAX_LENGTH] + [1] * bool(end)


def test_split_name_knows_common_spellings() -> None:
    names = (
        "train",
        "Train-00",
        "training",
        "train.part1",
        "validation",
        "val",
        "dev",
        "valid_2",
        "development",
        "test",
        "test_2016_flickr",
    )
    expected = ["train"] * 4 + ["valid"] * 5 + ["test", "test_2016_flickr"]
    assert [split_name(name) for name in names] == expected
    assert not any(
        split_name(name) for name in ("trainer", "value", "device", "all", "", "test/../../elsewhere")
    )


def test_open_corpus_refuses_images_without_captions(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "test.jpg").write_bytes(b"")
    with pytest.raises(UserError, match="images without captions"):
        open_corpus(str(tmp_path))
    (tmp_path / "test.jpg").write_bytes(b"")  # no corpus of the language jpg
    with pytest.raises(UserError, match="images without captions"):
        open_corpus(str(tmp_path))


def test_open_corpus_refuses_a_prepared_folder(tmp_path: Path) -> None:
    fill(tmp_path, prepared__json="{}")
    with pytest.raises(UserError, match="is prepared already"):
        open_corpus(str(tmp_path))


# The layout of the Hugging Face hub, on disk


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    import datasets
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    yield
    assert not [*(tmp_path / "cache").rglob("*")], "a cache was written"


@pytest.fixture
def collected() -> Iterator[None]:
    """What the test leaves to the collector is collected while its filters of warnings still hold."""
    yield
    gc.collect()


# the CSV reader of `datasets` leaves that to the collector
@pytest.mark.filterwarnings("ignore:unclosed file")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl", "nested"])
@pytest.mark.usefixtures("collected", "offline")
def test_open_corpus_reads_the_layout_of_the_hub(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "set" / ("data" if kind == "parquet" else ".")
    folder.mkdir(parents=True)
    for split in ("train", "validation", "test"):
        if kind == "nested":
            pq.write_table(pa.Table.from_pylist(NESTED), folder / f"{split}-00000-of-00001.parquet")
        else:
            FILES[kind](
                folder / (f"{split}-00000-of-00001.parquet" if kind == "parquet" else f"{split}.{kind}")
            )
    for name in (str(tmp_path / "set"), f"hf:{tmp_path / 'set'}"):
        corpus = open_corpus(name, "en", "zh")
        rows = list(corpus.rows())
        assert [row.split for row in rows] == ["test"] * 6 + ["train"] * 6 + ["valid"] * 6
        assert [(row.source, row.target) for row in rows[6:12]] == PAIRS
        assert len(corpus.inputs) == 3
    with pytest.raises(UserError, match="no column fr for `source`; there are: en, zh"):
        open_corpus(f"hf:{tmp_path / 'set'}", "fr", "zh")


@pytest.mark.usefixtures("offline")
def test_open_corpus_reads_a_saved_dataset(tmp_path: Path) -> None:
    import datasets

    datasets.disable_progress_bars()
    train = datasets.Dataset.from_list(RECORDS)
    datasets.DatasetDict({"train": train, "extra": train}).save_to_disk(str(tmp_path / "saved"))
    corpus = open_corpus(str(tmp_path / "saved"))
    assert pairs(corpus) == PAIRS
    assert corpus.notes == ["splits left out: extra"]


@pytest.mark.usefixtures("offline")
def test_open_corpus_reports_an_unreachable_hub_and_bad_names() -> None:
    with pytest.raises(UserError, match="hf:nobody/nothing-here: cannot be read as a dataset"):
        open_corpus("hf:nobody/nothing-here")
    for name in ("hf:", "hf:a b", "hf:a/b/c"):
        with pytest.raises(UsageError, match="write hf:OWNER/NAME"):
            open_corpus(name)


@pytest.mark.slow
def test_hub_library_sends_no_telemetry() -> None:
    code = (
        "import seq2attn.data.prepared, logging, huggingface_hub.constants as hub\n"
        "warns = logging.getLogger('huggingface_hub').isEnabledFor(logging.WARNING)\n"
        "print(hub.HF_HUB_DISABLE_TELEMETRY, warns)"
    )
    names = (
        "HF_HUB_DISABLE_TELEMETRY",
        "HF_HUB_VERBOSITY",
        "HF_HUB_OFFLINE",
        "DISABLE_TELEMETRY",
        "DO_NOT_TRACK",
    )
    environment = {name: value for name, value in os.environ.items() if name not in names}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
        timeout=60,
        check=True,
    )
    assert done.stdout == "True False\n"


def test_choose_columns_prefers_plain_to_nested_columns() -> None:
    assert not choose_columns(["en", "de", "translation"], "en", "de", "x", ["fr", "it"]).nested
    assert choose_columns(["id", "translation"], None, None, "x", ["fr", "it"]).languages == ("fr", "it")
