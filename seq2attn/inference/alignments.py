"""The attention of translations as alignments to draw: between words and punctuation, or between subwords."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from seq2attn.data.languages import unspaced
from seq2attn.errors import UserError
from seq2attn.inference.attention_file import END, AttentionMatrix, SavedAttention
from seq2attn.inference.heads import Heads, head_title, needs_heads
from seq2attn.plotting import words as tokens
from seq2attn.plotting.alignment import Alignment

if TYPE_CHECKING:
    from seq2attn.inference.results import Translation


class Pair(NamedTuple):
    """Attention of one pair between words and, if there is any, between subwords.

    The end tokens come last among the subwords.
    """

    words: AttentionMatrix
    subwords: AttentionMatrix | None
    confidence: Sequence[float] = ()  # of the target words

    @classmethod
    def of_translation(cls, translation: "Translation") -> Self:
        source, target = translation.source_words, translation.target_words
        words = _matrix(source, target, translation.attention, translation.attention_heads)
        sure = () if translation.confidence is None else tuple(map(float, translation.confidence))
        if translation.subword_attention is None or not target:
            return cls(words, None, sure)
        source, target = ([*side, END] for side in (translation.source_subwords, translation.target_subwords))
        of_subwords = translation.subword_attention, translation.subword_attention_heads
        return cls(words, _matrix(source, target, *of_subwords), sure)

    @classmethod
    def of_saved(cls, entry: SavedAttention) -> Self:
        return cls(entry.words, entry.subwords)

    @property
    def counts(self) -> tuple[int, int] | None:
        """The numbers of layers and heads; None if there is only the mean."""
        heads = self.words.attention_heads
        return None if heads is None else (heads.shape[0], heads.shape[1])

    def select(self, layer: int | None, head: int | None) -> Self:
        """The pair with the attention of one layer and one head in place of the mean."""
        subwords = None if self.subwords is None else _select(self.subwords, layer, head)
        return type(self)(_select(self.words, layer, head), subwords, self.confidence)

    def alignments(
        self, heads: Heads, words: bool | None = None, ends: bool | None = None, *, where: str, way_out: str
    ) -> list[Alignment]:
        """One alignment, or one for each of `heads`.

        With `words`, it is between words and punctuation; without, between subwords; None: between words,
        but between subwords for a language without spaces. `ends` says whether words have the end token;
        None: if a word has weight on it. `where`, a run or a file, and `way_out`, which keeps all heads,
        stand in errors. Raises UsageError if there is no such head, UserError if there is nothing to draw.
        """
        first = self._alignment(words, ends)
        if not heads.any:
            return [first]
        if self.counts is None:
            raise needs_heads(where, way_out)
        heads.check(where, *self.counts)
        # Each head has the end token, and words or subwords, as the mean has. So all panels have the same
        # sides.
        return [
            self.select(*which)
            ._alignment(not first.subwords, first.ends)
            ._replace(title=head_title(*which, *self.counts))
            for which in heads.expand(*self.counts)
        ]

    def _alignment(self, words: bool | None, ends: bool | None = None) -> Alignment:
        sides = self.words.source_words, self.words.target_words
        if not all(sides):
            empty = (
                "source is empty" if not sides[0] else "translation is empty; force a `target` on the model"
            )
            raise UserError(f"nothing to draw: the {empty}")
        if words is None:
            words = self.subwords is None or not any(map(unspaced, sides))
        if not words:
            if self.subwords is None:
                raise UserError("there is no attention between subwords: draw words")
            return Alignment(*self.subwords[:3], ends=True, subwords=True)
        alignment = self._with_punctuation(ends) or Alignment(*self.words[:3])
        if not self.confidence:
            return alignment
        parts = alignment.target_words[: len(alignment.target_words) - alignment.ends]
        return alignment._replace(confidence=_of_parts(parts, self.words.target_words, self.confidence))

    def _with_punctuation(self, ends: bool | None) -> Alignment | None:
        if self.subwords is None:
            return None
        source, target = self.subwords.source_words[:-1], self.subwords.target_words[:-1]
        return tokens.between(
            self.words.source_words, source, self.words.target_words, target, self.subwords.attention, ends
        )


def _of_parts(parts: Sequence[str], words: Sequence[str], values: Sequence[float]) -> list[float]:
    """The value of each part: that of the word that it is a part of. Parts are the words, in pieces."""
    results: list[float] = []
    word, rest = -1, ""
    for part in parts:
        if not rest:
            word, rest = word + 1, words[min(word + 1, len(words) - 1)]
        rest = rest[len(part) :]
        results.append(values[min(word, len(values) - 1)])
    return results


def _matrix(
    source: list[str], target: list[str], mean: NDArray[Any] | None, heads: NDArray[Any] | None
) -> AttentionMatrix:
    """The attention as a file of saved attention has it."""
    mean = np.zeros((len(target), len(source))) if mean is None else mean.astype(np.float64)
    return AttentionMatrix(source, target, mean, None if heads is None else heads.astype(np.float64))


def _select(matrix: AttentionMatrix, layer: int | None, head: int | None) -> AttentionMatrix:
    from seq2attn.inference.attention_weights import select

    assert matrix.attention_heads is not None
    return matrix._replace(attention=select(matrix.attention_heads, layer, head))
