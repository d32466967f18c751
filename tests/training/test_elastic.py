"""Workers that are killed and started again by torchrun, which the tests run as a user does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from seq2attn.runs import directory
from seq2attn.runs.tensors import read_tensors
from seq2attn.training import resume

ROOT = Path(__file__).parents[2]

# `seq2attn train`, in which one process is killed after an update, the first time that it gets there.
WORKER = """
import os, signal, sys
from pathlib import Path
from seq2attn import ranks
from seq2attn.cli import app
from seq2attn.training.gradient_step import GradientStep
victim, last, *arguments = sys.argv[1:]
step, begin = 0, GradientStep.begin
def counted(self, step, batches):
    begin(self, step, batches)
    if ranks.restarts() == 0 and ranks.rank() == int(victim) and step > int(last):
        os.kill(os.getpid(), signal.SIGKILL)
GradientStep.begin = counted
sys.argv[1:] = arguments
app.main()
"""
SETTINGS = [
    *("model.embedding=16", "model.encoder.size=16", "model.decoder.size=16", "train.batch_tokens=64"),
    *("train.max_steps=16", "train.validate_every=8", "train.save_every=3", "train.validate_sentences=8"),
    *("train.ema=0.9", "train.clip_norm=0.5", "train.precision=fp32", "train.warmup=2"),
]


def torchrun(processes: int, arguments: list[str], **options: str) -> subprocess.CompletedProcess[str]:
    """What torchrun and its processes print, and its exit status."""
    launcher = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        f"--nproc-per-node={processes}",
    ]
    place = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    return subprocess.run(
        [*launcher, *(f"--{name.replace('_', '-')}={value}" for name, value in options.items()), *arguments],
        env=os.environ | place,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A corpus without test splits: they would be translated at the end."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    for side in ("en", "fr"):
        lines = (ROOT / "data" / "phrases" / f"train.{side}").read_text().splitlines()
        (folder / f"train.{side}").write_text("\n".join(lines[:600]) + "\n")
        (folder / f"valid.{side}").write_text("\n".join(lines[600:640]) + "\n")
    return folder


def trained(processes: int, corpus: Path, out: Path, victim: int, *more: str, **options: str) -> str:
    """Train in several processes, of which one is killed; what they print."""
    script = out.with_suffix(".py")
    script.write_text(WORKER)
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    of = ["--data", str(corpus), "--source", "en", "--target", "fr", "--out", str(out)]
    command = ["train", "first-try", *of, *settings, *more]
    end = torchrun(processes, [str(script), str(victim), "10", *command], **options)
    assert end.returncode == 0, end.stderr
    return end.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("processes", "victim"), [(2, 1), (2, 0), (4, 2)])
def test_killed_process_is_started_again_and_the_run_ends_as_one_undisturbed(
    tmp_path: Path, corpus: Path, processes: int, victim: int
) -> None:
    """The same command goes on from step 9, which train.save_every saved; --force replaces nothing then."""
    trained(processes, corpus, tmp_path / "whole", -1)
    printed = trained(processes, corpus, tmp_path / "killed", victim, "--force", max_restarts="2")
    assert printed.count("training continues from the last saved state") == 1
    whole, killed = (resume.load_state(directory.open_run(tmp_path / name)) for name in ("whole", "killed"))
    assert whole is not None
    assert killed is not None
    assert whole[0].step == killed[0].step == 16
    assert whole[1].keys() == killed[1].keys()
    for name, tensor in whole[1].items():
        assert tensor.equal(killed[1][name]), name
    best = [read_tensors(tmp_path / name / "model.safetensors") for name in ("whole", "killed")]
    assert all(tensor.equal(best[1][name]) for name, tensor in best[0].items())


@pytest.mark.slow
def test_restart_does_not_continue_a_run_of_another_launch(tmp_path: Path, corpus: Path) -> None:
    trained(2, corpus, tmp_path / "run", -1)
    state = (tmp_path / "run" / "training" / "state.json").read_bytes()
    with pytest.raises(AssertionError, match="a run is here already; continue it with --resume"):
        trained(2, corpus, tmp_path / "run", -1, max_restarts="1")
    assert (tmp_path / "run" / "training" / "state.json").read_bytes() == state
