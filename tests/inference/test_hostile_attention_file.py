"""Saved attention from anybody: whatever is in the file, it is read or refused in one line, and memory is not
given before it is looked at."""

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peak_memory import PEAK

from seq2attn.errors import UserError
from seq2attn.inference import attention_file, npz_reader
from seq2attn.inference.attention_file import read_attention

ROOT = Path(__file__).parents[2]
GOOD = {
    "0/attention": np.ones((1, 2), np.float32) / 2,
    "0/source_words": np.array(["a", "b"]),
    "0/target_words": np.array(["x"]),
}


def npz(path: Path, **changed: Any) -> Path:
    with path.open("wb") as file:
        np.savez_compressed(file, **GOOD | {f"0/{key}": value for key, value in changed.items()})
    return path


def packed(path: Path, raw: bytes, how: int = zipfile.ZIP_DEFLATED, name: str = "0/attention.npy") -> Path:
    """Well but for one array, which is the bytes given."""
    with zipfile.ZipFile(path, "w", how) as archive:
        for key, array in GOOD.items():
            if f"{key}.npy" != name:
                buffer = io.BytesIO()
                np.save(buffer, array)
                archive.writestr(f"{key}.npy", buffer.getvalue(), zipfile.ZIP_DEFLATED)
        archive.writestr(name, raw)
    return path


def header(text: str, body: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    content = text.encode("latin-1") + b"\n"
    return b"\x93NUMPY" + version + len(content).to_bytes(2, "little") + content + body


def refused(path: Path, words: str = "") -> str:
    with pytest.raises(UserError) as error:
        list(read_attention(path))
    text = str(error.value)
    assert path.name in text
    assert words in text
    assert "\n" not in text
    return text


def test_read_attention_recognises_a_file_by_its_content(tmp_path: Path) -> None:
    line = json.dumps({"source_words": ["a", "b"], "target_words": ["x"], "attention": [[0.5, 0.5]]}) + "\n"
    (tmp_path / "lines.npz").write_text(line, encoding="utf-8")
    for path in (tmp_path / "lines.npz", npz(tmp_path / "arrays.jsonl"), npz(tmp_path / "arrays.npz")):
        (entry,) = read_attention(path)
        assert (entry.line, entry.words.source_words, entry.words.attention.tolist()) == (
            1,
            ["a", "b"],
            [[0.5, 0.5]],
        )


@pytest.mark.parametrize(
    "dtype", [np.float16, np.float32, np.float64, np.longdouble, np.int8, np.uint64, ">f4"]
)
def test_read_attention_accepts_every_numeric_dtype(tmp_path: Path, dtype: Any) -> None:
    (entry,) = read_attention(npz(tmp_path / "a.npz", attention=np.array([[0, 1]]).astype(dtype)))
    assert entry.words.attention.tolist() == [[0, 1]]


def test_read_attention_accepts_fortran_order(tmp_path: Path) -> None:
    weights = np.asfortranarray(np.array([[0.1, 0.2], [0.3, 0.4]]))
    (entry,) = read_attention(npz(tmp_path / "a.npz", attention=weights, target_words=np.array(["x", "y"])))
    assert entry.words.attention.tolist() == weights.tolist()


@pytest.mark.parametrize(
    "attention",
    [
        np.ones((1, 2), complex),
        np.ones((1, 2), bool),
        np.array([["1", "0"]]),
        np.array([[None, 1]], dtype=object),
        np.ones((1, 2), "M8[s]"),
        np.ones((1, 2), [("x", "f4")]),
        np.array([[np.nan, 1]]),
        np.array([[np.inf, 1]]),
        np.array([[-0.5, 1]]),
        np.array([[1e300, 1]]),
        np.ones((2, 1)),
        np.ones((2,)),
        np.ones((1, 2, 1)),
        np.float64(1),
    ],
    ids=str,
)
def test_read_attention_refuses_bad_weights(tmp_path: Path, attention: Any) -> None:
    assert "(line 1: " in refused(npz(tmp_path / "a.npz", attention=attention))


@pytest.mark.parametrize(
    "words",
    [np.array([1.0, 2.0]), np.array([["a", "b"]]), np.array(3), np.array(["a"]), np.array([b"a", b"b"])],
    ids=str,
)
def test_read_attention_refuses_bad_lists_of_words(tmp_path: Path, words: Any) -> None:
    refused(npz(tmp_path / "a.npz", source_words=words))


def test_read_attention_replaces_halves_of_surrogate_pairs(tmp_path: Path) -> None:
    for path in (npz(tmp_path / "a.npz", source_words=np.array(["\ud83d", "b"])), tmp_path / "a.jsonl"):
        if path.suffix == ".jsonl":
            path.write_text(
                '{"source_words": ["\\ud83d", "b"], "target_words": ["x"], "attention": [[0, 1]]}\n'
            )
        (entry,) = read_attention(path)
        assert entry.words.source_words == ["\ufffd", "b"]


HEADERS = {
    "unbalanced": "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2",
    "no mapping": "[1, 2]",
    "code": "__import__('os').system('true')",
    "nested": "(" * 3000,
    "no shape": "{'descr': '<f4', 'fortran_order': False, }",
    "negative": "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 2), }",
    "truth for a side": "{'descr': '<f4', 'fortran_order': False, 'shape': (True, 2), }",
    "a terabyte": "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000), }",
    "beyond 64 bits": "{'descr': '<f4', 'fortran_order': False, 'shape': (1" + "0" * 300 + ", 2), }",
    "an array in a type": "{'descr': ('<f4', (1000000, 1000)), 'fortran_order': False, 'shape': (1, 2), }",
    "wide text": "{'descr': '<U2000000000', 'fortran_order': False, 'shape': (1, 2), }",
    "no text at all": "{'descr': '<U0', 'fortran_order': False, 'shape': (1000000000,), }",
    "less than it says": "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 2), }",
    "more than it says": "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1), }",
    "objects": "{'descr': '|O', 'fortran_order': False, 'shape': (1, 2), }",
    "a long one": "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), " + " " * 20_000 + "}",
}


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize("key", ["0/attention.npy", "0/source_words.npy"])
def test_read_attention_checks_a_header_before_it_allocates(tmp_path: Path, name: str, key: str) -> None:
    refused(packed(tmp_path / "a.npz", header(HEADERS[name], b"\0" * 8), name=key), "not attention")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x93NUMPY",
        b"\x93NUMPY\x09\x00",
        b"\x93NUMPY\x03\x00" + b"\0" * 9,
        b"text",
        header("", b"", b"\x02\x00"),
    ],
)
def test_read_attention_refuses_members_without_an_array(tmp_path: Path, raw: bytes) -> None:
    refused(packed(tmp_path / "a.npz", raw), "not attention")


@pytest.mark.parametrize("how", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_read_attention_refuses_other_compression(tmp_path: Path, how: int) -> None:
    refused(packed(tmp_path / "a.npz", b"text", how), "a compression")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (8, (99).to_bytes(2, "little")),
        (8, (93).to_bytes(2, "little")),
        (6, b"\x01\x00"),
        (16, b"\0\0\0\0"),
        (42, b"\xff\xff\0\0"),
    ],
    ids=["compression 99", "zstd", "encrypted", "checksum", "place"],
)
def test_read_attention_refuses_a_false_directory_of_an_archive(
    tmp_path: Path, place: int, value: bytes
) -> None:
    """`place` counts from one after the signature's first byte in the archive's own list."""
    path = npz(tmp_path / "a.npz")
    data = bytearray(path.read_bytes())
    start = data.index(b"PK\x01\x02") + place + (2 if place in (6, 8) else 0)
    data[start : start + len(value)] = value
    path.write_bytes(data)
    refused(path)


def test_read_attention_survives_damage_anywhere(tmp_path: Path) -> None:
    data = npz(tmp_path / "a.npz").read_bytes()
    path = tmp_path / "b.npz"
    draw, messages = np.random.default_rng(1), []
    for _ in range(300):
        changed = bytearray(data)
        for place in draw.integers(0, len(data), 3).tolist():
            changed[place] = int(draw.integers(0, 256))
        path.write_bytes(changed[: int(draw.integers(1, len(data) + 1))] if draw.random() < 0.3 else changed)
        try:
            list(read_attention(path))
        except UserError as error:
            messages.append(str(error))
    assert len(messages) > 50
    assert not any("\n" in text for text in messages)


def test_read_attention_refuses_two_arrays_of_one_name(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for name in ("0/attention.npy", "0/attention"):
            archive.writestr(name, header(HEADERS["less than it says"]))
    refused(tmp_path / "a.npz", "two arrays are called '0/attention'")


def test_read_attention_ignores_arrays_of_other_names(tmp_path: Path) -> None:
    with (tmp_path / "a.npz").open("wb") as file:
        np.savez(
            file, **{f"{name}/attention": np.ones(1) for name in ("../0", "0.1", "٣", "9" * 5000, "-1", "x")}
        )
    assert list(read_attention(tmp_path / "a.npz")) == []


def lines(path: Path, *texts: str) -> Path:
    path.write_text("".join(text + "\n" for text in texts), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "change",
    [
        '"line": Infinity',
        '"line": 1e308',
        '"line": -1',
        '"line": true',
        '"line": "3"',
        '"line": 1' + "0" * 5000,
        '"rank": NaN',
        '"attention": [[1' + "0" * 400 + ", 1]]",
        '"attention": [[1e999, 1]]',
        '"attention": [[1e308, 1]]',
        '"attention": [[-1, 1]]',
        '"attention": [[null, 1]]',
        '"attention": [[true, false]]',
        '"attention": [["1", "0"]]',
        '"attention": [[[1], 1]]',
        '"attention": ' + "[" * 90 + "1" + "]" * 90,
        '"attention": ' + "[" * 100_000,
        '"attention": {"0": 1}',
        '"source_words": "ab"',
        '"source_words": ["a", 1]',
        '"source_words": [["a"], "b"]',
        '"attention_heads": [[[0, 1]]]',
        '"attention_heads": [[[[0, 1, 0]]]]',
        '"attention_heads": [[[[0, -1]]]]',
        '"attention_heads": [[[[0, 1]], [[0]]]]',
        '"attention_heads": [[]]',
        '"attention_heads": 1',
        '"subword_attention": [[1]]',
        '"subword_attention": [[1]], "source_subwords": 1, "target_subwords": []',
    ],
    ids=lambda change: change[:30],
)
def test_read_attention_names_a_bad_line(tmp_path: Path, change: str) -> None:
    good = '"source_words": ["a", "b"], "target_words": ["x"], "attention": [[0, 1]]'
    path = lines(tmp_path / "a.jsonl", f"{{{good}}}", f"{{{good}, {change}}}")
    assert ":2: " in refused(path, "not attention")


def test_read_attention_bounds_the_weights_of_one_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = json.dumps({"source_words": ["a", "b"], "target_words": ["x"], "attention": [[0, 1]]})
    path = lines(tmp_path / "a.jsonl", *[line] * 5)
    monkeypatch.setattr(attention_file, "MAX_TOTAL_WEIGHTS", 8)
    assert len(list(read_attention(path))) == 5
    with pytest.raises(
        UserError, match=r"too many words for one page, up to line 5; draw one line at a time"
    ):
        list(read_attention(path, keep_all=True))


@pytest.mark.slow
@pytest.mark.parametrize("key", ["attention", pytest.param("source_words", marks=pytest.mark.slow)])
def test_read_attention_of_a_small_file_takes_little_memory(tmp_path: Path, key: str) -> None:
    shape, kind = ((16_000, 16_000), "<f4") if key == "attention" else ((200_000_000,), "<U1")
    with (
        zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open(f"0/{key}.npy", "w") as entry,
    ):
        np.lib.format.write_array_header_1_0(entry, {"descr": kind, "fortran_order": False, "shape": shape})
        for _ in range(60):
            entry.write(bytes(1 << 24))
    script = (
        "import sys\nfrom pathlib import Path\nfrom seq2attn.errors import UserError\n"
        "from seq2attn.inference.attention_file import read_attention\n"
        "try:\n    list(read_attention(Path(sys.argv[1])))\nexcept UserError as error:\n    print(error)\n"
        f"print({PEAK})"
    )
    with zipfile.ZipFile(tmp_path / "a.npz", "a") as archive:
        for name in {"attention", "source_words", "target_words"} - {key}:
            buffer = io.BytesIO()
            np.save(buffer, GOOD[f"0/{name}"])
            archive.writestr(f"0/{name}.npy", buffer.getvalue())
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "a.npz")],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
        check=True,
    )
    message, used = done.stdout.splitlines()
    assert "would take more than 64 MB" in message
    assert int(used) < 400_000  # kilobytes
    assert (tmp_path / "a.npz").stat().st_size < 2 << 20


def test_read_attention_refuses_millions_of_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = npz(tmp_path / "a.npz")
    monkeypatch.setattr(npz_reader, "MOST_DIRECTORY", 100)
    refused(path, "too many arrays")
