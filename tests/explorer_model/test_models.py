"""Every recipe of a model in JavaScript against torch: logits, attention and self-attention of each step."""

from pathlib import Path
from typing import Any

import javascript
import pytest
import recipes
import torch
import transformer_recipes

from seq2attn.config import ModelConfig
from seq2attn.export import page_limits, page_run
from seq2attn.models.seq2seq import Seq2Seq, build

pytestmark = javascript.needs_node

SOURCE, TARGET = [4, 5, 8, 6, 3], [2, 5, 4, 7, 6]
TOLERANCE = 3e-5


def supported(settings: ModelConfig) -> bool:
    return not list(page_limits.refusals(settings))


def random(settings: ModelConfig, seed: int) -> Seq2Seq:
    torch.manual_seed(seed)
    sizes = recipes.SOURCE, recipes.SOURCE if settings.tied == "all" else recipes.TARGET
    model = build(settings, *sizes).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) / 2)
    javascript.round_to_half(model)
    return model


@torch.no_grad()
def by_torch(model: Seq2Seq) -> dict[str, Any]:
    source, target = torch.tensor([SOURCE]), torch.tensor([TARGET])
    mask = torch.ones_like(source, dtype=torch.bool)
    memory = model.encoder(source, mask)
    output = model.decoder(target, memory, True)
    return {
        "logits": output.logits[0],
        "weights": None if output.weights is None else output.weights[0],
        "encoder": model.encoder.self_attention(source, mask),
        "decoder": model.decoder.self_attention(target, memory),
    }


def check(cases: list[ModelConfig], folder: Path) -> None:
    models = [random(settings, seed) for seed, settings in enumerate(cases)]
    data = [
        {
            "model": settings.model_dump(mode="json"),
            "index": page_run.index(model),
            "numbers": javascript.of_page(model),
            "source": SOURCE,
            "target": TARGET,
        }
        for settings, model in zip(cases, models, strict=True)
    ]
    for settings, model, own in zip(cases, models, javascript.run("forced.mjs", data, folder), strict=True):
        other, steps = by_torch(model), own["steps"]
        close(settings, [step["logits"] for step in steps], other["logits"])
        if other["weights"] is not None:
            close(settings, [step["weights"] for step in steps], other["weights"])
        if other["encoder"] is not None:
            close(settings, own["encoderSelf"], torch.cat(other["encoder"]))
        if other["decoder"] is not None:
            for step, at in enumerate(steps):
                close(settings, at["self"], other["decoder"][0, :, :, step, : step + 1])


def close(settings: ModelConfig, own: Any, other: torch.Tensor) -> None:
    torch.testing.assert_close(
        torch.tensor(own, dtype=torch.float32),
        other,
        atol=TOLERANCE,
        rtol=0,
        msg=lambda text: f"{settings}: {text}",
    )


CASES = [settings for settings in [*recipes.sweep(), *transformer_recipes.sweep()] if supported(settings)]


@pytest.mark.slow
def test_model_computes_what_torch_computes(tmp_path: Path) -> None:
    assert len(CASES) > 200
    check(CASES, tmp_path)


def test_model_computes_what_torch_computes_in_some_recipes(tmp_path: Path) -> None:
    check(CASES[::20], tmp_path)
