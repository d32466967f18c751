"""The splits: sentences of the grammar of `phrases`, each with a name or a number, all of them different.

Names and numbers of `test` are in no other split.
"""

import random
from collections.abc import Mapping
from functools import partial

from seq2attn.samples.names.words import Open
from seq2attn.samples.phrases.corpus import LONGEST, write
from seq2attn.samples.phrases.sentences import Sentence, sentence

SIZES = {"train": 12_000, "valid": 500, "test": 500}

__all__ = ["SIZES", "splits", "words_to_copy", "write"]


def words_to_copy(s: Sentence) -> list[str]:
    """The names and numbers of a sentence, which are the same in both languages."""
    return sorted(lemma.partition(":")[2] for lemma in s.lemmas if lemma.startswith(("name:", "number:")))


def splits(seed: int, sizes: Mapping[str, int]) -> dict[str, list[Sentence]]:
    """The splits named in `sizes`, of those in `SIZES`; no English sentence is in two."""
    sources: set[str] = set()
    return {name: _split(seed, name, sizes[name], sources) for name in SIZES if name in sizes}


def _split(seed: int, name: str, count: int, sources: set[str]) -> list[Sentence]:
    rng = random.Random(f"names {seed} {name}")
    split: list[Sentence] = []
    derivation = partial(Open, testing=name == "test")
    while len(split) < count:
        candidate = sentence(rng, derivation)
        if (
            words_to_copy(candidate)
            and max(candidate.lengths) <= LONGEST
            and candidate.english not in sources
        ):
            sources.add(candidate.english)
            split.append(candidate)
    return split
