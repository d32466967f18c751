"""The tables of docs/gpu.md are what is counted today."""

import subprocess
import sys
from pathlib import Path

import pytest
from simulated import build

FOLDER = Path(__file__).parent
PAGE = FOLDER.parents[1] / "docs" / "gpu.md"
obstacle = build.obstacle()


@pytest.mark.slow
@pytest.mark.skipif(obstacle is not None, reason=obstacle or "")
def test_page_has_the_tables() -> None:
    command = [str(FOLDER / "simulated"), "table", "--before", str(FOLDER / "counts_before.json")]
    done = subprocess.run([sys.executable, *command], stdout=subprocess.PIPE, text=True, check=True)
    lines = [line for line in done.stdout.splitlines() if line]
    missing = set(lines) - set(PAGE.read_text(encoding="utf-8").splitlines())
    assert not missing, "write the output of `python tests/cuda/simulated table --before ...` into it"
