"""A task that needs attention and no data: sequences to copy or to reverse, and a small model of them."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seq2attn import config
from seq2attn.data.batches import Texts
from seq2attn.models.seq2seq import Seq2Seq, build
from seq2attn.runs import directory
from seq2attn.training import trainer
from seq2attn.training.distributed import World
from seq2attn.training.events import Event, Update

SIZE = 14  # of the vocabulary, the four specials included
ALONE = World(torch.device("cpu"))


class Pairs(Texts):
    """`count` random sequences of 1 to `longest` symbols, the target reversed (or the same)."""

    def __init__(self, count: int, seed: int, longest: int = 6, reverse: bool = True) -> None:
        random = np.random.default_rng(seed)
        self.sources = [
            random.integers(4, SIZE, random.integers(1, longest + 1)).astype(np.int32) for _ in range(count)
        ]
        self.targets = [ids[::-1].copy() if reverse else ids for ids in self.sources]
        self.lengths = np.array([len(ids) for ids in self.sources], dtype=np.int32)

    @property
    def source_lengths(self) -> np.ndarray:
        return self.lengths

    @property
    def target_lengths(self) -> np.ndarray:
        return self.lengths

    def content(self) -> Iterator[np.ndarray]:
        yield from (self.lengths, *self.sources, *self.targets)

    def ids(self, rows: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
        return [self.sources[row] for row in rows], [self.targets[row] for row in rows]


TRAINING, VALIDATION = Pairs(300, 1), Pairs(40, 2)


def settings(*changes: str) -> config.Config:
    """A tiny recurrent model with attention and dropout, 20 steps, validated by loss, changed by `train.lr=1`
    and the like.
    """
    tree = {
        "model": {
            "embedding": 12,
            "dropout": 0.2,
            "encoder": {"cell": "gru", "size": 8},
            "decoder": {"cell": "gru", "size": 16},
        },
        "train": {
            "max_steps": 20,
            "batch_tokens": 200,
            "lr": 0.01,
            "warmup": 4,
            "schedule": "constant",
            "validate_every": 5,
            "log_every": 2,
            "metric": "loss",
            # with a weight of 1 the estimate is of the expected loss's own gradient
            "reinforce": {"weight": 1.0, "entropy_weight": 0.01},
        },
    }
    for change in changes:
        config.assign(tree, change)
    return config.validate(tree, "test")


def model(conf: config.Config) -> Seq2Seq:
    torch.manual_seed(conf.train.seed)
    return build(conf.model, SIZE, SIZE)


def new_run(path: Path, conf: config.Config) -> directory.Run:
    return directory.create(
        path,
        conf,
        source_size=SIZE,
        target_size=SIZE,
        languages=("en", "fr"),
        tokenizers={"tokenizer.model": b"bytes"},
        corpus="toy",
        force=False,
    )


def fit(
    path: Path, conf: config.Config, net: Seq2Seq | None = None, training: Pairs = TRAINING, **options: object
) -> list[Event]:
    """All events of a run at `path`, new or resumed."""
    run = directory.open_run(path, trained=False) if directory.is_run(path) else new_run(path, conf)
    run = directory.Run(run.path, conf, run.source_size, run.target_size, run.languages, run.corpus)
    return list(trainer.train(net or model(conf), run, training, VALIDATION, **({"world": ALONE} | options)))  # type: ignore[arg-type]


def new_trainer(
    path: Path, conf: config.Config, net: Seq2Seq | None = None, format: str = "fp32", **options: Any
) -> Any:
    """The trainer of a new run at `path`, to call step by step."""
    options = {"validate": None, "reward_function": None, "stop": lambda: False} | options
    run = new_run(path, conf)
    return trainer._Trainer(
        net or model(conf), run, TRAINING, VALIDATION, world=ALONE, format=format, **options
    )  # type: ignore[arg-type]


class After:
    """A `stop` that says yes once `watch` has seen as many updates as `steps`."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def __call__(self) -> bool:
        return self.left <= 0

    def watch(self, events: Iterable[Event]) -> list[Event]:
        watched = []
        for event in events:
            self.left -= isinstance(event, Update)
            watched.append(event)
        return watched


def of(kind: type, events: Iterable[Event]) -> list:
    return [event for event in events if isinstance(event, kind)]


def resumes_exactly(path: Path, *changes: str, training: Pairs = TRAINING) -> Seq2Seq:
    """Assert that a training with a break in it ends with the same weights as one without; returns these."""
    conf = settings("train.validate_every=3", *changes)
    whole, again = model(conf), model(settings(*changes, "train.seed=7"))
    fit(path / "whole", conf, whole, training=training)
    half, calls = 2 * conf.train.max_steps // 3, iter(range(1_000_000))
    events = fit(path / "parts", conf, training=training, stop=lambda: next(calls) >= half)
    assert 0 < events[-1].step < conf.train.max_steps
    torch.manual_seed(999)  # what a new process would have
    fit(path / "parts", conf, again, training=training)
    for (name, one), other in zip(whole.named_parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other), name
    return whole
