"""Attention as arrays by layer and head: the mean, all heads, or one of them."""

from dataclasses import replace
from typing import Any, TypeVar

from numpy.typing import NDArray
from torch import Tensor

from seq2attn.errors import UsageError
from seq2attn.inference.options import AttentionOption
from seq2attn.inference.results import Caption, Translation, Weights
from seq2attn.models.memory import mean_attention

Output = TypeVar("Output", Translation, Caption)


def as_arrays(weights_TLHS: Tensor, attention: AttentionOption) -> tuple[Weights, Weights | None]:
    """The mean (T, S) of a hypothesis's weights and, with attention="all", all heads (L, H, T, S)."""
    if attention != "all":
        return weights_TLHS[:, 0, 0].numpy(), None
    return mean_attention(weights_TLHS).numpy(), weights_TLHS.permute(1, 2, 0, 3).numpy()


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
