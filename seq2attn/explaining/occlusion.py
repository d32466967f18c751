"""Log-probabilities of target words when units of the source are hidden.

A hidden word is replaced by as many <unk> as it has tokens; a hidden cell, or a frame, by the mean of the
features of its image. The end token is never hidden. What was computed once is remembered.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from seq2attn.explaining.attention import Matrix
from seq2attn.explaining.forced import ForcedModel
from seq2attn.explaining.pairs import ForcedPair
from seq2attn.progress import Progress, silent

Units = frozenset[int]
NONE: Units = frozenset()


class Occluder:
    """log p of the words of some pairs, by the units that are hidden."""

    def __init__(self, model: ForcedModel, pairs: Sequence[ForcedPair]) -> None:
        self.model, self.pairs = model, pairs
        self._log_p: dict[tuple[int, Units], NDArray[np.float32]] = {}

    def compute(self, wishes: Iterable[tuple[int, Units]], progress: Progress = silent) -> None:
        """Compute log p of the words of pair `place` with those units hidden, for each (place, units)."""
        new = [wish for wish in dict.fromkeys(wishes) if wish not in self._log_p]
        pairs = [self.pairs[place] for place, _ in new]
        done = 0
        for places, batch in self.model.batches(pairs):
            progress(done, len(new))
            units = batch.to_unit_BPU.size(2)
            hidden_BU = torch.zeros(len(places), units)
            for row, place in enumerate(places):
                hidden_BU[row, list(new[place][1])] = 1
            hidden_BP = torch.einsum("bpu,bu->bp", batch.to_unit_BPU, hidden_BU.to(batch.to_unit_BPU)) > 0
            x = torch.where(hidden_BP[..., None], batch.vectors.blank, batch.vectors.x_BPE)
            with torch.no_grad():
                log_p_BW = self.model.log_probs(batch, x).cpu().numpy()
            for row, place in enumerate(places):
                self._log_p[new[place]] = log_p_BW[row, : len(pairs[place].words)].copy()
            done += len(places)
        progress(len(new), len(new))

    def log_p(self, place: int, units: Units = NONE) -> NDArray[np.float32]:
        """log p (W,) of the words of a pair with those units hidden, which `compute` has computed."""
        return self._log_p[place, units]

    def lost(self, place: int, units: Units) -> NDArray[np.float32]:
        """How much log p (W,) of each word loses by hiding those units."""
        return self.log_p(place) - self.log_p(place, units)

    def occlusion(self, progress: Progress = silent) -> list[Matrix]:
        """The occlusion (W, U) of each pair: how much log p of a word loses by hiding each unit alone."""
        singles = [
            (place, units)
            for place, pair in enumerate(self.pairs)
            for units in [NONE, *(frozenset([unit]) for unit in range(len(pair.units)))]
        ]
        self.compute(singles, progress)
        return [
            np.stack([self.lost(place, frozenset([unit])) for unit in range(len(pair.units))], 1)
            for place, pair in enumerate(self.pairs)
        ]
