"""Updates by CUDA graphs beside updates without: the same losses, gradients and weights, on batches whose
shapes change.
"""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small
import tiny
import torch
from before_runs import ImageRows, TextRows
from simulated import counts
from torch import Tensor

from seq2attn.config import Config
from seq2attn.data.batches import Pairs
from seq2attn.data.images.transforms import CaptionedImages, ImageTransform
from seq2attn.models.seq2seq import build
from seq2attn.training import events, graphed_gradient, trainer
from seq2attn.training.distributed import World

DEVICE = torch.device("cuda", 0)
QUICK = ["first-try", "transformer"]
MORE = [
    "bahdanau15",
    "gehring17",
    "xu15-soft",
    "luong15-local-m",
    "tu16",
    "sutskever14",
    "caption-transformer",
    "entmax15",
    "cho14",
    "vaswani17",
]
NOT_GRAPHED = ["hard-sample", "caption-fixed", pytest.param("video", marks=pytest.mark.slow)]


@dataclass
class Result:
    numbers: list[tuple[float, float]] = field(default_factory=list)  # loss and norm of each update
    counts: list[dict[str, int]] = field(default_factory=list)
    weights: dict[str, Tensor] = field(default_factory=dict)

    @property
    def replays(self) -> int:
        return sum(update.get("graph:replay", 0) for update in self.counts)


def pairs(settings: Config, longest: int, count: int) -> Pairs:
    draw = np.random.default_rng(1)
    vocabulary = tiny.tokenizer("target").size

    def sequences(lengths: Any) -> list[list[int]]:
        return [draw.integers(4, vocabulary, size=length).tolist() for length in lengths]

    lengths = draw.integers(2, longest, size=count)
    if settings.model.modality.has_vocabulary:
        return TextRows(
            sequences(lengths), sequences(np.maximum(1, lengths + draw.integers(-2, 9, size=count)))
        )
    images = small.images(settings)
    captions = [sequences(draw.integers(2, longest, size=2)) for _ in images]
    split: Any = ImageRows(images, captions)
    return CaptionedImages(split, ImageTransform.of(settings.model.encoder), None)  # type: ignore[arg-type]


def fit(
    path: Path, preset: str, *changes: str, format: Any = "fp32", count: int = 40, longest: int = 16
) -> Result:
    """Train for a few updates, and count what each does."""
    settings = small.narrow(
        preset,
        ["train.batch_tokens=120", "model.dropout=0.0", "train.log_every=1", "train.max_steps=9", *changes],
    )
    data = pairs(settings, longest, count)
    run = small.new_run(Path(tempfile.mkdtemp(dir=path), "run"), settings)
    torch.manual_seed(1)
    model = build(settings.model, run.source_size, run.target_size).to(DEVICE)
    result, metric = Result(), settings.train.metric
    counts.reset()
    for event in trainer.train(
        model,
        run,
        data,
        data,
        world=World(DEVICE),
        format=format,
        validate=lambda _: events.Scores({metric: 0.0}),
        reward_function=lambda *_: pytest.fail("too early"),
    ):
        if isinstance(event, events.Update):
            result.numbers.append((event.loss, event.norm))
            result.counts.append(counts.read())
        counts.reset()
    result.weights = {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}
    return result


def assert_same(one: Result, other: Result, bound: float) -> None:
    torch.testing.assert_close(torch.tensor(one.numbers), torch.tensor(other.numbers), rtol=bound, atol=bound)
    for name, tensor in one.weights.items():
        torch.testing.assert_close(tensor, other.weights[name], rtol=bound, atol=bound)


@pytest.mark.parametrize("preset", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in MORE)])
def test_update_by_graphs_equals_one_without(tmp_path: Path, preset: str) -> None:
    plain = fit(tmp_path, preset)
    graphed = fit(tmp_path, preset, "train.cuda_graphs=true")
    assert_same(plain, graphed, 1e-5)
    # The first batch of a shape has no graph. Texts have several shapes here, some of which come again.
    shapes = 1 if preset.startswith(("xu15", "caption")) else 2
    assert 2 <= graphed.replays <= len(graphed.numbers) - shapes


def test_update_by_a_graph_is_a_few_operations_with_two_waits(tmp_path: Path) -> None:
    last = counts.summary(
        fit(tmp_path, "bahdanau15", "train.cuda_graphs=true", count=4, longest=6).counts[-1]
    )
    assert last.operations <= 20
    assert last.waits == 2


def test_update_of_several_batches_adds_their_gradients(tmp_path: Path) -> None:
    """Some of an update's batches have a graph, and others have none yet."""
    changes = ("train.accumulate=3", "train.optimizer=sgd", "train.schedule=constant")
    plain = fit(tmp_path, "first-try", *changes, longest=9)
    graphed = fit(tmp_path, "first-try", *changes, "train.cuda_graphs=true", longest=9)
    assert_same(plain, graphed, 1e-5)
    assert any(update.get("graph:replay") in (1, 2) for update in graphed.counts)


@pytest.mark.parametrize(
    ("preset", "format"),
    [
        ("first-try", "fp16"),
        pytest.param("transformer", "bf16", marks=pytest.mark.slow),
        pytest.param("transformer", "fp16", marks=pytest.mark.slow),
    ],
)
def test_half_precision_and_the_loss_scale(tmp_path: Path, preset: str, format: str) -> None:
    plain = fit(tmp_path, preset, format=format)
    graphed = fit(tmp_path, preset, "train.cuda_graphs=true", format=format)
    torch.testing.assert_close(
        torch.tensor(plain.numbers), torch.tensor(graphed.numbers), rtol=0.01, atol=0.01
    )
    assert graphed.replays


def test_gradient_that_overflows_in_a_graph_changes_no_weight_and_no_later_gradient(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scale of fp16 falls from far too much; meanwhile graphs leave infinite gradients behind."""
    scaler = torch.amp.GradScaler
    monkeypatch.setattr(
        "torch.amp.GradScaler", lambda device, enabled: scaler(device, init_scale=2.0**32, enabled=enabled)
    )
    changes = ("train.batch_tokens=1000", "train.max_steps=22")
    plain = fit(tmp_path, "first-try", *changes, format="fp16", longest=8)
    graphed = fit(tmp_path, "first-try", *changes, "train.cuda_graphs=true", format="fp16", longest=8)
    left_out = [[norm == 0 for _, norm in one.numbers] for one in (plain, graphed)]
    assert left_out[0] == left_out[1]
    assert 3 < sum(left_out[0]) < 20, left_out
    torch.testing.assert_close(
        torch.tensor(plain.numbers), torch.tensor(graphed.numbers), rtol=0.01, atol=0.01
    )
    assert graphed.replays > 15


def test_too_little_memory_in_a_capture_is_told_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("seq2attn.cuda_graphs.Graph.record", full)
    with pytest.raises(torch.OutOfMemoryError):
        fit(tmp_path, "first-try", "train.cuda_graphs=true", count=4, longest=6)


def test_few_graphs_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = ("train.cuda_graphs=true", "train.max_steps=14")
    plain = fit(tmp_path, "first-try", *changes, count=60, longest=20)
    monkeypatch.setattr(graphed_gradient, "MOST", 1)
    few = fit(tmp_path, "first-try", *changes, count=60, longest=20)
    assert_same(plain, few, 1e-6)
    assert 0 < few.replays < plain.replays


def test_random_numbers_are_those_of_the_seed(tmp_path: Path) -> None:
    """With one shape, each update draws what it draws without a graph."""
    changes = ("model.dropout=0.3", "train.cuda_graphs=true")
    graphed = fit(tmp_path, "first-try", *changes, count=4, longest=6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("seq2attn.cuda_graphs.Graphs.has_run", lambda *_: False)
        plain = fit(tmp_path, "first-try", *changes, count=4, longest=6)
    assert graphed.replays
    assert not plain.replays
    assert_same(plain, graphed, 1e-6)


def test_backbone_that_starts_later_gets_gradients_then(tmp_path: Path) -> None:
    changes = ("train.unfreeze_step=5",)
    plain = fit(tmp_path, "caption-transformer", *changes)
    graphed = fit(tmp_path, "caption-transformer", *changes, "train.cuda_graphs=true")
    assert_same(plain, graphed, 1e-5)
    assert graphed.replays


@pytest.mark.parametrize("preset", NOT_GRAPHED)
def test_what_cannot_be_a_graph_runs_without(tmp_path: Path, preset: str) -> None:
    changes = ("train.self_critical.start_step=100",) if preset == "caption-fixed" else ()
    plain = fit(tmp_path, preset, *changes)
    graphed = fit(tmp_path, preset, *changes, "train.cuda_graphs=true")
    assert_same(plain, graphed, 0)
    assert not graphed.replays
