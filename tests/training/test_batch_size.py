"""The search for the largest batch, by a stand-in for the device, and a run on a CPU that asks for it."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from before_runs import TextRows

from seq2attn import config
from seq2attn.device_memory import is_too_little
from seq2attn.errors import UsageError
from seq2attn.tasks import batch_size
from seq2attn.tasks.training import make_plan
from seq2attn.training.batch_size import largest_batches, largest_that_fits


def at_most(limit: int, tried: list[int]) -> Callable[[int], bool]:
    def fits(tokens: int) -> bool:
        tried.append(tokens)
        return tokens <= limit

    return fits


@pytest.mark.parametrize("limit", [20, 21, 300, 4095, 4096, 5000, 70_000, 123_456])
@pytest.mark.parametrize("first", [20, 4096, 200_000])
def test_largest_number_that_fits_is_near_the_limit(limit: int, first: int) -> None:
    tried: list[int] = []
    number = largest_that_fits(at_most(limit, tried), 20, first, 200_000)
    assert limit / 1.25 <= number <= limit
    assert number in tried
    assert len(tried) == len(set(tried)) <= 2 * math.log2(200_000 / 20)


def test_number_is_the_most_where_it_fits_and_none_where_the_least_does_not() -> None:
    assert largest_that_fits(lambda _: True, 20, 4096, 100_000) == 100_000
    assert largest_that_fits(lambda _: True, 20, 4096, 1000) == 1000
    tried: list[int] = []
    assert largest_that_fits(at_most(19, tried), 20, 4096, 100_000) == 0
    assert tried[-1] == 20


def test_largest_batches_are_those_of_most_rows_positions_and_pairs() -> None:
    sources, targets = [1] * 20 + [8] * 4 + [30], [1] * 20 + [8] * 4 + [2]
    pairs = TextRows([[5] * n for n in sources], [[5] * n for n in targets])
    batches = [sorted(set(map(int, np.asarray(sources)[rows]))) for rows in largest_batches(pairs, 40, 1)]
    assert sorted(batches) == [[1], [8]]


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (MemoryError("CUDA error: out of memory"), False),
    ],
)
def test_errors_of_too_little_memory_are_known(error: BaseException, answer: bool) -> None:
    assert is_too_little(error) == answer


@pytest.mark.parametrize(("preset", "tokens"), [("first-try", 4096), ("vaswani17-paper", 25_000)])
def test_plan_has_the_number_of_its_preset(preset: str, tokens: int) -> None:
    assert config.load(preset).train.batch_tokens == tokens
    assert make_plan(preset, ["train.batch_tokens=auto"]).batch_tokens == tokens


def test_file_that_needs_the_changes_has_the_default(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text("[train]\nbatch_tokens = 0\n")
    assert make_plan(str(tmp_path / "own.toml"), ["train.batch_tokens=auto"]).batch_tokens == 4096
    (tmp_path / "auto.toml").write_text('[train]\nbatch_tokens = "auto"\n')
    assert make_plan(str(tmp_path / "auto.toml")).batch_tokens == 4096


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["train.shard=true"], "before the weights are in shards"),
        (["train.self_critical.start_step=5"], "trains on samples"),
    ],
)
def test_what_a_trial_does_not_know_is_refused(settings: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        config.load("caption-transformer", ["train.batch_tokens=auto", *settings])
    config.load("caption-transformer", settings)


def test_run_on_a_cpu_has_the_number_of_the_preset(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    import seq2attn

    for split, count in (("train", 40), ("valid", 5)):
        for side, texts in (("en", tiny.ENGLISH), ("fr", tiny.FRENCH)):
            (tmp_path / f"{split}.{side}").write_text("\n".join((texts * 2)[:count]) + "\n")
    settings = {
        "data.source": "en",
        "data.target": "fr",
        "data.vocab_size": 90,
        "data.tokenizer": "char",
        "model.embedding": 8,
        "model.encoder.size": 8,
        "model.decoder.size": 16,
        "train.max_steps": 1,
        "train.metric": "loss",
    }
    auto = settings | {"train.batch_tokens": "auto"}
    with caplog.at_level("INFO", "seq2attn"):
        seq2attn.train("first-try", tmp_path, tmp_path / "auto", auto, device="cpu")
    assert (
        "train.batch_tokens=auto is 4,096, the number of the preset: on a CPU larger batches are no faster"
        in caplog.messages
    )
    seq2attn.train("first-try", tmp_path, tmp_path / "given", settings, device="cpu")
    configs = [json.loads((tmp_path / name / "config.json").read_text()) for name in ("auto", "given")]
    assert configs[0]["config"]["train"]["batch_tokens"] == 4096
    assert configs[0]["config"] == configs[1]["config"]
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("auto", "given")]
    assert weights[0] == weights[1]
    seq2attn.train("first-try", tmp_path, tmp_path / "auto", auto, resume=True, device="cpu")


def test_resumed_run_keeps_its_number_and_takes_no_other() -> None:
    auto, given = config.load("first-try", ["train.batch_tokens=auto"]), config.load("first-try")
    assert batch_size.number_of_run(auto, given) == given
    other = config.load("first-try", ["train.batch_tokens=64"])
    assert batch_size.number_of_run(other, given) == other
    assert batch_size.number_of_run(auto, auto) == auto


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("many", r'train\.batch_tokens: write a whole number or auto, not "many"'),
        ("1.5", r"train\.batch_tokens: write a whole number or auto, not 1\.5"),
        ("0", r"train\.batch_tokens: it must be at least 1, not 0"),
    ],
)
def test_wrong_value_is_one_line_with_the_name_of_the_setting(value: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        config.load("first-try", [f"train.batch_tokens={value}"])
