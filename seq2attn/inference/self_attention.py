"""Self-attention of one input, by layer and head. It needs a second, slow pass of encoder and decoder."""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from seq2attn.data.tokenizer import BOS
from seq2attn.errors import UsageError
from seq2attn.inference.predictor import Predictor
from seq2attn.inference.results import Weights

Source = TypeVar("Source")


class SelfAttention(NamedTuple):
    """The self-attention of both sides. Row i of a matrix holds the weights with which position i attends.

    A side is None if it was not requested, or has no self-attention.
    """

    encoder: Weights | None  # (L, H, S, S)
    decoder: Weights | None  # (L, H, T, T)
    source: list[str]  # the S subwords of a text, with EOS; empty for an image
    target: list[str]  # the T inputs of the decoder: BOS and the subwords of the target


def self_attention(
    predictor: Predictor[Source, Any],
    source: Source,
    size: int | None,
    target: Sequence[int] | None,
    labels: list[str],
) -> SelfAttention:
    """The self-attention of the first model.

    `size` is the number of source positions without padding; None: all. `target` holds the ids that the
    decoder reads; None: no decoder. `labels` are the subwords of the source. Raises UsageError, which names
    the setting, if the encoder (or, with a target, the decoder) has no self-attention.
    """
    model, settings = predictor.models[0], predictor.config.model
    decoder = None
    with predictor.inference_mode():
        layers = model.encoder.self_attention(*predictor.encoder_input(0, [source]))
        encoder = torch.stack(layers, 1)[..., :size, :size] if layers else None
        if target is not None:
            tokens_BT = torch.tensor([[BOS, *target]], device=predictor.device)
            (memory,) = predictor.encode([[source]], [0])
            decoder = model.decoder.self_attention(tokens_BT, memory)
    if encoder is None and target is None:
        name = "self_attention" if hasattr(settings.encoder, "self_attention") else "kind"
        value = getattr(settings.encoder, name)
        raise UsageError(
            f"model.encoder.{name} is {value}: this encoder has no self-attention", f"model.encoder.{name}"
        )
    if decoder is None and target is not None:
        raise UsageError(
            f"model.decoder.kind is {settings.decoder.kind}: this decoder has no self-attention; "
            "leave out the target",
            "model.decoder.kind",
        )
    inputs = [] if target is None else predictor.target_tokenizer.subwords([BOS, *target])
    return SelfAttention(_array(encoder), _array(decoder), labels, inputs)


def _array(weights_BLHTT: Tensor | None) -> Weights | None:
    return None if weights_BLHTT is None else weights_BLHTT[0].float().cpu().numpy()
