"""What an objective is: a function of a batch that gives sums. It knows no objective."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple

from torch import Tensor

from seq2attn.models.memory import Memory
from seq2attn.models.seq2seq import Seq2Seq
from seq2attn.training.microbatches import Microbatch

Autocast = Callable[[], AbstractContextManager[object]]  # the context of a forward pass: its number format


class Sums(NamedTuple):
    """Sums over the real target tokens of a batch, in nats, 0-dim."""

    objective: Tensor  # what is minimised
    loss: Tensor  # the cross-entropy in it, which is reported
    entropy: Tensor | None = None  # of the distributions that attention sampled from, where it samples


# A batch on the model's device, and the seed of what is drawn outside of torch's own generator.
Objective = Callable[[Microbatch, int], Sums]


def encode(model: Seq2Seq, batch: Microbatch, source_of: Tensor | None) -> Memory:
    """The memory of the sources of a batch, one row for each target where `source_of` names their sources."""
    memory: Memory = model.encoder(batch.source, batch.source_mask)
    return memory if source_of is None else memory.repeat_for(source_of)
