"""When finished sentences leave the batch of a search.

How many sentences are unfinished is known on the device, and the host must know it, because it decides the
size of the next batch. A host that waits for the number at each step launches nothing meanwhile, and then the
GPU waits for the host. So on CUDA a step reads the number of the step before, which is there by then, while
its own is on the way. A sentence that has finished stays so, and may stay in the batch: outputs are the same,
and a batch gets smaller, or a search ends, one step late.

Slow twin: on a CPU the number is read at once. Held equal by tests/cuda/on_device/late_end.py.
"""

import torch
from torch import Tensor


class FinishedTest:
    def __init__(self, batch_multiple: int) -> None:
        self._multiple = batch_multiple
        self._underway: tuple[Tensor, torch.Event] | None = None  # a number, and when it is there

    def sentences_to_keep(self, is_finished_B: Tensor) -> Tensor | None:
        """The numbers of the sentences that stay in the batch, ascending, or None if all stay.

        The unfinished sentences stay, and as many finished ones as make their number a multiple of
        `batch_multiple`. The result is empty when all are finished. It is None if fewer than an eighth of the
        sentences would leave, because the rest of the state has to be copied.
        """
        unfinished = self.read((~is_finished_B).sum())
        if unfinished is None:
            return None
        size = -(-unfinished // self._multiple) * self._multiple
        if 8 * size > 7 * len(is_finished_B):
            return None
        return is_finished_B.long().argsort(stable=True)[:size].sort().values

    def read(self, number: Tensor) -> int | None:
        """On a CPU the number; on CUDA that of the call before, None at the first call."""
        if not number.is_cuda:
            return int(number)
        host, before = torch.empty_like(number, device="cpu", pin_memory=True), self._underway
        host.copy_(number, non_blocking=True)
        arrival = torch.Event(number.device)
        arrival.record()
        self._underway = host, arrival
        if before is None:
            return None
        before[1].synchronize()
        return int(before[0])
