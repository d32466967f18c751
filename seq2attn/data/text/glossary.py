"""A glossary: terms of the source, each with the term that a translation must have for it.

A term is a sequence of words, as they stand in the text: a glossary names every form of a word. It knows no
model and no tokenizer.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, Self

from seq2attn.data.formats.text import is_blank, printable
from seq2attn.data.tokenizer import normalise
from seq2attn.errors import UserError

MOST_TERMS = 100_000
LARGEST = 1 << 24  # bytes of a file
LONGEST = 200  # characters of a term

_UNSPACED = (  # Thai, Lao, Tibetan, Burmese, Khmer, Japanese, Chinese
    "\u0e00-\u0eff\u0f00-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+|[^\w\s]")


class Term(NamedTuple):
    """A term of a glossary that a source has, from character `start` to `stop`."""

    source: str
    target: str
    start: int
    stop: int


class Glossary:
    """Source terms and their target terms. A source term in lower case is any case in a text."""

    def __init__(self, terms: Mapping[str, str]) -> None:
        """Raises UserError for a term without a letter or digit, and for terms that are too long or many."""
        self.terms = {}
        for source, target in terms.items():
            for term in (source, target):
                check_term(term)
            self.terms[source.strip()] = normalise(target.strip())
        if len(self.terms) > MOST_TERMS:
            raise UserError(f"a glossary of {len(self.terms):,} terms; {MOST_TERMS:,} are the most")
        self._by_words = {words(source): source for source in self.terms}
        self._longest = max(map(len, self._by_words), default=0)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """The glossary of a file with a term, a tab and its target term on each line. Lines may be empty.

        Raises UserError, with the line, for anything else, and for a term that has two target terms.
        """
        path = Path(path)
        name = printable(path)
        try:
            if path.stat().st_size > LARGEST:
                raise UserError(
                    f"{name}: larger than any glossary; a line is a term, a tab and its target term"
                )
            text = path.read_bytes().decode("utf-8-sig")
        except OSError as error:
            raise UserError(f"{name}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise UserError(f"{name}: not UTF-8; save it as UTF-8") from None
        terms: dict[str, str] = {}
        lines: dict[str, int] = {}
        for number, line in enumerate(text.splitlines(), 1):
            if is_blank(line):
                continue
            cells = line.split("\t")
            if len(cells) != 2:
                problem = f"{len(cells) - 1} tabs" if len(cells) > 2 else "no tab"
                raise UserError(f"{name}:{number}: {problem}; a line is a term, a tab and its target term")
            source, target = (cell.strip() for cell in cells)
            try:
                check_term(source)
                check_term(target)
            except UserError as error:
                raise UserError(f"{name}:{number}: {error}") from None
            if terms.setdefault(source, target) != target:
                other = f"another target term in line {lines[source]}"
                raise UserError(f'{name}:{number}: "{source}" has {other}; leave one out')
            lines.setdefault(source, number)
        if not terms:
            raise UserError(f"{name}: no terms; a line is a term, a tab and its target term")
        return cls(terms)

    def __repr__(self) -> str:
        return f"Glossary({self.terms!r})"

    def find(self, text: str) -> list[Term]:
        """The terms of a source, in order: from left to right the longest one, so that none overlaps."""
        own = list(_words(text))
        lower = [(word.lower(), start, stop) for word, start, stop in own]
        results, place = [], 0
        while place < len(lower):
            for length in range(min(self._longest, len(lower) - place), 0, -1):
                part = slice(place, place + length)
                source = self._source(own[part]) or self._source(lower[part])
                if source is not None:
                    start, stop = lower[place][1], lower[place + length - 1][2]
                    results.append(Term(source, self.terms[source], start, stop))
                    place += length
                    break
            else:
                place += 1
        return results

    def _source(self, part: Iterable[tuple[str, int, int]]) -> str | None:
        return self._by_words.get(tuple(word for word, _, _ in part))


def check_term(term: object) -> None:
    """Raise UserError for a term that no text can have, or that is too long."""
    if not isinstance(term, str):
        raise UserError(f"a term is a text, and this is a {type(term).__name__}")
    if not any(map(str.isalnum, term)):
        raise UserError(f'"{term}": a term has a letter or a digit')
    if len(term) > LONGEST:
        raise UserError(f"a term of {len(term):,} characters; {LONGEST} are the most")


def words(text: str) -> tuple[str, ...]:
    """The words of a text, with each punctuation mark and each character of an unspaced script as a word."""
    return tuple(word for word, _, _ in _words(text))


def word_spans(text: str) -> list[tuple[int, int]]:
    """Where each of `words` stands in a text."""
    return [(start, stop) for _, start, stop in _words(text)]


def times(term: str, text: str) -> int:
    """How often a text has a term, as words of its own. Its first letter may be a capital."""
    term_words, own = words(normalise(term)), words(normalise(text))
    first = term_words[0]
    firsts = {first, first[:1].upper() + first[1:]}
    length = len(term_words)
    return sum(
        own[place] in firsts and own[place + 1 : place + length] == term_words[1:]
        for place in range(len(own) - length + 1)
    )


def _words(text: str) -> Iterator[tuple[str, int, int]]:
    return ((match[0], match.start(), match.end()) for match in _WORD.finditer(text))
