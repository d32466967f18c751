"""A model that was trained on pairs with markers, and what comes out of lines with items."""

import random
from pathlib import Path

import pytest

import seq2attn
from seq2attn.errors import UsageError

NOUNS = {"dog": "chien", "cat": "chat", "boy": "garçon", "king": "roi"}
ADJECTIVES = {"red": "rouge", "calm": "calme", "sad": "triste", "young": "jeune"}
VERBS = {"sees": "voit", "wants": "veut", "sells": "vend", "opens": "ouvre"}


def item(rng: random.Random) -> str:
    word, number = "".join(rng.choices("abcdefgh", k=5)), rng.randint(1, 99_999)
    return rng.choice(
        [f"{{{word}}}", f"%{number % 9}$s", f"https://{word}.org/{number}", f"{word}@{word}.net", f"{number}"]
    )


def pair(rng: random.Random) -> tuple[str, str]:
    """An adjective that the other side has behind its noun, one or two items, and sometimes a tag."""
    (noun, nom), (adjective, adjectif), (verb, verbe) = (
        rng.choice(list(table.items())) for table in (NOUNS, ADJECTIVES, VERBS)
    )
    first, second = item(rng), item(rng)
    if rng.random() < 0.5:
        adjective, adjectif = f"<b>{adjective}</b>", f"<b>{adjectif}</b>"
    if rng.random() < 0.5:
        return f"the {adjective} {noun} {verb} {first}.", f"le {nom} {adjectif} {verbe} {first}."
    return (
        f"{first}: the {adjective} {noun} {verb} {second}",
        f"{first}: le {nom} {adjectif} {verbe} {second}",
    )


def write(folder: Path, seed: int = 1, **counts: int) -> dict[str, list[tuple[str, str]]]:
    rng = random.Random(seed)
    pairs = {split: [pair(rng) for _ in range(count)] for split, count in counts.items()}
    folder.mkdir()
    for split, own in pairs.items():
        for number, side in enumerate(("en", "fr")):
            (folder / f"{split}.{side}").write_text("".join(f"{one[number]}\n" for one in own))
    return pairs


def test_prepare_marks_what_both_sides_have_and_reports_it(tmp_path: Path) -> None:
    write(tmp_path / "raw", train=200, valid=10)
    options = {"source": "en", "target": "fr", "vocab_size": 48, "workers": 1}
    prepared = seq2attn.prepare(tmp_path / "raw", tmp_path / "data", protect=True, **options)
    assert "train: 200 pairs have markers of what both sides have" in prepared.report["notes"]
    assert prepared.report["options"]["protect"] is True
    source_ids, target_ids = prepared.split("train").ids([0, 1, 2])
    markers = set(range(4, 12))  # they come first after the special tokens
    for source, target in zip(source_ids, target_ids, strict=True):
        assert sorted(markers & set(source.tolist())) == sorted(markers & set(target.tolist())) != []


def test_prepare_refuses_markers_that_nothing_would_teach(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    for side in ("en", "fr"):
        for split in ("train", "valid"):
            (tmp_path / "raw" / f"{split}.{side}").write_text("a b c d\n" * 30)
    options = {"source": "en", "target": "fr", "workers": 1, "keep": ("all",)}
    with pytest.raises(UsageError, match="no pair of train has a placeholder"):
        seq2attn.prepare(tmp_path / "raw", tmp_path / "data", protect=True, **options)
    assert not (tmp_path / "data").exists()
    with pytest.raises(UsageError, match=r"data\.protect needs subwords"):
        seq2attn.prepare(
            tmp_path / "raw", tmp_path / "data", protect=True, tokenizer="word", source="en", target="fr"
        )
