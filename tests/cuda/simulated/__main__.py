"""seq2attn on a simulated CUDA device.

    python tests/cuda/simulated run train first-try --device cuda --max-steps 20    any command
    python tests/cuda/simulated script tests/cuda/on_a_gpu.py --quick               a script
    python tests/cuda/simulated pytest tests/attention/test_hard.py                 tests, with the device
    python tests/cuda/simulated smoke [PRESET ...]      updates, validation and search in each number format
    python tests/cuda/simulated count [PRESET ...]      operations, copies and waits, as JSON
    python tests/cuda/simulated table [--before FILE]   the same as a table in Markdown

The first use compiles the device: ten to thirty seconds.
"""

import atexit
import os
import runpy
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
# the modules of this folder have common names, and are found as those of a package alone
others = [path for path in sys.path if path != str(FOLDER)]
sys.path[:] = [str(FOLDER.parent), *others, str(FOLDER.parents[1])]


def main(arguments: list[str]) -> int:
    command, *rest = arguments or ["help"]
    if command not in ("run", "script", "pytest", "smoke", "count", "table"):
        print(__doc__)
        return 0 if command in ("help", "--help", "-h") else 2
    from simulated.install import install

    install()
    if command == "run":
        sys.argv = ["seq2attn", *rest]
        runpy.run_module("seq2attn", run_name="__main__", alter_sys=True)
        return 0
    if command == "script":
        sys.argv = rest
        runpy.run_path(rest[0], run_name="__main__")
        return 0
    if command == "pytest":
        import pytest

        return int(pytest.main(rest))
    from simulated import smoke, table

    functions = {"smoke": smoke.main, "count": table.count, "table": table.main}
    return functions[command](rest)


def leave(code: object) -> None:
    """End the process without taking torch down: a thread of the device may still be there, and abort it."""
    if isinstance(code, str):
        print(code, file=sys.stderr)
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    try:
        status: object = main(sys.argv[1:])
    except SystemExit as end:
        status = end.code
    leave(status)
