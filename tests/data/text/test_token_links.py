"""Links of words as links of tokens: the shares of the paper in plain loops, odd texts, and lines that are
wrong; and how prepared folders and batches carry them.
"""

from pathlib import Path

import datasets
import numpy as np
import pytest
import tiny
from reference.guided import distribution

from seq2attn.config import DataConfig
from seq2attn.data.formats.pharaoh import parse
from seq2attn.data.prepare import prepare
from seq2attn.data.prepared import Prepared
from seq2attn.data.text.dataset import TextSplit
from seq2attn.data.text.guided import GuidedTexts
from seq2attn.data.text.token_links import token_links
from seq2attn.data.tokenizer import Tokenizer
from seq2attn.errors import UserError

SOURCE, TARGET = "the small dog sleeps in the garden", "le petit chien dort dans le jardin"


def words_of(text: str, tokenizer: Tokenizer) -> list[int | None]:
    """The word of each token: a token that begins with a space begins a word; the space alone has none."""
    numbers: list[int | None] = []
    word = -1
    for piece in tokenizer.subwords(tokenizer.encode(text)):
        word += piece.startswith("▁") or word < 0
        numbers.append(word if piece.strip("▁") else None)
    return numbers


def links(line: str, source: str = SOURCE, target: str = TARGET, where: str = "train.en:3") -> list[int]:
    tokenizers = tiny.tokenizer("source"), tiny.tokenizer("target")
    ids = tokenizers[0].encode(source), tokenizers[1].encode(target)
    return token_links(line, (source, target), ids, tokenizers, where)


@pytest.mark.parametrize("line", ["0-0 1-1 2-2 3-3 4-4 5-5 6-6", "0-0 5-0 6-0 2-3 3?3 1p5", "6-0", ""])
def test_token_links_are_the_shares_of_the_paper(line: str) -> None:
    sides = words_of(SOURCE, tiny.tokenizer("source")), words_of(TARGET, tiny.tokenizer("target"))
    want = distribution(parse(line).possible, *sides)
    triples = np.array(links(line)).reshape(-1, 3).tolist()
    assert {(t, s): 1 / n for t, s, n in triples} == pytest.approx(want)
    assert triples == sorted(triples)
    assert len(sides[0]) > len(SOURCE.split())  # some words have several tokens


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("0-0 7-1", "train.en:3: the link 7-1 points past the end: the source has 7 words, the target 7"),
        ("0-7", "train.en:3: the link 0-7 points past the end"),
        ("0:1", "train.en:3: '0:1' is no link"),
    ],
)
def test_token_links_refuse_lines_that_do_not_fit(line: str, words: str) -> None:
    with pytest.raises(UserError) as error:
        links(line)
    assert words in str(error.value)


def corpus(path: Path, links: list[str] | None) -> Path:
    path.mkdir()
    for split, rows in (("train", slice(None)), ("valid", slice(3))):
        (path / f"{split}.en").write_text("\n".join(tiny.ENGLISH[rows]) + "\n")
        (path / f"{split}.fr").write_text("\n".join(tiny.FRENCH[rows]) + "\n")
    if links is not None:
        (path / "train.align").write_text("\n".join(links) + "\n")
    return path


def prepared(path: Path, links: list[str] | None) -> Prepared:
    options = DataConfig(source="en", target="fr", vocab_size=80, keep=("all",))
    prepare(str(corpus(path / "corpus", links)), path / "out", options, shrink=True)
    return Prepared(path / "out")


DIAGONAL = [" ".join(f"{i}-{i}" for i in range(5)) for _ in tiny.ENGLISH]


def test_prepared_training_pairs_have_the_links_of_their_corpus(tmp_path: Path) -> None:
    lines = [*DIAGONAL[:1], "", *DIAGONAL[2:]]
    folder = prepared(tmp_path, lines)
    split = folder.split("train")
    assert split.has_links
    assert not folder.split("valid").has_links
    assert split.gold == lines
    rows = np.arange(len(split))
    tokenizers = folder.source_tokenizer, folder.target_tokenizer
    for row, got in enumerate(split.links(rows)):
        ids = tokenizers[0].encode(tiny.ENGLISH[row]), tokenizers[1].encode(tiny.FRENCH[row])
        texts = tiny.ENGLISH[row], tiny.FRENCH[row]
        assert got.ravel().tolist() == token_links(lines[row], texts, ids, tokenizers, "x")
    assert len(split.links(np.array([1]))[0]) == 0


def test_prepared_folder_without_links_has_none(tmp_path: Path) -> None:
    assert not prepared(tmp_path, None).split("train").has_links


def test_prepare_names_the_line_of_a_link_that_does_not_fit(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        prepared(tmp_path, [*DIAGONAL[:4], "9-9", *DIAGONAL[5:]])
    assert "train.en:5: the link 9-9 points past the end" in str(error.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("shift", [0, 1])
def test_batches_of_guided_texts_have_a_distribution_at_each_linked_step(shift: int, tmp_path: Path) -> None:
    split = prepared(tmp_path, [*DIAGONAL[:1], "", *DIAGONAL[2:]]).split("train")
    texts = GuidedTexts(split, shift)
    rows = np.array([4, 1, 0])
    batch = texts.batch(rows, None)
    assert batch.guide_BTS is not None
    assert batch.guide_BTS.shape == (*batch.targets_BT.shape, batch.source.size(1))
    sums_BT = batch.guide_BTS.sum(-1)
    for place, (row, of_row) in enumerate(zip(rows, split.links(rows), strict=True)):
        steps = sorted({t + shift for t, _, _ in of_row.tolist()})
        assert sums_BT[place].nonzero()[:, 0].tolist() == steps
        assert sums_BT[place][steps].numpy() == pytest.approx(1)
        assert texts.guided_tokens[row] == len(steps)
        for t, s, n in of_row.tolist():
            assert batch.guide_BTS[place, t + shift, s] == np.float32(1 / n)


def test_fingerprint_of_guided_texts_holds_links_and_shift(tmp_path: Path) -> None:
    marks = set()
    for number, lines in enumerate((DIAGONAL, [*DIAGONAL[:3], "0-1", *DIAGONAL[4:]])):
        (tmp_path / str(number)).mkdir()
        split = prepared(tmp_path / str(number), lines).split("train")
        marks |= {split.fingerprint, *(GuidedTexts(split, shift).fingerprint for shift in (0, 1))}
    assert len(marks) == 5  # the pairs themselves are the same


@pytest.mark.parametrize(
    ("numbers", "words"), [([0, 0], "no triples"), ([0, 99, 1], "not there"), ([0, 0, 0], "not there")]
)
def test_damaged_links_are_one_line(numbers: list[int], words: str, tmp_path: Path) -> None:
    prepared(tmp_path, DIAGONAL)
    table = datasets.load_from_disk(str(tmp_path / "out" / "train"))
    bad = [*table["links"][:2], numbers, *table["links"][3:]]
    changed = table.remove_columns("links").add_column("links", bad, feature=table.features["links"])
    changed.save_to_disk(str(tmp_path / "bad"))
    with pytest.raises(UserError) as error:
        GuidedTexts(TextSplit(tmp_path / "bad"), 0)
    assert words in str(error.value)
    assert "damaged" in str(error.value)
