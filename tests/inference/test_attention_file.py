"""What `translate --attention` writes is read back as it was, and anything else is refused with nothing
executed.
"""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from seq2attn.errors import UserError
from seq2attn.inference import Translation
from seq2attn.inference.attention_file import END, AttentionWriter, read_attention

RNG = np.random.default_rng(1)
FULL = Translation(
    "北京 a\u2028b",
    "un deux trois",
    -1.0,
    -2.0,
    source_subwords=["▁北", "京", "▁a"],
    target_subwords=["▁un", "▁deux"],
    subword_attention=RNG.random((3, 4)).astype(np.float32),
    source_words=["北京", "a"],
    target_words=["un", "deux", "trois"],
    attention=RNG.random((3, 2)).astype(np.float32),
)
SECOND = Translation(
    "x", "y", -3.0, -3.0, source_words=["x"], target_words=["y"], attention=np.ones((1, 1), np.float32)
)
HEADS = replace(
    FULL,
    attention_heads=RNG.random((2, 3, 3, 2)).astype(np.float32),
    subword_attention_heads=RNG.random((2, 3, 3, 4)).astype(np.float32),
)
EMPTY = Translation("", "", 0.0, 0.0, attention=np.zeros((0, 0), np.float32))


@pytest.mark.parametrize("ending", [".npz", ".jsonl"])
def test_read_attention_returns_what_attention_writer_wrote(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    with path.open("wb") as file, AttentionWriter(file, path) as writer:
        writer.add(0, [SECOND, FULL])  # n-best: the first is the best
        writer.add(1, [EMPTY])
        for number in range(2, 12):
            writer.add(number, [FULL])
    lines = list(read_attention(path))
    assert [entry.line for entry in lines] == list(range(1, 13))
    assert (lines[0].words.source_words, lines[0].words.target_words, lines[0].subwords) == (
        ["x"],
        ["y"],
        None,
    )
    assert lines[1].words.attention.size == 0
    words, pieces = lines[11].words, lines[11].subwords
    assert (words.source_words, words.target_words) == (FULL.source_words, FULL.target_words)
    np.testing.assert_allclose(words.attention, FULL.attention, atol=1e-6)
    assert pieces is not None
    assert pieces.source_words == ["▁北", "京", "▁a", END]
    np.testing.assert_allclose(pieces.attention, FULL.subword_attention, atol=1e-6)


@pytest.mark.parametrize("ending", [".npz", ".jsonl"])
def test_read_attention_returns_all_heads(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    with path.open("wb") as file, AttentionWriter(file, path) as writer:
        writer.add(0, [HEADS])
        writer.add(1, [FULL])
    with_heads, without = read_attention(path)
    assert with_heads.subwords is not None
    assert (with_heads.words.attention_heads is None, without.words.attention_heads) == (False, None)
    np.testing.assert_allclose(with_heads.words.attention_heads, HEADS.attention_heads, atol=1e-6)
    np.testing.assert_allclose(with_heads.subwords.attention_heads, HEADS.subword_attention_heads, atol=1e-6)


def test_read_attention_accepts_words_without_subwords(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(
        json.dumps({"source_words": ["a"], "target_words": ["b", "c"], "attention": [[1], [0.5]]}) + "\n",
        encoding="utf-8",
    )
    (entry,) = read_attention(path)
    assert (entry.line, entry.subwords, entry.words.attention.tolist()) == (1, None, [[1], [0.5]])


@pytest.mark.parametrize(
    "text",
    [
        "not json",
        "[]",
        "{}",
        '{"source_words": ["a"], "target_words": ["b"], "attention": [[1, 2]]}',
        '{"source_words": ["a"], "target_words": ["b"], "attention": [["x"]]}',
        '{"source_words": ["a"], "target_words": ["b"], "attention": [[NaN]]}',
        '{"source_words": 3, "target_words": ["b"], "attention": [[1]]}',
        "[" * 100_000,
    ],
)
def test_read_attention_names_the_line_that_is_no_attention(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"source_words": ["a"], "target_words": ["b"], "attention": [[1]]}\n' + text + "\n", encoding="utf-8"
    )
    with pytest.raises(UserError, match=r"a\.jsonl:2: not attention") as error:
        list(read_attention(path))
    assert "\n" not in str(error.value)


def test_read_attention_of_captions_says_what_draws_them(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"image": "a.png", "caption": "a dog"}\n', encoding="utf-8")
    with pytest.raises(
        UserError, match=r"a\.jsonl:1: a caption without attention: .*plot-alignment RUN --image"
    ):
        list(read_attention(tmp_path / "a.jsonl"))


def test_read_attention_never_loads_pickled_arrays(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    words = np.array(["a"])
    np.savez(
        path,
        **{
            "0/attention": np.array([[object()]], dtype=object),
            "0/source_words": words,
            "0/target_words": words,
        },
    )
    with pytest.raises(UserError, match=r"a\.npz: not attention"):
        list(read_attention(path))


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 cut short"])
def test_read_attention_of_a_damaged_archive_is_an_error_of_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.npz") as refusal:
        list(read_attention(tmp_path / "a.npz"))
    assert "pickle" not in str(refusal.value)  # as numpy has it: no advice to load it all the same


def test_read_attention_of_an_unrelated_archive_has_no_lines(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, x=np.ones(3))
    (tmp_path / "a.npz").write_bytes(buffer.getvalue())
    assert list(read_attention(tmp_path / "a.npz")) == []
