"""Self-attention over a feature map: the equations, the gradients, and the identity at first."""

import numpy as np
import pytest
import reference
import torch
from torch import nn

from seq2attn.models.vision.self_attention_2d import SelfAttention2d


@pytest.fixture(autouse=True)
def _in_float64(float64: None) -> None: ...


def make(channels: int = 16) -> SelfAttention2d:
    attention = SelfAttention2d(channels)
    for parameter in attention.parameters():
        nn.init.uniform_(parameter, -0.8, 0.8)
    return attention


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("channels", [3, 16])
def test_self_attention_2d_equals_the_papers_equation(channels: int, graph: bool) -> None:
    """Zhang 2019, section 3; with gradients kept and without, which go different ways."""
    attention, x = make(channels), torch.randn(2, channels, 3, 4)
    with torch.set_grad_enabled(graph):
        got = attention(x).detach()
    names = {"f": attention.key, "g": attention.query, "h": attention.value, "v": attention.out}
    w = {
        name: (part.weight[:, :, 0, 0].detach().numpy(), part.bias.detach().numpy())
        for name, part in names.items()
    }
    for one, of in zip(got, x, strict=True):
        np.testing.assert_allclose(
            one, reference.self_attention_2d({"gamma": attention.gain.item(), **w}, of.numpy()), atol=1e-12
        )


def test_gradients_by_finite_differences() -> None:
    attention = make(4)
    names, values = zip(*attention.named_parameters(), strict=True)
    assert set(names) == {
        "gain",
        *(f"{part}.{kind}" for part in ("query", "key", "value", "out") for kind in ("weight", "bias")),
    }

    def run(x: torch.Tensor, *parameters: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = torch.func.functional_call(
            attention, dict(zip(names, parameters, strict=True)), (x,)
        )
        return output

    assert torch.autograd.gradcheck(run, (torch.randn(2, 4, 2, 3, requires_grad=True), *values))


def test_self_attention_2d_starts_as_the_identity() -> None:
    x = torch.randn(2, 16, 3, 4)
    assert torch.equal(SelfAttention2d(16)(x), x)


def test_weights_are_those_that_forward_reads_with() -> None:
    attention, x = make(), torch.randn(2, 16, 3, 4)
    weights = attention.weights(x)
    assert weights.shape == (2, 1, 12, 12)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 1, 12))
    context = (weights[:, 0] @ attention.value(x).flatten(2).mT).mT.unflatten(2, (3, 4))
    torch.testing.assert_close(x + attention.gain * attention.out(context), attention(x))
