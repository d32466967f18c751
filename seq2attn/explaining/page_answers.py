"""Answers of the explorer from attention that exists already: that of a translation, or of a file.

They have the form of `Explanation.to_dict()`, and what nobody computed is null in them. A page of recorded
answers knows a few keys more, which docs/explorer.md lists. Shapes: T target positions and S source positions
(subwords with the end token, or words), L layers, H heads.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seq2attn.data.images.data_uris import data_uris
from seq2attn.evaluation.alignment import Links
from seq2attn.explaining.explanation import FORMAT, Explanation
from seq2attn.inference.alignments import Pair
from seq2attn.inference.attention_file import END as SUBWORD_END
from seq2attn.inference.attention_weights import select
from seq2attn.inference.heads import Heads
from seq2attn.inference.results import Caption
from seq2attn.inference.words import between_words
from seq2attn.plotting import words as tokens
from seq2attn.plotting.alignment import Alignment, is_word, mean

END = "\u23ce"  # the end token among words
_DECIMALS = 4
Answer = dict[str, Any]


@dataclass(frozen=True)
class Labels:
    """What a page writes beside the attention of one text."""

    text: str = ""  # that the reader chooses it by; empty: the source
    run: str = ""
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Attention:
    """Weights (L, H, T, S), and how they are labelled."""

    weights: NDArray[Any]
    names: Sequence[str] = ()  # of each of H; none: they are the heads of the model
    choice: Any = None


@dataclass(frozen=True)
class Side:
    """One side of a pair: its positions, its words, and the word of each position, from 0."""

    words: Sequence[str]
    subwords: Sequence[str]
    word_of: Sequence[int]
    text: str = ""

    @classmethod
    def of_words(cls, words: Sequence[str], ends: bool = False) -> "Side":
        """With `ends`, the last word is the end token."""
        words = [*words[:-1], END] if ends else words
        return cls(words, words, range(len(words)), " ".join(words))

    def to_dict(self) -> dict[str, Any]:
        return {
            "text": self.text,
            "words": list(self.words),
            "subwords": list(self.subwords),
            "word_of": list(self.word_of),
        }


@dataclass(frozen=True)
class Pictures:
    """An image, or the frames of a clip, in place of the source of a pair."""

    pixels_FYX3: NDArray[np.uint8]  # what the model sees
    grid: tuple[int, int] | None  # None: a clip
    text: str  # its name

    def to_dict(self) -> dict[str, Any]:
        frames = self.pixels_FYX3
        return {
            "text": "",
            "words": [],
            "subwords": [],
            "word_of": [],
            "grid": None if self.grid is None else list(self.grid),
            "frames": len(frames) if self.grid is None else None,
            "fit": "stretch",
            "pictures": data_uris(frames),
        }


@dataclass(frozen=True)
class Drawing:
    """One source of one run, as `plot-alignment` draws it: `views` are its matrices."""

    views: Sequence[Alignment]
    source: Side | Pictures
    target: Side
    attention: Attention
    labels: Labels = field(default_factory=Labels)
    log_probability: float | None = None  # of the output
    links: Links | None = None  # gold links of words between white space
    attribution: tuple[str, NDArray[Any]] | None = None  # the method, and values (T, S) in nats

    def to_dict(self, explanation: Explanation | None = None) -> Answer:
        """The answer, with all that an explanation of the same output has."""
        tree = _nothing() if explanation is None else explanation.to_dict()
        first = mean(self.views)
        if len(self.views) == 1:
            first = first._replace(title=self.views[0].title)
        weights = np.round(self.attention.weights.astype(np.float64), _DECIMALS)
        attention = {
            "layers": len(weights),
            "heads": weights.shape[1],
            "weights": weights.tolist(),
            "choice": None if self.attention.choice is None else self.attention.choice._asdict(),
        }
        if self.attention.names:
            attention["names"] = [list(self.attention.names)]
        if first.attribution:
            attention["shares"] = True  # of all that raises the probability of a word
        if first.self_attention:
            attention["self"] = True
        output = tree["target"] | self.target.to_dict()
        if self.log_probability is not None:
            output["log_probability"] = round(self.log_probability, _DECIMALS)
        tree |= {
            "run": self.labels.run,
            "source": self.source.to_dict(),
            "target": output,
            "attention": attention,
            "confidence": list(np.round(first.confidence, _DECIMALS)) if first.confidence else None,
            "label": self.labels.text or self.source.text,
            "notes": [note for note in self.labels.notes if note],
        }
        if isinstance(self.source, Side):
            if self.attribution is not None:
                tree["attribution"] = _attribution(*self.attribution, self.source, self.target)
            if self.links is not None:
                tree["links"] = _links(self.links, self.source, self.target)
        return tree


def _attribution(method: str, values: NDArray[Any], source: Side, target: Side) -> dict[str, Any]:
    counts = len(target.words), len(source.words)
    between = between_words(values, target.word_of, source.word_of, *counts)
    return {"method": method, "weights": np.round(between.astype(np.float64), _DECIMALS).tolist()}


def _links(links: Links, source: Side, target: Side) -> dict[str, list[list[int]]]:
    """Links between the parts of words that have letters: punctuation beside a word has none."""
    sides = _parts(source), _parts(target)
    return {
        name: sorted([sides[0][i], sides[1][j]] for i, j in own if i in sides[0] and j in sides[1])
        for name, own in (("sure", links.sure), ("possible", links.possible - links.sure))
    }


def _nothing() -> Answer:
    """The answer of attention that no model of this program has just computed."""
    none = ("self_attention", "candidates", "beam", "confidence", "attribution")
    target: Answer = {
        "ids": [],
        "log_probabilities": None,
        "log_probability": None,
        "finished": True,
        "forced": 0,
    }
    return {"format": FORMAT, "kind": "", "languages": [None, None], "target": target} | dict.fromkeys(none)


def _parts(side: Side) -> dict[int, int]:
    """By the word between white space: its part with letters, or else its first."""
    numbers: dict[int, int] = {}
    word, rest = -1, ""
    white = side.text.split()
    for part, text in enumerate(side.words):
        if text == END and part == len(side.words) - 1:
            break
        for piece in text.split():
            if not rest:
                word += 1
                rest = white[word] if word < len(white) else piece
            if word not in numbers or (is_word(text) and not is_word(side.words[numbers[word]])):
                numbers[word] = part
            rest = rest[len(piece) :]
    return numbers


def of_views(views: Sequence[Alignment], labels: Labels) -> Drawing:
    """A drawing of matrices between the words of their sides."""
    first = views[0]
    names = [view.title for view in views]
    weights = np.stack([np.asarray(view.attention, dtype=np.float64) for view in views])[None]
    source, target = (Side.of_words(words, first.ends) for words in (first.source_words, first.target_words))
    return Drawing(views, source, target, Attention(weights, names if any(names) else ()), labels)


def of_pair(
    pair: Pair, views: Sequence[Alignment], heads: Heads, labels: Labels, texts: tuple[str, str]
) -> Drawing:
    """A drawing of a pair, between words and between subwords where it has both. `texts`: source and target.

    Without a choice of `heads` it has all that the pair has.
    """
    matrix, first = pair.subwords, views[0]
    if matrix is None:
        return of_views(views, labels)
    own_source = tokens.side(pair.words.source_words, matrix.source_words[:-1])
    own_target = tokens.side(pair.words.target_words, matrix.target_words[:-1], whole=True)
    if own_source is None or own_target is None:
        return of_views(views, labels)
    ends = first.ends or first.subwords
    source = _side(own_source, matrix.source_words, texts[0], ends)
    target = _side(own_target, matrix.target_words, texts[1], ends)
    names: list[str] = []
    weights = matrix.attention[None, None]
    if matrix.attention_heads is not None:
        weights = matrix.attention_heads
        if heads.any:
            which = heads.expand(*weights.shape[:2])
            weights = np.stack([select(weights, *one) for one in which])[None]
            names = [view.title for view in views]
    return Drawing(views, source, target, Attention(weights, names if any(names) else ()), labels)


def _side(side: tokens.Side, subwords: Sequence[str], text: str, ends: bool) -> Side:
    if ends:
        return Side([*side.tokens, END], subwords, [*side.token_of, len(side.tokens)], text)
    return Side(side.tokens, subwords, [*side.token_of, -1], text)


def of_caption(
    caption: Caption, view: Alignment, heads: Heads, pictures: Pictures, labels: Labels
) -> Drawing:
    """A drawing of a caption. Without a choice of `heads` it has all that the caption has."""
    assert caption.subword_attention is not None
    subwords = [*caption.subwords, SUBWORD_END]
    own = tokens.side(caption.words, caption.subwords, whole=True)
    words = caption.words if own is None else own.tokens
    numbers = [-1] * len(caption.subwords) if own is None else own.token_of
    target = Side(words, subwords, [*numbers, -1], caption.text)
    weights = caption.subword_attention[None, None]
    if caption.subword_attention_heads is not None and not heads.any:
        weights = caption.subword_attention_heads
    if own is None:
        assert caption.attention is not None
        target, weights = Side.of_words(words), caption.attention[None, None]
    names = [view.title] if heads.any else ()
    return Drawing([view], pictures, target, Attention(weights, names), labels)
