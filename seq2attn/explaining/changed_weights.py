"""Experiments on several sentences as tensors: the masks and weights that `replaced_weights.twin` reads.

A sentence of an experiment has a number from 1; number 0 is a sentence that nothing changes. Shapes: N
numbers, S source positions, G groups of positions that share a weight, L layers, H heads; B, T as in an
attention.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from seq2attn.errors import UsageError
from seq2attn.explaining.experiment import ALL, Experiment, check_given
from seq2attn.explaining.replaced_weights import Place, uniform


class Sentence(NamedTuple):
    """A source, and what is changed for it."""

    experiment: Experiment
    words: list[int]  # of each source position, from 1; 0: none, as the end token


class Attention(NamedTuple):
    """What must be known of a model's attention."""

    layers: int
    heads: int
    hard: bool  # its weights are 0 or 1
    sums_to_one: bool


class _Step(NamedTuple):
    """The sentences of which `attend` changes one step."""

    step: int  # from 0
    group_NS: Tensor  # int64: 0 for positions of no named word
    share_NG: Tensor  # the weight of each group; that of group 0 is what the others leave
    named_N: Tensor  # bool


class ChangedWeights:
    """The changes of some sentences, for one model. `hide` and `replace` are for `twin`."""

    def __init__(self, sentences: Sequence[Sentence], model: Attention, device: torch.device) -> None:
        """Raises UsageError for `weights` that do not fit a source."""
        self.model = model
        count = len(sentences) + 1
        positions = max((len(one.words) for one in sentences), default=0)
        self.hidden_NS = torch.zeros(count, positions, dtype=torch.bool, device=device)
        self.uniform_NLH = torch.zeros(count, model.layers, model.heads, dtype=torch.bool, device=device)
        self.given: list[tuple[int, int, Tensor]] = []  # number, step from 0, weights (L, H, S) or (1, 1, S)
        for number, (experiment, words) in enumerate(sentences, 1):
            self.hidden_NS[number, : len(words)] = torch.tensor([word in experiment.mask for word in words])
            if experiment.uniform == ALL:
                self.uniform_NLH[number] = True
            else:
                for layer, head in experiment.uniform:
                    self.uniform_NLH[number, layer - 1, head - 1] = True
            for step, weights in experiment.weights.items():
                try:
                    array = np.array(weights, dtype=np.float32)
                except (TypeError, ValueError):
                    what = f"weights of step {step}: they are no array of numbers"
                    raise UsageError(what, setting="weights") from None
                check_given(step, array, len(words), model.layers, model.heads, model.sums_to_one)
                hides = self.hidden_NS[number, : len(words)].cpu().numpy()
                if (array[..., hides] > 0).any():
                    what = f"weights of step {step}: `mask` hides a word that has a weight; leave one out"
                    raise UsageError(what, setting="weights")
                tensor = torch.from_numpy(array).to(device)
                self.given.append((number, step - 1, tensor if tensor.dim() == 3 else tensor[None, None]))
        steps = sorted({step for one in sentences for step, _ in one.experiment.attend})
        self.steps = [_step(step, sentences, positions, device) for step in steps]
        self.any_uniform = any(one.experiment.uniform for one in sentences)

    def hide(self, place: Place) -> Tensor:
        """The mask of what may be read: without the words of `mask`. Hard attention also obeys `attend` here,
        so that it reads one position, the best that is left.
        """
        number_B, size = place.number_BT[:, 0], place.mask.size(-1)
        mask = place.mask & ~_fit(self.hidden_NS, size)[number_B][:, None, None]
        for step in self.steps if self.model.hard else ():
            share_BS = step.share_NG[number_B].gather(1, _fit(step.group_NS, size)[number_B])
            whole_B = (share_BS == 1).any(1)
            # a word of weight 1 is read alone, though a window may leave it out; one of weight 0 is not
            open_BS = torch.where(whole_B[:, None], share_BS == 1, share_BS != 0)
            there = mask | whole_B[:, None, None, None]
            mask = torch.where(_at(step, place), open_BS[:, None, None] & there, mask)
        return mask

    def replace(self, weights: Tensor, place: Place) -> Tensor:
        """The weights (B, H, T, S) that stand in place of those of the model."""
        number_B, size = place.number_BT[:, 0], weights.size(-1)
        if self.any_uniform:
            heads_BH = self.uniform_NLH[number_B, place.layer]
            weights = torch.where(heads_BH[..., None, None], uniform(weights, place.mask), weights)
        for number, step, given in self.given:
            at_BT = (place.number_BT == number) & (place.step_BT == step)
            own_HS = _fit(given[min(place.layer, len(given) - 1)], size)
            weights = torch.where(at_BT[:, None, :, None], own_HS[None, :, None].to(weights.dtype), weights)
        for one in () if self.model.hard else self.steps:
            group_BS = _fit(one.group_NS, size)[number_B]
            changed = shared(weights, place.mask, group_BS, one.share_NG[number_B].to(weights.dtype))
            weights = torch.where(_at(one, place), changed, weights)
        return weights


def shared(weights: Tensor, mask: Tensor, group_BS: Tensor, share_BG: Tensor) -> Tensor:
    """Weights (B, H, T, S) in which the positions of each group from 1 on share the weight of their group, in
    proportion to their own weights; equally, if those are all 0.

    Group 0 has what remains of the total of a row. Its positions outside the mask get nothing.
    """
    group = group_BS[:, None, None].expand_as(weights)
    real = (mask.expand_as(weights) | (group > 0)).to(weights.dtype)
    none = weights.new_zeros(*weights.shape[:-1], share_BG.size(1))
    sums, counts = none.scatter_add(-1, group, weights), none.scatter_add(-1, group, real)
    named = share_BG[:, 1:].clamp_min(0).sum(1)[:, None, None, None]  # -1: no such group
    rest = (sums.sum(-1, keepdim=True) - named).clamp_min(0)
    targets = torch.cat([rest, share_BG[:, None, None, 1:].expand(*none.shape[:-1], -1)], -1)
    sum_, count, own = sums.gather(-1, group), counts.gather(-1, group), targets.gather(-1, group)
    share = torch.where(sum_ > 0, weights / sum_, real / count.clamp_min(1))
    return share * own


def _step(step: int, sentences: Sequence[Sentence], positions: int, device: torch.device) -> _Step:
    of_step = [
        {word: weight for (other, word), weight in one.experiment.attend.items() if other == step}
        for one in sentences
    ]
    count = len(sentences) + 1
    group_NS = torch.zeros(count, positions, dtype=torch.long)
    share_NG = torch.full((count, 1 + max(map(len, of_step))), -1.0)  # -1: no such group
    for number, (one, shares) in enumerate(zip(sentences, of_step, strict=True), 1):
        for group, (word, weight) in enumerate(shares.items(), 1):
            share_NG[number, group] = weight
            group_NS[number, : len(one.words)][torch.tensor(one.words) == word] = group
    named_N = torch.tensor([False, *map(bool, of_step)])
    return _Step(step - 1, group_NS.to(device), share_NG.to(device), named_N.to(device))


def _at(step: _Step, place: Place) -> Tensor:
    """(B, 1, T, 1): whether a query is of that step, of a sentence of which it is changed."""
    return ((place.step_BT == step.step) & step.named_N[place.number_BT])[:, None, :, None]


def _fit(table: Tensor, size: int) -> Tensor:
    """A table (..., S) with `size` positions: those that are missing are 0, and those beyond are padding."""
    return F.pad(table, (0, size - table.size(-1)))
