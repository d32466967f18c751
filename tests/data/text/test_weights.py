"""Several corpora at once: which are joined, and how often an epoch has each pair."""

from pathlib import Path

import numpy as np
import pytest

import seq2attn
from seq2attn.data.corpus_weights import split_weight
from seq2attn.data.text.weights import rows_of_epoch
from seq2attn.errors import UsageError, UserError


def table(path: Path, name: str, count: int, header: str = "") -> Path:
    rows = "".join(f"{name} says number {one} aloud\t{name} dit le {one} tout haut\n" for one in range(count))
    path.write_text(header + rows, encoding="utf-8")
    return path


def test_rows_of_epoch_has_each_row_as_often_as_its_weight() -> None:
    weights = np.array([1.0] * 10 + [0.3] * 20 + [2.5] * 4)
    epochs = [np.bincount(rows_of_epoch(weights, 1, epoch), minlength=34) for epoch in range(200)]
    for counts in epochs:
        assert (counts[:10] == 1).all()
        assert counts[10:30].sum() == 6
        assert counts[30:].sum() == 10
        assert set(counts[30:]) == {2, 3}
    assert len({tuple(counts) for counts in epochs}) > 190
    assert np.abs(np.mean(epochs, axis=0)[10:30] - 0.3).max() < 0.12
    assert (rows_of_epoch(weights, 1, 7) == rows_of_epoch(weights, 1, 7)).all()


@pytest.mark.parametrize(
    ("name", "corpus", "weight"),
    [
        ("b.tsv:0.3", "b.tsv", 0.3),
        ("b.tsv:2", "b.tsv", 2),
        ("b.tsv", "b.tsv", 1),
        ("hf:a/b:c", "hf:a/b:c", 1),
    ],
)
def test_split_weight_takes_the_weight_off_a_name(name: str, corpus: str, weight: float) -> None:
    assert split_weight(name) == (corpus, weight)


def test_split_weight_prefers_a_file_of_the_whole_name(tmp_path: Path) -> None:
    path = tmp_path / "a:2"
    path.write_text("")
    assert split_weight(str(path)) == (str(path), 1)
    for wrong in ("0", "101"):
        with pytest.raises(UsageError, match=r"from 0\.001 to 100"):
            split_weight(f"{path}:{wrong}")


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> seq2attn.Prepared:
    folder = tmp_path_factory.mktemp("mixed")
    names = [table(folder / "a.tsv", "Ann", 60), f"{table(folder / 'b.tsv', 'Bob', 40)}:0.25"]
    return seq2attn.prepare(names, folder / "out", source="en", target="fr", valid=6, test=4, workers=1)


def test_prepare_joins_corpora_with_weights(mixed: seq2attn.Prepared) -> None:
    train = mixed.split("train")
    assert train.weights is not None
    weights = {text.split()[0]: weight for text, weight in zip(train.texts()[0], train.weights, strict=True)}
    assert weights == {"Ann": 1, "Bob": 0.25}
    assert len(train) == 90
    for split in ("valid", "test"):  # from the corpus of the largest weight
        assert {text.split()[0] for text in mixed.split(split).texts()[0]} == {"Ann"}
        assert mixed.split(split).weights is None
    assert any("60 pairs of" in note and "b.tsv 0.25 times" in note for note in mixed.report["notes"])
    assert [Path(one["file"]).name for one in mixed.report["inputs"]] == ["a.tsv", "b.tsv"]


def test_split_with_weights_plans_the_rows_of_an_epoch(mixed: seq2attn.Prepared) -> None:
    train = mixed.split("train")
    assert train.weights is not None
    for epoch in (0, 1):
        rows = np.sort(np.concatenate(train.plan(200, 1, epoch)))
        assert (rows == rows_of_epoch(train.weights, 1, epoch)).all()
        assert len(rows) == 60
    changed = mixed.split("train")
    changed.weights = train.weights * 2
    assert changed.fingerprint != train.fingerprint


def test_prepare_of_corpora_with_splits_trains_on_those_without(tmp_path: Path) -> None:
    plain = table(tmp_path / "b.tsv", "Bob", 30)
    rows = "".join(f"Ann {one}\tAnne {one}\t{('train', 'valid')[one % 2]}\n" for one in range(20))
    (tmp_path / "a.tsv").write_text(f"source\ttarget\tsplit\n{rows}")
    prepared = seq2attn.prepare([tmp_path / "a.tsv", plain], tmp_path / "out", workers=1)
    assert {name: len(prepared.split(name)) for name in prepared.splits} == {"train": 40, "valid": 10}
    assert prepared.split("train").weights is None


def test_prepare_refuses_corpora_that_do_not_go_together(tmp_path: Path) -> None:
    one = table(tmp_path / "a.tsv", "Ann", 9, "en\tfr\n")
    other = table(tmp_path / "b.tsv", "Bob", 9, "en\tde\n")
    with pytest.raises(UserError, match=r"b\.tsv: its sides are en and de, where those of the others"):
        seq2attn.prepare([one, other], tmp_path / "out")
    with pytest.raises(UsageError, match="a weight is for several corpora"):
        seq2attn.prepare([f"{one}:2"], tmp_path / "out")
    with pytest.raises(UsageError, match="all of text"):
        seq2attn.prepare([one, "scenes"], tmp_path / "out")
    with pytest.raises(UsageError, match="at least one"):
        seq2attn.prepare([], tmp_path / "out")
