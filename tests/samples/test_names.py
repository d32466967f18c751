"""The corpus `names`: what its splits promise; its names and numbers are the same in both languages."""

import re
from collections import Counter

import pytest

from seq2attn.data.bundled import bundled_folder
from seq2attn.samples import names
from seq2attn.samples.names import __main__ as command
from seq2attn.samples.names.corpus import words_to_copy
from seq2attn.samples.names.words import unseen
from seq2attn.samples.phrases.sentences import Sentence


@pytest.fixture(scope="module")
def splits() -> dict[str, list[Sentence]]:
    return names.splits(1, {"train": 1500, "valid": 200, "test": 500})


@pytest.mark.slow
def test_every_sentence_has_its_names_and_numbers_in_both_languages(splits) -> None:
    for s in (s for split in splits.values() for s in split):
        assert words_to_copy(s)
        for side in (s.english, s.french):
            forms = Counter(re.findall(r"[A-Z][a-z]+|[0-9]+", side))
            assert all(forms[word] == 1 for word in words_to_copy(s)), side


def test_names_and_numbers_of_test_are_in_no_other_split(splits) -> None:
    old = {word for name in ("train", "valid") for s in splits[name] for word in words_to_copy(s)}
    new = {word for s in splits["test"] for word in words_to_copy(s)}
    assert not old & new
    assert all(map(unseen, new))
    assert len(new) > 500
    assert any(word.isdigit() for word in new)
    assert any(word.endswith("a") for word in new)


def test_no_name_is_elided_before(splits) -> None:
    assert not any(
        word[0] in "AEIOUYH" for split in splits.values() for s in split for word in words_to_copy(s)
    )


def test_splits_share_no_sentence(splits) -> None:
    sources = [s.english for split in splits.values() for s in split]
    assert len(sources) == len(set(sources))


@pytest.mark.slow
def test_corpus_is_the_bundled_one(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("sys.argv", ["names", str(tmp_path)])
    command.main()
    bundled = bundled_folder("names")
    for name in names.SIZES:
        for ending in ("en", "fr", "align"):
            file = f"{name}.{ending}"
            assert (tmp_path / file).read_bytes() == (bundled / file).read_bytes(), file


def test_bundled_test_has_500_sentences() -> None:
    lines = (bundled_folder("names") / "test.en").read_text(encoding="utf-8").splitlines()
    assert len(lines) == len(set(lines)) == 500
