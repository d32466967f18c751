"""Attention as arrays by layer and head: the mean, all heads, or one of them."""

from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from seq2attn.errors import UsageError
from seq2attn.inference.options import AttentionOption
from seq2attn.inference.results import Caption, Translation, Weights
from seq2attn.models.memory import mean_attention
from seq2attn.runs.choice import AttentionChoice

Output = TypeVar("Output", Translation, Caption)


def as_arrays(
    weights_TLHS: Tensor, attention: AttentionOption, choice: AttentionChoice | None = None
) -> tuple[Weights, Weights | None]:
    """What is shown (T, S) of a hypothesis's weights and, with attention="all", all heads (L, H, T, S).

    That is the mean, or the `choice` of a run.
    """
    heads = weights_TLHS.permute(1, 2, 0, 3).numpy() if attention == "all" else None
    if choice is None:
        mean = mean_attention(weights_TLHS) if attention == "all" else weights_TLHS[:, 0, 0]
        return mean.numpy(), heads
    weights_LHTS = weights_TLHS.permute(1, 2, 0, 3).numpy()
    if weights_LHTS.shape[:2] == (1, 1):  # the mean, or the only head
        choice = choice._replace(layer=None, head=None)
    own: Weights = select(weights_LHTS, choice.layer, choice.head)
    # the step that reads a token is the next one; nothing reads the last
    return (np.concatenate([own[1:], own[-1:]]) if choice.shift else own), heads


def needed(attention: AttentionOption, choice: AttentionChoice | None) -> AttentionOption:
    """What a model must compute so that `as_arrays` can show a choice."""
    by_head = choice is not None and (choice.layer is not None or choice.head is not None)
    return "all" if attention and by_head else attention


def select(weights: NDArray[Any], layer: int | None = None, head: int | None = None) -> NDArray[Any]:
    """The weights (T, S) of one layer and one head, numbered from 1, from weights (L, H, T, S).

    None is the mean over all. Raises UsageError if there is no such layer or head.
    """
    for axis, name, number in ((0, "layer", layer), (1, "head", head)):
        count = weights.shape[axis]
        if number is not None and not 1 <= number <= count:
            has = f"{count} {name}s, numbered from 1" if count > 1 else f"one {name}"
            raise UsageError(f"{name} {number}: the attention has {has}", setting=name)
    layers = weights if layer is None else weights[layer - 1 : layer]
    heads = layers if head is None else layers[:, head - 1 : head]
    mean: NDArray[Any] = heads.mean(1).mean(0)
    return mean


def select_attention(output: Output, layer: int | None = None, head: int | None = None) -> Output:
    """A translation or caption whose `attention` and `subword_attention` are those of one layer and one head.

    It needs attention="all". Numbers and errors: see `select`.
    """
    if output.subword_attention_heads is None or output.attention_heads is None:
        raise UsageError('attention: ask for "all" to select a layer or a head', setting="attention")
    return replace(
        output,
        subword_attention=select(output.subword_attention_heads, layer, head),
        attention=select(output.attention_heads, layer, head),
    )
