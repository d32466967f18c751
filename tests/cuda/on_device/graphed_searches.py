"""Beam search by CUDA graphs beside beam search without: the same outputs, scores and attention."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small
import tiny
import torch
from simulated import counts
from simulated.graphs import DEFAULT

from seq2attn.inference import Captioner, Translator, graphed_beam
from seq2attn.models.seq2seq import build
from seq2attn.runs.tensors import save_weights

GRAPHS = {"search.cuda_graphs": True}
TEXTS = [*tiny.ENGLISH[:7], "rain", "a dog"]
PREFIXES = ["", "le petit", "un grand chat voit la", "", "le", "", "", "a", ""]
MODELS: dict[str, dict[str, Any]] = {
    "recurrent": {},
    "transformer": {"kind": "transformer", "size": 12, "heads": 2, "layers": 2, "feedforward": 16},
    "convolutional": {"kind": "conv", "size": 12, "layers": 2, "kernel": 3},
}
SEARCHES: dict[str, dict[str, Any]] = {
    "greedy": {"beam": 1, "attention": False},
    "beam": {"beam": 4, "n_best": 3},
    "no repeats": {"beam": 3, "no_repeat_ngram": 2, "attention": "all"},
    "all at once": {"beam": 3, "no_repeat_ngram": 2, "min_length": 4, "prefixes": PREFIXES},
    "limits": {"beam": 3, "min_length": 4, "max_length": 9, "length_penalty": 0.4},
    "prefixes": {"beam": 2, "prefixes": PREFIXES},
}
QUICK = [("recurrent", "beam"), ("convolutional", "greedy"), ("transformer", "all at once")]
FAMILIES = ["first-try", "transformer", "bahdanau15", "gehring17", "caption-transformer"]
MORE = [
    *(
        "luong15",
        "luong15-local-m",
        "luong15-local-p",
        "tu16",
        "tu17",
        "chorowski15",
        "hard-sample",
        "gumbel",
    ),
    *("sutskever14", "cho14", "entmax15", "sparsemax", "vaswani17", "luong15-location", "multihead"),
    *("keyed-values", "pointer", "caption-fixed", "xu15-hard", "video"),
]


def systems(run: Path, precision: str = "fp32", kind: Any = Translator) -> list[Any]:
    """Without graphs and with them."""
    return [kind.load(run, "cuda", precision, settings) for settings in ({}, GRAPHS)]


def compare(graphed: list[list[Any]], plain: list[list[Any]], bound: float = 1e-5) -> None:
    for ours, theirs in zip(graphed, plain, strict=True):
        assert [(one.text, one.finished) for one in ours] == [(one.text, one.finished) for one in theirs]
        assert [one.score for one in ours] == pytest.approx([one.score for one in theirs], rel=bound)
        for a, b in zip(ours, theirs, strict=True):
            for name in ("attention", "subword_attention", "subword_attention_heads"):
                weights = getattr(a, name, None), getattr(b, name, None)
                assert (weights[0] is None) == (weights[1] is None)
                if weights[0] is not None:
                    np.testing.assert_allclose(weights[0], weights[1], atol=bound)


def replays() -> int:
    return counts.read().get("graph:replay", 0)


def sharp_run(path: Path, preset: str, *changes: str) -> Path:
    """A run of the narrow preset whose random weights make its outputs sure."""
    settings = small.narrow(preset, ["train.max_steps=1", *changes])
    run = small.new_run(path, settings)
    torch.manual_seed(2)
    model = build(settings.model, run.source_size, run.target_size)
    with torch.no_grad():
        for name, weight in model.decoder.named_parameters():
            if weight.dim() > 1 and "norm" not in name:
                weight.normal_(std=3 / weight.shape[-1] ** 0.5)
    save_weights(run, model)
    return path


@pytest.mark.parametrize(
    ("model", "search"),
    [
        *QUICK,
        *(
            pytest.param(model, search, marks=pytest.mark.slow)
            for model in MODELS
            for search in SEARCHES
            if (model, search) not in QUICK
        ),
    ],
)
def test_search_by_graphs_equals_one_without(
    model: str, search: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice, so that the second time all graphs are there; the state grows, and sentences leave."""
    monkeypatch.setattr(graphed_beam, "FIRST_STEPS", 3)
    monkeypatch.setattr(graphed_beam, "POSITIONS", 24)  # the sources have 16
    plain, graphed = systems(tiny.save_run(tmp_path / "run", **MODELS[model]))
    for texts in (TEXTS, TEXTS[::-1]):
        theirs = plain.translate(texts, **SEARCHES[search])
        counts.reset()
        compare(graphed.translate(texts, **SEARCHES[search]), theirs)
        assert replays() > 5


@pytest.mark.slow
def test_batch_gets_smaller_and_its_room_larger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphed_beam, "FIRST_STEPS", 3)
    plain, graphed = systems(tiny.save_run(tmp_path / "run", **MODELS["transformer"]))
    shapes = []
    place = graphed_beam.GraphedBeamSearch._place

    def spy(self: Any, *arguments: Any) -> Any:
        key, here = place(self, *arguments)
        slots = here.state.decoders[0].past.slots_RC
        shapes.append((len(here.limit_B), slots.size(1) // here.alive_BW.size(1)))
        return key, here

    monkeypatch.setattr(graphed_beam.GraphedBeamSearch, "_place", spy)
    texts = ["a", "i", "rain", *tiny.ENGLISH[:7], " ".join(tiny.ENGLISH[:3])]
    options: dict[str, Any] = {"beam": 2, "batch_tokens": 10_000}
    compare(graphed.translate(texts, **options), plain.translate(texts, **options))
    assert shapes[0] == (12, 3)
    assert shapes[-1][0] == 4
    assert {7, 15, 31} <= {room for _, room in shapes}


def run_and_inputs(path: Path, preset: str) -> tuple[Path, Any, list[Any]]:
    run = sharp_run(path / "run", preset)
    settings = small.narrow(preset, [])
    if settings.model.modality.has_vocabulary:
        return run, Translator, TEXTS
    return run, Captioner, small.images(settings)


def search_with(system: Any, inputs: list[Any], **options: Any) -> list[list[Any]]:
    results: list[list[Any]] = (system.translate if isinstance(system, Translator) else system.caption)(
        inputs, max_length=10, **options
    )
    return results


@pytest.mark.parametrize(
    "preset", ["xu15-soft", *(pytest.param(name, marks=pytest.mark.slow) for name in (*FAMILIES, *MORE))]
)
def test_preset_searches_by_graphs_as_without(preset: str, tmp_path: Path) -> None:
    run, kind, inputs = run_and_inputs(tmp_path, preset)
    plain, graphed = systems(run, kind=kind)
    for options in ({"beam": 1}, {"beam": 3, "attention": False}):
        theirs = search_with(plain, inputs, **options)
        counts.reset()
        compare(search_with(graphed, inputs, **options), theirs)
        assert replays()


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("preset", [*FAMILIES, "xu15-soft"])
def test_preset_in_half_precision(preset: str, precision: str, tmp_path: Path) -> None:
    run, kind, inputs = run_and_inputs(tmp_path, preset)
    plain, graphed = systems(run, precision, kind)
    for options in ({"beam": 1}, {"beam": 3}):
        theirs = search_with(plain, inputs, **options)
        ours = search_with(graphed, inputs, **options)
        # rounding decides near ties, after which outputs are others
        same = [(a, b) for a, b in zip(ours, theirs, strict=True) if a[0].text == b[0].text]
        assert len(same) >= 0.7 * len(ours)
        compare([a[:1] for a, _ in same], [b[:1] for _, b in same], 0.03)


@pytest.mark.slow
def test_autocast_of_a_model_in_float32(tmp_path: Path) -> None:
    """Nothing that autocast keeps outlives its context."""
    system = Translator.load(tiny.save_run(tmp_path / "run"), "cuda", "fp32", GRAPHS)
    model, of = system.models[0].requires_grad_(), system.config  # as in a validation
    tokenizers = tiny.tokenizer("source"), tiny.tokenizer("target")
    graphed = Translator(model, *tokenizers, of, precision="bf16")
    first = graphed.translate(TEXTS, beam=2)
    compare(graphed.translate(TEXTS, beam=2), first, 0)


def test_step_by_a_graph_is_a_few_operations_without_waits(tmp_path: Path) -> None:
    system = Translator.load(tiny.save_run(tmp_path / "run", **MODELS["transformer"]), "cuda", "fp32", GRAPHS)
    sums = []
    for steps in (12, 4, 12):
        counts.reset()
        system.translate(tiny.ENGLISH[:4], beam=5, min_length=steps, max_length=steps, attention=False)
        sums.append(counts.summary(counts.read()))
    assert sums[2].operations - sums[1].operations == 8 * 2  # the graph, and a copy of its tokens
    assert sums[2].waits == sums[1].waits


@pytest.mark.slow
def test_weights_may_change_and_move(tmp_path: Path) -> None:
    plain, graphed = systems(tiny.save_run(tmp_path / "run", **MODELS["convolutional"]))
    for change in (
        lambda parameter: parameter.mul_(1.2),
        lambda parameter: setattr(parameter, "data", parameter.data * 1.2),
    ):
        graphed.translate(TEXTS, beam=2)
        with torch.no_grad():
            for system in (plain, graphed):
                for parameter in system.models[0].parameters():
                    change(parameter)
        compare(graphed.translate(TEXTS, beam=2), plain.translate(TEXTS, beam=2))


@pytest.mark.slow
@pytest.mark.parametrize("most", [2, 64])
def test_few_graphs_are_kept_and_their_memory_is_that_of_the_largest(
    most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch of two, a larger one that needs more memory, and the first again."""
    monkeypatch.setattr(graphed_beam, "MOST", most)
    plain, graphed = systems(tiny.save_run(tmp_path / "run", **MODELS["transformer"]))
    blocks = []
    for count in (2, 9, 2, 5, 9):
        theirs = plain.translate(TEXTS[:count], beam=2)
        compare(graphed.translate(TEXTS[:count], beam=2), theirs)
        blocks.append(graphed._graphs._memory._block.data_ptr())
        assert len(graphed._graphs._graphs) <= most
    assert len(set(blocks[1:])) == 1


@pytest.mark.slow
def test_other_device_than_the_first(tmp_path: Path) -> None:
    run = tiny.save_run(tmp_path / "run")
    waited = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "current_stream", lambda device=None: waited.append(device) or DEFAULT)
        graphed = Translator.load(run, "cuda:1", "fp32", GRAPHS)
        compare(graphed.translate(TEXTS, beam=2), Translator.load(run, "cpu").translate(TEXTS, beam=2))
    assert set(waited) == {torch.device("cuda", 1)}


@pytest.mark.slow
def test_ensemble_searches_by_graphs_as_without(tmp_path: Path) -> None:
    runs = [str(tiny.save_run(tmp_path / name, **MODELS[name])) for name in ("recurrent", "transformer")]
    plain, graphed = (Translator.load(",".join(runs), "cuda", "fp32", one) for one in ({}, GRAPHS))
    theirs = plain.translate(TEXTS, beam=3, attention=True)
    counts.reset()
    compare(graphed.translate(TEXTS, beam=3, attention=True), theirs)
    assert replays()


@pytest.mark.slow
def test_samples_are_drawn_without_graphs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    plain, graphed = systems(tiny.save_run(tmp_path / "run"))
    options: dict[str, Any] = {"sample": True, "n_best": 2, "max_length": 6}
    counts.reset()
    compare(graphed.translate(TEXTS, **options), plain.translate(TEXTS, **options), 0)
    assert not replays()
    graphed.translate(TEXTS, **options)
    notes = [record.getMessage() for record in caplog.records]
    assert notes == ["search.cuda_graphs changes nothing here: samples are drawn without graphs"]
