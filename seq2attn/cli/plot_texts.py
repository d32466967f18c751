"""The texts of `plot-alignment`: attention of a run or of a file as alignments to draw."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from seq2attn.cli import console
from seq2attn.cli.plot_flags import Heads, head_title
from seq2attn.cli.plot_images import note_unknown_words, refuse_long_target, unspaced
from seq2attn.cli.search_flags import require_attention
from seq2attn.errors import UsageError, UserError
from seq2attn.inference.attention_file import END, AttentionMatrix, SavedAttention, read_attention
from seq2attn.plotting import words as tokens
from seq2attn.plotting.alignment import Alignment

if TYPE_CHECKING:
    from seq2attn.inference import Translation

MAX_PAIRS = 200  # pairs on one page, at most


class Pair(NamedTuple):
    """Attention of one pair between words and, if there is any, between subwords.

    The end tokens come last among the subwords.
    """

    words: AttentionMatrix
    subwords: AttentionMatrix | None

    @classmethod
    def of_translation(cls, translation: "Translation") -> Self:
        source, target = translation.source_words, translation.target_words
        words = _matrix(source, target, translation.attention, translation.attention_heads)
        if translation.subword_attention is None or not target:
            return cls(words, None)
        source, target = ([*side, END] for side in (translation.source_subwords, translation.target_subwords))
        return cls(
            words, _matrix(source, target, translation.subword_attention, translation.subword_attention_heads)
        )

    @property
    def counts(self) -> tuple[int, int] | None:
        """The numbers of layers and heads; None if there is only the mean."""
        heads = self.words.attention_heads
        return None if heads is None else (heads.shape[0], heads.shape[1])

    def select(self, layer: int | None, head: int | None) -> Self:
        """The pair with the attention of one layer and one head in place of the mean."""
        subwords = None if self.subwords is None else _select(self.subwords, layer, head)
        return type(self)(_select(self.words, layer, head), subwords)


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


def alignments(
    pair: Pair, where: str, heads: Heads, words: bool | None, note: bool = True
) -> list[Alignment]:
    """One alignment, or one for each head. Raises UsageError if the attention of `where` has no such head."""
    first = _alignment(pair, words, note=note)
    if not heads.any:
        return [first]
    if pair.counts is None:
        raise UsageError(
            f"{where}: holds the mean over layers and heads only: leave out --layer and --head, "
            "or write all heads: translate --attention FILE --attention-heads all"
        )
    heads.check(where, *pair.counts)
    # Each head has the end token, and words or subwords, as the mean has. So all panels have the same sides.
    return [
        _alignment(pair.select(*which), not first.subwords, first.ends)._replace(
            title=head_title(*which, *pair.counts)
        )
        for which in heads.expand(*pair.counts)
    ]


def _alignment(pair: Pair, words: bool | None, ends: bool | None = None, note: bool = False) -> Alignment:
    """Attention between words or between subwords.

    If `words` is None, it is between subwords for a language without spaces.
    """
    sides = pair.words.source_words, pair.words.target_words
    if not all(sides):
        empty = (
            "the source is empty" if not sides[0] else "the translation is empty; --target TEXT forces one"
        )
        raise UserError(f"nothing to draw: {empty}")
    if words is None:
        words = pair.subwords is None or not any(map(unspaced, sides))
        if not words and note:
            console.note(
                "drawn by subwords: one side has no spaces between its words; --words overrides this"
            )
    if not words:
        if pair.subwords is None:
            raise UserError("--subwords: the file holds no attention between subwords")
        return Alignment(*pair.subwords[:3], ends=True, subwords=True)
    return _with_punctuation(pair, ends) or Alignment(*pair.words[:3])


def _with_punctuation(pair: Pair, ends: bool | None) -> Alignment | None:
    if pair.subwords is None:
        return None
    source, target = pair.subwords.source_words[:-1], pair.subwords.target_words[:-1]
    return tokens.between(
        pair.words.source_words, source, pair.words.target_words, target, pair.subwords.attention, ends
    )


def of_run(
    run: str,
    source: str,
    target: str | None,
    words: bool | None,
    heads: Heads,
    beam: int | None,
    max_length: int | None,
    settings: list[str],
    seed: int,
    device: str,
    precision: str,
    allow_code: bool,
) -> list[Alignment]:
    """Translate the source, or force the target, and align. Returns one alignment, or one for each head."""
    from seq2attn.inference import MAX_SOURCE, Translator

    if heads.any:
        heads.check_run(run)
    translator = Translator.load(
        run, device=device, precision=precision, settings=settings, allow_code=allow_code
    )
    require_attention(run, translator, "draw")
    source = " ".join(source.splitlines())
    attention: bool | Literal["all"] = "all" if heads.any else True
    if target is None:
        translation = translator.translate(
            [source], beam=beam, max_length=max_length, seed=seed, attention=attention
        )[0][0]
    else:
        refuse_long_target(target, translator.target_tokenizer)
        target = " ".join(target.splitlines())
        translation = translator.score_targets([source], [target], seed=seed, attention=attention)[0]
    if translation.truncated_tokens:
        console.warn(
            f"the source has {MAX_SOURCE + translation.truncated_tokens:,} tokens; "
            f"only the first {MAX_SOURCE:,} are read"
        )
    score = f"score {translation.score:.3f}, log p {translation.log_probability:.2f}"
    console.note(f"{translation.text}   ({score})")
    if target is not None:
        note_unknown_words(target, translator.target_tokenizer)
    pair = Pair.of_translation(translation)
    return [alignment._replace(score=score) for alignment in alignments(pair, run, heads, words)]


def of_file(path: Path, line: int | None, words: bool | None, heads: Heads) -> list[Alignment]:
    """One line of a file, by default the first. Returns one alignment, or one for each head."""
    last = 0
    for entry in read_attention(path):
        last = entry.line
        if entry.line == (line or 1):
            views = alignments(_pair(entry), str(path), heads, words)
            return [alignment._replace(line=entry.line) for alignment in views]
    raise UserError(f"{path}: has no line {line or 1}: " + (f"its last is {last}" if last else "it is empty"))


def of_whole_file(path: Path, words: bool | None, heads: Heads) -> list[Sequence[Alignment]]:
    """Every line of a file, up to MAX_PAIRS. A line without translation has no weights."""
    pairs: list[Sequence[Alignment]] = []
    count = 0
    for entry in read_attention(path, keep_all=True):
        if not entry.words.attention.size:
            pairs.append([Alignment(*entry.words[:3], line=entry.line)])
            continue
        if count == MAX_PAIRS:
            console.warn(
                f"{path}: only the first {MAX_PAIRS} lines are on the page; --line N chooses another"
            )
            break
        count += 1
        views = alignments(_pair(entry), str(path), heads, words, note=False)
        pairs.append([alignment._replace(line=entry.line) for alignment in views])
    if not count:
        raise UserError(f"{path}: there is no attention in it")
    return pairs


def _pair(entry: SavedAttention) -> Pair:
    return Pair(entry.words, entry.subwords)
