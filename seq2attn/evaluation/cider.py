"""CIDEr-D: how far a caption agrees with what people said of its image; rare words count most.

It follows Vedantam, Zitnick and Parikh 2015 (arXiv 1411.5726) and coco-caption: no stemming, sigma 6, n-grams
of 1 to 4 words, and the factor 10. The weights of the references are computed once. Candidates can then be
scored against the references of any image, many at a time, as a reward needs it. This module knows no model.
"""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seq2attn.errors import UserError
from seq2attn.evaluation.ptb_tokenizer import tokens

Caption = str | Sequence[Hashable]  # raw text, or its tokens
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

ORDERS = 4
SIGMA = 6.0
_WORD_BITS = 32  # n-gram = (number of its first n - 1 words, number of its last word) in one int64


class _Grams(NamedTuple):
    """The different n-grams of many captions, for one n, ordered by caption and by n-gram; G in all."""

    caption_G: Ints
    gram_G: Ints
    count_G: Ints


class _Order(NamedTuple):
    """The weights of the references for one n.

    There are R references and N different n-grams. G is the number of pairs of a reference and an n-gram in
    it.
    """

    idf_N: Floats  # inverse document frequencies
    key_G: Ints  # (reference, n-gram) in one number, sorted
    weight_G: Floats  # term frequency times idf
    norm_R: Floats


class CiderD:
    """CIDEr-D against the references of P images.

    `references[p]` are those of image p: text, which is tokenised as in coco-caption, or hashable tokens.
    Document frequencies are those of these images, whatever is scored. Scores are in CIDEr-D's usual units: 0
    to 10, good captions near 1. Raises UserError if an image has no reference, or if there is no image.
    """

    def __init__(self, references: Sequence[Sequence[Caption]]) -> None:
        counts = np.array([len(of_image) for of_image in references], dtype=np.int64)
        check_grouped(counts.tolist())
        self._words: dict[Hashable, int] = {}
        self._first_P = np.cumsum(counts) - counts
        self._count_P = counts
        image_R = np.repeat(np.arange(len(counts)), counts)
        captions = [_as_tokens(caption) for of_image in references for caption in of_image]
        self._length_R = _lengths(captions)
        self._rarest = float(np.log(len(counts)))
        word_T = np.array(
            [self._words.setdefault(word, len(self._words)) for caption in captions for word in caption],
            dtype=np.int64,
        )
        self._orders: list[_Order] = []
        self._known: list[Ints] = []
        for n, grams in enumerate(_grams(word_T, self._length_R, self._known, learn=True)):
            # Each image counts once.
            in_image = np.unique(image_R[grams.caption_G] << _WORD_BITS | grams.gram_G)
            frequency_N = np.bincount(in_image & (1 << _WORD_BITS) - 1, minlength=len(self._known[n]))
            idf_N = self._rarest - np.log(frequency_N)
            weight_G = grams.count_G * idf_N[grams.gram_G]
            norm_R = _norms(grams.caption_G, weight_G, len(captions))
            self._orders.append(_Order(idf_N, grams.caption_G << _WORD_BITS | grams.gram_G, weight_G, norm_R))

    def __len__(self) -> int:
        """The number of images."""
        return len(self._count_P)

    @property
    def weightless(self) -> bool:
        """Whether no n-gram of the references has a weight, so that every score is 0."""
        return not any((order.idf_N > 0).any() for order in self._orders)

    def scores(self, candidates: Sequence[Caption], images: Sequence[int] | None = None) -> Floats:
        """CIDEr-D of each candidate (C,) against the references of its image.

        The image of candidate c has the number `images[c]` or, without `images`, c. Raises UserError if their
        numbers then differ.
        """
        if images is None and len(candidates) != len(self):
            raise UserError(
                f"{len(candidates):,} captions to score, but references of {len(self):,} images: "
                "every image needs its own"
            )
        image_C = np.arange(len(self)) if images is None else np.array(images, dtype=np.int64)
        if len(image_C) != len(candidates):
            raise ValueError(f"{len(candidates)} candidates for {len(image_C)} images")
        if not len(candidates):
            return np.zeros(0)
        if image_C.min() < 0 or image_C.max() >= len(self):
            raise IndexError(f"images are numbered from 0 to {len(self) - 1}")
        captions = [_as_tokens(candidate) for candidate in candidates]
        length_C = _lengths(captions)
        unknown: dict[Hashable, int] = {}
        words = self._words
        word_T = np.array(
            [
                words[word] if word in words else unknown.setdefault(word, len(words) + len(unknown))
                for caption in captions
                for word in caption
            ],
            dtype=np.int64,
        )
        # B is the number of pairs of a candidate and a reference of its image.
        candidate_B = np.repeat(np.arange(len(captions)), self._count_P[image_C])
        start_C = np.cumsum(self._count_P[image_C]) - self._count_P[image_C]
        reference_B = np.arange(len(candidate_B)) - start_C[candidate_B] + self._first_P[image_C][candidate_B]
        sum_B = np.zeros(len(candidate_B))
        for grams, order in zip(_grams(word_T, length_C, self._known), self._orders, strict=True):
            known_G = grams.gram_G < len(order.idf_N)
            idf_G = np.full(len(grams.gram_G), self._rarest)
            idf_G[known_G] = order.idf_N[grams.gram_G[known_G]]
            weight_G = grams.count_G * idf_G
            norm_C = _norms(grams.caption_G, weight_G, len(captions))
            sum_B += _cosines(
                grams,
                weight_G,
                known_G,
                order,
                candidate_B,
                reference_B,
                start_C,
                self._count_P[image_C],
                norm_C,
            )
        # coco-caption takes the number of pairs of words as the length of a caption.
        distance_B = np.maximum(length_C - 1, 0)[candidate_B] - np.maximum(self._length_R - 1, 0)[reference_B]
        sum_B *= np.exp(-(distance_B**2) / (2 * SIGMA**2))
        total_C = np.bincount(candidate_B, sum_B, minlength=len(captions))
        return 10 * total_C / ORDERS / self._count_P[image_C]

    def corpus(self, hypotheses: Sequence[Caption]) -> float:
        """The mean over all images. `hypotheses[p]` is that of image p."""
        return float(self.scores(hypotheses).mean())


def check_grouped(counts: Sequence[int]) -> None:
    """Raise UserError unless there is an image, and each image has a reference."""
    if not counts:
        raise UserError("a score needs at least one image with its references")
    if min(counts) < 1:
        raise UserError(
            f"image {counts.index(min(counts)) + 1} has no reference: every image needs at least one"
        )


def _cosines(
    grams: _Grams,
    weight_G: Floats,
    known_G: NDArray[np.bool_],
    order: _Order,
    candidate_B: Ints,
    reference_B: Ints,
    start_C: Ints,
    count_C: Ints,
    norm_C: Floats,
) -> Floats:
    """The cosine of the clipped weights of candidate and reference, for each row (B,).

    It is 0 if either has no weight at all.
    """
    at_K = np.flatnonzero(known_G)
    repeats_K = count_C[grams.caption_G[at_K]]
    gram_M = np.repeat(at_K, repeats_K)  # each known n-gram meets each reference of its candidate's image
    within_M = np.arange(len(gram_M)) - np.repeat(np.cumsum(repeats_K) - repeats_K, repeats_K)
    row_M = start_C[grams.caption_G[gram_M]] + within_M
    key_M = reference_B[row_M] << _WORD_BITS | grams.gram_G[gram_M]
    place_M = np.searchsorted(order.key_G, key_M)
    place_M[place_M == len(order.key_G)] = 0
    known_M = order.key_G[place_M] == key_M if len(order.key_G) else np.zeros(len(key_M), dtype=bool)
    theirs = order.weight_G[place_M[known_M]]
    ours = weight_G[gram_M[known_M]]
    dot_B = np.bincount(row_M[known_M], np.minimum(ours, theirs) * theirs, minlength=len(candidate_B))
    norm_B = norm_C[candidate_B] * order.norm_R[reference_B]
    return np.divide(dot_B, norm_B, out=np.zeros(len(dot_B)), where=norm_B > 0)


def _grams(word_T: Ints, length_C: Ints, known: list[Ints], learn: bool = False) -> list[_Grams]:
    """The n-grams of the captions whose words are one after another in `word_T`, for n = 1 to ORDERS.

    `known[n - 1]` are the n-grams of the references, sorted. With `learn` these captions are the references,
    and their n-grams are appended to `known`. Unknown n-grams are numbered after the known ones.
    """
    caption_T = np.repeat(np.arange(len(length_C)), length_C)
    left_T = np.repeat(np.cumsum(length_C), length_C) - np.arange(len(word_T))  # words from here to the end
    prefix_T = np.zeros(len(word_T), dtype=np.int64)
    result = []
    for n in range(1, ORDERS + 1):
        at = np.flatnonzero(left_T >= n)
        pair = prefix_T[at] << _WORD_BITS | word_T[at + n - 1]
        if learn:
            known.append(np.unique(pair))
        gram = _numbers(pair, known[n - 1])
        prefix_T[at] = gram
        key, count = np.unique(caption_T[at] << _WORD_BITS | gram, return_counts=True)
        result.append(_Grams(key >> _WORD_BITS, key & (1 << _WORD_BITS) - 1, count))
    return result


def _numbers(pair: Ints, known: Ints) -> Ints:
    place = np.searchsorted(known, pair)
    missing = np.ones(len(pair), dtype=bool)
    inside = place < len(known)
    missing[inside] = known[place[inside]] != pair[inside]
    place[missing] = len(known) + np.unique(pair[missing], return_inverse=True)[1]
    return place


def _norms(caption_G: Ints, weight_G: Floats, captions: int) -> Floats:
    return np.sqrt(np.bincount(caption_G, weight_G**2, minlength=captions))


def _lengths(captions: Sequence[Sequence[Hashable]]) -> Ints:
    return np.array([len(caption) for caption in captions], dtype=np.int64)


def _as_tokens(caption: Caption) -> Sequence[Hashable]:
    return tokens(caption) if isinstance(caption, str) else caption
