"""The loss with its softmax in place, against F.cross_entropy of float64."""

import itertools
from collections.abc import Iterator

import torch
from torch import nn
from torch.nn import functional as F

from seq2attn.devices import Format, autocast
from seq2attn.kernels.linear_cross_entropy import cross_entropy

from .session import Row, Session

VOCABULARIES = (100, 1025, 37_000)
FORMATS: tuple[Format, ...] = ("fp32", "bf16", "fp16")
# Of the largest number: float32 differs in the last bits, half precision in the third digit.
TOLERANCES = {"fp32": 1e-4, "bf16": 0.02, "fp16": 0.02}
SMOOTHING = 0.1


def measure(session: Session) -> Iterator[Row]:
    for vocabulary, format in itertools.product(VOCABULARIES, FORMATS):
        yield compare(vocabulary, format, session)


def compare(vocabulary: int, format: Format, session: Session) -> Row:
    rows, size = (16, 8) if session.quick else (4096, 512)
    torch.manual_seed(1)
    features, targets = 5 * torch.randn(rows, size), torch.randint(vocabulary, (rows,))
    output = nn.Linear(size, vocabulary)
    expected_x, expected = features.to(session.device).double().requires_grad_(), output.to(session.device)
    reference = nn.Linear(size, vocabulary, dtype=torch.float64, device=session.device)
    reference.load_state_dict(expected.state_dict())
    targets = targets.to(session.device)
    loss = F.cross_entropy(reference(expected_x), targets, label_smoothing=SMOOTHING, reduction="sum")
    loss.backward()
    x = features.to(session.device).requires_grad_()
    with autocast(session.device, format):
        own = cross_entropy(x, expected, targets, SMOOTHING)
    own.backward()
    errors = {
        "loss": abs(own.item() - loss.item()) / loss.item(),
        "of features": relative(x.grad, expected_x.grad),
        "of weights": relative(expected.weight.grad, reference.weight.grad),
        "of the bias": relative(expected.bias.grad, reference.bias.grad),
    }
    good = max(errors.values()) < TOLERANCES[format]
    value = ", ".join(f"{name} {error:.1e}" for name, error in errors.items())
    return Row(f"{vocabulary:,} words, {format}", value, good, errors)


def relative(value: torch.Tensor | None, expected: torch.Tensor | None) -> float:
    assert value is not None
    assert expected is not None
    return float((value.double() - expected).norm() / expected.norm())
