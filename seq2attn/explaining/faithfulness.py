"""Whether a method names what the model uses: hide the units that it names, and see what the model loses.

    comprehensiveness   log p lost by hiding the k units that the method puts first; more is better
    sufficiency         log p lost by hiding all others; less is better (both DeYoung 2020, section 5.2, with
                        log p in place of p)
    rank correlation    Spearman's, between the method and occlusion, over the units of each word

A method is a matrix (W, U) for each pair: words of the target, units of the source. Equal values are put in a
random order, so that a method that says nothing gains nothing by the order of the words.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seq2attn.evaluation.mean_ranks import mean_ranks
from seq2attn.explaining.attention import Matrix
from seq2attn.explaining.occlusion import NONE, Occluder, Units
from seq2attn.progress import Progress, silent


class Faithfulness(NamedTuple):
    """Means over the words of all pairs, in nats; by k, in the order of `counts`."""

    lost: tuple[float, ...]  # comprehensiveness
    lost_without: tuple[float, ...]  # sufficiency
    correlation: float


def faithfulness(
    methods: Mapping[str, Sequence[Matrix]],
    occluder: Occluder,
    occlusion: Sequence[Matrix],
    counts: Sequence[Sequence[int]],
    seed: int = 1,
    progress: Progress = silent,
) -> dict[str, Faithfulness]:
    """The faithfulness of each method. `counts` holds for each k how many units of each pair are hidden.

    A word whose source has no more units than k is left out of that mean.
    """
    first: dict[str, list[list[list[Units]]]] = {
        name: [
            _first_units(matrix, [count[place] for count in counts], np.random.default_rng([seed, place]))
            for place, matrix in enumerate(matrices)
        ]
        for name, matrices in methods.items()
    }
    occluder.compute(_wishes(first, occluder), progress)
    results = {}
    for name, of_pairs in first.items():
        lost: list[list[float]] = [[] for _ in counts]
        without: list[list[float]] = [[] for _ in counts]
        for place, of_words in enumerate(of_pairs):
            for word, by_count in enumerate(of_words):
                for number, units in enumerate(by_count):
                    rest = _others(occluder, place, units)
                    if rest:
                        lost[number].append(float(occluder.lost(place, units)[word]))
                        without[number].append(float(occluder.lost(place, rest)[word]))
        correlations = [
            rank_correlation(row, truth)
            for matrix, of_pair in zip(methods[name], occlusion, strict=True)
            for row, truth in zip(matrix, of_pair, strict=True)
            if len(row) > 1
        ]
        results[name] = Faithfulness(tuple(map(_mean, lost)), tuple(map(_mean, without)), _mean(correlations))
    return results


def random_matrices(shapes: Sequence[tuple[int, int]], seed: int = 1) -> list[Matrix]:
    """A method that knows nothing: random numbers."""
    generator = np.random.default_rng(seed)
    return [generator.random(shape, np.float32) for shape in shapes]


def rank_correlation(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """Spearman's correlation; 0 if all values of one side are equal, which ranks nothing."""
    ranks = [mean_ranks(side) for side in (one, other)]
    a, b = (rank - rank.mean() for rank in ranks)
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size else 0.0


def _first_units(matrix: Matrix, counts: Sequence[int], generator: np.random.Generator) -> list[list[Units]]:
    """For each word, and each count, the units with the largest values."""
    order = np.lexsort((generator.random(matrix.shape), -matrix), axis=-1)
    return [[frozenset(row[:count].tolist()) for count in counts] for row in order]


def _others(occluder: Occluder, place: int, units: Units) -> Units:
    return frozenset(range(len(occluder.pairs[place].units))) - units


def _wishes(first: Mapping[str, list[list[list[Units]]]], occluder: Occluder) -> Iterator[tuple[int, Units]]:
    for of_pairs in first.values():
        for place, of_words in enumerate(of_pairs):
            yield place, NONE
            for units in {units for by_count in of_words for units in by_count}:
                yield place, units
                if rest := _others(occluder, place, units):
                    yield place, rest


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
