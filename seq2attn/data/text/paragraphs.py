"""A text as sentences to translate and what stays between them: line breaks, blank lines, indents, markup.

`take_apart` gives the parts; `put_together` joins the translations of the sentences with the rest. It knows
no model.
"""

import html
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from seq2attn.data.languages import UNSPACED, language_of
from seq2attn.data.text.markup import split_markup
from seq2attn.data.text.sentences import split_sentences

LONGEST = 600  # characters that are translated as one sentence
# The end of the last clause, or the last space, in the second half of such a piece.
_CLAUSE = re.compile(rf"(?s).{{{LONGEST // 2},}}(?:[,;:—–]\s+|[，；：、])(?=\S)")
_SPACE = re.compile(rf"(?s).{{{LONGEST // 2},}}\s+(?=\S)")


class Part(NamedTuple):
    """A piece of a text. A sentence is translated, and anything else stays as it is."""

    content: str
    sentence: bool
    escaped: bool = False  # whether the translation is written with entities


def take_apart(text: str, of_html: bool = False, clauses: bool = True) -> list[Part]:
    """The parts of a text, in order. With `clauses` a very long sentence is in several parts."""
    if not of_html:
        return list(_lines(text, False, clauses))
    parts: list[Part] = []
    for piece in split_markup(text):
        if not piece.text or not any(map(str.isalnum, html.unescape(piece.content))):
            parts.append(Part(piece.content, False))
        elif piece.lines:
            parts.extend(_lines(html.unescape(piece.content), True))
        else:
            parts.extend(_of_line(html.unescape(piece.content), True))
    return parts


def put_together(parts: Sequence[Part], translations: Sequence[str], target: str | None) -> str:
    """The text with the translation of each sentence, in order, in place of it.

    `target` is the language of the translations: between its sentences there is a space, or none.
    """
    spaced = language_of(target, ()) not in UNSPACED
    results, remaining = [], iter(translations)
    for number, part in enumerate(parts):
        between = 0 < number < len(parts) - 1 and parts[number - 1].sentence and parts[number + 1].sentence
        if part.sentence:
            translation = next(remaining)
            results.append(html.escape(translation, quote=False) if part.escaped else translation)
        elif between and part.content in ("", " "):
            results.append(" " if spaced else "")
        else:
            results.append(part.content)
    return "".join(results)


def _lines(text: str, escaped: bool, clauses: bool = True) -> Iterator[Part]:
    for number, line in enumerate(text.split("\n")):
        if number:
            yield Part("\n", False)
        yield from _of_line(line, escaped, clauses)


def _of_line(line: str, escaped: bool, clauses: bool = True) -> Iterator[Part]:
    """The sentences of a line, each followed by the white space after it, also where there is none."""
    content = line.strip()
    if not any(map(str.isalnum, content)):
        yield Part(html.escape(line, quote=False) if escaped else line, False)
        return
    start = line.index(content)
    yield Part(line[:start], False)
    for sentence in split_sentences(content):
        text = " ".join(sentence.text.split()) if escaped else sentence.text
        *before, last = _clauses(text) if clauses else [text]
        for clause in before:
            yield Part(clause.rstrip(), True, escaped)
            yield Part(clause[len(clause.rstrip()) :], False)
        yield Part(last, True, escaped)
        yield Part(sentence.space, False)
    yield Part(line[start + len(content) :], False)


def _clauses(sentence: str) -> list[str]:
    """A sentence of more than LONGEST characters in pieces of at most so many, the white space after each
    included: the search takes time with the length, and a model reads no more than a number of subwords.
    """
    pieces, start = [], 0
    while len(sentence) - start > LONGEST:
        window = sentence[start : start + LONGEST]
        ends = [match.end() for pattern in (_CLAUSE, _SPACE) if (match := pattern.match(window))]
        end = ends[0] if ends else LONGEST
        pieces.append(sentence[start : start + end])
        start += end
    return [*pieces, sentence[start:]]
