"""Word links of given pairs, from the attention of one translator, or of two that translate both ways.

A translator is forced on the target of each pair. Links come from one layer and head, or from the mean. The
weights of a target word are "written", those of the step that writes it (`shift` 0), or "read", those of the
next step, which reads it (`shift` 1; Chen 2020, section 4). This module knows no files.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seq2attn.data.formats.text import is_blank
from seq2attn.data.tokenizer import Tokenizer
from seq2attn.explaining.link_settings import LinkSettings
from seq2attn.explaining.links import ARG_MAX, LinkRule, ordered_links
from seq2attn.explaining.symmetrise import MEAN, METHODS, Link, mean, symmetrise
from seq2attn.inference import MAX_SOURCE, Translation, Translator
from seq2attn.inference.attention_weights import select
from seq2attn.inference.encoding import encode_texts
from seq2attn.inference.words import between_words, word_numbers

CELLS = (
    1 << 24
)  # characters of a source times those of its target, summed over pairs that are forced together


def links_of(weights_TS: NDArray[np.floating], threshold: float | None = None) -> list[Link]:
    """The links of a matrix of weights (target words, source words), in target order.

    Each target word has the source word with the largest weight, or with a `threshold` every source word
    whose weight is that large. A weight of 0 makes no link.
    """
    rule = ARG_MAX
    if threshold is not None:  # in the type of the weights: one that is typed as it is printed has its link
        rule = LinkRule(largest=False, threshold=float(weights_TS.dtype.type(threshold)))
    return ordered_links(weights_TS, rule)


class Direction(NamedTuple):
    """A translator, and how its attention becomes links."""

    translator: Translator
    settings: LinkSettings = LinkSettings()

    def links(self, sources: Sequence[str], targets: Sequence[str], first: int = 0) -> list[list[Link]]:
        """The links (source word, target word) of each pair, in target order. A blank side has none.

        Arguments and errors: see `weights`.
        """
        threshold = self.settings.threshold
        return [links_of(matrix, threshold) for matrix in self.weights(sources, targets, first)]

    def weights(
        self, sources: Sequence[str], targets: Sequence[str], first: int = 0
    ) -> Iterator[NDArray[np.floating]]:
        """The weights (target words, source words) of each pair. A pair with a blank side has none (0, 0).

        `first` is the number of the first pair, which seeds what attention draws at random. Raises UserError
        if the model returns NaN.
        """
        for rows in _slices(sources, targets):
            for pair in zip(
                sources[rows],
                targets[rows],
                self._force(sources[rows], targets[rows], first + rows.start),
                strict=True,
            ):
                source, target, matrix = pair
                yield np.zeros((0, 0), np.float32) if is_blank(source) or is_blank(target) else matrix

    def _force(
        self, sources: Sequence[str], targets: Sequence[str], first: int
    ) -> Iterator[NDArray[np.floating]]:
        translator, (layer, head, shift, _) = self
        named = layer is not None or head is not None
        results = translator.score_targets(sources, targets, attention="all" if named else True, first=first)
        ids = encode_texts(translator.source_tokenizer, sources, MAX_SOURCE) if shift else []
        for row, result in enumerate(results):
            heads = result.subword_attention_heads if shift else result.attention_heads
            mean = result.subword_attention if shift else result.attention
            weights = mean if heads is None else select(heads, layer, head)
            assert weights is not None  # a model without attention is refused before
            yield self._read(result, weights, ids[row]) if shift else weights

    def _read(
        self, result: Translation, weights_UR: NDArray[np.floating], source_ids: Sequence[int]
    ) -> NDArray[np.float32]:
        """Weights between words: a token has those of the next step, whose input it is."""
        translator = self.translator
        target_numbers = word_numbers(result.text, result.tokens, translator.target_tokenizer)
        source_numbers = word_numbers(result.source, source_ids, translator.source_tokenizer)
        counts = len(result.target_words), len(result.source_words)
        narrow = weights_UR[1:, :-1].astype(np.float32)
        return between_words(narrow, target_numbers, source_numbers, *counts)


class Aligner(NamedTuple):
    """Links of one direction, or of two that a method of `symmetrise.NAMES` makes one.

    "mean" averages the weights of both directions; the threshold is that of `forward`.
    """

    forward: Direction
    reverse: Direction | None = None  # its translator reads the targets
    method: str = next(iter(METHODS))

    def links(
        self, sources: Sequence[str], targets: Sequence[str], first: int = 0
    ) -> list[list[Link] | None]:
        """The links of each pair, in target order; None for a pair that `is_too_long`. See `Direction`."""
        tokenizers = self.forward.translator.source_tokenizer, self.forward.translator.target_tokenizer
        long = [
            any(is_too_long(text, tokenizer) for text, tokenizer in zip(pair, tokenizers, strict=True))
            for pair in zip(sources, targets, strict=True)
        ]
        sources, targets = (
            ["" if cut else text for text, cut in zip(side, long, strict=True)] for side in (sources, targets)
        )
        links = self._links(sources, targets, first)
        return [None if cut else one for one, cut in zip(links, long, strict=True)]

    def _links(self, sources: Sequence[str], targets: Sequence[str], first: int) -> list[list[Link]]:
        if self.reverse is None:
            return self.forward.links(sources, targets, first)
        if self.method == MEAN:
            ahead = self.forward.weights(sources, targets, first)
            back = self.reverse.weights(targets, sources, first)
            threshold = self.forward.settings.threshold
            return [links_of(mean(one, other), threshold) for one, other in zip(ahead, back, strict=True)]
        forward = self.forward.links(sources, targets, first)
        backward = self.reverse.links(targets, sources, first)
        return [
            symmetrise(one, [(source, target) for target, source in other], self.method)
            for one, other in zip(forward, backward, strict=True)
        ]


def is_too_long(text: str, tokenizer: Tokenizer) -> bool:
    """Whether a text has more tokens than a model reads, which are MAX_SOURCE."""
    # no text has more tokens than bytes
    return len(text) * 4 > MAX_SOURCE and len(tokenizer.encode(text[: 64 * MAX_SOURCE])) > MAX_SOURCE


def pharaoh(links: Sequence[Link]) -> str:
    """A line of links `i-j`: source word i, target word j, counted from 0."""
    return " ".join(f"{source}-{target}" for source, target in links)


def _slices(sources: Sequence[str], targets: Sequence[str]) -> Iterator[slice]:
    """The pairs in parts whose attention fits the memory."""
    start = cells = 0
    for end, (source, target) in enumerate(zip(sources, targets, strict=True)):
        size = len(source) * len(target)
        if end > start and cells + size > CELLS:
            yield slice(start, end)
            start, cells = end, 0
        cells += size
    if start < len(sources):
        yield slice(start, len(sources))
