"""A folder is what its user thinks it is: nothing in it chooses files, and the report names those read."""

import hashlib
import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seq2attn import config
from seq2attn.data.corpus import split_name
from seq2attn.data.prepare import prepare
from seq2attn.data.prepared import Prepared
from seq2attn.data.sources import open_corpus
from seq2attn.data.text.corpus import Corpus
from seq2attn.errors import UserError

TSV = "en\tfr\n" + "".join(f"one {n} two three\tun {n} deux trois\n" for n in range(60))
README = "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: {}\n---\n"


def options(**changes: object) -> config.DataConfig:
    return config.DataConfig.model_validate(
        {"source": "en", "target": "fr", "vocab_size": 60, "tokenizer": "char", **changes}
    )


def sources(corpus: object) -> list[str]:
    assert isinstance(corpus, Corpus)
    return [row.source for row in corpus.rows()]


@pytest.mark.parametrize(
    "path",
    [
        "../outside/x.csv",
        "../**/*.csv",
        "/etc/passwd",
        "http://127.0.0.1:9/x.csv",
        "file:///etc/passwd",
        "hf://datasets/a/b/x.csv",
        "zip://x.csv::http://127.0.0.1:9/x.zip",
    ],
)
def test_folder_search_ignores_data_files_of_a_readme(path: str, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x.csv").write_text("en,fr\nsecret,secret\n", encoding="utf-8")
    folder = tmp_path / "f"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / f"{name}.csv").write_text(f"en,fr\n{name},{name}\n", encoding="utf-8")
    (folder / "README.md").write_text(README.format(path), encoding="utf-8")
    (folder / "dataset_infos.json").write_text(
        json.dumps({"default": {"download_checksums": {path: {}}}}), encoding="utf-8"
    )
    (folder / "f.py").write_text("raise SystemExit(3)\n", encoding="utf-8")
    for name in (str(folder), f"hf:{folder}"):
        corpus = open_corpus(name, "en", "fr")
        assert sources(corpus) == ["a", "b"]
        assert corpus.inputs == [folder / "a.csv", folder / "b.csv"]
        assert (
            "f/README.md names data_files: it is not followed, the files of the folder are read"
            in corpus.notes
        )
        assert f"from a.csv, b.csv in {folder}" in corpus.notes


def test_folder_search_skips_prepared_folders_runs_and_hidden_files(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    (folder / "data.tsv").write_text(TSV, encoding="utf-8")
    for place in ("prepared", "deep/prepared"):
        report = prepare(str(folder), folder / place, options())
        assert report["languages"] == ["en", "fr"]
        assert sum(split["read"] for split in report["splits"].values()) == 60
        (one,) = report["inputs"]
        assert one == {
            "file": str(folder / "data.tsv"),
            "bytes": len(TSV),
            "sha256": hashlib.sha256(TSV.encode()).hexdigest(),
        }
    assert "x/deep/prepared is prepared data, left out" in open_corpus(str(folder), "en", "fr").notes
    run = folder / "run"
    run.mkdir()
    for name in ("config.json", "model.safetensors", "metrics.jsonl", "scores.csv"):
        (run / name).write_text("{}", encoding="utf-8")
    for name in (".git", ".ipynb_checkpoints", "__MACOSX"):
        (folder / name).mkdir()
        (folder / name / "data.tsv").write_text("no\n", encoding="utf-8")
    for name in (
        "._data.tsv",
        "~$data.tsv",
        "data.tsv~",
        ".DS_Store",
        "Thumbs.db",
        "#data.tsv#",
        "data.tsv.bak",
        "dataset_infos.json",
    ):
        (folder / name).write_bytes(b"\0\1\2\xff")
    corpus = open_corpus(str(folder), "en", "fr")
    assert sources(corpus) == [line.split("\t")[0] for line in TSV.splitlines()[1:]]
    assert corpus.inputs == [folder / "data.tsv"]
    assert "x/run is a trained run, left out" in corpus.notes
    assert f"from data.tsv in {folder}" in corpus.notes
    with pytest.raises(UserError, match="a trained run, no corpus"):
        open_corpus(str(run))
    for name in ("prepared", "prepared/train"):
        with pytest.raises(UserError, match=r"x/prepared is prepared already"):
            open_corpus(str(folder / name))


def test_folder_with_tables_and_arrow_files_is_refused(tmp_path: Path) -> None:
    import datasets

    datasets.disable_progress_bars()
    datasets.Dataset.from_list([{"en": "a", "fr": "b"}]).save_to_disk(str(tmp_path / "x" / "saved"))
    corpus = open_corpus(str(tmp_path / "x" / "saved"))
    assert sources(corpus) == ["a"]
    assert corpus.inputs == [tmp_path / "x" / "saved" / "data-00000-of-00001.arrow"]
    (tmp_path / "x" / "data.tsv").write_text(TSV, encoding="utf-8")
    with pytest.raises(
        UserError, match=r"tables, as data\.tsv, beside Arrow files, as saved/data-00000-of-00001\.arrow"
    ):
        open_corpus(str(tmp_path / "x"), "en", "fr")
    (tmp_path / "x" / "saved" / "more.csv").write_text("en,fr\na,b\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"a table, more\.csv, beside files that `datasets` saved"):
        open_corpus(str(tmp_path / "x" / "saved"))


@pytest.mark.parametrize(
    "name", ["../../outside/x.arrow", "/etc/passwd", "..", "", "a/b", "\0", "\ud800", None, 3, "gone.arrow"]
)
def test_saved_dataset_may_name_only_its_own_files(name: object, tmp_path: Path) -> None:
    import datasets

    datasets.disable_progress_bars()
    part = datasets.Dataset.from_list([{"en": "a", "fr": "b"}])
    datasets.DatasetDict({"train": part}).save_to_disk(str(tmp_path / "saved"))
    state = tmp_path / "saved" / "train" / "state.json"
    good = state.read_text(encoding="utf-8")
    state.write_text(json.dumps(json.loads(good) | {"_data_files": [{"filename": name}]}), encoding="utf-8")
    with pytest.raises(UserError, match=r"state\.json|no such file"):
        open_corpus(str(tmp_path / "saved"))
    state.write_text(good, encoding="utf-8")
    (tmp_path / "saved" / "dataset_dict.json").write_text(json.dumps({"splits": [name]}), encoding="utf-8")
    with pytest.raises(UserError, match=r"dataset_dict\.json|state\.json"):
        open_corpus(str(tmp_path / "saved"))
    for text in ("[" * 100_000, '{"splits": ' + "9" * 5000 + "}", "7", "{}"):
        (tmp_path / "saved" / "dataset_dict.json").write_text(text, encoding="utf-8")
        with pytest.raises(UserError, match=r"dataset_dict\.json"):
            open_corpus(str(tmp_path / "saved"))


UNFIT = [
    "test/../x",
    "test\\..\\x",
    "test\0",
    "test\ud800",
    "../../test",
    "test\n",
    "test/",
    "test..",
    "test x ",
    "test:x",
    "test\u202e",
    "test" + "x" * 200,
]


@pytest.mark.parametrize("name", UNFIT)
def test_split_names_must_be_folder_names(name: str, tmp_path: Path) -> None:
    assert split_name(name) is None
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"en": "a", "fr": "b", "split": name}), encoding="utf-8")
    with pytest.raises(UserError, match=r"a\.jsonl:1: the split is "):
        sources(open_corpus(str(path)))


def test_split_name_of_a_file_must_be_valid(tmp_path: Path) -> None:
    for name in ("train", "test\\..\\x"):
        for side in ("en", "fr"):
            (tmp_path / f"{name}.{side}").write_text("a\n", encoding="utf-8")
    with pytest.raises(UserError, match="no folder may be called as the split of"):
        open_corpus(str(tmp_path), "en", "fr")


@pytest.mark.parametrize("name", [*UNFIT, "", ".", "..", "/abs", ".hidden", "a/b"])
def test_prepared_splits_lie_inside_the_folder(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text(TSV, encoding="utf-8")
    prepare(str(tmp_path / "a.tsv"), tmp_path / "p", options())
    file = tmp_path / "p" / "prepared.json"
    report = json.loads(file.read_text(encoding="utf-8"))
    report["splits"][name] = report["splits"]["train"]
    file.write_text(json.dumps(report), encoding="utf-8")
    with pytest.raises(UserError, match=r"prepared\.json: damaged \(a split may not be called"):
        Prepared(tmp_path / "p")


def test_line_aligned_folder_skips_copies_and_reads_packed_files(tmp_path: Path) -> None:
    for side in ("en", "fr"):
        (tmp_path / f"train.{side}").write_text("a\n", encoding="utf-8")
        for name in (
            f"train.{side}.bak",
            f"train.{side}~",
            f"._train.{side}",
            f"~$train.{side}",
            f".train.{side}.swp",
        ):
            (tmp_path / name).write_bytes(b"\xff\0")
    (tmp_path / "prepared").mkdir()
    corpus = open_corpus(str(tmp_path), "en")
    assert sources(corpus) == ["a"]
    (tmp_path / "train.en").rename(tmp_path / "train.en.zst")
    (tmp_path / "train.en.zst").write_bytes(b"\x28\xb5\x2f\xfd\x04\x00\x09\x00\x00a\n")
    with pytest.raises(UserError, match=r"train\.en\.zst: a zstd file, .*unzstd"):
        sources(open_corpus(str(tmp_path), "en", "fr"))


def test_folder_of_tables_with_different_columns_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("en,fr\na,b\n", encoding="utf-8")
    (tmp_path / "test.csv").write_text("fr,en\nc,d\n", encoding="utf-8")
    corpus = open_corpus(str(tmp_path), "en", "fr")
    assert isinstance(corpus, Corpus)
    assert [(row.split, row.source, row.target) for row in corpus.rows()] == [
        ("test", "d", "c"),
        ("train", "a", "b"),
    ]
    (tmp_path / "test.csv").write_text("en,de\nc,d\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"its sides are en and \w+, where those of"):
        open_corpus(str(tmp_path))
    with pytest.raises(UserError, match=r"test\.csv: no column fr"):
        open_corpus(str(tmp_path), "en", "fr")


def test_folder_paths_may_not_be_utf8(tmp_path: Path) -> None:
    name = os.fsdecode(b"ra\xffw")
    folder = tmp_path / name
    folder.mkdir()
    (folder / "data.tsv").write_text(TSV, encoding="utf-8")
    for path in (folder, folder / "data.tsv"):
        with pytest.raises(UserError, match=r"ra\\xffw.*: a path that is not UTF-8") as error:
            open_corpus(str(path))
        str(error.value).encode()
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / f"train-{name}.tsv").write_text(TSV, encoding="utf-8")
    (tmp_path / "x" / f"{name}.bin").write_bytes(b"")
    report = prepare(str(tmp_path / "x"), tmp_path / "p", options())
    assert report["inputs"][0]["file"].endswith("train-ra\\xffw.tsv")
    for side in ("en", "fr"):
        (tmp_path / "x" / f"train_{name}.{side}").write_text("a b\n" * 300 + "\n", encoding="utf-8")
    report = prepare(str(tmp_path / "x"), tmp_path / "q", options())
    assert report["splits"]["train"]["dropped"]["empty"]["examples"] == ["train_ra\\xffw.en:301"]
    with pytest.raises(UserError, match=r"p\\xff: a path that is not UTF-8"):
        prepare(str(tmp_path / "x"), tmp_path / os.fsdecode(b"p\xff"), options())


def test_prepare_escapes_tabs_and_line_breaks_in_file_names(tmp_path: Path) -> None:
    for side in ("en", "fr"):
        (tmp_path / f"train\t\u2028\n.{side}").write_text("a b\n" * 60 + "\n", encoding="utf-8")
    report = prepare(str(tmp_path), tmp_path / "p", options())
    assert report["splits"]["train"]["dropped"]["empty"]["pairs"] == 1


def test_folder_of_parquet_inside_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for split in ("train", "test"):
        pq.write_table(
            pa.table({"en": ["a"], "fr": ["b"]}), tmp_path / "data" / f"{split}-00000-of-00001.parquet"
        )
    corpus = open_corpus(str(tmp_path), "en", "fr")
    assert (
        f"from data/test-00000-of-00001.parquet, data/train-00000-of-00001.parquet in {tmp_path}"
        in corpus.notes
    )


def test_follow_links_finds_tables_in_linked_folders(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "train.tsv").write_text("en\tfr\na\tb\n", encoding="utf-8")
    (tmp_path / "elsewhere" / "loop").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "linked").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="no corpus in this folder"):
        open_corpus(str(tmp_path / "corpus"))
    corpus = open_corpus(str(tmp_path / "corpus"), follow_links=True)
    assert sources(corpus) == ["a"]
    assert corpus.inputs == [tmp_path / "corpus" / "linked" / "train.tsv"]
