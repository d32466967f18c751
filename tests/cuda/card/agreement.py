"""Loss and gradient of every preset on the device, against float32 on the CPU."""

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

import numpy as np
import small
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from seq2attn import config
from seq2attn.attention import normalisers
from seq2attn.config import HARD, Config
from seq2attn.devices import Format, autocast
from seq2attn.models.seq2seq import Seq2Seq, build
from seq2attn.training.microbatches import Microbatch, microbatch
from seq2attn.training.objectives.cross_entropy import CrossEntropy

from .session import Row, Session

TOLERANCE = 0.02  # relative error
MARGIN = 1.5  # times the error of the CPU in the same format
LENGTH = 12  # of sources and targets, in tokens
SCALE = 1024.0  # of the loss in fp16
QUICK = ("first-try", "transformer", "bahdanau15", "gehring17", "hard-sample", "xu15-soft")
CPU = torch.device("cpu")


def measure(session: Session) -> Iterator[Row]:
    """A row for each preset."""
    for preset in session.while_time(QUICK if session.quick else by_size()):
        try:
            yield compare(preset, session)
        except Exception as error:  # noqa: BLE001 - a preset that fails is a row
            yield Row(preset, f"{type(error).__name__}: {error}".splitlines()[0], False)


def by_size() -> list[str]:
    """All presets, the large ones last."""
    return sorted(config.presets(), key=lambda preset: preset.endswith("-paper"))


def compare(preset: str, session: Session, seed: int = 1) -> Row:
    """The relative errors of one preset, the largest of all formats judged."""
    settings = settings_of(preset, session.quick)
    is_text = settings.model.modality.has_vocabulary
    torch.manual_seed(seed)
    vocabulary = small.vocabulary()
    model = build(settings.model, vocabulary if is_text else 0, vocabulary)
    batch = microbatch(small.pairs(settings, LENGTH, LENGTH), np.arange(small.PAIRS), None, CPU)
    units = Units()
    with units.note():
        loss, gradient = loss_and_gradient(copy.deepcopy(model), settings, batch, CPU, "fp32")
    parts, numbers, good = [], {}, True
    for format in session.formats():
        on_device = copy.deepcopy(model).to(session.device)
        with nullcontext() if format == "fp32" else units.read_again():
            other_loss, other = loss_and_gradient(on_device, settings, batch, session.device, format)
        error = abs(other_loss - loss) / loss
        gradient_error = float((other - gradient).norm() / gradient.norm())
        part = f"{format}: loss {error:.2%}, gradient {gradient_error:.2%}"
        numbers |= {f"{format} loss": error, f"{format} gradient": gradient_error}
        allowed = TOLERANCE
        if settings.model.attention.normaliser in HARD and format != "fp32":
            part += " (not judged: a rounded score chooses another position)"
            allowed = math.inf
        elif gradient_error >= TOLERANCE and format != "fp32":
            # some gradients lose more than that to the format itself, whatever computes them
            with units.read_again():
                _, rounded = loss_and_gradient(copy.deepcopy(model), settings, batch, CPU, format)
            own_error = float((rounded - gradient).norm() / gradient.norm())
            part += f" ({own_error:.2%} on a CPU in {format})"
            allowed = MARGIN * own_error
        parts.append(part)
        good = good and error < TOLERANCE and gradient_error < allowed
    return Row(preset, "; ".join(parts), good, numbers)


def settings_of(preset: str, quick: bool) -> Config:
    """The preset without anything that the generator of the device draws."""
    changes = ["model.dropout=0"]
    attention = config.load(preset, []).model.attention
    if attention.normaliser == "hard-sample":
        changes.append("model.attention.expectation_prob=0")
    return small.narrow(preset, changes) if quick else config.load(preset, changes)


def loss_and_gradient(
    model: Seq2Seq, settings: Config, batch: Microbatch, device: torch.device, format: Format
) -> tuple[float, Tensor]:
    """The loss of a token, and the gradient of all parameters as one vector of the CPU, in float32."""
    model.train()
    objective = CrossEntropy(model, settings.train, lambda: autocast(device, format), 0.0)
    with same_noise():
        sums = objective(batch.to(device), 1)
    scale = SCALE if format == "fp16" else 1.0
    (sums.objective * (scale / len(batch.targets_M))).backward()
    gradients = [p.grad.float().cpu().flatten() / scale for p in model.parameters() if p.grad is not None]
    return sums.loss.item() / len(batch.targets_M), torch.cat(gradients)


class Units:
    """Which of its two units each maxout reads.

    Where both are nearly equal, rounding decides, and the whole gradient goes to the one or the other: the
    error is several per cent then, however exact everything else is. So a pass in half precision reads the
    units that float32 reads, and its error is below 0.5%. The passes in float32 choose for themselves.
    """

    def __init__(self) -> None:
        self.of_each_call: list[Tensor] = []

    @contextmanager
    def note(self) -> Iterator[None]:
        with _Maxouts(self._append):
            yield

    @contextmanager
    def read_again(self) -> Iterator[None]:
        units = iter(self.of_each_call)

        def read(pairs: Tensor) -> Tensor:
            return pairs.gather(-1, next(units).to(pairs.device))[..., 0]

        with _Maxouts(read):
            yield

    def _append(self, pairs: Tensor) -> Tensor:
        self.of_each_call.append(pairs.argmax(-1, keepdim=True))
        return pairs.amax(-1)


class _Maxouts(TorchFunctionMode):
    """`maximum` takes the place of torch's own for two units, (..., 2)."""

    def __init__(self, maximum: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.maximum = maximum

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is Tensor.amax and args[0].size(-1) == 2:
            return self.maximum(args[0])
        return function(*args, **(kwargs or {}))


@contextmanager
def same_noise() -> Iterator[None]:
    """Attention that samples has the same noise on every device."""
    generator = torch.Generator().manual_seed(1)

    def gumbel(like: Tensor) -> Tensor:
        noise = -torch.empty(like.shape).exponential_(generator=generator).log()
        return noise.to(like.device, like.dtype)

    with patch.object(normalisers, "gumbel", gumbel):
        yield
