"""A step of the optimizer: the gradients of all batches and processes, their norm, and the new parameters.

In fp16 a loss is multiplied by a scale before its backward pass, so that small gradients do not become 0. A
gradient that is not finite is then an overflow: the step is left out, and the scale is lowered.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from seq2attn.config import TrainConfig
from seq2attn.devices import Format
from seq2attn.models.seq2seq import Seq2Seq
from seq2attn.training.distributed import World
from seq2attn.training.gradient_exchange import GradientExchange
from seq2attn.training.microbatches import Microbatch
from seq2attn.training.muon import hidden_matrices
from seq2attn.training.objectives.objective import Objective, Sums
from seq2attn.training.optimizers import build_optimizer
from seq2attn.training.regularisation import regularised
from seq2attn.training.sharding import local, whole


class GradientStep:
    """For each update: `begin`, `forward` and `backward` of each batch, `norm`, then `apply`."""

    def __init__(self, model: Seq2Seq, settings: TrainConfig, world: World, format: Format) -> None:
        self.model, self.settings = model, settings
        self.exchange = GradientExchange(model, settings, world, format)
        self._left = 0  # batches of this update that are still to come
        self.parameters: list[nn.Parameter] = [p for p in model.parameters() if p.requires_grad]
        self.backbone = [p for p in model.encoder.backbone_parameters() if p.requires_grad]
        hidden = hidden_matrices(model) if settings.optimizer == "muon" else ()
        self.optimizer = build_optimizer(self.parameters, self.backbone, settings, hidden)
        self.scaler = torch.amp.GradScaler(world.device.type, enabled=format == "fp16")

    def begin(self, step: int, batches: int) -> None:
        """An update of so many batches. The backbone has no gradient until train.unfreeze_step is over."""
        self._left = batches
        for parameter in self.backbone:
            parameter.requires_grad_(step > self.settings.unfreeze_step)

    @contextmanager
    def backbone_restored(self) -> Iterator[None]:
        """Training drops words and attention weights here. At the end no parameter is frozen that was not
        frozen before.
        """
        try:
            with regularised(self.model, self.settings):
                yield
        finally:
            for parameter in self.backbone:
                parameter.requires_grad_(True)

    def forward(self, objective: Objective, batch: Microbatch, seed: int) -> Sums:
        """The objective of a batch of this process."""
        self._left -= 1
        return self.exchange.forward(objective, batch, seed, last=self._left == 0)

    def backward(self, objective: Tensor) -> None:
        """Add the gradient of a part of the objective. The last one sums those of all processes."""
        self.exchange.backward(self.scaler.scale(objective))

    def norm(self) -> Tensor:
        """The norm of the whole gradient, of all processes, without the loss scale; on the device."""
        self.scaler.unscale_(self.optimizer)
        norm = torch.nn.utils.get_total_norm([p.grad for p in self.parameters if p.grad is not None])
        return whole({"norm": norm})["norm"]

    def overflows(self, loss: float, norm: float) -> bool:
        """Whether the gradient is not finite although the loss is, at a loss scale that can be lowered."""
        scaled = self.scaler.is_enabled() and self.scaler.get_scale() > 1
        return scaled and math.isfinite(loss) and not math.isfinite(norm)

    def apply(self, lr: float, norm: Tensor, clips: bool) -> None:
        """Change the parameters, and forget the gradients. `clips`: the gradient is longer than
        train.clip_norm and becomes that long.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = lr * group["factor"]
        if clips:
            own = [local(p.grad) for p in self.parameters if p.grad is not None]
            factor = torch.clamp(self.settings.clip_norm / (norm + 1e-6), max=1.0)
            torch._foreach_mul_(own, factor.to(own[0].device))
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
