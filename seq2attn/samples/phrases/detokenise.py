"""From linked words to text: elision, contraction, a or an and 's, punctuation, capitals, and the alignment.

Two words, one of each language, are aligned if they stand for a common node of the derivation. This module
knows only spelling.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from seq2attn.samples.phrases import english as en
from seq2attn.samples.phrases import french as fr


class Word(NamedTuple):
    """A word before spelling, and the nodes of the derivation for which it stands (none for punctuation)."""

    text: str
    nodes: frozenset[int]


Words = tuple[Word, ...]


def words(text: str, *nodes: int) -> Words:
    """The space-separated words of `text`, all standing for the same nodes."""
    return tuple(Word(word, frozenset(nodes)) for word in text.split(" "))


def _glue(text: str, *parts: Word) -> Word:
    return Word(text, frozenset().union(*(part.nodes for part in parts)))


def spell_french(phrase: Sequence[Word]) -> list[Word]:
    """Elide and contract words from the right: `de le homme` becomes de l'homme, `de le garçon` du garçon."""
    spelt: list[Word] = []
    for word in reversed(phrase):
        if spelt:
            following = spelt[-1]
            if word.text in fr.ELIDING and fr.elides(following.text):
                spelt[-1] = _glue(f"{word.text[:-1]}'{following.text}", word, following)
                continue
            if (word.text, following.text) in fr.CONTRACTED:
                spelt[-1] = _glue(fr.CONTRACTED[word.text, following.text], word, following)
                continue
        spelt.append(word)
    return spelt[::-1]


def spell_english(phrase: Sequence[Word]) -> list[Word]:
    """Choose a or an, and join `can not` and the possessive 's."""
    spelt: list[Word] = []
    for i, word in enumerate(phrase):
        if word.text == "a":
            spelt.append(word._replace(text=en.article(phrase[i + 1].text)))
        elif spelt and (word.text == "'s" or (word.text == "not" and spelt[-1].text == "can")):
            spelt[-1] = _glue(spelt[-1].text + word.text, spelt[-1], word)
        else:
            spelt.append(word)
    return spelt


def punctuate(spelt: Iterable[Word]) -> list[Word]:
    """Attach punctuation to the word before it, in both languages, and set the first capital."""
    done: list[Word] = []
    for word in spelt:
        if word.text in (",", ".", "?"):
            done[-1] = _glue(done[-1].text + word.text, done[-1])
        else:
            done.append(word)
    first = done[0]
    done[0] = first._replace(text=first.text[0].upper() + first.text[1:])
    return done


def align(english: Sequence[Word], french: Sequence[Word]) -> str:
    """Pharaoh links `i-j` of the English word i and the French word j, sorted, counted from 0."""
    return " ".join(
        f"{i}-{j}" for i, e in enumerate(english) for j, f in enumerate(french) if e.nodes & f.nodes
    )
