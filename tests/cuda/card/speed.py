"""Training: target tokens a second, memory, and the share of the card's rate of matrix products."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import small
import torch
from before_runs import TextRows

from seq2attn import config
from seq2attn.config import Config
from seq2attn.devices import find_format
from seq2attn.models.seq2seq import Seq2Seq, build
from seq2attn.training import events, resume, trainer
from seq2attn.training.compiled_gradient import compile_obstacle
from seq2attn.training.distributed import World

from .session import Row, Session

PRESETS = ("transformer", "vaswani17-paper", "bahdanau15-paper", "luong15-paper")
GRAPHS, COMPILE = "train.cuda_graphs", "train.compile"
WARM_UP = 0.4  # share of the time, for graphs and caches
MOST_SECONDS = 20.0  # of one measurement


def measure(session: Session) -> Iterator[Row]:
    rate = matrix_rate(session)
    value = f"{rate / 1e12:,.1f} TFLOP/s"
    yield Row("large products, half precision", value, None, {"operations/s": rate})
    graphs = ["false", "true"] if GRAPHS in config.flat(config.load("transformer", [])) else [""]
    cases = {
        f"{preset}{', graphs' if value == 'true' else ''}": (preset, [f"{GRAPHS}={value}"] if value else [])
        for preset in PRESETS
        for value in graphs
    }
    # the last one: to compile takes longer than to measure
    if session.device.type == "cuda" and (obstacle := compile_obstacle(session.device)) is None:
        cases["transformer, compile"] = ("transformer", [f"{COMPILE}=true"])
    elif session.device.type == "cuda":
        yield Row("transformer, compile", f"left out: {obstacle}")
    seconds = min(2.0 if session.quick else MOST_SECONDS, session.left() / len(cases) * 0.7)
    for name in session.while_time(cases):
        try:
            yield one(name, *cases[name], seconds, rate, session)
        except Exception as error:  # noqa: BLE001 - one that fails is a row
            yield Row(name, f"{type(error).__name__}: {error}".splitlines()[0], False)


def one(name: str, preset: str, changes: list[str], seconds: float, rate: float, session: Session) -> Row:
    settings = speed_settings(preset, changes, session)
    vocabulary = vocabulary_of(settings, session)
    data = random_pairs(2000 if not session.quick else 20, vocabulary)
    torch.manual_seed(1)
    model = build(settings.model, vocabulary, vocabulary).to(session.device)
    session.forget_peak()
    tokens, spent, updates = train_for(seconds, model, settings, data, session)
    speed = tokens / spent
    share = speed * operations_of_a_token(model) / rate
    peak = session.peak_gigabytes()
    value = f"{speed:,.0f} tokens/s, {share:.0%} of the matrix rate, {peak:.1f} GB, {updates} updates"
    return Row(name, value, None, {"tokens/s": speed, "share": share, "GB": peak})


def speed_settings(preset: str, changes: list[str], session: Session) -> Config:
    more = ["train.max_steps=1000000", "train.accumulate=1", "train.validate_every=1000000", *changes]
    if session.quick:
        return small.narrow(preset, [*more, "train.batch_tokens=200"])
    return config.load(preset, more)


def vocabulary_of(settings: Config, session: Session) -> int:
    return 100 if session.quick else settings.data.vocab_size


class CountedRows(TextRows):
    """Random pairs that note the target tokens of each batch that is taken."""

    def __init__(self, sources: list[list[int]], targets: list[list[int]]) -> None:
        super().__init__(sources, targets)
        self.tokens: list[int] = []

    def batch(self, rows: np.ndarray, draw: int | None) -> Any:
        self.tokens.append(int(self.target_lengths[rows].sum()) + len(rows))
        return super().batch(rows, draw)


def random_pairs(count: int, vocabulary: int) -> CountedRows:
    """Pairs of sentences with the lengths of news: 25 tokens on average, both sides alike."""
    draw = np.random.default_rng(1)
    lengths = np.clip(draw.gamma(4.0, 6.25, count).astype(int), 3, 80)
    sides = [
        [draw.integers(4, vocabulary, length + draw.integers(-2, 3)).tolist() for length in lengths]
        for _ in range(2)
    ]
    return CountedRows(*sides)


def train_for(
    seconds: float, model: Seq2Seq, settings: Config, data: CountedRows, session: Session
) -> tuple[int, float, int]:
    """Target tokens, seconds and updates after the warm-up."""
    with tempfile.TemporaryDirectory() as folder, patch.object(resume, "save", without_files):
        run = small.new_run(Path(folder, "run"), settings)
        training = trainer.train(
            model,
            run,
            data,
            data,
            world=World(session.device),
            format=find_format("auto", session.device),
            validate=lambda model: events.Scores({settings.train.metric: 0.0}),
        )
        began, start, done, first = time.monotonic(), 0.0, 0, 0
        for event in training:
            if not isinstance(event, events.Update):
                continue
            done += 1
            session.synchronize()
            now = time.monotonic()
            if not start and now - began > WARM_UP * seconds:
                start, first = now, done
            elif start and now - start > (1 - WARM_UP) * seconds:
                break
        training.close()
    return sum(data.tokens[first:done]), now - start, done - first


def without_files(run: Any, state: Any, *others: Any) -> Any:
    """In place of `resume.save`: gigabytes of a disk are not what is measured."""
    return state


def matrix_rate(session: Session) -> float:
    """Multiplications and additions a second of large products in half precision."""
    size = 64 if session.quick or session.device.type == "cpu" else 8192
    half = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
    dtype = half[find_format("auto", session.device)]
    a = torch.randn(size, size, device=session.device).to(dtype)
    times = []
    for _ in range(4):
        session.synchronize()
        began = time.monotonic()
        for _ in range(10):
            a @ a
        session.synchronize()
        times.append((time.monotonic() - began) / 10)
    return 2 * size**3 / min(times)


def operations_of_a_token(model: Seq2Seq) -> float:
    """Multiplications and additions of matrices for a target token, forward and backward, about: 6 for each
    parameter, without embeddings, and with the output layer. Sources are as long as targets.
    """
    embeddings = {id(m.weight) for m in model.modules() if isinstance(m, torch.nn.Embedding)}
    output = model.decoder.output.weight
    matrices = [p for p in model.parameters() if p.dim() > 1 and (id(p) not in embeddings or p is output)]
    return 6.0 * sum(p.numel() for p in matrices)
