"""Gradients that are compiled are those of the same model as it is, one program serves batches of all
shapes, and what is not compiled is refused or left as it is.

The quick tests compile with torch's "eager" backend, which has all conditions and no compiler of C++.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import image_toy
import numpy as np
import pytest
import torch
import toy
from torch._dynamo.utils import counters

from seq2attn import config
from seq2attn.devices import autocast
from seq2attn.errors import UserError
from seq2attn.models.seq2seq import Seq2Seq
from seq2attn.training import compiled_gradient
from seq2attn.training.compiled_gradient import CompiledGradient, compile_obstacle, is_general
from seq2attn.training.effective import batch_gradient
from seq2attn.training.events import Update
from seq2attn.training.gradient_step import GradientStep
from seq2attn.training.microbatches import Microbatch, microbatch
from seq2attn.training.objectives.cross_entropy import CrossEntropy, teacher_forcing
from seq2attn.training.regularisation import regularised

CPU = torch.device("cpu")
# rows, and positions of source and target, with the end token
SHAPES = [(17, 7, 5), (16, 4, 4), (20, 9, 9), (31, 6, 2), (16, 12, 3), (18, 5, 8), (40, 10, 9), (19, 2, 3)]
SHAPES += [(25, 4, 11), (16, 16, 16)]


class Rows(toy.Pairs):
    """Random sequences, of which the longest of each side have these lengths."""

    def __init__(self, rows: int, source: int, target: int) -> None:
        draw = np.random.default_rng(rows)
        self.sources, self.targets = (
            [
                draw.integers(4, toy.SIZE, length - 1 - min(i % 3, length - 2)).astype(np.int32)
                for i in range(rows)
            ]
            for length in (source, target)
        )


def batch(rows: int, source: int, target: int) -> Microbatch:
    return microbatch(Rows(rows, source, target), np.arange(rows), 0, CPU)


def both(*changes: str) -> list[str]:
    return [f"model.{side}.{change}" for side in ("encoder", "decoder") for change in changes]


DOT = ["model.attention.score=scaled-dot", "model.attention.heads=2"]
TRANSFORMER = both("kind=transformer", "size=8", "layers=1", "heads=2", "feedforward=12", "positions=rotary")
TRANSFORMER += DOT
CONV = both("kind=conv", "size=8", "layers=1") + DOT


def settings(*changes: str) -> config.Config:
    tree: dict[str, Any] = {"data": {"joint": True}, "model": {"embedding": 8, "dropout": 0.0}}
    tree["train"] = {"metric": "loss", "compile": True, "batch_tokens": 400, "max_steps": 4, "clip_norm": 0}
    for change in changes:
        config.assign(tree, change)
    return config.validate(tree, "test")


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(compiled_gradient, "BACKEND", "eager")
    counters.clear()
    yield
    torch.compiler.reset()


def gradient(
    conf: config.Config, net: Seq2Seq, compiled: bool, batches: list[Microbatch], format: Any = "fp32"
) -> list[dict[str, torch.Tensor]]:
    """The gradients of each batch, and the loss as one of them."""
    train = conf.train.model_copy(update={"compile": compiled})
    step = GradientStep(net, train, toy.ALONE, format)
    way = batch_gradient(train, step, CPU)
    assert isinstance(way, CompiledGradient) == compiled
    objective = CrossEntropy(net.train(), train, lambda: autocast(CPU, format), 0.0)
    results = []
    for one in batches:
        step.begin(1, 1)
        sums = way(objective, one, 5, len(one.targets_M))
        named = {name: p.grad for name, p in net.named_parameters() if p.grad is not None}
        results.append({name: grad.clone() for name, grad in named.items()} | {"loss": sums.loss.detach()})
        step.optimizer.zero_grad()
    return results


def assert_close(
    one: list[dict[str, torch.Tensor]], other: list[dict[str, torch.Tensor]], relative: float
) -> None:
    for first, second in zip(one, other, strict=True):
        assert first.keys() == second.keys()
        for name, tensor in first.items():
            assert (second[name] - tensor).norm() <= relative * tensor.norm() + 1e-7, name


def programs() -> int:
    return int(counters["stats"]["unique_graphs"])


def test_one_program_has_the_gradients_of_all_shapes(backend: None) -> None:
    conf = settings(*TRANSFORMER, "model.tied=all")
    net, batches = toy.model(conf), [batch(*shape) for shape in SHAPES]
    assert_close(gradient(conf, net, False, batches), gradient(conf, net, True, batches), 1e-6)
    assert programs() == 1


def test_batches_of_few_rows_or_one_position_are_not_compiled(backend: None) -> None:
    conf = settings(*TRANSFORMER)
    batches = [batch(15, 5, 4), batch(1, 5, 4), batch(30, 5, 4)._replace(source=torch.full((30, 1), 3))]
    batches[2] = batches[2]._replace(source_mask=torch.ones(30, 1, dtype=torch.bool))
    net = toy.model(conf)
    assert_close(gradient(conf, net, False, batches), gradient(conf, net, True, batches), 0.0)
    assert programs() == 0
    assert not any(map(is_general, batches))


@pytest.mark.slow
def test_compilation_leaves_no_trace_in_the_first_update(backend: None) -> None:
    """Not in gradients, and not in the random numbers: dropout has those of the seed."""
    conf = settings(*TRANSFORMER, "model.dropout=0.3")
    net, one = toy.model(conf), batch(17, 7, 5)
    first, second = gradient(conf, net, True, [one, one])
    assert_close([first], [second], 0.0)
    assert all(p.grad is None for p in net.parameters())


@pytest.mark.slow
def test_second_training_has_a_count_of_programs_of_its_own(backend: None) -> None:
    one = batch(16, 4, 5)
    with torch._dynamo.config.patch(recompile_limit=1):
        for size in (8, 12):
            conf = settings(*TRANSFORMER, f"model.decoder.feedforward={size}")
            gradient(conf, toy.model(conf), True, [one])
    assert programs() == 2


def test_model_that_torch_cannot_compile_is_refused_in_one_line(
    backend: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forward(*arguments: Any) -> Any:
        torch._dynamo.graph_break()
        return teacher_forcing(*arguments)

    monkeypatch.setattr(compiled_gradient, "teacher_forcing", forward)
    conf = settings(*TRANSFORMER)
    with pytest.raises(
        UserError, match=r"^train\.compile: torch cannot compile this model \(.*\); set"
    ) as error:
        gradient(conf, toy.model(conf), True, [batch(16, 4, 4)])
    assert "\n" not in str(error.value)


def test_compiler_of_a_cpu_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", sys.executable)
    assert compile_obstacle(CPU) is None
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert compile_obstacle(CPU) == "the C++ compiler no-such-compiler is not installed"


def test_triton_is_looked_for_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for place, obstacle in ((None, True), (sys.modules["sys"], False)):
        monkeypatch.setattr(compiled_gradient, "find_spec", {"triton": place}.get)
        assert ("triton" in (compile_obstacle(torch.device("cuda")) or "")) == obstacle


PARTS = {
    "pointer": [*TRANSFORMER, "model.pointer=true", "model.decoder.positions=learned"],
    "penalty": [*TRANSFORMER, "train.doubly_stochastic=0.5"],
    "r-drop": [*TRANSFORMER, "train.r_drop=3", "train.word_dropout=0.1"],
    "conv": CONV,
    "norm after": [*TRANSFORMER, *both("prenorm=false", "norm=layer", "activation=relu")],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PARTS)
def test_other_parts_are_compiled_too(backend: None, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(compiled_gradient, "BACKEND", "aot_eager")
    conf = settings(*PARTS[name])
    net, batches = toy.model(conf), [batch(*shape) for shape in SHAPES]
    assert_close(gradient(conf, net, False, batches), gradient(conf, net, True, batches), 1e-4)
    assert programs() == 1


@pytest.mark.slow
def test_words_and_weights_that_are_dropped_are_compiled(backend: None) -> None:
    conf = settings(*TRANSFORMER, "train.word_dropout=0.3", "train.attention_dropout=0.3")
    net, batches = toy.model(conf), [batch(*shape) for shape in SHAPES[:4]]
    plain = gradient(conf, net, True, batches)
    torch.compiler.reset()
    counters.clear()
    with regularised(net, conf.train):
        dropped = gradient(conf, net, True, batches)
    assert programs() == 1
    for one, other in zip(plain, dropped, strict=True):
        assert abs(one["loss"] - other["loss"]) > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize(("format", "relative"), [("fp32", 1e-4), ("bf16", 0.05)])
def test_compiler_of_torch_has_the_gradients_too(
    backend: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, format: str, relative: float
) -> None:
    """In bfloat16 both differ from float32 by a percent or two, and so from each other: fused operations
    round once.
    """
    monkeypatch.setattr(compiled_gradient, "BACKEND", "inductor")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    conf = settings(*TRANSFORMER, "model.tied=all")
    net, batches = toy.model(conf), [batch(*shape) for shape in SHAPES]
    plain = gradient(conf, net, False, batches, format)
    assert_close(plain, gradient(conf, net, True, batches, format), relative)
    assert programs() == 1


@pytest.mark.slow
def test_captions_are_compiled_and_anew_when_the_backbone_thaws(backend: None, tmp_path: Path) -> None:
    stills = image_toy.folder(tmp_path / "stills")
    changes = [*(change for change in TRANSFORMER if ".encoder" not in change), "model.dropout=0.0"]
    changes += ["train.max_steps=4", "train.unfreeze_step=2", "train.batch_tokens=300"]
    updates = []
    for number, compiled in enumerate(("false", "true")):
        conf = image_toy.settings(*changes, f"train.compile={compiled}")
        events = image_toy.fit(tmp_path / str(number), conf, stills)
        updates.append([(event.loss, event.norm) for event in toy.of(Update, events)])
        assert programs() == 2 * number
    for plain, other in zip(*updates, strict=True):
        assert other == pytest.approx(plain, rel=1e-4)
