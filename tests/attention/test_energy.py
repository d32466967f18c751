"""v . tanh(q + k) with its own backward: values by plain broadcasting, gradients by finite differences."""

import pytest
import torch
from torch import Tensor

from seq2attn.attention import energy
from seq2attn.attention.energy import tanh_energy

pytestmark = pytest.mark.usefixtures("float64")


def plain(query: Tensor, keys: Tensor, v: Tensor) -> Tensor:
    return (torch.tanh(query[:, :, None, :] + keys[:, None, :, :]) * v).sum(-1)


def parts(*, grad: bool) -> tuple[Tensor, Tensor, Tensor]:
    return torch.randn(2, 3, 4, requires_grad=grad), torch.randn(2, 5, 4, requires_grad=grad), torch.randn(4, requires_grad=grad)


def test_values() -> None:
    query, keys, v = parts(grad=True)
    torch.testing.assert_close(tanh_energy(query, keys, v), plain(query, keys, v))


@pytest.mark.parametrize("chunk", [1, 60, 1 << 22])
def test_values_without_gradient_in_pieces(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy, "CHUNK", chunk)
    query, keys, v = parts(grad=False)
    torch.testing.assert_close(tanh_energy(query, keys, v), plain(query, keys, v))


def test_gradients() -> None:
    torch.autograd.gradcheck(tanh_energy, parts(grad=True))


@pytest.mark.parametrize("wanted", [0, 1, 2])
def test_gradient_of_one_part_alone(wanted: int) -> None:
    got = list(parts(grad=False))
    got[wanted].requires_grad_()
    torch.autograd.gradcheck(tanh_energy, tuple(got))


def test_inputs_are_left_as_they_were() -> None:
    query, keys, v = parts(grad=True)
    before = [part.detach().clone() for part in (query, keys, v)]
    tanh_energy(query, keys, v).sum().backward()
    for part, was in zip((query, keys, v), before, strict=True):
        assert torch.equal(part.detach(), was)


def test_going_back_twice_gives_the_same() -> None:
    query, keys, v = parts(grad=True)
    scores = tanh_energy(query, keys, v).square().sum()
    once = torch.autograd.grad(scores, (query, keys, v), retain_graph=True)
    again = torch.autograd.grad(scores, (query, keys, v))
    for a, b in zip(once, again, strict=True):
        assert torch.equal(a, b)
