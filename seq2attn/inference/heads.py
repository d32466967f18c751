"""The attention of one layer or one head of a decoder, of many, without loading a run again."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from seq2attn.models.memory import mean_attention


@contextmanager
def looking_at(predictor: Any, layer: int | None, head: int | None) -> Iterator[None]:
    """Within it the predictor gives the weights of that layer and that head, each from 1; None is the mean of
    all.
    """
    before = predictor.layer, predictor.head
    predictor.layer, predictor.head = layer, head
    try:
        yield
    finally:
        predictor.layer, predictor.head = before


def select_weights(weights_LHS: Tensor, layer: int | None, head: int | None) -> Tensor:
    """Weights (..., L, H, S) -> those (..., S) of one layer and one head, each from 1; None: the mean of all."""
    if layer is not None:
        weights_LHS = weights_LHS[..., layer - 1 : layer, :, :]
    return mean_attention(weights_LHS if head is None else weights_LHS[..., head - 1 : head, :])
