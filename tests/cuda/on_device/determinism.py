"""Training with train.deterministic: torch's deterministic algorithms, cuBLAS' setting."""

import os
from pathlib import Path

import pytest
import tiny
import torch

from seq2attn.tasks.training import train
from seq2attn.training import events

SETTINGS = (
    *(
        "data.source=en",
        'data.keep=["all"]',
        "data.target=fr",
        "data.tokenizer=word",
        "data.joint=false",
        "model.tied=none",
    ),
    *("model.embedding=8", "model.encoder.size=8", "model.decoder.size=8"),
    *("train.max_steps=2", "train.validate_every=2", "train.batch_tokens=200", "train.deterministic=true"),
)


def test_training_is_deterministic_and_leaves_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    flags = []

    def look(event: events.Event) -> None:
        flags.append(
            (
                torch.are_deterministic_algorithms_enabled(),
                os.environ["CUBLAS_WORKSPACE_CONFIG"],
                torch.backends.cudnn.allow_tf32,
            )
        )

    for split in ("train", "valid"):
        for side, sentences in (("en", tiny.ENGLISH), ("fr", tiny.FRENCH)):
            (tmp_path / f"{split}.{side}").write_text("".join(sentence + "\n" for sentence in sentences))
    train("first-try", tmp_path, tmp_path / "run", settings=SETTINGS, device="cuda", on_event=look)
    assert set(flags) == {(True, ":16:8", False)}
    assert not torch.are_deterministic_algorithms_enabled()
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
