"""The gradient of a batch by CUDA graphs: forward and backward pass are launched by one call.

There is one graph for each shape, so that batches have rounded shapes (see `rounding`). It reads static
copies of the batch, and adds to gradients that stay in the same memory for the whole training. Random numbers
are those of the seed: a graph draws from the generator as it is when the graph is launched.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from seq2attn.config import Config
from seq2attn.cuda_graphs import Graph, Graphs
from seq2attn.errors import UserError
from seq2attn.training.batch_gradient import BatchGradient
from seq2attn.training.gradient_step import GradientStep
from seq2attn.training.microbatches import Microbatch
from seq2attn.training.objectives.objective import Objective, Sums

MOST = 64  # graphs that are kept

Key = tuple[object, ...]


class Static(NamedTuple):
    """What a graph reads and changes, beside the model."""

    batch: Microbatch
    gradients: dict[nn.Parameter, Tensor]  # of the parameters that get one


def graph_obstacle(config: Config, processes: int, device: torch.device) -> str | None:
    """Why the updates of this run cannot be CUDA graphs; None if they can."""
    if device.type != "cuda":
        return f"the device is {device.type}"
    if processes > 1:
        return "there are several processes"
    if config.model.attention.normaliser == "hard-sample":
        return "attention that samples adds a baseline to its loss that changes from update to update"
    if config.train.self_critical.start_step is not None:
        return "self-critical training waits for samples"
    if getattr(config.model.encoder, "clips", False):
        return "a video encoder waits for the number of real frames"
    return None


class GraphedGradient(BatchGradient):
    """It takes batches of rounded shapes: each of them becomes a graph."""

    def __init__(self, gradient_step: GradientStep, device: torch.device) -> None:
        super().__init__(gradient_step, device)
        self._graphs: Graphs[Key, Static] = Graphs(device, MOST)
        self._gradients: dict[nn.Parameter, Tensor] = {}
        self._touched: dict[Key, list[nn.Parameter]] = {}
        # 1 / tokens of the update, times the loss scale of fp16; and the loss of the last batch
        self._factor, self._loss = torch.zeros((), device=device), torch.zeros((), device=device)

    def __call__(self, objective: Objective, batch: Microbatch, seed: int, tokens: int) -> Sums:
        torch.manual_seed(seed)
        self._factor.copy_(self.gradient_step.scaler.scale(self._factor.fill_(1 / tokens)))
        key = self._key(batch)
        graph = self._graphs.find(key)
        if graph is None and not self._graphs.has_run(key):
            with self._graphs.aside(key):
                self._run(objective, batch.to(self.device), seed)
            self._touched[key] = [p for p in self.gradient_step.parameters if p.grad is not None]
            return self._sums()
        if graph is None:
            graph = self._record(key, objective, batch, seed)
        self._place(graph.static.gradients)
        for static, tensor in zip(graph.static.batch, batch, strict=True):
            if static is not None and tensor is not None:
                static.copy_(tensor, non_blocking=True)
        graph.replay()
        return self._sums()

    def _record(self, key: Key, objective: Objective, batch: Microbatch, seed: int) -> Graph[Static]:
        """The graph of a shape that was seen before."""
        touched = self._touched.pop(key)
        for parameter in touched:
            if parameter not in self._gradients:
                self._gradients[parameter] = torch.zeros_like(parameter)
        static = Static(
            batch.to(self.device)._replace(number_I=None), {p: self._gradients[p] for p in touched}
        )
        self._place(static.gradients)
        try:
            graph = self._graphs.record(key, static, lambda own: self._run(objective, own.batch, seed))
        except torch.OutOfMemoryError:  # smaller batches help
            raise
        except RuntimeError as error:
            raise UserError(
                f"train.cuda_graphs: the update cannot be a CUDA graph ({str(error).splitlines()[0]}); "
                "set train.cuda_graphs=false",
                setting="train.cuda_graphs",
            ) from None
        torch.manual_seed(seed)  # the recording may have moved the generator
        return graph

    def _run(self, objective: Objective, batch: Microbatch, seed: int) -> None:
        sums = objective(batch, seed)
        torch.autograd.backward(sums.objective * self._factor)
        self._loss.copy_(sums.loss.detach())

    def _key(self, batch: Microbatch) -> Key:
        """What one graph is for: shapes and types, and whether the backbone is frozen."""
        tensors = batch._asdict() | {"number_I": None}
        shapes = ((name, part.shape, part.dtype) for name, part in tensors.items() if part is not None)
        return (*shapes, any(parameter.requires_grad for parameter in self.gradient_step.backbone))

    def _place(self, gradients: dict[nn.Parameter, Tensor]) -> None:
        """Make the parameters' gradients those that graphs add to."""
        new = [own for parameter, own in gradients.items() if parameter.grad is None]
        if new:
            torch._foreach_zero_(new)
        for parameter, own in gradients.items():
            if parameter.grad is not None and parameter.grad is not own:
                own.copy_(parameter.grad)
            parameter.grad = own

    def _sums(self) -> Sums:
        return Sums(self._loss, self._loss)
