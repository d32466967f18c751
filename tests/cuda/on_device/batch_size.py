"""train.batch_tokens="auto" on a device with little memory: the number fits and is near the largest that
does, is in the run, and gives the same bits as if it had been given.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small
import torch
from before_runs import TextRows
from simulated import counts, cuda_module

import seq2attn
from seq2attn.errors import UserError
from seq2attn.models.seq2seq import Seq2Seq, build
from seq2attn.training import batch_size
from seq2attn.training.batch_size import Trial, find_batch_size
from seq2attn.training.distributed import World

DEVICE = torch.device("cuda", 0)
MEBIBYTE = 1 << 20
MEMORY = {"transformer": 24, "first-try": 6, "gehring17": 12}  # MiB


@pytest.fixture
def little_memory() -> Iterator[Any]:
    """A function that leaves the device so many free bytes."""
    before = cuda_module.memory()
    yield lambda free: cuda_module.set_memory(cuda_module.memory_allocated() + free)
    cuda_module.set_memory(before)


def rows(count: int = 5000, longest: int = 40) -> TextRows:
    draw = np.random.default_rng(1)
    lengths, entries = draw.integers(1, longest, size=count), small.vocabulary()
    ids = [draw.integers(4, entries, size=length).tolist() for length in lengths]
    return TextRows(ids, [part[::-1] for part in ids])


def model_of(settings: Any) -> Seq2Seq:
    torch.manual_seed(1)
    return build(settings.model, small.vocabulary(), small.vocabulary()).to(DEVICE)


@pytest.mark.slow
@pytest.mark.parametrize("changes", [[], ["train.cuda_graphs=true"]], ids=str)
@pytest.mark.parametrize("preset", MEMORY)
def test_number_fits_and_much_more_does_not(preset: str, changes: list[str], little_memory: Any) -> None:
    settings = small.settings_of(preset, 1, ["train.batch_tokens=auto", *changes])
    model, pairs, world = model_of(settings), rows(), World(DEVICE)
    little_memory(MEMORY[preset] * MEBIBYTE)
    size = find_batch_size(model, pairs, settings.train, world, "fp32", 512)
    assert size.by_memory
    assert size.tokens >= 64
    fits = Trial(model, pairs, settings.train, world, "fp32").fits
    share = batch_size.SHARE_WITH_GRAPHS if changes == ["train.cuda_graphs=true"] else batch_size.SHARE
    assert fits(size.tokens)
    assert not fits(round(2 * size.tokens / share))


def peak(*changes: str) -> tuple[int, int]:
    """Bytes that a trial takes, and those of the weights."""
    settings = small.settings_of("first-try", 1, changes)
    model = model_of(settings)
    counts.reset()
    before = cuda_module.memory_allocated()
    assert Trial(model, rows(50, 3), settings.train, World(DEVICE), "fp32").fits(16)
    return cuda_module.max_memory_allocated() - before, sum(4 * p.numel() for p in model.parameters())


def test_trial_counts_gradients_moments_and_averages() -> None:
    plain, weights = peak("train.optimizer=sgd")
    assert plain > weights  # the gradients
    assert peak("train.optimizer=sgd", "train.momentum=0.9")[0] == plain + weights
    assert peak("train.optimizer=adamw")[0] == plain + 2 * weights
    assert peak("train.ema=0.9")[0] == plain + 3 * weights


def test_data_limit_the_number_where_memory_is_plenty() -> None:
    settings = small.settings_of("first-try", 1)
    model, pairs = model_of(settings), rows(400)
    size = find_batch_size(model, pairs, settings.train, World(DEVICE), "fp32", 64)
    assert not size.by_memory
    assert 10 <= len(pairs.plan(size.tokens, 1, 0)) / 16 * 10 <= 14
    assert find_batch_size(model, pairs, settings.train, World(DEVICE), "fp32", 5000).tokens == 5000


@dataclass(frozen=True)
class Two(World):
    """Two processes, of which the other one has found a number of its own."""

    size: int = 2
    other: int = 0

    def gather(self, text: str) -> list[str]:
        return [text, str(self.other)]


def test_processes_take_the_smallest_of_their_numbers() -> None:
    settings = small.settings_of("first-try", 1)
    model, pairs = model_of(settings), rows(400)
    for other, expected in ((192, 192), (100_000, 512)):
        world = Two(DEVICE, other=other)
        assert find_batch_size(model, pairs, settings.train, world, "fp32", 512).tokens == expected
    with pytest.raises(UserError, match="longest pair"):  # it does not fit the other device
        find_batch_size(model, pairs, settings.train, Two(DEVICE), "fp32", 512)


def test_model_that_does_not_fit_is_one_line(little_memory: Any) -> None:
    settings = small.settings_of("first-try", 1)
    model = model_of(settings)
    little_memory(MEBIBYTE // 8)
    with pytest.raises(UserError, match=r"the longest pair of the data needs more memory .* smaller$"):
        find_batch_size(model, rows(), settings.train, World(DEVICE), "fp32", 4096)


def test_nothing_remains_of_the_trials(little_memory: Any) -> None:
    settings = small.settings_of("transformer", 1, ["model.dropout=0.3"])
    model = model_of(settings).eval()
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    own, others = torch.get_rng_state(), torch.cuda.get_rng_state(DEVICE)
    little_memory(12 * MEBIBYTE)
    before = cuda_module.memory_allocated()
    find_batch_size(model, rows(), settings.train, World(DEVICE), "fp32", 512)
    assert cuda_module.memory_allocated() == before
    assert all(torch.equal(weights[name], tensor) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not model.training
    assert torch.equal(torch.get_rng_state(), own)
    assert torch.equal(torch.cuda.get_rng_state(DEVICE), others)


SETTINGS = {
    "data.vocab_size": 60,
    "model.embedding": 16,
    "model.encoder.size": 16,
    "model.decoder.size": 32,
    "train.max_steps": 4,
    "train.validate_every": 4,
    "train.log_every": 1,
    "train.schedule": "constant",
    "train.metric": "loss",
    "data.tokenizer": "word",
}


def corpus(folder: Path) -> Path:
    draw = np.random.default_rng(1)
    for split, count in (("train", 1500), ("valid", 5), ("test", 5)):
        lines = [
            " ".join(f"w{n}" for n in draw.integers(0, 30, size=draw.integers(1, 12))) for _ in range(count)
        ]
        for side in ("en", "fr"):
            (folder / f"{split}.{side}").write_text("".join(f"{line}\n" for line in lines))
    return folder


def train(folder: Path, name: str, **more: Any) -> Path:
    settings = SETTINGS | {"data.source": "en", "data.target": "fr"} | more.pop("settings", {})
    seq2attn.train("first-try", corpus(folder), folder / name, settings, device="cuda", **more)
    return folder / name


def stored(run: Path) -> Any:
    return json.loads((run / "config.json").read_text())["config"]["train"]["batch_tokens"]


def bits(run: Path) -> tuple[bytes, bytes, list[Any]]:
    (state,) = (run / "training").glob("*.safetensors")
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return (run / "model.safetensors").read_bytes(), state.read_bytes(), [line.get("loss") for line in lines]


@pytest.mark.slow
def test_run_equals_one_that_was_given_the_number(tmp_path: Path, little_memory: Any) -> None:
    little_memory(3 * MEBIBYTE)
    auto = train(tmp_path, "auto", settings={"train.batch_tokens": "auto"})
    tokens = stored(auto)
    assert isinstance(tokens, int)
    assert 64 <= tokens < 4000
    given = train(tmp_path, "given", settings={"train.batch_tokens": tokens})
    assert bits(auto) == bits(given)


@pytest.mark.slow
def test_resumed_run_keeps_the_number(
    tmp_path: Path, little_memory: Any, caplog: pytest.LogCaptureFixture
) -> None:
    little_memory(3 * MEBIBYTE)
    whole = train(tmp_path, "whole", settings={"train.batch_tokens": "auto"})
    tokens = stored(whole)
    parts = train(tmp_path, "parts", settings={"train.batch_tokens": "auto", "train.max_steps": 2})
    little_memory(30 * MEBIBYTE)
    with caplog.at_level("INFO", "seq2attn"):
        train(tmp_path, "parts", settings={"train.batch_tokens": "auto"}, resume=True)
    assert stored(parts) == tokens
    assert f"train.batch_tokens=auto stays {tokens:,}, the number of this run" in caplog.messages
    assert bits(parts)[1] == bits(whole)[1]


@pytest.mark.slow
def test_a_line_says_the_number_and_its_limit(
    tmp_path: Path, little_memory: Any, caplog: pytest.LogCaptureFixture
) -> None:
    little_memory(3 * MEBIBYTE)
    with caplog.at_level("INFO", "seq2attn"):
        run = train(tmp_path, "auto", settings={"train.batch_tokens": "auto", "train.max_steps": 1})
    line = f"train.batch_tokens=auto is {stored(run):,} on cuda:0; the limit is what the memory holds"
    assert line in caplog.messages


@pytest.mark.slow
def test_too_little_memory_later_names_the_setting(tmp_path: Path, little_memory: Any) -> None:
    little_memory(3 * MEBIBYTE)
    run = train(tmp_path, "auto", settings={"train.batch_tokens": "auto", "train.max_steps": 1})
    little_memory(MEBIBYTE // 2)
    expected = rf"^train\.batch_tokens is {stored(run):,}: .* half of it and twice train\.accumulate"
    with pytest.raises(UserError, match=expected):
        train(tmp_path, "auto", resume=True, settings={"train.batch_tokens": stored(run)})
