"""Loss and gradient of every preset on the device, against float32 on the CPU."""

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import numpy as np
import small
import torch
from torch import Tensor

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
KINKS = 0.1  # with a maxout: a rounded number changes which unit it reads
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


def compare(preset: str, session: Session) -> Row:
    """The relative errors of one preset, the largest of all formats judged."""
    settings = settings_of(preset, session.quick)
    is_text = settings.model.modality.has_vocabulary
    torch.manual_seed(1)
    vocabulary = small.vocabulary()
    model = build(settings.model, vocabulary if is_text else 0, vocabulary)
    batch = microbatch(small.pairs(settings, LENGTH, LENGTH), np.arange(small.PAIRS), None, CPU)
    loss, gradient = loss_and_gradient(copy.deepcopy(model), settings, batch, CPU, "fp32")
    parts, numbers, good = [], {}, True
    for format in session.formats():
        on_device = copy.deepcopy(model).to(session.device)
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
            _, rounded = loss_and_gradient(copy.deepcopy(model), settings, batch, CPU, format)
            own_error = float((rounded - gradient).norm() / gradient.norm())
            part += f" ({own_error:.2%} on a CPU in {format})"
            allowed = MARGIN * own_error
            if getattr(settings.model.decoder, "readout", "") == "maxout":
                allowed = max(allowed, KINKS)
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


@contextmanager
def same_noise() -> Iterator[None]:
    """Attention that samples has the same noise on every device."""
    generator = torch.Generator().manual_seed(1)

    def gumbel(like: Tensor) -> Tensor:
        noise = -torch.empty(like.shape).exponential_(generator=generator).log()
        return noise.to(like.device, like.dtype)

    with patch.object(normalisers, "gumbel", gumbel):
        yield
