"""The criterion of the script for a real card: what it accepts, and what it finds wrong."""

import time
from typing import Any

import pytest
import torch
from card import agreement
from card.session import Session
from torch import Tensor

MAXOUT = ["bahdanau15", "tu16"]  # a rounded number changes which unit is read


def session() -> Session:
    return Session(torch.device("cuda:0"), quick=True, end=time.monotonic() + 600)


@pytest.mark.parametrize(("preset", "seed"), [("tu16", 0), ("bahdanau15", 0)])
def test_maxout_in_half_precision_is_within_the_tolerance(preset: str, seed: int) -> None:
    """With these seeds some units are so near each other that bfloat16 would choose the other one."""
    row = agreement.compare(preset, session(), seed)
    assert row.good
    assert row.numbers["bf16 gradient"] < agreement.TOLERANCE / 2


@pytest.mark.parametrize("format", ["fp32", "bf16"])
@pytest.mark.parametrize("preset", MAXOUT)
def test_gradient_that_is_wrong_by_three_per_cent_is_reported(
    preset: str, format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = agreement.loss_and_gradient

    def wrong(model: Any, settings: Any, batch: Any, device: torch.device, of: Any) -> tuple[float, Tensor]:
        loss, gradient = right(model, settings, batch, device, of)
        return loss, gradient * (1.03 if device.type == "cuda" and of == format else 1.0)

    monkeypatch.setattr(agreement, "loss_and_gradient", wrong)
    assert agreement.compare(preset, session()).good is False
