"""The choices of a system, what an encoder and a decoder return, and what attention compares and reads."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from reference.convolution import Blocks
    from reference.transformer import Layers


@dataclass(frozen=True)
class Recipe:
    """The choices of one system; the numbers of units are read off the weights."""

    encoder_cell: str = "lstm"
    reverse: bool = False  # a one-way encoder reads from right to left
    cell: str = "lstm"
    context_source: str = "attention"  # attention | summary | none
    score: str = "additive"
    query_state: str = "current"  # current | previous
    context_to: tuple[str, ...] = ("readout",)  # any of input, layer, readout
    input_feeding: bool = False
    readout: str = "tanh"  # linear | tanh | maxout
    readout_embedding: bool = False
    bridge: str = "linear"  # last | linear | mean | zero
    gate: str = "none"  # scalar | context
    query_input: str = "state"  # state | embedding | both
    keys: str = "states"  # states | embeddings | sum
    values: str = "states"  # states | embeddings | sum
    heads: int = 1
    kv_heads: int | None = None  # keys and values that the heads share
    history: str = "none"  # coverage | fertility | location-aware
    normaliser: str = "softmax"
    temperature: float = 1.0
    k: int = 1
    at_inference: str = "argmax"  # hard-sample: argmax | expected
    window: str = "none"  # local-m | local-p
    half_width: int = 10
    encoder: "Layers | Blocks | None" = None  # None: recurrent, as `encoder_cell` says
    decoder: "Layers | Blocks | None" = None  # None: recurrent, as `cell` says


class Encoded(NamedTuple):
    embeddings: list  # x_j, one a source position
    annotations: list  # h_j of the top layer, one a source position, in the order of the source
    final: list  # (h, c) of each layer after its last step; forward and backward joined
    summary: np.ndarray  # the top layer's last states, forward and backward joined


class Decoded(NamedTuple):
    logits: list  # one a step, (N,)
    weights: list  # one a step, of each layer and head, (S,); None without attention
    readouts: list  # r_i, one a step
    log_p: list  # of the draws, one a step
    entropy: list  # of the distributions that they are of, one a step

    @property
    def attention(self):
        """The mean over layers and heads, one a step, (S,); None without attention."""
        return [
            None if layers is None else mean([mean(heads) for heads in layers]) for layers in self.weights
        ]


def mean(arrays):
    return sum(arrays) / len(arrays)


def memory(kind, encoded):
    """The keys or values of the source: h_j, x_j, or h_j + x_j."""
    if kind == "sum":
        assert all(len(h) == len(x) for h, x in zip(encoded.annotations, encoded.embeddings, strict=True))
        return [h + x for h, x in zip(encoded.annotations, encoded.embeddings, strict=True)]
    return encoded.annotations if kind == "states" else encoded.embeddings
