"""Attributions by gradients: how much each unit of a source adds to the log-probability of a target word.

    input x gradient        x . d log p(word) / dx, summed over the numbers of a position
    integrated gradients    (x - x0) . the mean of that gradient on the straight line from x0 to x
                            (Sundararajan 2017, equation 1); x0 hides every word, and leaves the end token

x are the vectors that the encoder reads: embeddings of tokens, or features of cells. The target is forced,
and words before the word are given. The sum of integrated gradients over the positions is log p at x minus
log p at x0: `gap` says how far that is from true.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from seq2attn.explaining.attention import Matrix
from seq2attn.explaining.forced import Batch, ForcedModel
from seq2attn.explaining.pairs import ForcedPair
from seq2attn.models.memory import HiddenStates
from seq2attn.progress import Progress, silent

STEPS = 8  # points on the line, by Gauss and Legendre


class Attributions(NamedTuple):
    matrices: list[Matrix]  # of each pair (W, U)
    gap: float  # of integrated gradients: mean distance from completeness, as a share; else 0


def input_x_gradient(
    model: ForcedModel, pairs: Sequence[ForcedPair], progress: Progress = silent
) -> Attributions:
    """Input x gradient of each word of each pair, by units."""
    matrices: list[Matrix] = [np.zeros((0, 0), np.float32)] * len(pairs)
    done = 0
    for places, batch in model.batches(pairs):
        progress(done, len(pairs))
        x_BPE = batch.vectors.x_BPE
        gradient_WBPE = word_gradients(model, batch, x_BPE)
        _put(matrices, places, batch, (gradient_WBPE * x_BPE).sum(-1))
        done += len(places)
    progress(len(pairs), len(pairs))
    return Attributions(matrices, 0.0)


def integrated_gradients(
    model: ForcedModel, pairs: Sequence[ForcedPair], steps: int = STEPS, progress: Progress = silent
) -> Attributions:
    """Integrated gradients of each word of each pair, by units, from `steps` points of the line."""
    nodes, shares = np.polynomial.legendre.leggauss(steps)
    matrices: list[Matrix] = [np.zeros((0, 0), np.float32)] * len(pairs)
    distance = size = 0.0
    done = 0
    for places, batch in model.batches(pairs, steps):
        progress(done, len(pairs))
        x, blank = batch.vectors.x_BPE, batch.vectors.blank
        alpha = torch.tensor((nodes + 1) / 2, dtype=x.dtype, device=x.device)
        line = blank[:, None] + alpha[:, None, None] * (x - blank)[:, None]
        of_line = word_gradients(model, batch.repeat(steps), line.flatten(0, 1))
        weights = torch.tensor(shares / 2, dtype=x.dtype, device=x.device)
        mean_WBPE = torch.einsum("wbnpe,n->wbpe", of_line.unflatten(1, (-1, steps)), weights)
        parts_WBP = (mean_WBPE * (x - blank)).sum(-1)
        _put(matrices, places, batch, parts_WBP)
        with torch.no_grad():
            change_BW = model.log_probs(batch) - model.log_probs(batch, blank)
        real_BW = batch.to_word_BTW.sum(1) > 0
        distance += float((parts_WBP.sum(-1).T - change_BW)[real_BW].abs().sum())
        size += float(change_BW[real_BW].abs().sum())
        done += len(places)
    progress(len(pairs), len(pairs))
    return Attributions(matrices, distance / size if size else 0.0)


def word_gradients(model: ForcedModel, batch: Batch, x_BPE: Tensor) -> Tensor:
    """d log p(word) / dx (W, B, P, E) of each word of each pair, at those vectors."""
    x = x_BPE.detach().requires_grad_()
    with torch.enable_grad():
        hidden = model.states(batch, model.memory(batch, x))
        # The output layer needs one pass for all words: the logits of a step read its own features alone, and
        # its own gate and copies.
        ends = _parts(hidden)
        starts = [end.detach().requires_grad_() for end in ends]
        of_ends = torch.autograd.grad(model.of_words(batch, _with_parts(hidden, starts)).sum(), starts)
        words = batch.to_word_BTW.unbind(-1)
        # each pair reads its own vectors alone, so that a sum over pairs has the gradient of each
        return torch.stack(
            [
                torch.autograd.grad(
                    ends, x, [_of_steps(part, own) for part in of_ends], retain_graph=number < len(words)
                )[0]
                for number, own in enumerate(words, 1)
            ]
        ).nan_to_num()


def _parts(hidden: HiddenStates) -> list[Tensor]:
    """What the output layer reads: features (B, T, D), gate (B, T) and copies (B, T, S)."""
    copies = hidden.copies
    return [hidden.features_BTD, *(() if copies is None else (copies.gate_BT, copies.mass_BTS))]


def _with_parts(hidden: HiddenStates, parts: Sequence[Tensor]) -> HiddenStates:
    copies = hidden.copies
    if copies is not None:
        copies = copies._replace(gate_BT=parts[1], mass_BTS=parts[2])
    return hidden._replace(features_BTD=parts[0], copies=copies)


def _of_steps(gradient: Tensor, step_BT: Tensor) -> Tensor:
    """The gradient (B, T, ...) at steps with 1, and 0 at those with 0."""
    return gradient * step_BT.view(*step_BT.shape, *[1] * (gradient.dim() - 2)).to(gradient.dtype)


def _put(matrices: list[Matrix], places: Sequence[int], batch: Batch, parts_WBP: Tensor) -> None:
    """Attributions of positions, added up over the positions of each unit."""
    by_unit = torch.einsum("wbp,bpu->bwu", parts_WBP, batch.to_unit_BPU).cpu().numpy()
    for row, place in enumerate(places):
        pair = batch.pairs[row]
        matrices[place] = by_unit[row, : len(pair.words), : len(pair.units)].copy()
