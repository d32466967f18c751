"""Lines of text as they come: split into sentences, with items that stay as they are, with a glossary.

A line is translated sentence by sentence if the model has learned single sentences, and has one translation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from seq2attn.data.text import protection
from seq2attn.data.text.glossary import Glossary
from seq2attn.data.text.paragraphs import Part, take_apart
from seq2attn.data.text.sentences import FEW
from seq2attn.errors import UsageError
from seq2attn.inference.faithful import Faithful
from seq2attn.inference.joining import join, restored
from seq2attn.inference.options import ResolvedOptions, SearchOptions, Sentences
from seq2attn.inference.results import Translation

if TYPE_CHECKING:
    from seq2attn.inference.translator import Translator

LINES = 1 << 40  # more than any number of a line: a further sentence has a random stream of its own


@dataclass(frozen=True)
class LineOptions:
    """How lines are treated before and after the search."""

    sentences: Sentences = "auto"
    """auto: split lines of several sentences if nearly all sources in training were single ones; split:
    always; whole: never."""
    glossary: Glossary | None = None
    """Terms that a translation has if its source has them."""
    protect: bool = False
    """Leave placeholders, URLs, e-mail addresses, numbers and tags as they are. A run that was prepared with
    `protect` does so always."""

    def check(self) -> None:
        """Raise UsageError for a value that makes no sense."""
        if self.sentences not in ("auto", "split", "whole"):
            raise UsageError(
                f"sentences {self.sentences!r}: choose auto, split or whole", setting="sentences"
            )


class _Line:
    """A line, the sentences to translate, and what stays between them."""

    def __init__(self, text: str, splits: bool, protects: bool) -> None:
        self.text = text
        self.marked = protection.mark(text) if protects else protection.Marked(text, {})
        parts = take_apart(self.marked.text, clauses=False) if splits else []
        if sum(part.sentence for part in parts) < 2:
            parts = [Part(self.marked.text, True)]
        self.parts: Sequence[Part] = parts

    @property
    def sentences(self) -> list[str]:
        return [part.content for part in self.parts if part.sentence]


def splits_lines(training: Mapping[str, float] | None, sentences: Sentences = "auto") -> bool:
    """Whether lines are split, from the statistics of the sources in training."""
    if sentences == "auto":
        return (training or {}).get("several sentences", 1.0) < FEW
    return sentences == "split"


def translate_lines(
    translator: "Translator",
    texts: Sequence[str],
    search: SearchOptions,
    lines: LineOptions,
    *,
    prefixes: Sequence[str] | None = None,
    first: int = 0,
) -> list[list[Translation]]:
    """The translations of each line, best first; see `Translator.translate_lines`."""
    lines.check()
    resolved = search.resolved(translator.config.search)
    has_markers = translator.config.data.protect
    if lines.protect and not has_markers and not translator.attends:
        raise UsageError(
            "protect puts the items back by attention, for the run was prepared without `protect`, and it "
            "has no attention; leave it out, or prepare its corpus with `protect` and train anew",
            setting="protect",
        )
    _refuse_together(lines, resolved)
    splits = splits_lines(translator.source_lengths, lines.sentences)
    own = [
        _Line(text, splits and not (prefixes and prefixes[number]), lines.protect or has_markers)
        for number, text in enumerate(texts)
    ]
    places = [(i, j, sentence) for i, line in enumerate(own) for j, sentence in enumerate(line.sentences)]
    sentences = [sentence for _, _, sentence in places]
    numbers = [j * LINES + first + i for i, j, _ in places]
    starts = None if prefixes is None else [prefixes[i] for i, _, _ in places]
    if lines.glossary is None and not (lines.protect or has_markers):
        outputs = translator.translate(sentences, search, prefixes=starts, first=numbers)
    else:
        faithful = Faithful(translator, search, resolved, lines.glossary)
        outputs = faithful.translate(sentences, starts, numbers)
    remaining = iter(outputs)
    language = translator.languages[1]
    return [_together(line, [next(remaining) for _ in line.sentences], language, resolved) for line in own]


def _refuse_together(lines: LineOptions, search: ResolvedOptions) -> None:
    """Raise UsageError for options of lines and of the search that exclude each other."""
    for name, given in (("glossary", lines.glossary is not None), ("protect", lines.protect)):
        if given and search.confidence:
            problem = f"{name} and `confidence`: what is put into an output has no probability of its own"
            raise UsageError(f"{problem}; leave one out", setting=name)
    if lines.glossary is not None and search.sample_count:
        other = "sample" if search.sample else "utility"
        problem = f"glossary and `{other}`: outputs that are drawn at random hold no term for certain"
        raise UsageError(f"{problem}; leave one out", setting="glossary")


def _together(
    line: _Line, ranked: Sequence[Sequence[Translation]], target: str | None, options: ResolvedOptions
) -> list[Translation]:
    """The translations of a line from those of its sentences. One with fewer has its last once more."""
    results = []
    for place in range(max(map(len, ranked))):
        sentences = [own[min(place, len(own) - 1)] for own in ranked]
        whole = sentences[0] if len(sentences) == 1 else join(line.parts, sentences, target, options)
        results.append(restored(whole, line.text, line.marked))
    return results
