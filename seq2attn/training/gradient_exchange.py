"""Gradients of several processes: torch's DistributedDataParallel around the objective of an update.

It sums the gradients of all processes in buckets, each as soon as the backward pass has filled it. Buckets
are never rebuilt, so the order of additions does not depend on where a training was interrupted. In bfloat16
training on CUDA the buckets travel in bfloat16.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from seq2attn.config import TrainConfig
from seq2attn.devices import Format
from seq2attn.models.seq2seq import Seq2Seq
from seq2attn.training.distributed import World
from seq2attn.training.microbatches import Microbatch
from seq2attn.training.objectives.objective import Objective, Sums
from seq2attn.training.sharding import ShardedModel, refuse_shards


class _Trained(nn.Module):
    """The parameters that are trained, and a function of them: an objective and its batch."""

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        super().__init__()
        self.trained = nn.ParameterList(parameters)  # no buffer is with them, to be exchanged
        # torch looks for parameters without a gradient, and would warn where it finds none.
        self.unused = nn.Parameter(torch.zeros_like(parameters[0].flatten()[:1]))

    def forward(self, objective: Objective, batch: Microbatch, seed: int) -> Sums:
        return objective(batch, seed)


class GradientExchange:
    """`forward` and `backward` of each batch of an update; the last one sums the gradients of all processes.

    A gradient that no process has stays None, as it does in one process: the optimizer then leaves the
    parameter alone.
    """

    def __init__(self, model: Seq2Seq, settings: TrainConfig, world: World, format: Format) -> None:
        """With train.shard the parameters of `model` become shards, if there are several processes."""
        self._model, self._world = model, world
        self._shards: ShardedModel | None = None
        if settings.shard:
            refuse_shards(settings, format)
            self._shards = ShardedModel(model, world) if world.size > 1 else None
        self._narrow = format == "bf16" and world.device.type == "cuda"
        self._engine: DistributedDataParallel | None = None
        self._trained: list[int] = []  # which parameters the engine knows

    def forward(self, objective: Objective, batch: Microbatch, seed: int, last: bool) -> Sums:
        """The objective of a batch of this process; `last` says whether it is the last of the update."""
        if self._world.size == 1:
            return objective(batch, seed)
        if self._shards is not None:
            with self._world.exchange():
                return self._shards.sums(objective, batch, seed, last)
        engine = self._current()
        with nullcontext() if last else engine.no_sync(), self._world.exchange():
            sums: Sums = engine(objective, batch, seed)
        return sums

    def backward(self, objective: Tensor) -> None:
        """Add the gradient of a part of the objective."""
        if self._world.size == 1:
            torch.autograd.backward(objective)
            return
        with self._world.exchange():
            torch.autograd.backward(objective)

    def whole_model(self) -> AbstractContextManager[object]:
        """A context in which the methods of the model may be called, in shards or not."""
        return nullcontext() if self._shards is None else self._shards.whole()

    def _current(self) -> DistributedDataParallel:
        """The engine for the parameters that are trained now: a frozen backbone may thaw."""
        trained = [p for p in self._model.parameters() if p.requires_grad]
        if self._engine is None or self._trained != list(map(id, trained)):
            with self._world.exchange():
                self._engine = DistributedDataParallel(
                    _Trained(trained),
                    init_sync=False,  # the trainer has sent the first weights
                    find_unused_parameters=True,
                    gradient_as_bucket_view=True,
                )
            self._engine.register_comm_hook(None, _narrow_sum if self._narrow else _sum)
            self._trained = list(map(id, trained))
        return self._engine


def _sum(_: object, bucket: dist.GradBucket) -> torch.futures.Future[Tensor]:  # type: ignore[name-defined]
    """The sum over the processes. torch's own is the mean."""
    work: Any = dist.all_reduce(bucket.buffer(), async_op=True)
    return _then(work, lambda gradient: gradient)


def _narrow_sum(_: object, bucket: dist.GradBucket) -> torch.futures.Future[Tensor]:  # type: ignore[name-defined]
    """The sum over the processes, in bfloat16: half the bytes, and the precision of the matrix products."""
    wide = bucket.buffer()
    work: Any = dist.all_reduce(wide.to(torch.bfloat16), async_op=True)
    return _then(work, wide.copy_)


def _then(work: Any, store: Callable[[Tensor], Tensor]) -> torch.futures.Future[Tensor]:
    future: torch.futures.Future[Tensor] = work.get_future().then(lambda done: store(done.value()[0]))
    return future
