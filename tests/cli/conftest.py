"""Fixtures of several commands; and `import test_train` from the tests beside it."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny

from seq2attn.cli import app

sys.path.insert(0, str(Path(__file__).parent))

Pipe = Callable[..., tuple[int, bytes, str]]


@pytest.fixture
def pipe(capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Pipe:
    """`seq2attn ARGUMENTS < text` in this process: exit code, stdout, stderr."""

    def run(*arguments: object, text: bytes = b"") -> tuple[int, bytes, str]:
        (tmp_path / "stdin").write_bytes(text)
        with (tmp_path / "stdin").open() as stdin:
            monkeypatch.setattr(sys, "stdin", stdin)
            code = app.run([*map(str, arguments), "--device", "cpu"])
        out, err = capfdbinary.readouterr()
        return code, out, err.decode()

    return run


@pytest.fixture(scope="module")
def text_run(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny translator."""
    return str(tiny.save_run(tmp_path_factory.mktemp("runs") / "run"))
