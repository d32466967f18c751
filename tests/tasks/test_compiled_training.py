"""A training with train.compile, from the command to its run: what it says, what it refuses, and that its run
is one as any other.
"""

import logging
import shutil
from pathlib import Path

import pytest
import tiny
import torch
from torch._dynamo.utils import counters

import seq2attn
from seq2attn.cli import app
from seq2attn.runs.tensors import read_tensors
from seq2attn.tasks import training as tasks
from seq2attn.training import compiled_gradient

SIDES = ("encoder", "decoder")
SMALL = {f"model.{side}.{name}": value for side in SIDES for name, value in (("size", 8), ("layers", 1))}
SMALL |= {
    f"model.{side}.{name}": value for side in SIDES for name, value in (("feedforward", 12), ("heads", 2))
}
SMALL |= {"model.embedding": 8, "model.attention.heads": 2, "train.batch_tokens": 2000}  # more than 16 rows
SMALL |= {
    "train.max_steps": 4,
    "train.validate_every": 2,
    "train.validate_sentences": 2,
    "search.max_length": 4,
}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    for split, times in (("train", 20), ("valid", 1)):
        (folder / f"{split}.en").write_text("\n".join(tiny.ENGLISH * times) + "\n")
        (folder / f"{split}.fr").write_text("\n".join(tiny.FRENCH * times) + "\n")
    return folder


@pytest.fixture
def prepared(corpus: Path, tmp_path: Path) -> Path:
    return seq2attn.prepare(
        corpus, tmp_path / "p", source="en", target="fr", vocab_size=80, keep=("all",), joint=True
    ).path


def test_missing_compiler_is_told_before_there_is_a_run(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    out = tmp_path / "run"
    command = ["train", "transformer", "--data", str(prepared), "--out", str(out), "--compile"]
    small = [part for key, value in SMALL.items() for part in ("--set", f"{key}={value}")]
    assert app.run([*command, *small, "--device", "cpu", "--quiet"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "train.compile: the C++ compiler no-such-compiler is not installed; install it" in line
    assert not (out / "config.json").exists()


def test_recurrent_model_is_refused_with_what_serves_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["train", "first-try", "--compile"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "train.compile" in line
    assert "train.cuda_graphs=true" in line


@pytest.mark.slow
def test_run_of_compiled_training_is_as_any_other(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(compiled_gradient, "BACKEND", "aot_eager")
    counters.clear()
    monkeypatch.delenv(tasks.COMPILER_CACHE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with caplog.at_level(logging.INFO, "seq2attn"):
        runs = [
            seq2attn.train("transformer", prepared, tmp_path / name, SMALL | more, device="cpu")
            for name, more in (("plain", {}), ("compiled", {"train.compile": True}))
        ]
    assert counters["stats"]["unique_graphs"] == 1
    names, others = (read_tensors(run.weights).keys() for run in runs)
    assert names == others
    texts = [record.getMessage() for record in caplog.records if record.name.startswith("seq2attn")]
    assert len([text for text in texts if text.startswith("train.compile: the first update waits")]) == 1
    assert tasks.os.environ[tasks.COMPILER_CACHE] == str(tmp_path / "cache" / "seq2attn" / "compile")
    seq2attn.load(tmp_path / "compiled", device="cpu").translate(tiny.ENGLISH[:1])
    more = SMALL | {"train.max_steps": 6, "train.compile": False}
    run = seq2attn.train("transformer", prepared, tmp_path / "compiled", more, device="cpu", resume=True)
    assert not run.config.train.compile


@pytest.mark.slow
def test_resumed_training_ends_with_the_same_bits(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By torch's compiler of C++, with dropout. The second session compiles for other batches first."""
    monkeypatch.setenv(tasks.COMPILER_CACHE, str(tmp_path / "cache"))
    settings = SMALL | {"train.compile": True, "train.schedule": "constant"}
    whole = seq2attn.train("transformer", prepared, tmp_path / "whole", settings, device="cpu")
    seq2attn.train(
        "transformer", prepared, tmp_path / "parts", settings | {"train.max_steps": 3}, device="cpu"
    )
    torch.compiler.reset()
    assert list((tmp_path / "cache").rglob("*.so"))
    shutil.rmtree(tmp_path / "cache")
    parts = seq2attn.train("transformer", prepared, tmp_path / "parts", settings, device="cpu", resume=True)
    one, other = (read_tensors(run.path / "model.safetensors") for run in (whole, parts))
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name
