"""The gradient of one batch, added to those of the other batches of an update."""

import torch

from seq2attn.training.gradient_step import GradientStep
from seq2attn.training.microbatches import Microbatch
from seq2attn.training.objectives.objective import Objective, Sums


class BatchGradient:
    """Adds the gradient of a batch's objective, divided by the tokens of the update, to the parameters'."""

    def __init__(self, gradient_step: GradientStep, device: torch.device) -> None:
        self.gradient_step, self.device = gradient_step, device

    def __call__(self, objective: Objective, batch: Microbatch, seed: int, tokens: int) -> Sums:
        """The sums of the batch, which is on the CPU. They hold until the next call.

        The seed is that of all that is drawn.
        """
        torch.manual_seed(seed)
        sums = self.gradient_step.forward(objective, batch.to(self.device), seed)
        self.gradient_step.backward(sums.objective / tokens)
        return sums
