"""The device, the time that is left, and the rows that are reported."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from seq2attn.devices import Format, find_format


@dataclass
class Row:
    """One line of the table. `good` is None where there is nothing to judge."""

    what: str
    value: str
    good: bool | None = None
    numbers: dict[str, Any] = field(default_factory=dict)


@dataclass
class Session:
    """One run of the script. `quick` makes everything tiny: it shows that the script works, and no speed."""

    device: torch.device
    quick: bool
    end: float  # of the part that runs now, by time.monotonic()

    def left(self) -> float:
        """Seconds."""
        return self.end - time.monotonic()

    def while_time(self, names: Iterable[str]) -> Iterator[str]:
        """The names of measurements, as long as there is time. Raises OutOfTime, which names those that are
        left out.
        """
        rest = list(names)
        slowest = 0.0
        while rest:
            if self.left() < slowest:
                raise OutOfTime(f"left out: {', '.join(rest)}")
            began = time.monotonic()
            yield rest.pop(0)
            slowest = max(slowest, time.monotonic() - began)

    def synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def formats(self) -> list[Format]:
        """The formats to measure: the one that `auto` chooses, and float32."""
        auto = find_format("auto", self.device)
        if self.device.type == "cpu" or auto == "fp32":
            return ["fp32"]
        return ["fp32", auto]

    def peak_gigabytes(self) -> float:
        """The most memory of the device since `forget_peak`."""
        if self.device.type != "cuda":
            return 0.0
        return torch.cuda.max_memory_allocated(self.device) / 1e9

    def forget_peak(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.device)


class OutOfTime(Exception):
    """The time of a part is over before all is measured."""
