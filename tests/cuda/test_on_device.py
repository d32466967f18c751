"""The tests of `on_device/`, and two processes of a training, on the simulated device.

The device must be there before torch is imported. So each group of tests is in a process of its own:

    python tests/cuda/simulated pytest tests/cuda/on_device/training.py -k bahdanau15
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from simulated import build

FOLDER = Path(__file__).parent
GROUPS = {
    "presets in bf16": ["on_device/training.py", "-k", "bf16"],
    "presets in fp16": ["on_device/training.py", "-k", "fp16"],
    "kernels": [f"on_device/{name}.py" for name in ("fused_rnn", "loss", "dot_product", "half_precision")]
    + ["on_device/late_end.py", "on_device/determinism.py"],
    "commands": ["on_device/commands.py"],
    "searches and rules": [
        "on_device/searches.py",
        "on_device/rules.py",
        "../attention/test_hard.py::test_inference_noise_is_the_same_on_a_gpu",
    ],
    "CUDA graphs": [f"on_device/{name}.py" for name in ("captures", "graphed_updates", "graphed_searches")],
}
# every other file is in the group of searches and rules
_named = {argument for arguments in GROUPS.values() for argument in arguments}
for _path in sorted((FOLDER / "on_device").glob("[a-z]*.py")):
    if _path.stem != "conftest" and f"on_device/{_path.name}" not in _named:
        GROUPS["searches and rules"].append(f"on_device/{_path.name}")
SLOW_GROUPS = {
    "CUDA graphs": ["on_device/graphed_updates.py", "-m", "slow"],
    "searches by CUDA graphs": ["on_device/graphed_searches.py", "-m", "slow"],
}
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "SIMULATED_CUDA_DEVICES": "2"}

obstacle = build.obstacle()
pytestmark = pytest.mark.skipif(obstacle is not None, reason=obstacle or "")


def test_files_of_the_device_are_not_collected_without_it() -> None:
    names = [path.name for path in (FOLDER / "on_device").glob("*.py")]
    assert not [name for name in names if name.startswith("test_") or name.endswith("_test.py")]


def simulated(*arguments: str, launcher: tuple[str, ...] = (), cwd: Path = FOLDER) -> str:
    """The output of `python tests/cuda/simulated ARGUMENTS`. Fails with it if the exit status is not 0."""
    done = subprocess.run(
        [sys.executable, *launcher, str(FOLDER / "simulated"), *arguments],
        cwd=cwd,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        pytest.fail(f"{done.stdout}\nexit status {done.returncode}", pytrace=False)
    return done.stdout


@pytest.mark.parametrize("group", GROUPS)
def test_group_passes_on_the_device(group: str) -> None:
    output = simulated("pytest", "-q", "-p", "no:cacheprovider", "--tb=short", *GROUPS[group])
    assert " passed" in output
    assert "skipped" not in output


@pytest.mark.slow
@pytest.mark.parametrize("group", SLOW_GROUPS)
def test_slow_group_passes_on_the_device(group: str) -> None:
    assert " passed" in simulated("pytest", "-q", "-p", "no:cacheprovider", "--tb=short", *SLOW_GROUPS[group])


def test_two_processes_train_as_one(tmp_path: Path) -> None:
    """Through the stand-in of NCCL, each with a device of its own."""
    for split, count in (("train", 60), ("valid", 6)):
        (tmp_path / f"{split}.en").write_text("".join(f"one cat {i % 7} sleeps\n" for i in range(count)))
        (tmp_path / f"{split}.fr").write_text("".join(f"un chat {i % 7} dort\n" for i in range(count)))
    settings = ["data.vocab_size=30", "data.joint=false", "data.tokenizer=word", "model.tied=none"]
    settings += ["model.embedding=8", "model.encoder.size=8", "model.decoder.size=16", "train.log_every=1"]
    settings += ["train.batch_tokens=50", "train.max_steps=3", "train.clip_norm=0"]
    command = ["run", "train", "--data", ".", "--source", "en", "--target", "fr", "--device", "cuda"]
    command += [part for setting in settings for part in ("--set", setting)]
    simulated(*command, "--out", "one", "--set", "train.accumulate=2", cwd=tmp_path)
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    simulated(*command, "--out", "two", launcher=launcher, cwd=tmp_path)
    one, two = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert len(one) == 3
    assert two == pytest.approx(one, rel=1e-3)  # gradients may travel in bfloat16
    provenance = json.loads((tmp_path / "two" / "provenance.jsonl").read_text().splitlines()[0])
    assert provenance["processes"] == 2


def losses(run: Path) -> list[float]:
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [line["loss"] for line in lines if "loss" in line]
