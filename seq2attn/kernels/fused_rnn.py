"""All steps of a recurrent layer, in one direction or in both, by one call of torch: cuDNN's on CUDA.

A loop over cells launches some thirty kernels at each step; this call launches a few for all steps. It is
given padded batches, never packed ones. To pack a batch, the host must wait until it knows the lengths, and
no CUDA graph can hold such a wait. Instead two gates keep the state where there is padding: 16 more numbers
of the input say that a position is padding, and their weights close the gate that writes and open the gate
that keeps. So c, and the h of a GRU, pass the padding with the same bits and the same gradient, and the
backward direction meets the last real word with a state of zeros. A tanh RNN has no gate to close.

Slow twin: `Cell.steps`. Held equal by tests/models/test_cells.py and tests/models/test_rnn_encoder.py, and on
CUDA by tests/cuda/on_device/fused_rnn.py.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from seq2attn.kernels.deferred_gradients import product_dtype

CALLS = {1: "rnn_tanh", 3: "gru", 4: "lstm"}  # by the number of gates
COLUMNS = 16  # of the input for padding: with one, the rows of a matrix would lose their alignment
SHUT = 1024.0  # of each column: together far beyond what any input or state adds to a gate, in float16 too
WRITES, KEEPS = {4: 0}, {3: 1, 4: 1}  # the gates, by the number of gates: LSTM i, f, g, o; GRU r, z, n

Weights = Sequence[Tensor]  # of a direction: input (G, I) and hidden state (G, H) to gates, and biases (G)


def fused_rnn(
    x_BTI: Tensor, first: Sequence[Tensor], directions: Sequence[Weights], train: bool
) -> tuple[Tensor, ...]:
    """The states h (B, T, D H) of D directions after each of T inputs, and the final h, and c of an LSTM,
    (D, B, H). `first` is the first state, h, and c of an LSTM, each (D, B, H). Without `train` there may be
    no backward pass.
    """
    gates, dtype = _gates(directions), product_dtype(x_BTI)
    weights = [weight for weights in directions for weight in weights]
    if x_BTI.is_cuda:
        weights, train = _in_one_buffer(weights, dtype), torch.is_grad_enabled()  # in evaluation mode too
    start: Any = [part.to(dtype) for part in first]
    start = start if gates == 4 else start[0]
    # Autocast would convert everything to float16 for cuDNN, also where its own type is bfloat16.
    with torch.autocast(x_BTI.device.type, enabled=False):
        # with biases, one layer, no dropout; batch first
        both = len(directions) == 2
        out: tuple[Tensor, ...] = getattr(torch, CALLS[gates])(
            x_BTI.to(dtype), start, [w.to(dtype) for w in weights], True, 1, 0.0, train, both, True
        )
    return out


def fused_rnn_layer(
    x_BTI: Tensor, mask_BT: Tensor, directions: Sequence[Weights], reverse: bool
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The states h (B, T, D H) of sequences from zeros, and the final h, and c of an LSTM, each (B, D H).

    The end of a sequence is padding, in the mask False. The second of two directions, or with `reverse` each,
    runs from the last real position to the first.
    """
    if not reverse and (len(directions) == 1 or _gates(directions) in KEEPS):
        return _from_zeros(x_BTI, mask_BT, directions)
    from_the_end = positions_from_the_end(mask_BT)
    states, finals = [], []
    for number, weights in enumerate(directions):
        backward = reverse or number == 1
        inputs = reorder(x_BTI, from_the_end) if backward else x_BTI
        h_BTH, final = _from_zeros(inputs, mask_BT, [weights])
        states.append(reorder(h_BTH, from_the_end) if backward else h_BTH)
        finals.append(final)
    return torch.cat(states, -1), tuple(torch.cat(parts, -1) for parts in zip(*finals, strict=True))


def positions_from_the_end(mask_BS: Tensor) -> Tensor:
    """Positions (B, S) that reverse each sentence and leave its padding last. They are their own inverse."""
    position = torch.arange(mask_BS.size(1), device=mask_BS.device)
    length = mask_BS.sum(1, keepdim=True)
    return torch.where(position < length, length - 1 - position, position)


def reorder(x_BSD: Tensor, index_BS: Tensor) -> Tensor:
    """x at these positions of each sentence."""
    return x_BSD.gather(1, index_BS[..., None].expand_as(x_BSD))


def _from_zeros(
    x_BTI: Tensor, mask_BT: Tensor, directions: Sequence[Weights]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """`fused_rnn_layer` of one direction, or of both at once."""
    gates, size = _gates(directions), directions[0][1].size(1)
    if gates in KEEPS:
        is_padding = (~mask_BT)[..., None].expand(-1, -1, COLUMNS)
        x_BTI = torch.cat([x_BTI, is_padding.to(x_BTI.dtype)], -1)
        directions = [(_with_padding(weights[0], gates, size), *weights[1:]) for weights in directions]
    zeros = x_BTI.new_zeros(len(directions), len(x_BTI), size)
    states_BTH, *final = fused_rnn(x_BTI, [zeros] * (2 if gates == 4 else 1), directions, True)
    # a row that fills a batch has no real position
    last_B11 = (mask_BT.sum(1)[:, None, None] - 1).clamp(min=0)
    last_BH = states_BTH[..., :size].gather(1, last_B11.expand(-1, -1, size))[:, 0]
    h = torch.cat([last_BH, *final[0][1:]], -1)  # at position 0 the backward direction is at its end
    return states_BTH, (h, *(torch.cat(tuple(c), -1) for c in final[1:]))


def _gates(directions: Sequence[Weights]) -> int:
    rows, size = directions[0][1].shape
    return rows // size


def _with_padding(weight_GI: Tensor, gates: int, size: int) -> Tensor:
    """The matrix of the input with columns that, times 1 each, shut the gates of a state against it."""
    columns = weight_GI.new_zeros(gates, size, COLUMNS)
    if gates in WRITES:
        columns[WRITES[gates]] = -SHUT
    columns[KEEPS[gates]] = SHUT
    return torch.cat([weight_GI, columns.flatten(0, 1)], 1)


def _in_one_buffer(weights: Sequence[Tensor], dtype: torch.dtype) -> list[Tensor]:
    """The weights as parts of one tensor in cuDNN's order: all matrices, then all biases. If they lie
    elsewhere, torch copies them one by one at each call, and warns.
    """
    order = sorted(range(len(weights)), key=lambda number: -weights[number].dim())
    flat = torch.cat([weights[number].flatten() for number in order]).to(dtype)
    parts = flat.split([weights[number].numel() for number in order])
    placed = dict(zip(order, parts, strict=True))
    return [placed[number].view_as(weight) for number, weight in enumerate(weights)]
