"""How many tokens of a training batch fit a CUDA device, found by trial (train.batch_tokens="auto").

A trial is the forward and the backward pass of the largest batches of the data, beside as much memory as the
gradients, the moments of the optimizer and the averaged weights take. Nothing remains of it: weights,
gradients, buffers and generators are as before, so that a run equals one that was given the number.

It knows neither runs nor how a number is told or stored.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from seq2attn.config import MOST_BATCH_TOKENS, TrainConfig
from seq2attn.data.batches import Pairs
from seq2attn.device_memory import is_too_little
from seq2attn.devices import Format, autocast
from seq2attn.errors import UserError
from seq2attn.models.seq2seq import Seq2Seq
from seq2attn.training.distributed import World
from seq2attn.training.microbatches import microbatch
from seq2attn.training.objectives.cross_entropy import CrossEntropy

# Of the tokens that fit. Other epochs divide the data otherwise, and batches of many shapes leave gaps. CUDA
# graphs keep their memory while the first batch of another shape takes as much beside it.
SHARE, SHARE_WITH_GRAPHS = 0.9, 0.45
LEAST_UPDATES = 16  # of an epoch: with larger batches the order of the data would mean nothing
MULTIPLE = 64  # the number is one of this, unless it is small


class BatchSize(NamedTuple):
    tokens: int
    by_memory: bool  # whether the memory is the limit, and not the data


def find_batch_size(
    model: Seq2Seq, pairs: Pairs, settings: TrainConfig, world: World, format: Format, first: int
) -> BatchSize:
    """The largest batch of `pairs` that fits the devices of all processes, to an eighth. All must call it.

    `first` is the number that is tried first. An epoch keeps at least 16 updates, unless it has fewer with
    batches of that size. Raises UserError if the longest pair alone does not fit.
    """
    pairs = pairs.of_epoch(settings.seed, 0)
    longest = 1 + np.maximum(pairs.source_lengths, pairs.target_lengths)
    least, share = int(longest.max()), SHARE_WITH_GRAPHS if settings.cuda_graphs else SHARE
    updates = LEAST_UPDATES * settings.accumulate * world.size
    enough = int(longest.sum()) // updates // MULTIPLE * MULTIPLE
    most = min(MOST_BATCH_TOKENS, max(first, least, enough))
    trial, limit = Trial(model, pairs, settings, world, format), round(most / share)
    with nothing_remains(model, world.device):
        fitting = largest_that_fits(trial.fits, least, max(first, least), limit)
    own = max(least, int(fitting * share) // MULTIPLE * MULTIPLE) if 0 < fitting < limit else most
    tokens = min(map(int, world.gather(str(own if fitting else 0))))
    if tokens == 0:
        raise UserError(
            'train.batch_tokens="auto": the longest pair of the data needs more memory than the device has '
            "free; make the model or data.max_length smaller",
            setting="train.batch_tokens",
        )
    return BatchSize(tokens, tokens < most)


def largest_that_fits(fits: Callable[[int], bool], least: int, first: int, most: int) -> int:
    """The largest number from `least` to `most` that fits, to an eighth, by doubling and halving from `first`
    on; 0 if not even `least` does.
    """
    low, high = min(first, most), most + 1
    while not fits(low):
        if low == least:
            return 0
        low, high = max(least, low // 2), low
    while low < most and high == most + 1:
        tokens = min(2 * low, most)
        if fits(tokens):
            low = tokens
        else:
            high = tokens
    while high - low > max(1, low // 8) and low < most:
        tokens = (low + high) // 2
        low, high = (tokens, high) if fits(tokens) else (low, tokens)
    return low


class Trial:
    """Whether batches of a size fit, in the number format and with the optimizer of a training."""

    def __init__(
        self, model: Seq2Seq, pairs: Pairs, settings: TrainConfig, world: World, format: Format
    ) -> None:
        self._pairs, self._settings, self._world = pairs, settings, world
        self._objective = CrossEntropy(model, settings, partial(autocast, world.device, format), 0.0)
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        moments = settings.momentum > 0 if settings.optimizer == "sgd" else 2
        # several processes exchange buckets of the gradients
        self._copies = int(moments) + (settings.ema > 0) + (world.size > 1)

    def fits(self, tokens: int) -> bool:
        """Whether forward and backward pass of the largest batches of so many tokens do."""
        try:
            self._run(tokens)
        except RuntimeError as error:
            if not is_too_little(error):
                raise
            fits = False
        else:
            fits = True
        for parameter in self._parameters:
            parameter.grad = None
        torch.cuda.empty_cache()  # so that the next trial has the whole memory
        return fits

    def _run(self, tokens: int) -> None:
        held = [torch.empty_like(p) for p in self._parameters for _ in range(self._copies)]
        for parameter in self._parameters:
            parameter.grad = torch.zeros_like(parameter)
        device, rounded = self._world.device, self._settings.cuda_graphs
        for rows in largest_batches(self._pairs, tokens, self._settings.seed):
            torch.manual_seed(0)
            batch = microbatch(self._pairs, rows, 0, device, rounded).to(device)
            torch.autograd.backward(self._objective(batch, 0).objective / tokens)
        del held


def largest_batches(pairs: Pairs, tokens: int, seed: int) -> list[NDArray[np.int64]]:
    """Of the batches of the first epoch those with the most rows, the most positions, and the most pairs of a
    position of the source and one of the target. One batch may be all of them.
    """
    plan = pairs.plan(tokens, seed, 0)
    sources, targets = pairs.source_lengths, pairs.target_lengths
    sizes = [(len(rows), int(sources[rows].max()) + 1, int(targets[rows].max()) + 1) for rows in plan]
    largest = {
        max(range(len(plan)), key=[rows for rows, _, _ in sizes].__getitem__),
        max(range(len(plan)), key=[rows * (source + target) for rows, source, target in sizes].__getitem__),
        max(range(len(plan)), key=[rows * source * target for rows, source, target in sizes].__getitem__),
    }
    return [plan[number] for number in sorted(largest)]


@contextmanager
def nothing_remains(model: nn.Module, device: torch.device) -> Iterator[None]:
    """At the end the model's buffers, mode and gradients, and torch's generators, are as at the beginning."""
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    gradients = [(parameter, parameter.grad) for parameter in model.parameters()]
    mode = model.training
    model.train()
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        model.train(mode)
        for buffer, before in buffers:
            buffer.copy_(before)
        for parameter, gradient in gradients:
            parameter.grad = gradient
