"""Attention between the words that people see, with punctuation as words of its own, made from attention
between subwords.

A source word gets the sum over its subwords, a target word the mean over those of its subwords that hold
letters. A full stop behind a word thus takes nothing from it. What rows leave at the end token has a column,
so that every row adds up to what the model gave.

Knows words and subwords as text, and no tokenizer: translations and files of saved attention are read alike.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import accumulate, groupby
from typing import NamedTuple, Protocol

import numpy as np

from seq2attn.data.tokenizer import SPACE, SPECIALS, UNK, normalise
from seq2attn.plotting.alignment import END, Alignment, is_word

# Punctuation that may stand between the letters of one word.
_INSIDE = frozenset("'’ʼ-‐‑.:/@&_·‧・־׳״་#%*\\")
_BETWEEN_DIGITS = frozenset(",:")  # and between digits alone
_CLOSING = ".,;:!?…'\"’”»)]}>"
_ADDRESS = re.compile(r"[^\w]*(?:\w[\w+.-]*://|www\.\w|[\w.+-]+@[\w-]+\.\w)")
_INITIALS = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]")
_UNKNOWN = SPECIALS[UNK]
_NOTHING = 1e-6  # of a row
SPACES, MARKS, LETTERS = range(3)


class _Output(Protocol):
    """What is needed of a translation."""

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
    """One side of a pair: its tokens, which are words and punctuation, and what each subword belongs to."""

    tokens: list[str]
    words: list[int]  # of each token the white-space word that it begins in
    token_of: list[int]  # of each subword; one that is only space belongs to what comes after it
    ranks: list[int]  # of each subword: LETTERS, MARKS or SPACES is what it holds


def of_translation(translation: _Output) -> Alignment | None:
    """Between the tokens of a translation; None where it has no attention between subwords, or they do not
    fit its words."""
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
    """Attention between tokens from `attention` (target subwords + 1, source subwords + 1), in which the end
    tokens come last.

    The end tokens stand on both sides where any row leaves weight at the end of the source, unless `ends`
    says otherwise. None where subwords do not fit the words, or a side is empty.
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
    if not (weights_TS[:-1, -1].max() > _NOTHING if ends is None else ends):
        return Alignment(source.tokens, target.tokens, weights_TS[:-1, :-1])
    return Alignment([*source.tokens, END], [*target.tokens, END], weights_TS, ends=True)


class Looks(NamedTuple):
    """The tokens of a caption, where each looked, and of each white-space word the token that stands for it."""

    tokens: list[str]
    weights: np.ndarray  # (tokens, positions)
    of_words: list[int]


def of_caption(words: Sequence[str], pieces: Sequence[str], attention: np.ndarray) -> Looks | None:
    """Where the tokens of a caption looked, from `attention` (subwords + 1, positions), in which the end
    token comes last; None where they do not fit."""
    target = side(words, pieces, whole=True)
    weights_PS = np.asarray(attention, dtype=np.float64)
    if target is None or len(weights_PS) != len(pieces) + 1:
        return None
    of_words = []
    for number in range(len(words)):
        # a word that another has joined stands in that one
        own = [token for token, word in enumerate(target.words) if word <= number] or [0]
        own = [token for token in own if target.words[token] == target.words[own[-1]]]
        of_words.append(next((token for token in own if is_word(target.tokens[token])), own[0]))
    return Looks(target.tokens, rows(target, weights_PS[:-1]), of_words)


def rows(target: Side, weights_PS: np.ndarray) -> np.ndarray:
    """Of each token the mean over its subwords that hold letters, or over all that are more than space where
    none does."""
    chosen = np.zeros((len(target.tokens), len(target.token_of)))
    for token, group in groupby(enumerate(target.token_of), lambda entry: entry[1]):  # they ascend
        own = [piece for piece, _ in group]
        best = max(target.ranks[piece] for piece in own)
        chosen[token, [piece for piece in own if target.ranks[piece] == best]] = 1
    merged: np.ndarray = chosen @ np.asarray(weights_PS, dtype=np.float64) / chosen.sum(1, keepdims=True)
    return merged


def side(words: Sequence[str], pieces: Sequence[str], whole: bool = False) -> Side | None:
    """The tokens of a text from its white-space words, and what each of its subwords ("▁" for a space)
    belongs to; None where they do not fit.

    A token never ends inside a subword: what one subword holds stays together. With `whole`, the subwords
    cover all words; otherwise the last ones may be without, for a text is read up to a bound.
    """
    words = [normalise(word) for word in words]
    characters = [(character, number) for number, word in enumerate(words) for character in word]
    places = _places(words, pieces, whole)
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


_Span = tuple[int, int]  # the first and the last of some characters


def _token_spans(words: Sequence[str]) -> list[_Span]:
    ends = list(accumulate(len(token) for word in words for token in split(word)))
    return [(first, end - 1) for first, end in zip([0, *ends], ends, strict=False)]


def _unbroken(spans: Sequence[_Span], pieces: Iterable[_Span]) -> list[_Span]:
    """The spans, those together that one subword reaches over."""
    starts = {first for first, _ in spans}
    for first, last in pieces:
        starts.difference_update(range(first + 1, last + 1))
    return _from_starts(starts, spans[-1][1])


def _covered(spans: Sequence[_Span], pieces: Iterable[_Span]) -> list[_Span]:
    """The spans, those without a subword together with what is before them (or behind, of the first): they
    would have no row."""
    having = {place for first, last in pieces for place in range(first, last + 1)}
    bare = [having.isdisjoint(range(first, last + 1)) for first, last in spans]
    kept = [first for (first, _), without in zip(spans, bare, strict=True) if not without]
    return _from_starts({0, *kept[1:]}, spans[-1][1])


def _from_starts(starts: Iterable[int], last: int) -> list[_Span]:
    ordered = sorted(starts)
    return [(first, end - 1) for first, end in zip(ordered, [*ordered[1:], last + 1], strict=True)]


def split(word: str) -> list[str]:
    """A white-space word without the punctuation around and inside it, which is split off: "anglais." is
    "anglais" and ".".

    What belongs to a word stays: the apostrophe of "don't", the hyphen of "e-mail", the comma of "3,14", the
    dots of "U.S.", and all of an address.
    """
    if _ADDRESS.match(word):
        core = word.lstrip("([{<«“\"'¿¡").rstrip(_CLOSING)
        before, after = word[: word.index(core)], word[word.index(core) + len(core) :]
        return [*_runs(before), core, *_runs(after)]
    return _runs(word)


def _runs(word: str) -> list[str]:
    """Words, runs of symbols, and runs of one punctuation mark."""
    clusters = _clusters(word)
    kinds = [_kind(cluster) for cluster in clusters]
    joined = list(kinds)
    for place, (cluster, kind) in enumerate(zip(clusters, kinds, strict=True)):
        if kind == "punctuation" and _belongs(clusters, kinds, place):
            joined[place] = "word"
            continue
        before = clusters[_start_of_run(joined, place) : place]
        if cluster[0] == "." and _INITIALS.fullmatch("".join(before)):
            joined[place] = "word"  # the last dot of U.S.
    pairs = zip(joined, clusters, strict=True)
    runs = groupby(pairs, lambda pair: (pair[0], pair[1] if pair[0] == "punctuation" else ""))
    return ["".join(cluster for _, cluster in run) for _, run in runs]


def _start_of_run(kinds: Sequence[str], place: int) -> int:
    while place and kinds[place - 1] == "word":
        place -= 1
    return place


def _belongs(clusters: Sequence[str], kinds: Sequence[str], place: int) -> bool:
    """Whether a punctuation mark is part of the word around it."""
    mark, after = clusters[place][0], clusters[place + 1 : place + 2]
    if not after or kinds[place + 1] != "word":
        return False
    if place == 0:  # a sign
        return mark in "-−" and after[0][0].isdecimal()
    if kinds[place - 1] != "word":
        return False
    if mark in _BETWEEN_DIGITS:
        return clusters[place - 1][0].isdecimal() and after[0][0].isdecimal()
    return mark in _INSIDE


def _clusters(word: str) -> list[str]:
    """Characters, each with the marks and invisible signs that go with it."""
    clusters: list[str] = []
    for character in word:
        if clusters and (_attached(character) or all(map(_attached, clusters[-1]))):
            clusters[-1] += character
        else:
            clusters.append(character)
    return clusters


def _attached(character: str) -> bool:
    return unicodedata.category(character) in ("Mn", "Mc", "Me", "Cf")


def _kind(cluster: str) -> str:
    base = next((character for character in cluster if not _attached(character)), cluster[0])
    category = unicodedata.category(base)
    if category[0] == "P":
        return "punctuation"
    return "symbol" if category in ("So", "Sk") else "word"


def _rank(characters: Sequence[str]) -> int:
    if not characters:
        return SPACES
    return LETTERS if any(unicodedata.category(character)[0] in "LNM" for character in characters) else MARKS


_Atom = tuple[int, str | None]  # a subword and one character of it, which is not known of an unknown one


def _places(words: Sequence[str], pieces: Sequence[str], whole: bool) -> list[tuple[int, int] | None] | None:
    """Of each subword the first and the last of the words' characters, counted without spaces, that it
    covers; None of one that is only space."""
    groups = _groups(pieces)
    found: list[list[int]] | None = None
    lengths = [len(word) for word in words]
    one_each = _one_each(words, pieces)
    if one_each is not None:
        groups = one_each
    if len(groups) == len(words):
        found = [[] for _ in pieces]
        start = 0
        for group, word, length in zip(groups, words, lengths, strict=True):
            part = _match(group, word, len(pieces), whole=True)
            if part is None:
                found = None
                break
            for piece, covered in part.items():
                found[piece] += [start + place for place in covered]
            start += length
    if found is None:
        part = _match([atom for group in groups for atom in group], "".join(words), len(pieces), whole)
        if part is None:
            return None
        found = [part.get(piece, []) for piece in range(len(pieces))]
    return [(min(covered), max(covered)) if covered else None for covered in found]


def _groups(pieces: Sequence[str]) -> list[list[_Atom]]:
    """The characters of the subwords, parted where there is space."""
    groups: list[list[_Atom]] = []
    inside = False
    for number, piece in enumerate(pieces):
        atoms: list[str | None] = [None] if piece == _UNKNOWN else list(_key(piece))
        for atom in atoms:
            if atom is not None and (atom == SPACE or atom.isspace()):
                inside = False
                continue
            if not inside:
                groups.append([])
            inside = True
            groups[-1].append((number, atom))
    return groups


def _one_each(words: Sequence[str], pieces: Sequence[str]) -> list[list[_Atom]] | None:
    """Groups where every word is one subword, known or not: an unknown one has taken the space before it."""
    seen = [number for number, piece in enumerate(pieces) if piece.replace(SPACE, " ").strip()]
    if len(seen) != len(words):
        return None
    groups: list[list[_Atom]] = []
    for number, word in zip(seen, words, strict=True):
        if pieces[number] != _UNKNOWN and _key(pieces[number]).strip(SPACE) != _key(word).strip(SPACE):
            return None
        groups.append([(number, None)])
    return groups


def _match(atoms: Sequence[_Atom], text: str, pieces: int, whole: bool) -> dict[int, list[int]] | None:
    """The places in `text` that each subword covers. Unknown subwords share what is between known ones: a
    character each, and the rest to the last."""
    parts = ((place, part) for place, character in enumerate(text) for part in _key(character))
    keys = [(part, place) for place, part in parts if part != SPACE]
    key = "".join(part for part, _ in keys)
    found: dict[int, list[int]] = {}
    position = 0
    runs = [(known, list(run)) for known, run in groupby(atoms, lambda atom: atom[1] is not None)]
    for number, (known, run) in enumerate(runs):
        if known:
            surface = "".join(character or "" for _, character in run)
            if not key.startswith(surface, position):
                return None
            for offset, (piece, _) in enumerate(run):
                found.setdefault(piece, []).append(keys[position + offset][1])
            position += len(surface)
            continue
        end = len(key)
        if number + 1 < len(runs):
            surface = "".join(character or "" for _, character in runs[number + 1][1])
            if whole and number + 2 == len(runs):
                end = len(key) - len(surface)
            else:
                end = key.find(surface, min(position + len(run), len(key)))
                end = key.find(surface, position) if end < 0 else end
            if end < position:
                return None
        for place, (piece, _) in enumerate(run):
            stop = end if place == len(run) - 1 else position + place + 1
            found[piece] = [keys[at][1] for at in range(min(position + place, end), min(stop, end))]
        position = end
    return None if whole and position < len(key) else found


def _key(text: str) -> str:
    """What subwords and words are compared by: a tokenizer may have lower-cased."""
    return text.lower().replace("ς", "σ")
