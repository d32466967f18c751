"""SIGKILL at random moments of small trainings of five families: each ends with the bytes of one that was
left alone.

python -m pytest tests/training/test_kills.py -m slow          some minutes; a table of the kills stands at
the end
KILLS_SEED=7 python -m pytest tests/training/test_kills.py -m slow      other moments
"""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import image_toy
import pytest

from seq2attn import config
from seq2attn.data.prepare import prepare

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SEED = int(os.environ.get("KILLS_SEED", "1"))
KILLS = 4  # of each family
STEPS = 240
WORDS = {
    "one": "un",
    "two": "deux",
    "three": "trois",
    "cats": "chats",
    "dogs": "chiens",
    "sleep": "dorment",
    "sing": "chantent",
}
COMMON = ("embedding=16", "encoder.size=16", "decoder.size=32")
CONVOLUTIONS = ("encoder.layers=1", "decoder.layers=1", "decoder.size=16")
TRANSFORMER = (
    "encoder.layers=1",
    "decoder.layers=1",
    "decoder.size=16",
    "encoder.heads=2",
    "decoder.heads=2",
    "attention.heads=2",
)
FEEDFORWARD = ("encoder.feedforward=32", "decoder.feedforward=32")
FAMILIES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {  # settings of the model and of training
    "first-try": (COMMON, ()),
    "bahdanau15": (
        (*COMMON, "attention.size=16", "decoder.readout_size=16"),
        ("accumulate=3", "optimizer=sgd", "momentum=0.9", "lr=0.1", "schedule=plateau"),
    ),
    "transformer": ((*COMMON, *TRANSFORMER, *FEEDFORWARD), ("ema=0.99", "average=3", "accumulate=2")),
    "gehring17": ((*COMMON, *CONVOLUTIONS), ("ema=0.9",)),
    "xu15-soft": (
        (*COMMON, "encoder.side=32", "encoder.channels=4", "encoder.blocks=[1]", "attention.size=8"),
        ("crop=0.2", "flip=true", "colour=0.1"),
    ),
}


class Row(NamedTuple):
    family: str
    kills: list[str]
    resumed: str


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """Prepared text, and prepared images."""
    home = tmp_path_factory.mktemp("data")
    draw = random.Random(1)
    (home / "corpus").mkdir()
    for split, count in (("train", 400), ("valid", 20)):
        pairs = [draw.choices(list(WORDS.items()), k=draw.randint(1, 6)) for _ in range(count)]
        for number, side in enumerate(("en", "fr")):
            lines = [" ".join(pair[number] for pair in some) for some in pairs]
            (home / "corpus" / f"{split}.{side}").write_text("".join(f"{line}\n" for line in lines))
    of = config.DataConfig(source="en", target="fr", tokenizer="word", vocab_size=20, keep=("all",))
    prepare(str(home / "corpus"), home / "text", of)
    image_toy.folder(home / "images")
    return {False: home / "text", True: home / "images"}


@pytest.fixture(scope="module")
def table(request: pytest.FixtureRequest) -> Iterator[list[Row]]:
    rows: list[Row] = []
    yield rows
    capture: Any = request.config.pluginmanager.get_plugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print(f"\n{'family':<12}  {'killed at step':<34}  gone on with")
        for row in rows:
            print(f"{row.family:<12}  {', '.join(row.kills):<34}  {row.resumed}")
        print(f"{sum(len(row.kills) for row in rows)} kills in {len(rows)} families, seed {SEED}", flush=True)


def command(family: str, data: Path, out: Path) -> list[str]:
    model, training = FAMILIES[family]
    settings = [
        *(f"model.{one}" for one in model),
        f"train.max_steps={STEPS}",
        "train.batch_tokens=120",
        "train.log_every=1",
    ]
    settings += [
        "train.validate_every=16",
        "train.validate_sentences=6",
        "search.beam=2",
        "search.max_length=8",
        "train.warmup=10",
    ]
    settings += [f"train.{one}" for one in training]
    place = ["--data", str(data), "--out", str(out), "--device", "cpu", "--precision", "fp32", "--quiet"]
    return [
        sys.executable,
        "-m",
        "seq2attn",
        "train",
        family,
        *place,
        *(part for one in settings for part in ("--set", one)),
    ]


def start(arguments: list[str]) -> "subprocess.Popen[str]":
    place = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen(arguments, env=place, text=True, **streams)


def finish(arguments: list[str]) -> None:
    process = start(arguments)
    _, err = process.communicate(timeout=600)
    assert process.returncode == 0, err


def step(out: Path) -> int:
    """Of the last whole line of the log; 0 before there is one."""
    try:
        lines = (out / "metrics.jsonl").read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return 0
    return int(json.loads(lines[-1])["step"]) if lines else 0


def kill(arguments: list[str], out: Path, until: int, draw: random.Random) -> str:
    """Kill the training some milliseconds after step `until` or, for 0, while it starts; the step that it was
    at.
    """
    process = start(arguments)
    deadline = time.monotonic() + 300
    begun = out / "training.lock"
    while not (begun.exists() if until == 0 else step(out) >= until):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.002)
    time.sleep(draw.random() * (1.0 if until == 0 else 0.05))
    process.kill()
    process.communicate()
    return str(step(out)) if until else f"{step(out)} (start)"


def everything(out: Path) -> tuple[bytes, bytes, dict[str, Any], list[dict[str, Any]]]:
    """What must be equal: weights, the tensors of the state, its counters and the log, times apart."""
    state = json.loads((out / "training" / "state.json").read_text())
    assert state.pop("elapsed") > 0
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    times = ("elapsed", "speed")
    log = [{name: value for name, value in line.items() if name not in times} for line in lines]
    return (
        (out / "model.safetensors").read_bytes(),
        (out / "training" / state["tensors"]).read_bytes(),
        state,
        log,
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_run_killed_at_random_moments_ends_as_one_that_was_not(
    family: str, data: dict[bool, Path], table: list[Row], tmp_path: Path
) -> None:
    draw = random.Random(f"{SEED} {family}")
    of = data[family == "xu15-soft"]
    finish(command(family, of, tmp_path / "whole"))
    arguments = command(family, of, tmp_path / "killed")
    kills = []
    for number in range(KILLS):
        first, last = STEPS * number // KILLS, STEPS * (number + 1) // KILLS - 8
        until = 0 if number == 0 else draw.randint(first, last)
        kills.append(kill(arguments, tmp_path / "killed", until, draw))
        if "--resume" not in arguments:
            arguments = [*arguments, "--resume"]
    finish(arguments)
    whole, killed = everything(tmp_path / "whole"), everything(tmp_path / "killed")
    table.append(Row(family, kills, "same bytes" if whole == killed else "OTHER"))
    parts = ("weights", "tensors of the state", "state", "log")
    for one, other, what in zip(whole, killed, parts, strict=True):
        assert one == other, what
