"""Runs the tests of `on_device` with the simulated device, in a process of its own: torch asks for its
devices when it is imported.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cuda.simulated.build import obstacle

HERE = Path(__file__).parent
FILES = sorted(path.name for path in (HERE / "on_device").glob("test_*.py"))
pytestmark = pytest.mark.skipif(obstacle() is not None, reason=str(obstacle()))


def run(file: str, *options: str) -> None:
    command = [sys.executable, str(HERE / "simulated"), "pytest", "-q", "-x", "-n", "0", *options]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    end = subprocess.run(
        [*command, str(HERE / "on_device" / file)],
        check=False,
        capture_output=True,
        text=True,
        cwd=HERE.parents[1],
        env=environment,
    )
    assert end.returncode in (0, 5), end.stdout[-4000:] + end.stderr[-2000:]  # 5: it has no such tests


@pytest.mark.parametrize("file", FILES)
def test_passes_on_the_simulated_device(file: str) -> None:
    run(file)


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES)
def test_slow_tests_pass_on_the_simulated_device(file: str) -> None:
    run(file, "-m", "slow")
