"""Attention between words and punctuation, computed from attention between subwords.

A token is a word or a punctuation mark. A source token gets the sum over its subwords, a target token the
mean over those of its subwords that have letters, so that a full stop after a word does not change the word's
row. The end token has a column, so that every row has the sum that the model gave.

It knows words and subwords as text, and no tokenizer: translations and saved attention are treated alike.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from itertools import accumulate, groupby
from typing import NamedTuple, Protocol

import numpy as np

from seq2attn.data.tokenizer import normalise
from seq2attn.plotting.alignment import END, Alignment, is_word
from seq2attn.plotting.punctuation import split_punctuation
from seq2attn.plotting.subword_spans import subword_spans

_NEGLIGIBLE = 1e-6  # weight
SPACES, MARKS, LETTERS = range(3)


class _Output(Protocol):
    """What `of_translation` needs of a translation."""

    @property
    def source_words(self) -> list[str]: ...
    @property
    def target_words(self) -> list[str]: ...
    @property
    def source_subwords(self) -> list[str]: ...
    @property
    def target_subwords(self) -> list[str]: ...
    @property
    def subword_attention(self) -> np.ndarray | None: ...


class Side(NamedTuple):
    """One side of a pair: its tokens, and the token of each subword."""

    tokens: list[str]
    words: list[int]  # for each token the white-space word in which it begins
    token_of: list[int]  # for each subword; one that is only space belongs to the token after it
    ranks: list[int]  # for each subword: whether it has LETTERS, only MARKS or only SPACES


def of_translation(translation: _Output) -> Alignment | None:
    """Attention between the tokens of a translation.

    None if it has no attention between subwords, or if its subwords do not fit its words.
    """
    if translation.subword_attention is None:
        return None
    return between(
        translation.source_words,
        translation.source_subwords,
        translation.target_words,
        translation.target_subwords,
        translation.subword_attention,
    )


def between(
    source_words: Sequence[str],
    source_subwords: Sequence[str],
    target_words: Sequence[str],
    target_subwords: Sequence[str],
    attention: np.ndarray,
    ends: bool | None = None,
) -> Alignment | None:
    """Attention between tokens from `attention` (target subwords + 1, source subwords + 1).

    The last row and the last column are those of the end tokens. `ends` says whether both sides of the result
    have the end token; None: if a row has weight on the end of the source. The result is None if subwords do
    not fit the words, or if a side is empty.
    """
    source, target = side(source_words, source_subwords), side(target_words, target_subwords, whole=True)
    if source is None or target is None:
        return None
    weights_PQ = np.asarray(attention, dtype=np.float64)
    if weights_PQ.shape != (len(target_subwords) + 1, len(source_subwords) + 1):
        return None
    columns = [*source.token_of, len(source.tokens)]
    weights_PS = np.zeros((len(weights_PQ), len(source.tokens) + 1))
    np.add.at(weights_PS.T, columns, weights_PQ.T)
    weights_TS = np.vstack([rows(target, weights_PS[:-1]), weights_PS[-1:]])
    if not (weights_TS[:-1, -1].max() > _NEGLIGIBLE if ends is None else ends):
        return Alignment(source.tokens, target.tokens, weights_TS[:-1, :-1])
    return Alignment([*source.tokens, END], [*target.tokens, END], weights_TS, ends=True)


class CaptionTokens(NamedTuple):
    """The tokens of a caption and their attention."""

    tokens: list[str]
    weights: np.ndarray  # (tokens, positions)
    of_words: list[int]  # for each white-space word the token that stands for it


def of_caption(words: Sequence[str], subwords: Sequence[str], attention: np.ndarray) -> CaptionTokens | None:
    """The tokens of a caption with their attention, from `attention` (subwords + 1, positions).

    The last row is that of the end token. None if subwords do not fit the words.
    """
    target = side(words, subwords, whole=True)
    weights_PS = np.asarray(attention, dtype=np.float64)
    if target is None or len(weights_PS) != len(subwords) + 1:
        return None
    of_words = []
    for number in range(len(words)):
        # A word that was joined to the word before it has that word's token.
        own = [token for token, word in enumerate(target.words) if word <= number] or [0]
        own = [token for token in own if target.words[token] == target.words[own[-1]]]
        of_words.append(next((token for token in own if is_word(target.tokens[token])), own[0]))
    return CaptionTokens(target.tokens, rows(target, weights_PS[:-1]), of_words)


def rows(target: Side, weights_PS: np.ndarray) -> np.ndarray:
    """Rows (tokens, S) from rows of subwords (subwords, S).

    The row of a token is the mean over its subwords with letters or, if it has none, over its subwords that
    are more than space.
    """
    members = np.zeros((len(target.tokens), len(target.token_of)))
    for token, group in groupby(enumerate(target.token_of), lambda entry: entry[1]):  # tokens ascend
        own = [subword for subword, _ in group]
        best = max(target.ranks[subword] for subword in own)
        members[token, [subword for subword in own if target.ranks[subword] == best]] = 1
    merged: np.ndarray = members @ np.asarray(weights_PS, dtype=np.float64) / members.sum(1, keepdims=True)
    return merged


def side(words: Sequence[str], subwords: Sequence[str], whole: bool = False) -> Side | None:
    """The tokens of a text with white-space `words`, and the token of each subword ("▁" is a space).

    A token never ends inside a subword. With `whole`, the subwords must cover all words. Otherwise the last
    words may have no subwords, because a model reads a text up to a limit. None if subwords do not fit the
    words.
    """
    words = [normalise(word) for word in words]
    characters = [(character, number) for number, word in enumerate(words) for character in word]
    places = subword_spans(words, subwords, whole)
    if places is None or not any(place is not None for place in places):
        return None
    spans = _unbroken(_token_spans(words), [place for place in places if place is not None])
    if whole:
        spans = _covered(spans, [place for place in places if place is not None])
    tokens, begins = [], []
    token_at = [0] * len(characters)
    for token, (first, last) in enumerate(spans):
        part = characters[first : last + 1]
        groups = groupby(part, lambda entry: entry[1])
        tokens.append(" ".join("".join(character for character, _ in group) for _, group in groups))
        begins.append(part[0][1])
        token_at[first : last + 1] = [token] * len(part)
    last = max((token_at[place[1]] for place in places if place is not None), default=0)
    token_of, ranks, following = [], [], last
    for place in reversed(places):
        following = following if place is None else token_at[place[0]]
        token_of.append(following)
        own = [] if place is None else characters[place[0] : place[1] + 1]
        ranks.append(_rank([character for character, _ in own]))
    return Side(tokens, begins, token_of[::-1], ranks[::-1])


_Span = tuple[int, int]  # numbers of the first and the last character


def _token_spans(words: Sequence[str]) -> list[_Span]:
    ends = list(accumulate(len(token) for word in words for token in split_punctuation(word)))
    return [(first, end - 1) for first, end in zip([0, *ends], ends, strict=False)]


def _unbroken(spans: Sequence[_Span], subwords: Iterable[_Span]) -> list[_Span]:
    """The spans; spans over which one subword reaches are joined."""
    starts = {first for first, _ in spans}
    for first, last in subwords:
        starts.difference_update(range(first + 1, last + 1))
    return _from_starts(starts, spans[-1][1])


def _covered(spans: Sequence[_Span], subwords: Iterable[_Span]) -> list[_Span]:
    """The spans, each with a subword.

    A span without one, which would have no row, is joined to the span before it, and the first span to the
    next.
    """
    having = {place for first, last in subwords for place in range(first, last + 1)}
    bare = [having.isdisjoint(range(first, last + 1)) for first, last in spans]
    starts = [first for (first, _), without in zip(spans, bare, strict=True) if not without]
    return _from_starts({0, *starts[1:]}, spans[-1][1])


def _from_starts(starts: Iterable[int], last: int) -> list[_Span]:
    ordered = sorted(starts)
    return [(first, end - 1) for first, end in zip(ordered, [*ordered[1:], last + 1], strict=True)]


def _rank(characters: Sequence[str]) -> int:
    if not characters:
        return SPACES
    return LETTERS if any(unicodedata.category(character)[0] in "LNM" for character in characters) else MARKS
