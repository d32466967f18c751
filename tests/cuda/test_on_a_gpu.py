"""The script for a real card works: on the simulated device, and on a CPU. It proves no speed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from simulated import build

FOLDER = Path(__file__).parent
obstacle = build.obstacle()


def run(arguments: list[str], *options: str, out: Path) -> dict[str, object]:
    command = [*arguments, str(FOLDER / "on_a_gpu.py"), "--quick", "--out", str(out), *options]
    done = subprocess.run(
        [sys.executable, *command],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    result: dict[str, object] = json.loads(out.read_text())
    return result


def parts(result: dict[str, object]) -> set[str]:
    rows = result["rows"]
    assert isinstance(rows, list)
    return {row["part"] for row in rows if row["what"] != "out of time"}


ALL = {"loss", "agreement", "speed", "decoding", "marian", "quality"}


@pytest.mark.slow
@pytest.mark.skipif(obstacle is not None, reason=obstacle or "")
def test_all_parts_run_on_the_simulated_device(tmp_path: Path) -> None:
    result = run([str(FOLDER / "simulated"), "script"], "--minutes", "4", out=tmp_path / "result.json")
    assert result["card"] == "a simulated CUDA device"
    assert result["auto precision"] == "bf16"
    assert parts(result) == ALL


@pytest.mark.slow
def test_all_parts_run_on_a_cpu(tmp_path: Path) -> None:
    result = run([], "--device", "cpu", "--minutes", "4", out=tmp_path / "result.json")
    assert parts(result) == ALL


@pytest.mark.slow
def test_script_leaves_out_what_its_time_does_not_allow(tmp_path: Path) -> None:
    result = run(
        [], "--device", "cpu", "--minutes", "0.001", "agreement", "speed", out=tmp_path / "result.json"
    )
    left_out = [row for row in result["rows"] if row["what"] == "out of time"]  # type: ignore[attr-defined]
    assert [row["part"] for row in left_out] == ["agreement", "speed"]
