"""The tests of `on_device/`, and two processes of a training, on the simulated device.

The device must be there before torch is imported. So each group of tests is in a process of its own:

    python tests/cuda/simulated pytest tests/cuda/on_device/training.py -k bahdanau15
"""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from simulated import build

from seq2attn.cli import app

FOLDER = Path(__file__).parent
# few groups: each process takes three seconds to start
PRESETS = "on_device/training.py"
OTHERS = [f"on_device/{path.name}" for path in sorted((FOLDER / "on_device").glob("[a-z]*.py"))]
OTHERS.remove(PRESETS)
GROUPS = {
    "presets in bf16 and fp16": [PRESETS],
    "CUDA graphs, commands, kernels, searches and rules": [
        *OTHERS,
        "../attention/test_hard.py::test_inference_noise_is_the_same_on_a_gpu",
    ],
}
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "SIMULATED_CUDA_DEVICES": "2"}

obstacle = build.obstacle()
pytestmark = pytest.mark.skipif(obstacle is not None, reason=obstacle or "")


def test_files_of_the_device_are_not_collected_without_it() -> None:
    names = [path.name for path in (FOLDER / "on_device").glob("*.py")]
    assert not [name for name in names if name.startswith("test_") or name.endswith("_test.py")]


def simulated(*arguments: str) -> str:
    """The output of `python tests/cuda/simulated ARGUMENTS`. Fails with it if the exit status is not 0."""
    return output_of(started(*arguments))


def started(*arguments: str, cwd: Path = FOLDER, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(FOLDER / "simulated"), *arguments],
        cwd=cwd,
        env=ENVIRONMENT | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def output_of(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate()
    if process.returncode != 0:
        pytest.fail(f"{output}\nexit status {process.returncode}", pytrace=False)
    return output


@pytest.mark.parametrize("group", GROUPS)
def test_group_passes_on_the_device(group: str) -> None:
    output = simulated("pytest", "-q", "-p", "no:cacheprovider", "--tb=short", *GROUPS[group])
    assert " passed" in output
    assert "skipped" not in output


@pytest.mark.slow
def test_slow_cases_of_graphs_pass_on_the_device() -> None:
    output = simulated("pytest", "-q", "-p", "no:cacheprovider", "--tb=short", "-m", "slow", *OTHERS)
    assert " passed" in output
    assert "skipped" not in output


@pytest.mark.parametrize("shard", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_two_processes_train_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shard: bool) -> None:
    """Through the stand-in of NCCL, each with a device of its own, as torchrun starts them. The one is on the
    CPU. With train.shard each device has a part of the weights.
    """
    for split, count in (("train", 60), ("valid", 6)):
        (tmp_path / f"{split}.en").write_text("".join(f"one cat {i % 7} sleeps\n" for i in range(count)))
        (tmp_path / f"{split}.fr").write_text("".join(f"un chat {i % 7} dort\n" for i in range(count)))
    settings = [
        'data.keep=["all"]',
        "data.vocab_size=30",
        "data.joint=false",
        "data.tokenizer=word",
        "model.tied=none",
    ]
    settings += ["model.embedding=8", "model.encoder.size=8", "model.decoder.size=16", "train.log_every=1"]
    settings += ["train.batch_tokens=50", "train.max_steps=3", "train.clip_norm=0"]
    command = ["train", "first-try", "--data", ".", "--source", "en", "--target", "fr"]
    command += [part for setting in settings for part in ("--set", setting)]
    monkeypatch.chdir(tmp_path)
    alone = ["--device", "cpu", "--precision", "bf16", "--set", "train.accumulate=2"]
    assert app.run([*command, *alone, "--out", "one"]) == 0
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}
    both = [
        started(
            *("run", *command, "--device", "cuda", "--out", "two", "--set", f"train.shard={shard}".lower()),
            cwd=tmp_path,
            **(place | {"RANK": rank, "LOCAL_RANK": rank}),
        )
        for rank in ("0", "1")
    ]
    for process in both:
        output_of(process)
    one, two = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert len(one) == 3
    assert two == pytest.approx(one, rel=2e-3)  # gradients may travel in bfloat16
    provenance = json.loads((tmp_path / "two" / "provenance.jsonl").read_text().splitlines()[0])
    assert provenance["processes"] == 2


def losses(run: Path) -> list[float]:
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [line["loss"] for line in lines if "loss" in line]
