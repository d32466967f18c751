"""The nouns that encoders, decoders and search share: a memory to read, an output, and a state whose rows can be chosen."""

from typing import Any, NamedTuple, TypeVar

from torch import Tensor

State = TypeVar("State")


class Memory(NamedTuple):
    """What an encoder makes of B sources and a decoder reads: S positions each."""

    keys_BSK: Tensor
    values_BSV: Tensor
    mask_BS: Tensor  # bool, True = real
    summary_BV: Tensor  # the source in one vector
    grid: tuple[int, int] | None = None  # (h, w) where the positions are an image's
    final: tuple[tuple[Tensor, ...], ...] | None = None  # a recurrent encoder's last states, layer by layer: (h,) or (h, c), each (B, V)


class Output(NamedTuple):
    """What a decoder says: one step (R, N) and (R, S), or all steps (B, T, N) and (B, T, S)."""

    logits: Tensor
    weights: Tensor | None


class Features(NamedTuple):
    """What T steps of a decoder leave for the vocabulary and the loss."""

    features_BTD: Tensor  # what the output layer reads
    weights_BTS: Tensor | None = None  # where they were asked for
    log_p_BT: Tensor | None = None  # of what hard attention drew, with its gradient; None where nothing is drawn
    entropy_BT: Tensor | None = None  # of what it was drawn from, nats


def select(state: State, index_R: Tensor) -> State:
    """The rows `index_R` of every tensor in a nested tuple (named or plain), None kept: how search reorders any state."""
    value: Any = state
    if value is None:
        return state
    if isinstance(value, Tensor):
        return value.index_select(0, index_R)  # type: ignore[return-value]
    parts = (select(part, index_R) for part in value)
    chosen: State = type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return chosen
