"""Prepared folders: what was read is there, whole or not at all, the same for any number of workers."""

import errno
import hashlib
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from seq2attn import config
from seq2attn.data import spool
from seq2attn.data.prepare import prepare
from seq2attn.data.prepared import Prepared
from seq2attn.data.text import encoding
from seq2attn.data.tokenizer import UNK
from seq2attn.errors import UsageError, UserError
from seq2attn.progress import Progress, silent

# these texts are of random letters: most of them would be no translations
OPTIONS = config.DataConfig(source="en", target="de", vocab_size=60, max_ratio=100.0, keep=("all",))
SHARED = Path(os.environ.get("SEQ2ATTN_DATA", Path(__file__).parents[3] / "shared" / "data"))


def sentences(count: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    words = ["".join(draw.choices("abcdefgh", k=draw.randint(2, 6))) for _ in range(80)]
    return [" ".join(draw.choices(words, k=draw.randint(2, 9))) for _ in range(count)]


def write(folder: Path, split: str, source: list[str], target: list[str]) -> None:
    folder.mkdir(exist_ok=True)
    for language, texts in (("en", source), ("de", target)):
        (folder / f"{split}.{language}").write_text(
            "".join(f"{text}\n" for text in texts), encoding="utf-8", newline=""
        )


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    for split, count, seed in (("train", 300, 1), ("valid", 20, 2), ("test_one", 10, 3), ("test_two", 5, 4)):
        write(folder, split, sentences(count, seed), sentences(count, seed + 10))
    return folder


def files(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_prepared_holds_all_texts(corpus: Path, tmp_path: Path) -> None:
    report = prepare(str(corpus), tmp_path / "out", OPTIONS)
    opened = Prepared(tmp_path / "out")
    assert opened.report == report
    assert opened.languages == ("en", "de")
    assert opened.splits == ["train", "valid", "test_one", "test_two"]
    for name, seed in (("train", 1), ("valid", 2), ("test_one", 3), ("test_two", 4)):
        split = opened.split(name)
        source, target = split.texts()
        assert (source, target) == (sentences(len(split), seed), sentences(len(split), seed + 10))
        source_ids, target_ids = split.ids(np.arange(len(split)))
        assert [opened.source_tokenizer.decode(ids) for ids in source_ids] == source
        assert [opened.target_tokenizer.decode(ids) for ids in target_ids] == target
        assert split.source_lengths.tolist() == [len(ids) for ids in source_ids]
        assert split.target_lengths.tolist() == [len(ids) for ids in target_ids]
        assert split.source_lengths.dtype == np.int32
        assert split.gold is None
        assert report["splits"][name]["kept"] == len(split) == report["splits"][name]["read"]
        assert report["splits"][name]["source"]["tokens"] == split.source_lengths.sum()
        assert report["splits"][name]["target"]["length"]["100%"] == split.target_lengths.max()
    with pytest.raises(UserError, match="no split dev; there are train, valid, test_one, test_two"):
        opened.split("dev")


def test_prepared_reads_rows_in_any_order_over_many_chunks(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "BLOCK", 37)
    prepare(str(corpus), tmp_path / "out", OPTIONS)
    split = Prepared(tmp_path / "out").split("train")
    tokenizer = Prepared(tmp_path / "out").source_tokenizer
    rows = np.array([299, 0, 36, 37, 38, 0, 111, 298])
    source, target = split.texts()
    assert [tokenizer.decode(ids) for ids in split.ids(rows)[0]] == [source[row] for row in rows]
    assert [tokenizer.decode(ids) for ids in split.ids(rows)[1]] == [target[row] for row in rows]
    assert split.texts(35, 40) == (source[35:40], target[35:40])
    assert split.texts(290, 1000)[0] == source[290:]
    assert split.texts(1000) == ([], [])
    assert split.ids(np.empty(0, np.int64)) == ([], [])


def test_prepare_is_independent_of_workers_and_blocks(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(corpus, "train", [*sentences(300, 1), "", "a" * 90], [*sentences(300, 11), "b", "b"])
    monkeypatch.setattr(encoding, "MIN_PAIRS_PER_PROCESS", 20)
    reports = [
        prepare(str(corpus), tmp_path / "one", OPTIONS, workers=1),
        prepare(str(corpus), tmp_path / "three", OPTIONS, workers=3),
    ]
    monkeypatch.setattr(encoding, "BLOCK", 90)
    reports.append(prepare(str(corpus), tmp_path / "blocks", OPTIONS, workers=2))
    assert reports[0] == reports[1] == reports[2]
    assert reports[0]["splits"]["train"]["dropped"]
    columns = []
    for name in ("one", "three", "blocks"):
        split = Prepared(tmp_path / name).split("train")
        columns.append(
            (split.texts(), [ids.tolist() for side in split.ids(np.arange(len(split))) for ids in side])
        )
    assert columns[0] == columns[1] == columns[2]


def test_prepare_is_deterministic(corpus: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        prepare(str(corpus), tmp_path / name, OPTIONS, seed=3)
    assert files(tmp_path / "one") == files(tmp_path / "two")
    with (corpus / "train.en").open("rb") as file:
        expected = {
            "file": str(corpus / "train.en"),
            "bytes": (corpus / "train.en").stat().st_size,
            "sha256": hashlib.file_digest(file, "sha256").hexdigest(),
        }
    assert expected in Prepared(tmp_path / "one").report["inputs"]


def test_prepare_drops_and_counts_pairs_of_train_only(corpus: Path, tmp_path: Path) -> None:
    bad = [
        ("", "x"),
        ("x", " \t"),
        ("abc " * 40, "abc " * 40),
        ("ab", "ab cd ef gh ab cd ef gh"),
        ("abc " * 40, "ab"),
    ]
    write(corpus, "train", [s for s, _ in bad] + sentences(300, 1), [t for _, t in bad] + sentences(300, 11))
    write(corpus, "valid", [s for s, _ in bad], [t for _, t in bad])
    report = prepare(
        str(corpus),
        tmp_path / "out",
        OPTIONS.model_copy(update={"max_length": 70, "max_ratio": 7.9, "tokenizer": "char"}),
    )
    train = report["splits"]["train"]
    assert train["read"] == 305
    dropped = train["dropped"]
    assert dropped["empty"] == {"pairs": 2, "examples": ["train.en:1", "train.en:2"]}
    assert dropped["too long"] == {"pairs": 2, "examples": ["train.en:3", "train.en:5"]}
    assert dropped["lengths too unequal"]["examples"][0] == "train.en:4"
    assert train["kept"] == 305 - sum(facts["pairs"] for facts in dropped.values())
    split_kept = Prepared(tmp_path / "out").split("train")
    longest, shortest = (
        np.maximum(split_kept.source_lengths, split_kept.target_lengths),
        np.minimum(split_kept.source_lengths, split_kept.target_lengths),
    )
    assert longest.max() <= 70
    assert (longest <= 7.9 * shortest).all()
    assert report["splits"]["valid"]["kept"] == 5
    assert Prepared(tmp_path / "out").split("valid").texts()[0] == [s for s, _ in bad]


@pytest.mark.parametrize(
    ("source", "target", "reason"),
    [
        ("", "a b", "empty"),
        ("a b", "", "empty"),
        ("a b", "a" * 30, "too long"),
        ("a", "aaaaaaaaa", "lengths too unequal"),
    ],
)
def test_prepare_counts_each_reason_separately(
    source: str, target: str, reason: str, corpus: Path, tmp_path: Path
) -> None:
    write(corpus, "train", [*["abcde"] * 8, source], [*["abcde"] * 8, target])
    # one piece a character, and one for the space before
    options = OPTIONS.model_copy(update={"max_length": 20, "max_ratio": 4.0, "tokenizer": "char"})
    report = prepare(str(corpus), tmp_path / "out", options)
    assert report["splits"]["train"]["dropped"] == {reason: {"pairs": 1, "examples": ["train.en:9"]}}


def test_prepare_refuses_data_without_training_pairs(corpus: Path, tmp_path: Path) -> None:
    write(corpus, "train", ["abc def", ""], ["abc abc abc abc", "a"])
    with pytest.raises(
        UserError, match=r"no training pair is left: 1 empty \(train\.en:2\); 1 too long \(train\.en:1\)"
    ):
        prepare(
            str(corpus), tmp_path / "out", OPTIONS.model_copy(update={"max_length": 3, "tokenizer": "char"})
        )
    write(corpus, "train", [], [])
    with pytest.raises(UserError, match="no pair to train on; its splits are: "):
        prepare(str(corpus), tmp_path / "out", OPTIONS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus"]


def test_prepare_makes_separate_vocabularies_with_unknown_tokens(corpus: Path, tmp_path: Path) -> None:
    write(corpus, "valid", ["abc ÿÿ", "ab"], ["abc", "ab"])
    report = prepare(
        str(corpus), tmp_path / "out", OPTIONS.model_copy(update={"joint": False, "lowercase": True})
    )
    opened = Prepared(tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").glob("*.model")) == [
        "source.model",
        "target.model",
    ]
    assert (opened.source_tokenizer.lowercase, opened.joint) == (True, False)
    facts = report["splits"]["valid"]
    ids = opened.split("valid").ids(np.arange(2))[0]
    assert facts["source"]["unknown"] == sum(int((row == UNK).sum()) for row in ids) > 0
    assert facts["source"]["unknown_rate"] == facts["source"]["unknown"] / facts["source"]["tokens"]
    assert facts["target"]["unknown"] == 0


def test_prepared_holds_gold_alignments(corpus: Path, tmp_path: Path) -> None:
    (corpus / "test_two.align").write_text("0-0 1-1\n\n0-0\n1-0\n2-2\n", encoding="utf-8")
    prepare(str(corpus), tmp_path / "out", OPTIONS)
    opened = Prepared(tmp_path / "out")
    assert opened.split("test_two").gold == ["0-0 1-1", "", "0-0", "1-0", "2-2"]
    assert opened.split("test_one").gold is None


def test_hold_out_never_shares_a_source_sentence(tmp_path: Path) -> None:
    source = [text.upper() if i % 7 == 0 else text for i, text in enumerate(sentences(150, 1) * 3)]
    path = tmp_path / "pairs.tsv"
    path.write_text(
        "".join(f"{s}\t{t}\n" for s, t in zip(source, sentences(450, 2), strict=True)), encoding="utf-8"
    )
    report = prepare(
        str(path), tmp_path / "out", OPTIONS.model_copy(update={"vocab_size": 80}), valid=30, test=60
    )
    opened = Prepared(tmp_path / "out")
    sides = {name: {text.lower() for text in opened.split(name).texts()[0]} for name in opened.splits}
    assert [report["splits"][name]["read"] for name in ("train", "valid", "test")] == [360, 30, 60]
    assert not sides["train"] & (sides["valid"] | sides["test"])
    assert not sides["valid"] & sides["test"]
    assert report["splits"]["test"]["sources_in_train"] == 0
    everything = [pair for name in opened.splits for pair in zip(*opened.split(name).texts(), strict=True)]
    assert sorted(everything) == sorted(zip(source, sentences(450, 2), strict=True))
    usual = prepare(str(path), tmp_path / "usual", OPTIONS.model_copy(update={"vocab_size": 80}))
    assert [usual["splits"][name]["read"] for name in ("train", "valid", "test")] == [
        450 - 2 * 21,
        21,
        21,
    ] or usual["notes"]
    other = prepare(
        str(path),
        tmp_path / "other",
        OPTIONS.model_copy(update={"vocab_size": 80}),
        valid=30,
        test=60,
        seed=2,
    )
    assert Prepared(tmp_path / "other").split("test").texts() != opened.split("test").texts()
    assert other["splits"]["train"]["read"] == 360


def test_impossible_hold_out_is_refused(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has its own valid split: leave `valid` out"):
        prepare(str(corpus), tmp_path / "out", OPTIONS, valid=5)
    path = tmp_path / "pairs.tsv"
    path.write_text("".join(f"{s}\tx\n" for s in sentences(20, 1)), encoding="utf-8")
    with pytest.raises(UserError, match="leave nothing to train on: there are 20"):
        prepare(str(path), tmp_path / "out", OPTIONS, valid=10, test=10)
    for split in ("valid", "test_one", "test_two"):
        (corpus / f"{split}.en").unlink()
        (corpus / f"{split}.de").unlink()
    report = prepare(str(corpus), tmp_path / "out", OPTIONS, valid=7, test=0)
    assert {name: facts["read"] for name, facts in report["splits"].items()} == {"train": 293, "valid": 7}


def test_prepare_counts_test_sentences_in_train(corpus: Path, tmp_path: Path) -> None:
    write(corpus, "test_two", [sentences(300, 1)[5], "new one"], ["x", "y"])
    report = prepare(str(corpus), tmp_path / "out", OPTIONS)
    assert report["splits"]["test_two"]["sources_in_train"] == 1


def test_prepare_refuses_a_vocabulary_larger_than_the_text_allows(corpus: Path, tmp_path: Path) -> None:
    options = OPTIONS.model_copy(update={"vocab_size": 8000})
    with pytest.raises(UserError, match="vocabulary of 8000: the largest possible is"):
        prepare(str(corpus), tmp_path / "out", options)
    report = prepare(str(corpus), tmp_path / "out", options, shrink=True)
    assert 10 < report["vocabulary"]["source"] < 8000
    assert "does not hold 8,000 different subwords" in report["notes"][0]


def test_prepare_lowers_the_vocabulary_for_one_pair(tmp_path: Path) -> None:
    (tmp_path / "one.jsonl").write_text('{"en": "a", "de": "b"}\n', encoding="utf-8")
    report = prepare(str(tmp_path / "one.jsonl"), tmp_path / "out", OPTIONS, shrink=True)
    assert report["splits"]["train"]["kept"] == 1
    assert report["splits"]["train"]["source"]["unknown"] == 0


# Whole or not at all


def stop_at(name: str, error: BaseException) -> Callable[[str], Progress]:
    def stop(done: int, total: int | None) -> None:
        raise error

    return lambda stage: stop if stage.startswith(name) else silent


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("x")], ids=["interrupt", "failure"])
@pytest.mark.parametrize(
    "stage", ["reading", "training the tokenizer", "encoding train", "encoding test_two"]
)
def test_prepare_leaves_nothing_on_an_interrupt(
    stage: str, error: BaseException, corpus: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(type(error)):
        prepare(str(corpus), out, OPTIONS, stage=stop_at(stage, error))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus"]
    prepare(str(corpus), out, OPTIONS)
    before = files(out)
    with pytest.raises(type(error)):
        prepare(str(corpus), out, OPTIONS, force=True, seed=2, stage=stop_at(stage, error))
    assert files(out) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "out"]


def test_force_replaces_a_prepared_folder_and_nothing_else(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    prepare(str(corpus), out, OPTIONS)
    with pytest.raises(UserError, match="out exists: choose another name, or replace it with `force`"):
        prepare(str(corpus), out, OPTIONS)
    report = prepare(str(corpus), out, OPTIONS.model_copy(update={"vocab_size": 50}), force=True)
    assert Prepared(out).report == report
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    before = files(corpus)
    with pytest.raises(UserError, match="is not a prepared folder, so `force` does not replace it"):
        prepare(str(corpus), corpus, OPTIONS, force=True)
    assert files(corpus) == before
    (tmp_path / "empty").mkdir()
    prepare(str(corpus), tmp_path / "empty", OPTIONS)
    assert Prepared(tmp_path / "empty").splits


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_prepare_reports_a_full_disk_on_one_line(
    number: int, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(spool._Writer, "_flush", full)
    with pytest.raises(UserError, match=r"no space left on the disk; preparing takes about .* make room"):
        prepare(str(corpus), tmp_path / "out", OPTIONS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_write_spools_reports_a_full_disk_by_errno(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    form = spool.Format(pa.schema([("text", pa.string())]), 8192, 1 << 23)
    entries = [spool.Entry(None, (text,), 1, len(text), None) for text in sentences(9000, 1)]
    monkeypatch.setattr(Path, "__truediv__", lambda self, name: Path("/dev/full"))
    with pytest.raises(OSError, match="No space left") as caught:
        spool.write_spools(entries, tmp_path, form)
    assert caught.value.errno == errno.ENOSPC


def test_prepare_refuses_an_unwritable_place(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(UserError, match="file"):
        prepare(str(corpus), tmp_path / "file" / "out", OPTIONS)
    with pytest.raises(UserError, match="file exists: choose another name"):
        prepare(str(corpus), tmp_path / "file", OPTIONS)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    if os.access(closed, os.W_OK):
        pytest.skip("this user may write anywhere")
    with pytest.raises(UserError, match="Permission denied"):
        prepare(str(corpus), closed / "out", OPTIONS)


def test_prepared_refuses_other_folders(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder; make one with `seq2attn prepare"):
        Prepared(tmp_path / "none")
    with pytest.raises(UserError, match="not a prepared folder"):
        Prepared(corpus)
    out = tmp_path / "out"
    report = prepare(str(corpus), out, OPTIONS)
    for version, program, problem in (
        (99, "9.0", r"prepared by seq2attn 9\.0, which is newer than this one"),
        (2, "0.0", r"prepared by seq2attn 0\.0, in an older format: run `seq2attn prepare` again"),
    ):
        changed = report | {"format": version, "seq2attn": program}
        (out / "prepared.json").write_text(json.dumps(changed), encoding="utf-8")
        with pytest.raises(UserError, match=problem):
            Prepared(out)
    for text in ("{", "[]", "{}"):
        (out / "prepared.json").write_text(text, encoding="utf-8")
        with pytest.raises(UserError, match=r"prepared\.json: damaged"):
            Prepared(out)


@pytest.mark.parametrize("harm", ["empty", "cut", "gone", "state"])
def test_prepared_refuses_a_damaged_split(harm: str, corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare(str(corpus), out, OPTIONS)
    (arrow,) = (out / "train").glob("*.arrow")
    content = arrow.read_bytes()
    if harm == "gone":
        arrow.unlink()
    elif harm == "state":
        (out / "train" / "state.json").write_text("{", encoding="utf-8")
    else:
        arrow.write_bytes(b"" if harm == "empty" else content[:100])
    with pytest.raises(UserError, match=r"train: damaged .* run `seq2attn prepare` again"):
        Prepared(out).split("train")


def test_prepare_prints_nothing_and_writes_no_cache(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(encoding, "MIN_PAIRS_PER_PROCESS", 20)
    prepare(str(corpus), tmp_path / "out", OPTIONS, workers=2)
    assert capfd.readouterr() == ("", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "out"]


@pytest.mark.slow
@pytest.mark.skipif(
    not (SHARED / "tatoeba-cmn-eng" / "cmn.txt").is_file(),
    reason="wants tatoeba-cmn-eng/ of the shared data (SEQ2ATTN_DATA)",
)
def test_prepare_accepts_mandarin_without_segmentation(tmp_path: Path) -> None:
    options = config.DataConfig(source="en", target="zh", vocab_size=5000, joint=False)
    report = prepare(
        str(SHARED / "tatoeba-cmn-eng" / "cmn.txt"), tmp_path / "out", options, valid=500, test=500
    )
    opened = Prepared(tmp_path / "out")
    assert opened.languages == ("en", "zh")
    assert [report["splits"][name]["read"] for name in opened.splits] == [19294, 500, 500]
    split = opened.split("test")
    ids = split.ids(np.arange(500))[1]
    exact = sum(
        opened.target_tokenizer.decode(row) == text
        for row, text in zip(ids, split.texts()[1], strict=True)
        if UNK not in row
    )
    assert exact == sum(UNK not in row for row in ids) > 450
