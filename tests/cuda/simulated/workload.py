"""A training of a small preset, and searches with its run; and what each update and each step of a search
does on the device.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import tiny
import torch
from small import PAIRS, images, new_run, pairs

from seq2attn.config import Config
from seq2attn.inference import Captioner, Translator
from seq2attn.models.seq2seq import build
from seq2attn.runs import directory
from seq2attn.training import events, trainer
from seq2attn.training.distributed import World

from . import counts
from .counts import Summary

STEPS = (4, 12)  # of two searches, whose difference is that of 8 steps


@dataclass
class Training:
    """What a training did, update by update."""

    losses: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)  # of the gradients
    counts: list[dict[str, int]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    @property
    def last(self) -> Summary:
        return counts.summary(self.counts[-1])


class Decoding(NamedTuple):
    """What a search does: in each step, and besides. Copies and waits of a step may be fractions."""

    step: Summary
    besides: Summary
    outputs: list[str]


def train(
    path: Path,
    settings: Config,
    format: Any,
    *,
    source: int = 8,
    target: int = 8,
    stop_after: int | None = None,
    device: str = "cuda:0",
) -> Training:
    """Train on sentences of about so many tokens, or go on if there is a run.

    It ends as if interrupted after `stop_after` updates.
    """
    run = directory.open_run(path, trained=False) if directory.is_run(path) else new_run(path, settings)
    torch.manual_seed(1)
    place, result = torch.device(device), Training()
    model = build(settings.model, run.source_size, run.target_size).to(place)
    data, metric = pairs(settings, source, target), settings.train.metric
    training = trainer.train(
        model,
        run,
        data,
        data,
        world=World(place),
        format=format,
        validate=lambda model: events.Scores({metric: 0.0}),
        reward_function=None if settings.train.self_critical.start_step is None else no_reward,
        stop=lambda: stop_after is not None and len(result.losses) >= stop_after,
    )
    counts.reset()
    began = time.perf_counter()
    for event in training:
        if isinstance(event, events.Update):
            result.counts.append(counts.read())
            result.seconds.append(time.perf_counter() - began)
            result.losses.append(event.loss)
            result.norms.append(event.norm)
        counts.reset()
        began = time.perf_counter()
    return result


def no_reward(*arguments: object) -> Any:
    raise AssertionError("self-critical training begins later")


def decode(path: Path, format: Any, device: str = "cuda:0", graphs: bool = False) -> dict[str, Decoding]:
    """Greedy search and beam search with a trained run, as the commands do; and one with attention.

    With `graphs`, the steps are CUDA graphs that exist already.
    """
    settings = directory.open_run(path).config
    system: Any
    loaded = {
        "device": device,
        "precision": format,
        "settings": {"search.cuda_graphs": True} if graphs else (),
    }
    if settings.model.modality.has_vocabulary:
        system = Translator.load(path, **loaded)
        inputs: list[Any] = tiny.ENGLISH[:PAIRS]
        search = system.translate
    else:
        system = Captioner.load(path, **loaded)
        inputs, search = images(settings), system.caption
    results = {}
    for name, beam in (("greedy", 1), ("beam", settings.search.beam if settings.search.beam > 1 else 5)):
        if graphs:
            search(inputs, beam=beam, max_length=STEPS[1])
        few, many = (
            _search(partial(search, inputs, beam=beam, min_length=steps, max_length=steps)) for steps in STEPS
        )
        each = [(b - a) / (STEPS[1] - STEPS[0]) for a, b in zip(few[0], many[0], strict=True)]
        besides = [a - STEPS[0] * step for a, step in zip(few[0], each, strict=True)]
        results[name] = Decoding(Summary(*each), Summary(*besides), many[1])
    search(inputs[:2], beam=2, max_length=4, attention=True)
    return results


def _search(search: Callable[[], list[list[Any]]]) -> tuple[Summary, list[str]]:
    counts.reset()
    outputs = search()
    return counts.summary(counts.read()), [str(ranked[0]) for ranked in outputs]
