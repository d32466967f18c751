"""Files that hold what no table should: one line with the place, in bounded memory."""

import gzip
import json
import os
import subprocess
import sys
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from peak_memory import PEAK

from seq2attn.data.formats import parquet, parquet_pages
from seq2attn.data.sources import open_corpus
from seq2attn.data.text.corpus import Corpus
from seq2attn.errors import UserError

ROOT = Path(__file__).parents[2]
PAIRS = [("one", "un"), ("two", "deux")]


def pairs(path: Path, *sides: str, **options: float) -> list[tuple[str, str]]:
    corpus = open_corpus(str(path), *(sides or ("en", "fr")), **options)
    assert isinstance(corpus, Corpus)
    return [(row.source, row.target) for row in corpus.rows()]


@pytest.mark.parametrize(
    "name", ["a.parquet", "a.json", "a.jsonl", "a.csv", "a.tsv", "a.txt", "a", "a.gz", "a.dat"]
)
def test_open_corpus_recognises_parquet_and_json_by_content(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    table = pa.table({"en": [s for s, _ in PAIRS], "fr": [t for _, t in PAIRS]})
    pq.write_table(table, tmp_path / "x")
    records = [{"en": s, "fr": t} for s, t in PAIRS]
    forms = [
        (tmp_path / "x").read_bytes(),
        json.dumps(records).encode(),
        "\n".join(map(json.dumps, records)).encode(),
    ]
    for form in forms:
        for content in (form, gzip.compress(form)):
            path.write_bytes(content)
            assert pairs(path) == PAIRS


def test_open_corpus_reads_sentences_with_braces_as_text(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    rows = [("[Music]", "[Musik]"), ("{a}", "{b}"), ("[ {", "} ]"), ("PAR", "1")]
    path.write_text("".join(f"{s}\t{t}\n" for s, t in rows), encoding="utf-8")
    assert pairs(path) == rows


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_json_replaces_half_of_a_surrogate_pair(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    records = [
        '{"en": "word \\ud83d", "fr": "mot \\uDE00 \\ud83d\\ude00"}',
        '{"en": "two", "fr": "deux", "\\ud83d": "\\udfff"}',
    ]
    path.write_text("\n".join(records) if name == "a.jsonl" else f"[{','.join(records)}]", encoding="utf-8")
    assert pairs(path) == [("word \ufffd", "mot \ufffd \U0001f600"), ("two", "deux")]
    path.write_text('{"\\ud83d": "a", "x": "b"}', encoding="utf-8")
    with pytest.raises(UserError, match="there are: \ufffd, x"):
        pairs(path)


def test_parquet_reads_text_columns_of_any_type(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    stranger = pa.array([b"\xff\xed\xa0\x80"] * 2).view(pa.string()) if hasattr(pa.Array, "view") else None
    columns = {
        "en": pa.array(["one", "two"]).dictionary_encode(),
        "fr": pa.array(["un", "deux"], pa.large_string()),
        "when": pa.array([2**62, -(2**62)], pa.timestamp("ms")),
        "long": pa.array([2**62, 1], pa.duration("s")),
        "price": pa.array([Decimal("1.50"), None]),
        "list": pa.array([["a"], None]),
        "bytes": pa.array([b"\xff", None]),
        "nothing": pa.array([None, None]),
        "broken": stranger,
        "time": pa.array([timedelta(1), None]),
    }
    pq.write_table(pa.table(columns), path)
    assert pairs(path) == PAIRS
    for name in ("when", "long", "price", "list", "bytes", "time"):
        with pytest.raises(UserError, match=rf"a\.parquet: {name} is no text but "):
            pairs(path, "en", name)
    with pytest.raises(UserError, match=r"a\.parquet:1: not UTF-8 in this row; 2 of 2 rows"):
        pairs(path, "en", "broken")
    with pytest.raises(UserError, match=r"a\.parquet:1: nothing is empty"):
        pairs(path, "en", "nothing")


def test_parquet_row_that_is_not_utf8_is_a_bad_row(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    texts = [b"fine"] * 999 + [b"\xff"]
    nested = pa.StructArray.from_arrays(
        [pa.array(texts).view(pa.string()), pa.array(["x"] * 1000)], names=["en", "fr"]
    )
    for table in (
        pa.table({"en": pa.array(texts).view(pa.string()), "fr": ["x"] * 1000}),
        pa.table({"translation": nested}),
    ):
        pq.write_table(table, path)
        corpus = open_corpus(str(path), "en", "fr")
        assert isinstance(corpus, Corpus)
        assert len(list(corpus.rows())) == 999
        assert corpus.notes == ["a.parquet: 1 row with bytes that are not UTF-8, left out: line 1,000"]


@pytest.mark.slow
def test_parquet_with_damage_is_refused_on_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"en": ["one"] * 500, "fr": [f"un {n}" for n in range(500)]}), path)
    whole = path.read_bytes()
    for damaged in (
        whole[:-9],
        whole[:100],
        whole[:4],
        whole[:4] + bytes(len(whole) - 8) + whole[-4:],
        b"PAR1" + whole[-400:],
    ):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"a\.parquet: not a Parquet file, or damaged"):
            pairs(path)
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            pairs(path, max_bad=0.9)
        except UserError as error:
            assert "\n" not in str(error)  # noqa: PT017


BOUNDED = f"""
import sys
from pathlib import Path
from seq2attn.data.sources import open_corpus
from seq2attn.errors import UserError
import seq2attn.data.sources, pyarrow.parquet
before = {PEAK}
try:
    print(sum(1 for _ in open_corpus(sys.argv[1], "en", "fr").rows()))
except UserError as error:
    print(error)
print(({PEAK} - before) >> 10)
"""


def memory_of(path: Path) -> tuple[str, int]:
    """What came of it, and the MiB that it took."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", BOUNDED, str(path)],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    *message, size = done.stdout.splitlines()
    return "\n".join(message), int(size)


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["dictionary", pytest.param("delta", marks=pytest.mark.slow)])
def test_parquet_of_a_repeated_long_text_needs_little_memory(encoding: str, tmp_path: Path) -> None:
    long = "x" * 900_000
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 3000, pa.int32()), [long])
    how: dict[str, object] = {"store_schema": False}
    if encoding == "delta":
        column = pa.array([long] * 300)
        how |= {"use_dictionary": False, "column_encoding": {"en": "DELTA_BYTE_ARRAY", "fr": "PLAIN"}}
    pq.write_table(pa.table({"en": column, "fr": ["y"] * len(column)}), tmp_path / "a.parquet", **how)
    message, size = memory_of(tmp_path / "a.parquet")
    assert message == str(len(column))
    assert size < 800


def test_parquet_page_of_gigabytes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table({"en": [f"one {n}" for n in range(5000)], "fr": ["un"] * 5000})
    for how in (
        {},
        {"use_dictionary": False},
        {"data_page_version": "2.0"},
        {"data_page_size": 100},
        {"row_group_size": 10},
    ):
        pq.write_table(table, path, **how)
        with path.open("rb") as file:
            metadata = pq.ParquetFile(file).metadata
            for group in range(metadata.num_row_groups):
                chunk = metadata.row_group(group).column(0)
                start = chunk.dictionary_page_offset or chunk.data_page_offset
                pages = list(parquet_pages.sizes(file, start, start + chunk.total_compressed_size))
                assert 0 < sum(pages) < chunk.total_uncompressed_size
        assert len(pairs(path)) == 5000
    pq.write_table(table, path)
    monkeypatch.setattr(parquet, "_PAGE", 100)
    with pytest.raises(UserError, match=r"a page of [\d,]+ bytes in en; 100 is the most"):
        pairs(path)


@pytest.mark.parametrize(
    "form",
    ["tsv", *(pytest.param(form, marks=pytest.mark.slow) for form in ("parquet", "jsonl", "json", "csv"))],
)
def test_open_corpus_reads_packed_tables_in_bounded_memory(form: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{form}.gz"
    start = {
        "tsv": b"en\tfr\n",
        "csv": b"en,fr\n",
        "jsonl": b'{"en": "',
        "json": b'[{"en": "',
        "parquet": b"PAR1",
    }[form]
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(start)
        for _ in range(256):
            file.write(b"x" * (1 << 20))
    message, size = memory_of(path)
    assert f"a.{form}.gz" in message
    assert size < 300


def test_open_corpus_refuses_cr_and_reads_other_line_endings(tmp_path: Path) -> None:
    for name in ("a.csv", "a.tsv", "a.jsonl"):
        path = tmp_path / name
        path.write_bytes(b"en\tfr\ra\tb\rc\td\r")
        with pytest.raises(UserError, match=r"lines end with CR alone.*tr '\\r' '\\n'"):
            pairs(path)
    (tmp_path / "train.en").write_bytes(b"a\rb\rc")
    (tmp_path / "train.fr").write_bytes(b"a\nb\nc\n")
    with pytest.raises(UserError, match=r"train\.en: its lines end with CR alone"):
        list(open_corpus(str(tmp_path), "en", "fr").rows())  # type: ignore[union-attr]


def test_parquet_headers_without_an_end_are_refused() -> None:
    with pytest.raises(ValueError, match="nested too deep"):
        parquet_pages._struct(b"\x1c" * 100, 0, 0)
    with pytest.raises(IndexError):
        parquet_pages._struct(b"\x19\xf8" + b"\xff" * 4 + b"\x0f", 0, 0)
