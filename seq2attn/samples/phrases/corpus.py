"""The corpus: distinct sentences, splits that share none, and combinations and lengths held out of training.

This module knows how sentences are chosen and written to files. The grammar makes them.
"""

import hashlib
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from seq2attn.samples.phrases.grammar import Pair
from seq2attn.samples.phrases.sentences import Sentence, long_sentence, sentence

LONGEST = 14  # words on either side of every split but test_long
LONG = (16, 40)  # words on both sides of test_long
HELD_OUT = 0.05  # of all pairs of lemmas
MIN_OCCURRENCES = 10  # training sentences that hold each part of a held-out pair

SIZES = {"train": 20_000, "valid": 1_000, "test": 1_000, "test_compositional": 1_000, "test_long": 1_000}


def stream(seed: int, purpose: str = "") -> Iterator[Sentence]:
    """An endless stream of sentences of at most `LONGEST` words on either side.

    All are different in English. Equal arguments give equal sentences.
    """
    rng = random.Random(f"phrases {seed} {purpose}")
    sources: set[str] = set()
    while True:
        candidate = sentence(rng)
        if max(candidate.lengths) <= LONGEST and candidate.english not in sources:
            sources.add(candidate.english)
            yield candidate


def generate(count: int, seed: int = 1) -> list[Sentence]:
    """`count` different sentences."""
    source = stream(seed)
    return [next(source) for _ in range(count)]


def held_out(pair: Pair, seed: int) -> bool:
    """Whether a pair of lemmas is kept for test_compositional.

    It is an adjective with a noun, or a verb with its subject or object.
    """
    digest = hashlib.sha256(f"{seed} {' '.join(pair)}".encode()).digest()
    return int.from_bytes(digest[:4], "big") < HELD_OUT * 2**32


def forms(text: str) -> set[str]:
    """The word forms of a text of either language: lower case, without punctuation, elided words apart."""
    return set(re.findall(r"[^\W\d_]+(?:-[^\W\d_]+)*'?", text.lower()))


def splits(seed: int, sizes: Mapping[str, int]) -> dict[str, list[Sentence]]:
    """The splits named in `sizes`, of those in `SIZES`; no English sentence is in two.

    test_compositional: every sentence has a held-out pair, which no other split has, while every word form is
    in training and every lemma of the pair in at least MIN_OCCURRENCES of its sentences. test_long: LONG
    words on both sides, no held-out pair, every word form in training.
    """
    ordinary: list[Sentence] = []
    compositional: list[Sentence] = []
    plain = sum(sizes.get(name, 0) for name in ("train", "valid", "test"))
    source = stream(seed)
    while len(ordinary) < plain:
        candidate = next(source)
        has_new_pair = any(held_out(pair, seed) for pair in candidate.pairs)
        (compositional if has_new_pair else ordinary).append(candidate)
    by_split, start = {}, 0
    for name in ("train", "valid", "test"):
        by_split[name] = ordinary[start : start + sizes.get(name, 0)]
        start += sizes.get(name, 0)
    train = by_split["train"]
    known_en = set().union(*(forms(s.english) for s in train))
    known_fr = set().union(*(forms(s.french) for s in train))
    counts = Counter(part for s in train for part in {part for pair in s.pairs for part in parts(pair)})

    def known(s: Sentence) -> bool:
        return forms(s.english) <= known_en and forms(s.french) <= known_fr

    count, by_split["test_compositional"] = sizes.get("test_compositional", 0), []
    while len(by_split["test_compositional"]) < count:
        candidate = compositional.pop(0) if compositional else next(source)
        new_pairs = [pair for pair in candidate.pairs if held_out(pair, seed)]
        frequent = all(counts[part] >= MIN_OCCURRENCES for pair in new_pairs for part in parts(pair))
        if new_pairs and frequent and known(candidate):
            by_split["test_compositional"].append(candidate)
    by_split["test_long"] = _long(seed, sizes.get("test_long", 0), known)
    return {name: by_split[name] for name in SIZES if name in sizes}


def parts(pair: Pair) -> tuple[tuple[str, str], tuple[str, str]]:
    """The two lemmas of a pair with the part of speech of each."""
    kind, first, second = pair
    speech = {"adjective": ("adjective", "noun"), "subject": ("noun", "verb"), "object": ("verb", "noun")}[
        kind
    ]
    return (speech[0], first), (speech[1], second)


def _long(seed: int, count: int, known: Callable[[Sentence], bool]) -> list[Sentence]:
    rng = random.Random(f"phrases {seed} long")
    by_source: dict[str, Sentence] = {}
    while len(by_source) < count:
        candidate = long_sentence(rng, LONG[0] + int(rng.random() * 20))
        if (
            max(candidate.lengths) <= LONG[1]
            and known(candidate)
            and not any(held_out(pair, seed) for pair in candidate.pairs)
        ):
            by_source.setdefault(candidate.english, candidate)
    return list(by_source.values())


def write(folder: Path, by_split: Mapping[str, Sequence[Sentence]]) -> None:
    """Write SPLIT.en, SPLIT.fr and SPLIT.align, one sentence a line."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, sentences in by_split.items():
        for ending, lines in (
            ("en", [s.english for s in sentences]),
            ("fr", [s.french for s in sentences]),
            ("align", [s.alignment for s in sentences]),
        ):
            (folder / f"{name}.{ending}").write_text(
                "".join(line + "\n" for line in lines), encoding="utf-8", newline="\n"
            )
