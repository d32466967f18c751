"""The batches of each update: a pure function of (train.seed, epoch, position), so a run resumes anywhere.

It knows data by lengths and ids, and no model.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from seq2attn.config import TrainConfig
from seq2attn.data.batches import Pairs
from seq2attn.errors import UserError
from seq2attn.training.distributed import World
from seq2attn.training.rounding import round_up


class Microbatch(NamedTuple):
    """The input of one forward pass: I sources and B targets of T tokens, M of them real (no padding).

    In a batch of rounded shape the M tokens are all B*T, and `mask_M` tells the real ones.
    """

    source: Tensor
    source_mask: Tensor
    inputs_BT: Tensor
    real_M: Tensor | None  # positions of the real target tokens among the B*T; None: see `mask_M`
    targets_M: Tensor
    source_of_B: Tensor | None = None  # the source of each target; None: the targets are those of the sources
    number_I: Tensor | None = None  # of each source in the data; stays on the CPU
    mask_M: Tensor | None = None  # bool, True = real; only in a batch of rounded shape
    # (B, T, S): where attention shall read, times a factor: a sum over all batches of an update, divided by
    # its target tokens, is then the mean over the steps that have a guide
    guide_BTS: Tensor | None = None

    def each(self, function: Callable[[Tensor], Tensor]) -> Self:
        tensors = {name: tensor for name, tensor in self._asdict().items() if tensor is not None}
        return self._replace(**{n: function(t) for n, t in tensors.items() if n != "number_I"})

    def to(self, device: torch.device) -> Self:
        return self.each(lambda tensor: tensor.to(device, non_blocking=True))


class UpdateBatches(NamedTuple):
    """The batches of one update."""

    batches: list[tuple[int, Microbatch]]  # those of this process, each with its number in the update
    tokens: int  # target tokens of all batches of the update, those of other processes included
    epoch: int  # position in the data after the update
    position: int


def microbatch(
    pairs: Pairs,
    rows: np.ndarray,
    draw: int | None,
    device: torch.device,
    rounded: bool = False,
    guide_factor: float = 1.0,
) -> Microbatch:
    """The batch of those rows, ready to be copied to the device; `draw` is the seed of what varies in it.
    `rounded`: its shape is one of few. The guide is multiplied by `guide_factor`.
    """
    batch = pairs.batch(rows, draw)
    if rounded:
        batch = round_up(batch)
    # The real positions are found here: found on the device, their number would have to come back from it.
    mask_M, targets_M = batch.target_mask_BT.flatten(), batch.targets_BT.flatten()
    real_M = None if rounded else mask_M.nonzero()[:, 0]
    if real_M is not None:
        targets_M = targets_M[real_M]
    result = Microbatch(
        batch.source, batch.source_mask, batch.inputs_BT, real_M, targets_M, batch.source_of_B, batch.number_I
    )
    if rounded:
        result = result._replace(mask_M=mask_M)
    if batch.guide_BTS is not None:
        result = result._replace(guide_BTS=batch.guide_BTS * guide_factor)
    return result.each(Tensor.pin_memory) if device.type == "cuda" else result


def epoch_order(pairs: Pairs, settings: TrainConfig, epoch: int) -> list[np.ndarray]:
    """The rows of each batch of the epoch, in order."""
    own = pairs.of_epoch(settings.seed, epoch)
    return own.plan(settings.tokens_of_a_batch, settings.seed, epoch)


def update_batches(
    pairs: Pairs,
    settings: TrainConfig,
    world: World,
    epoch: int,
    position: int,
    order: list[np.ndarray] | None = None,
) -> Iterator[UpdateBatches]:
    """The batches of all updates from a position in the data on, without end.

    An update may reach into the next epoch. `order` is that of the first epoch, if it is known already.
    With train.cuda_graphs the shape of each batch is one of few.
    """
    if world.device.type == "cuda":
        # this may be the first line of a thread, which begins with device 0
        torch.cuda.set_device(world.device)
    stream = _stream(pairs, settings, epoch, position, order)
    size = settings.accumulate * world.size
    while True:
        update = [next(stream) for _ in range(size)]
        tokens = sum(int(own.target_lengths[rows].sum()) + len(rows) for own, rows, _, _ in update)
        guided = sum(
            int(own.guided_tokens[rows].sum()) for own, rows, _, _ in update if own.guided_tokens is not None
        )
        factor = tokens / guided if guided else 0.0
        batches = []
        for number in range(world.rank, size, world.size):
            own, rows, *after = update[number]
            draw = mix(settings.seed, *after)
            batches.append((number, microbatch(own, rows, draw, world.device, settings.cuda_graphs, factor)))
        yield UpdateBatches(batches, tokens, *update[-1][2:])


def _stream(
    pairs: Pairs, settings: TrainConfig, epoch: int, position: int, order: list[np.ndarray] | None
) -> Iterator[tuple[Pairs, np.ndarray, int, int]]:
    """The pairs of the epoch and the rows of each batch, with the epoch and the position after it."""
    while True:
        own = pairs.of_epoch(settings.seed, epoch)
        order = order or epoch_order(pairs, settings, epoch)
        if not order:
            raise UserError("there is no training pair: nothing to learn from")
        for index in range(position, len(order)):
            yield own, order[index], epoch, index + 1
        epoch, position, order = epoch + 1, 0, None


def mix(*numbers: int) -> int:
    """A seed of its own for each tuple of numbers, whichever process computes it."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])
