"""Whatever comes in from outside, the program answers in one line: no traceback, no "internal error", no
crash, bounded memory and time.

One input of each door runs with the other tests; thousands with `pytest -m slow tests/fuzz`. An input is
named by its door and a number, from which it is made:
`FUZZ="run:17" pytest tests/fuzz` runs one, and leaves its folder where the message says. FUZZ="run:0-500"
runs a range.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import hostile
import loaders
from loaders import LOADERS, WORDS, Loader

FEW, MANY = 1, 120  # inputs of each door
FEW_WORDS, MANY_WORDS = 30, 1500
LIMIT_BYTES, LIMIT_SECONDS = 2 * 10**9, 60.0
ANSWERS = (0, 1, 2)


class Zygote:
    """See zygote.py."""

    def __init__(self, home: Path) -> None:
        environment = {
            **os.environ,
            "XDG_CACHE_HOME": str(home),
            "HOME": str(home),
            "COLUMNS": "80",
            "OMP_NUM_THREADS": "1",
        }
        environment["PYTHONPATH"] = str(Path(__file__).parents[2])
        script = str(Path(__file__).with_name("zygote.py"))
        self._process = subprocess.Popen(
            [sys.executable, script],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def run(self, arguments: list[str], folder: Path, stdin: str) -> dict[str, Any]:
        job = {
            "arguments": arguments,
            "stdin": stdin or "/dev/null",
            "folder": str(folder),
            "limit_bytes": LIMIT_BYTES,
            "limit_seconds": LIMIT_SECONDS,
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture(scope="module")
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    process = Zygote(tmp_path_factory.mktemp("home"))
    yield process
    process.close()


@pytest.fixture(scope="module")
def samples() -> Iterator[dict[Any, Path]]:
    folders: dict[Any, Path] = {}
    yield folders
    for folder in folders.values():
        shutil.rmtree(folder, ignore_errors=True)


def sample(make: Any, zygote: Zygote, samples: dict[Any, Path], trained: bool) -> Path:
    """The folder of a loader's sample, made at its first use; with a state to resume from, where that is what
    is read.
    """
    key = (make, trained)
    if key not in samples:
        samples[key] = folder = Path(tempfile.mkdtemp(prefix="sample-"))
        if trained:
            loaders.prepared_text(folder)
            answer = zygote.run(list(loaders.TRAIN), folder, "")
            assert answer["code"] == 0, (folder / "stderr").read_text()
        else:
            make(folder)
    return samples[key]


def problem(answer: dict[str, Any], folder: Path) -> str | None:
    """What is wrong with how a command ended, if anything."""
    err = (folder / "stderr").read_bytes().decode("utf-8", "replace")
    code = answer["code"]
    if answer["over"]:
        return f"over its {answer['over']}"
    if code not in ANSWERS:
        return f"ended with {code}: {err[-500:]}"
    if answer["bytes"] > LIMIT_BYTES:
        return f"took {answer['bytes']:,} bytes"
    if "Traceback" in err or "internal error" in err:
        return err[-500:]
    if code and not err.rstrip("\n").rpartition("\n")[2].startswith("seq2attn: "):
        return f"ended with {code} without a line that says why: {err[-500:]}"
    if any((ord(c) < 32 and c not in "\n\t") or 0x7F <= ord(c) < 0xA0 for c in err):
        return f"drives the terminal: {err[-500:]!r}"
    return None


def one(name: str, loader: Loader, number: int, zygote: Zygote, base: Path) -> str | None:
    """What is wrong with input `number` of a door, if anything."""
    chance = random.Random(f"{name}:{number}")
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-{number}-"))
    shutil.copytree(base, folder, dirs_exist_ok=True, symlinks=True)
    for file in ("stdout", "stderr"):
        (folder / file).unlink(missing_ok=True)
    pattern = chance.choice([*loader.files])
    files = sorted(path for path in folder.glob(pattern) if path.is_file())
    target = chance.choice(files) if files else folder / pattern
    before = target.read_bytes() if files else b"a.png\n"
    target.write_bytes(hostile.mutate(before, loader.files[pattern], chance))
    wrong = problem(zygote.run(list(loader.arguments), folder, loader.stdin), folder)
    if wrong is None:
        shutil.rmtree(folder)
        return None
    return f"{name}:{number} {target.relative_to(folder)} in {folder}: {wrong}"


def word(number: int, zygote: Zygote, base: Path) -> str | None:
    """What is wrong with a hostile word in a command, if anything."""
    chance = random.Random(f"words:{number}")
    name = chance.choice([*loaders.words()])
    hostile_word = chance.choice(WORDS)
    arguments = [argument.replace("HOSTILE", hostile_word) for argument in loaders.words()[name]]
    folder = Path(tempfile.mkdtemp(prefix=f"words-{number}-"))
    shutil.copytree(base, folder, dirs_exist_ok=True)
    if (
        any("\0" in argument for argument in arguments)
        or ("-o" in arguments and hostile_word.startswith("/"))
        or hostile_word == "/dev/zero"
    ):
        shutil.rmtree(folder)
        return None
    wrong = problem(zygote.run(arguments, folder, ""), folder)
    if wrong is None:
        shutil.rmtree(folder)
        return None
    return f"words:{number} {name} {hostile_word[:60]!r} in {folder}: {wrong}"


def numbers_of(name: str, count: int) -> range:
    """Which numbers of a door are run: the first ones, or what the environment's FUZZ says."""
    door, _, numbers = os.environ.get("FUZZ", "").partition(":")
    if not door:
        return range(count)
    if door != name:
        pytest.skip(f"FUZZ asks for {door}")
    first, _, last = (numbers or f"0-{count - 1}").partition("-")
    return range(int(first), int(last or first) + 1)


def check(wrong: list[str | None]) -> None:
    problems = [line for line in wrong if line is not None]
    assert not problems, "\n\n".join(problems)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name == "state" else ()) for name in LOADERS]
)
def test_loaders_survive_a_few_hostile_inputs(name: str, zygote: Zygote, samples: dict[Any, Path]) -> None:
    base = sample(LOADERS[name].make, zygote, samples, name == "state")
    check([one(name, LOADERS[name], number, zygote, base) for number in numbers_of(name, FEW)])


@pytest.mark.slow
@pytest.mark.parametrize("name", LOADERS)
def test_loaders_survive_many_hostile_inputs(name: str, zygote: Zygote, samples: dict[Any, Path]) -> None:
    base = sample(LOADERS[name].make, zygote, samples, name == "state")
    check([one(name, LOADERS[name], number, zygote, base) for number in numbers_of(name, MANY)])


@pytest.mark.slow
def test_command_line_survives_a_few_hostile_words(zygote: Zygote, samples: dict[Any, Path]) -> None:
    base = sample(loaders.everything, zygote, samples, False)
    check([word(number, zygote, base) for number in numbers_of("words", FEW_WORDS)])


@pytest.mark.slow
def test_command_line_survives_many_hostile_words(zygote: Zygote, samples: dict[Any, Path]) -> None:
    base = sample(loaders.everything, zygote, samples, False)
    check([word(number, zygote, base) for number in numbers_of("words", MANY_WORDS)])


@pytest.mark.slow
@pytest.mark.parametrize("name", LOADERS)
def test_loaders_accept_the_unchanged_sample(name: str, zygote: Zygote, samples: dict[Any, Path]) -> None:
    if "FUZZ" in os.environ:
        pytest.skip("FUZZ asks for hostile inputs")
    loader = LOADERS[name]
    base = sample(loader.make, zygote, samples, name == "state")
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-sound-"))
    shutil.copytree(base, folder, dirs_exist_ok=True)
    for file in ("stdout", "stderr"):
        (folder / file).unlink(missing_ok=True)
    answer = zygote.run(list(loader.arguments), folder, loader.stdin)
    err = (folder / "stderr").read_text()
    assert answer["code"] == 0, err
    assert problem(answer, folder) is None
    shutil.rmtree(folder)
