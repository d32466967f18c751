"""Half precision in search: no step converts a weight, sums over steps stay wide, a model in training keeps
its weights.
"""

import copy
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from seq2attn.inference import Translator
from seq2attn.models.layers.cells import CellState

FORMATS = ("bf16", "fp16")
FAMILIES: dict[str, dict[str, Any]] = {
    "lstm": {"cell": "lstm", "bridge": "linear"},
    "gru": {"cell": "gru"},
    "transformer": {"kind": "transformer", "size": 12, "heads": 2, "feedforward": 24},
}
ATTENTION = {"score": "concat"}  # its matrix is a parameter of its own


def translator_of(family: str, path: Path, format: str) -> Translator:
    run = tiny.save_run(path / "run", attention=ATTENTION, **FAMILIES[family])
    return Translator.load(run, device="cpu", precision=format)


def steps(translator: Translator, count: int) -> tuple[list[list[int]], Any]:
    """The shapes of all matrices that `count` steps convert, and the state after them."""
    with translator.inference_mode():
        state = translator.ensemble.initial_state(translator.encode([[[5, 6, 7]] * 2], [0, 0]), 1)
        token_R = torch.tensor([2, 2])
        _, state, _ = translator.ensemble.step(token_R, state, False)  # the first may convert
        with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as record:
            for _ in range(count):
                _, state, _ = translator.ensemble.step(token_R, state, False)
    copies = [event.input_shapes[0] for event in record.events() if event.name == "aten::_to_copy"]
    return [list(shape) for shape in copies if len(shape) == 2], state


def matrices(translator: Translator) -> list[Tensor]:
    return [weight for weight in translator.models[0].parameters() if weight.dim() > 1]


def shapes(translator: Translator) -> list[list[int]]:
    """Of the decoder's matrices, as they are and transposed."""
    own = [list(weight.shape) for weight in translator.models[0].decoder.parameters() if weight.dim() == 2]
    return own + [shape[::-1] for shape in own]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("family", FAMILIES)
def test_no_step_converts_a_weight(family: str, format: str, tmp_path: Path) -> None:
    """Two rows: no activation has the shape of a weight."""
    translator = translator_of(family, tmp_path, format)
    low = torch.bfloat16 if format == "bf16" else torch.float16
    assert {weight.dtype for weight in matrices(translator)} == {low}
    copies, _ = steps(translator, 2)
    assert not [shape for shape in copies if shape in shapes(translator)]
    assert translator.translate(tiny.ENGLISH[:3])[0][0].text


@pytest.mark.parametrize("family", FAMILIES)
def test_half_precision_scores_nearly_alike(family: str, tmp_path: Path) -> None:
    half = translator_of(family, tmp_path, "bf16")
    exact = Translator.load(tmp_path / "run", device="cpu")
    scores = [one.score_targets(tiny.ENGLISH[:4], tiny.FRENCH[:4]) for one in (half, exact)]
    a, b = ([result.score for result in results] for results in scores)
    assert a == pytest.approx(b, rel=0.1)
    assert a != b


def test_model_in_training_keeps_its_weights(tmp_path: Path) -> None:
    """Its weights are converted once for all steps, and not in place."""
    of = tiny.settings(ATTENTION, **FAMILIES["lstm"])
    model = tiny.model(of)
    before = copy.deepcopy(model.state_dict())
    translator = Translator(model, tiny.tokenizer("source"), tiny.tokenizer("target"), of, precision="bf16")
    copies, _ = steps(translator, 3)
    sliced = [list(model.decoder.output.weight.shape)]
    assert not [shape for shape in copies if shape in sliced]
    translator.translate(tiny.ENGLISH[:3])
    assert model.training
    for name, tensor in model.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, before[name])
        assert not tensor.is_inference()


def test_cells_of_an_lstm_stay_wide(tmp_path: Path) -> None:
    """c is a sum over all steps. It is wide where the first state is not, too."""
    _, state = steps(translator_of("lstm", tmp_path, "bf16"), 1)
    (layer,) = state.decoders[0].layers
    assert isinstance(layer, CellState)
    assert layer.c is not None
    assert layer.c.dtype == torch.float32
