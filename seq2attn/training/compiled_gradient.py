"""The gradient of a batch whose forward and backward pass are compiled by `torch.compile`.

The passes of encoder and decoder become one program for batches of all shapes, in which operations on single
numbers are fused. The cross-entropy stays outside: it has a kernel of its own.

torch chooses among programs by the sizes of the batch that it compiles for. That batch always has the same
sizes here, so that a resumed training gets the program that it had before. They differ from one another,
because torch takes equal sizes to be equal in every batch. It would make other programs for a size of 1 and,
of a convolution, for fewer than 16 rows: such batches are not compiled.
"""

import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from os import environ
from types import FunctionType
from typing import cast

import torch
from torch import Tensor

from seq2attn.attention import Weights
from seq2attn.device_memory import is_too_little
from seq2attn.errors import UserError
from seq2attn.models.seq2seq import Seq2Seq
from seq2attn.training.batch_gradient import BatchGradient
from seq2attn.training.batch_size import nothing_remains
from seq2attn.training.gradient_step import GradientStep
from seq2attn.training.microbatches import Microbatch
from seq2attn.training.objectives.cross_entropy import CrossEntropy, Forward, ForwardPass, teacher_forcing
from seq2attn.training.objectives.objective import Objective, Sums

BACKEND = "inductor"
LEAST_ROWS, LEAST_LENGTH = 16, 2  # of a batch that is compiled
SOURCES, TARGETS, SOURCE, TARGET = 53, 61, 31, 29  # rows and positions of the batch to compile for
COMPILERS = {"darwin": "clang++", "win32": "cl"}  # of torch, by system; elsewhere g++


def compile_obstacle(device: torch.device) -> str | None:
    """What this machine lacks to compile for the device; None if nothing."""
    if device.type == "cuda":
        return None if find_spec("triton") else "triton, which comes with torch for CUDA, is not installed"
    compiler = environ.get("CXX") or COMPILERS.get(sys.platform, "g++")
    return None if shutil.which(compiler) else f"the C++ compiler {compiler} is not installed"


class CompiledGradient(BatchGradient):
    """It compiles the cross-entropy of batches; other objectives stay as they are."""

    def __init__(self, gradient_step: GradientStep, device: torch.device) -> None:
        super().__init__(gradient_step, device)
        self._forward_pass = compiled_forward_pass()
        self._ready: set[bool] = set()  # whether the backbone learns: each has a program

    def __call__(self, objective: Objective, batch: Microbatch, seed: int, tokens: int) -> Sums:
        if isinstance(objective, CrossEntropy) and is_general(batch):
            objective = replace(objective, forward_pass=self._forward_pass)
            learns = any(parameter.requires_grad for parameter in self.gradient_step.backbone)
            if learns not in self._ready:
                self._compile(objective, batch.to(self.device))
                self._ready.add(learns)
        return super().__call__(objective, batch, seed, tokens)

    def _compile(self, objective: CrossEntropy, batch: Microbatch) -> None:
        """Make the program. No gradient remains of it, and processes exchange none."""
        parameters = [p for p in self.gradient_step.parameters if p.requires_grad]
        try:
            with nothing_remains(objective.model, self.device), _quiet():
                sums = objective(batch_to_compile_for(batch), 0)
                torch.autograd.grad(sums.objective, parameters, allow_unused=True)
        except RuntimeError as error:
            if is_too_little(error):
                raise
            raise UserError(
                f"train.compile: torch cannot compile this model ({str(error).splitlines()[0]}); "
                "set train.compile=false",
                setting="train.compile",
            ) from error


def compiled_forward_pass() -> ForwardPass:
    """`teacher_forcing`, compiled at its first call."""

    def run(model: Seq2Seq, batch: Microbatch, weights: Weights) -> Forward:
        return teacher_forcing(model, batch, weights)

    # torch counts programs by the code that they are of: with its own code, a second training starts anew
    own = cast(ForwardPass, FunctionType(run.__code__.replace(), run.__globals__))
    compiled = torch.compile(own, fullgraph=True, dynamic=True, backend=BACKEND)

    def forward_pass(model: Seq2Seq, batch: Microbatch, weights: Weights) -> Forward:
        # what encoder and decoder do not read would be a condition of the program
        read = batch._replace(
            real_M=None, targets_M=batch.inputs_BT, number_I=None, mask_M=None, guide_BTS=None
        )
        return compiled(model, read, weights)

    return forward_pass


def is_general(batch: Microbatch) -> bool:
    """Whether the program is for batches of such sizes."""
    rows, length = len(batch.inputs_BT), min(batch.source.size(1), batch.inputs_BT.size(1))
    return min(rows, len(batch.source)) >= LEAST_ROWS and length >= LEAST_LENGTH


def batch_to_compile_for(batch: Microbatch) -> Microbatch:
    """A batch of the fixed sizes, which repeats rows and positions of another one."""
    device, guide_BTS = batch.inputs_BT.device, batch.guide_BTS
    sources = TARGETS if batch.source_of_B is None else SOURCES
    lengths = (SOURCE,) if batch.source.dtype == torch.int64 else ()  # images have no positions
    return Microbatch(
        source=_repeat(batch.source, sources, *lengths),
        source_mask=_repeat(batch.source_mask, sources, *lengths),
        inputs_BT=_repeat(batch.inputs_BT, TARGETS, TARGET),
        real_M=torch.arange(TARGETS * TARGET, device=device),
        targets_M=_repeat(batch.targets_M, TARGETS * TARGET),
        source_of_B=None if batch.source_of_B is None else torch.arange(TARGETS, device=device) % sources,
        guide_BTS=None if guide_BTS is None else _repeat(guide_BTS, TARGETS, TARGET, *lengths),
    )


def _repeat(x: Tensor, *sizes: int) -> Tensor:
    """Its first dimensions get these sizes. It keeps its layout, for which a program is made, too."""
    lasts = x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if lasts else torch.contiguous_format
    for dim, size in enumerate(sizes):
        x = x.index_select(dim, torch.arange(size, device=x.device) % x.size(dim))
    return x.contiguous(memory_format=layout)


@contextmanager
def _quiet() -> Iterator[None]:
    """torch's compiler uses parts of torch that torch itself calls outdated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        yield
