"""Weights in half precision, for search: no step converts a weight, and each takes half the memory.

Autocast alone would convert each weight again at each of its uses: torch keeps no such conversion in
inference mode.
"""

from collections.abc import Sequence

import torch
from torch import nn

from seq2attn.models.seq2seq import Seq2Seq

PRODUCTS = (nn.Linear, nn.Embedding, nn.Conv1d, nn.Conv2d)


def to_half(models: Sequence[Seq2Seq], dtype: torch.dtype) -> None:
    """Convert the weights of a model, or of an ensemble, in place.

    All of them, if none of the models has a sum that must stay wide. Otherwise, as for the cell of an LSTM
    (over all steps) or a norm of a backbone (over a whole image), the matrices alone with the biases beside
    them: such models compute under autocast, with norms and vectors in float32.
    """
    whole = _may_be_half(models)
    for model in models:
        if whole:
            model.to(dtype)
            continue
        for module in model.modules():
            for parameter in module.parameters(recurse=False):
                if isinstance(module, PRODUCTS) or parameter.dim() > 1:
                    parameter.data = parameter.data.to(dtype)


def computes_in_half(models: Sequence[Seq2Seq]) -> bool:
    """Whether the models have been converted as a whole, so that they need no autocast."""
    return _may_be_half(models) and next(models[0].decoder.parameters()).dtype.itemsize < 4


def _may_be_half(models: Sequence[Seq2Seq]) -> bool:
    return all(
        model.encoder.supports_half_weights and model.decoder.supports_half_weights for model in models
    )
