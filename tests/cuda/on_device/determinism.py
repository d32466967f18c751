"""Training with train.deterministic: torch's deterministic algorithms, cuBLAS' setting."""

import os
from pathlib import Path

import pytest
import torch

from seq2attn.tasks.training import train
from seq2attn.training import events

SETTINGS = (
    "train.max_steps=2",
    "train.validate_every=2",
    "train.batch_tokens=200",
    "train.deterministic=true",
)


def test_training_is_deterministic_and_leaves_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    flags = []

    def look(event: events.Event) -> None:
        flags.append((torch.are_deterministic_algorithms_enabled(), os.environ["CUBLAS_WORKSPACE_CONFIG"]))

    small = [f"model.{side}.size=8" for side in ("encoder", "decoder")]
    train("first-try", out=tmp_path / "run", settings=[*SETTINGS, *small], device="cuda", on_event=look)
    assert set(flags) == {(True, ":16:8")}
    assert not torch.are_deterministic_algorithms_enabled()
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
