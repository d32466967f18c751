"""A model that is shared out over processes: torch's `fully_shard` (FSDP2; Rajbhandari 2020, ZeRO).

Each process holds a part of every parameter, of its gradient, its moments and its averages. Self-attention
and the feed-forward network of a Transformer layer are put together where they are computed, and the rest of
a model, whose methods use it at many places, for the length of an update. Files hold whole tensors, so that
any number of processes can continue.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from seq2attn.config import TrainConfig
from seq2attn.devices import Format
from seq2attn.errors import UsageError
from seq2attn.models.layers.transformer import TransformerLayer
from seq2attn.models.seq2seq import Seq2Seq
from seq2attn.training.distributed import World
from seq2attn.training.microbatches import Microbatch
from seq2attn.training.objectives.objective import Objective, Sums

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor


_PARTS = ("self_attn", "ffn")  # of a Transformer layer: nothing but their own call uses their weights


def refuse_shards(settings: TrainConfig, format: Format) -> None:
    """Raise UsageError for what sharding does not work with."""
    problems = {
        "train.precision: fp16 scales the loss, which shards do not; choose bf16 or fp32": format == "fp16",
        "train.self_critical.start_step: sampling needs the whole model; leave it out": (
            settings.self_critical.start_step is not None
        ),
        'train.optimizer="muon": it needs whole matrices; choose adamw': settings.optimizer == "muon",
        "train.unfreeze_step: a backbone of shards is trained from the start; leave it out": (
            settings.unfreeze_step > 0
        ),
    }
    for problem, holds in problems.items():
        if holds:
            raise UsageError(f"train.shard=true does not go with {problem}", setting="train.shard")


class ShardedModel(nn.Module):
    """The model in shards, as a function of an objective and its batch."""

    def __init__(self, model: Seq2Seq, world: World) -> None:
        """The parameters of `model` become shards."""
        super().__init__()
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        self.model = model
        # It warns of what changes such a view in place, and no layer of ours changes what another returns.
        warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view tensor")
        with world.exchange():
            mesh = init_device_mesh(world.device.type, (world.size,))
            layers = [layer for layer in model.modules() if isinstance(layer, TransformerLayer)]
            parts = [part for layer in layers for name, part in layer.named_children() if name in _PARTS]
            for module in (*parts, self):
                fully_shard(module, mesh=mesh)
                part = cast(Any, module)
                part.set_gradient_divide_factor(1.0)  # the sum, not the mean
                part.set_force_sum_reduction_for_comms(True)
        self.parts: tuple[Any, ...] = tuple(parts)
        with torch.no_grad():  # torch must see the whole before any part is put together
            self(lambda batch, seed: None, None, 0)
        with self.whole():  # and be back in shards
            pass

    def forward(self, objective: Callable[[Any, int], Any], batch: Any, seed: int) -> Any:
        return objective(batch, seed)

    def sums(self, objective: Objective, batch: Microbatch, seed: int, last: bool) -> Sums:
        """The objective of a batch. The backward pass of the last one sums the gradients."""
        cast(Any, self).set_requires_gradient_sync(last)
        sums: Sums = self(objective, batch, seed)
        return sums

    @contextmanager
    def whole(self) -> Iterator[None]:
        """The model has whole parameters, for its methods to be called. They must not change."""
        every: tuple[Any, ...] = (self, *self.parts)
        for part in self.parts:
            part.set_reshard_after_forward(False)
        try:
            for part in every:
                part.unshard()
            yield
        finally:
            for part in every:
                part.reshard()
            for part in self.parts:
                part.set_reshard_after_forward(True)


def _is_shard(tensor: Tensor) -> bool:
    return hasattr(tensor, "to_local")


def local(tensor: Tensor) -> Tensor:
    """The part of this process; the tensor itself if it is no shard."""
    return cast("DTensor", tensor).to_local() if _is_shard(tensor) else tensor


def whole(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The whole tensors of shards. All processes must call it."""
    return {
        name: cast("DTensor", tensor).full_tensor() if _is_shard(tensor) else tensor
        for name, tensor in tensors.items()
    }


def whole_of(part: Tensor, own: Tensor) -> Tensor:
    """The whole tensor of which each process has a `part`, divided as `own` is."""
    if not _is_shard(own):
        return part
    from torch.distributed.tensor import DTensor as Shards

    like = cast("DTensor", own)
    shards = Shards.from_local(
        part.to(like.device),
        like.device_mesh,
        like.placements,
        run_check=False,
        shape=like.shape,
        stride=like.stride(),
    )
    return shards.full_tensor()


def divided_like(tensor: Tensor, own: Tensor) -> Tensor:
    """A whole tensor, which all processes have, in shards if `own` is."""
    if not _is_shard(own):
        return tensor
    from torch.distributed.tensor import distribute_tensor

    like = cast("DTensor", own)
    return distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements, src_data_rank=None)
