"""Recurrent layers on CUDA beside the loop of cells on the CPU, with the same weights."""

import copy
import itertools
import warnings

import pytest
import torch
from simulated import counts
from torch import Tensor

from seq2attn.config import ModelConfig, RNNEncoderConfig
from seq2attn.config.sizes import shared_settings
from seq2attn.models.encoders.rnn import RNNEncoder
from seq2attn.models.layers.cells import CELLS, CellState
from seq2attn.models.memory import Memory

CUDA = torch.device("cuda", 0)
KINDS = ("rnn", "gru", "lstm")
B, S, E, H, F = 4, 7, 6, 5, 3
LENGTHS = torch.tensor([7, 1, 4, 6])


def encoder(keep_final: bool = True, layers: int = 2, **settings: object) -> RNNEncoder:
    torch.manual_seed(1)
    config = RNNEncoderConfig.model_validate({"size": H, "layers": layers, **settings})
    shared = shared_settings(ModelConfig(encoder=config, embedding=E, dropout=0.0))
    model = RNNEncoder(config, shared, 9, keep_final)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, 0, 0.7)
    return model


def batch() -> tuple[Tensor, Tensor]:
    torch.manual_seed(2)
    return torch.randint(0, 9, (B, S)), torch.arange(S) < LENGTHS[:, None]


def real_numbers(memory: Memory) -> list[Tensor]:
    """What later layers read: the states of real positions, and the final states."""
    states = memory.values_BSV * memory.mask_BS[..., None]
    return [states, memory.summary_BV, *itertools.chain.from_iterable(memory.final or ())]


def gradients(model: RNNEncoder, numbers: list[Tensor]) -> list[Tensor]:
    torch.manual_seed(3)
    total = sum((x.float().cpu() * torch.randn(x.shape)).sum() for x in numbers)
    return list(torch.autograd.grad(total, tuple(model.parameters())))  # type: ignore[arg-type]


@pytest.mark.parametrize("keep_final", [True, False])
@pytest.mark.parametrize(
    "settings", [{}, {"bidirectional": False}, {"bidirectional": False, "reverse": True}], ids=str
)
@pytest.mark.parametrize("cell", KINDS)
def test_encoder_equals_the_loop_of_cells(cell: str, settings: dict[str, bool], keep_final: bool) -> None:
    slow = encoder(keep_final, cell=cell, **settings)
    fast = copy.deepcopy(slow).to(CUDA)
    source, mask = batch()
    want, got = real_numbers(slow(source, mask)), real_numbers(fast(source.to(CUDA), mask.to(CUDA)))
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a.cpu(), b, rtol=1e-5, atol=1e-6)
    for a, b in zip(gradients(fast, got), gradients(slow, want), strict=True):
        torch.testing.assert_close(a.cpu(), b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cell", KINDS)
def test_padding_changes_no_bit(cell: str) -> None:
    """Neither its tokens nor their number: the state passes padding as it is."""
    model, (source, mask) = encoder(cell=cell).to(CUDA), batch()
    other = torch.cat([torch.where(mask, source, 8 - source), torch.full((B, 3), 5)], 1)
    longer = torch.cat([mask, torch.zeros(B, 3, dtype=torch.bool)], 1)
    first, second = (model(source.to(CUDA), mask.to(CUDA)), model(other.to(CUDA), longer.to(CUDA)))
    second = second._replace(values_BSV=second.values_BSV[:, :S], mask_BS=second.mask_BS[:, :S])
    for a, b in zip(real_numbers(first), real_numbers(second), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("fed_size", [0, F])
@pytest.mark.parametrize("kind", KINDS)
def test_decoder_layer_equals_the_loop_of_cells(kind: str, fed_size: int) -> None:
    """From a state that is not 0, with and without what a decoder feeds back. In evaluation mode there are
    gradients too, which cuDNN gives of its training mode alone.
    """
    torch.manual_seed(1)
    slow = CELLS[kind](E, H, fed_size)  # type: ignore[index]
    fast = copy.deepcopy(slow).to(CUDA).eval()
    x, fed = torch.randn(B, S, E), torch.randn(B, fed_size) if fed_size else None
    state = CellState(torch.randn(B, H), torch.randn(B, H) if kind == "lstm" else None)
    want = slow.steps(x, fed, state).h
    parts = (None if part is None else part.to(CUDA) for part in state)
    on_device = CellState(*parts)  # type: ignore[arg-type]
    got = fast.run(x.to(CUDA), None if fed is None else fed.to(CUDA), on_device)
    torch.testing.assert_close(got.cpu(), want, rtol=1e-5, atol=1e-6)
    weight = torch.randn_like(want)
    pairs = zip(
        torch.autograd.grad((got.cpu() * weight).sum(), tuple(fast.parameters())),
        torch.autograd.grad((want * weight).sum(), tuple(slow.parameters())),
        strict=True,
    )
    for a, b in pairs:
        torch.testing.assert_close(a.cpu(), b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("cell", KINDS)
def test_states_have_the_type_of_autocast(cell: str, precision: torch.dtype) -> None:
    """By itself, autocast computes all of cuDNN's recurrent calls in float16, without a loss scale."""
    exact = encoder(cell=cell)
    model, (source, mask) = copy.deepcopy(exact).to(CUDA), batch()
    with torch.autocast("cuda", precision):
        got = real_numbers(model(source.to(CUDA), mask.to(CUDA)))
    for a, b in zip(got, real_numbers(exact(source, mask)), strict=True):
        assert a.dtype == precision
        torch.testing.assert_close(a.float().cpu(), b, rtol=0.1, atol=0.1)
    assert all(gradient.dtype == torch.float32 for gradient in gradients(model, got))


@pytest.mark.parametrize("cell", KINDS)
def test_weights_are_not_copied_into_one_piece(cell: str) -> None:
    """Torch warns of it, at each call."""
    model, (source, mask) = encoder(cell=cell).to(CUDA), batch()
    counts.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model(source.to(CUDA), mask.to(CUDA))
    assert not [name for name in counts.read() if "copied into one piece" in name]
