"""Recurrent cells: torch's equations, hand-written derivatives, all steps at once the same as one by one."""

from typing import Any

import numpy as np
import pytest
import reference
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from seq2attn.kernels import rnn_cells
from seq2attn.models.layers.cells import CELLS, Cell, CellState

R, T, IN, FED, H = 3, 4, 2, 5, 3

KINDS = ("rnn", "gru", "lstm")


@pytest.fixture(autouse=True)
def _in_float64(float64: None) -> None: ...


def weights(cell: Cell) -> dict[str, np.ndarray]:
    """The cell under the reference's names: what is fed back is more columns of the input."""
    w_ih = (
        cell.input_to_gates.weight
        if cell.feedback is None
        else torch.cat([cell.input_to_gates.weight, cell.feedback.weight], 1)
    )
    named = {
        "w_ih": w_ih,
        "b_ih": cell.input_to_gates.bias,
        "w_hh": cell.hidden_to_gates.weight,
        "b_hh": cell.hidden_to_gates.bias,
    }
    return {name: value.detach().numpy() for name, value in named.items()}


def start(kind: str) -> CellState:
    return CellState(torch.randn(R, H), torch.randn(R, H) if kind == "lstm" else None)


@pytest.mark.parametrize("fed_size", [0, FED])
@pytest.mark.parametrize("kind", KINDS)
def test_a_step_is_the_papers(kind: str, fed_size: int) -> None:
    cell, state = CELLS[kind](IN, H, fed_size), start(kind)
    x, fed = torch.randn(R, IN), torch.randn(R, fed_size) if fed_size else None
    got = cell.step(cell.input_to_gates(x), fed, state)
    for row in range(R):
        whole = x[row] if fed is None else torch.cat([x[row], fed[row]])
        h, c = reference.CELLS[kind](
            weights(cell),
            whole.numpy(),
            (state.h[row].numpy(), None if state.c is None else state.c[row].numpy()),
        )
        np.testing.assert_allclose(got.h[row].detach(), h, atol=1e-12)
        assert (c is None) == (got.c is None)
        if got.c is not None:
            np.testing.assert_allclose(got.c[row].detach(), c, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_a_step(kind: str) -> None:
    """By finite differences, of both outputs, in the input, the state and every weight."""
    cell, state = CELLS[kind](IN, H, FED), start(kind)
    names = [name for name, _ in cell.named_parameters()]
    parts = [part.requires_grad_() for part in state if part is not None]

    def step(x: Tensor, fed: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        state, parameters = rest[: len(parts)], rest[len(parts) :]
        got = torch.func.functional_call(
            _Step(cell),
            {f"cell.{name}": value for name, value in zip(names, parameters, strict=True)},
            (x, fed, CellState(*state)),
        )
        return tuple(part for part in got if part is not None)

    inputs = torch.randn(R, IN, requires_grad=True), torch.randn(R, FED, requires_grad=True)
    torch.autograd.gradcheck(step, (*inputs, *parts, *cell.parameters()))


class _Step(nn.Module):
    def __init__(self, cell: Cell) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor, fed: Tensor, state: CellState) -> CellState:
        return self.cell.step(self.cell.input_to_gates(x), fed, state)


@pytest.mark.parametrize("unused", ["h", "c"])
def test_one_output_of_an_lstm_may_go_unused(unused: str) -> None:
    cell, state = CELLS["lstm"](IN, H), start("lstm")
    gates = torch.randn(R, CELLS["lstm"].gates * H, requires_grad=True)
    torch.autograd.gradcheck(
        lambda g: getattr(cell.step(g, None, state), "c" if unused == "h" else "h"), (gates,)
    )


@pytest.mark.parametrize("fed_size", [0, FED])
@pytest.mark.parametrize("kind", KINDS)
def test_all_at_once_is_one_by_one(kind: str, fed_size: int) -> None:
    cell, state = CELLS[kind](IN, H, fed_size), start(kind)
    x, fed = (
        torch.randn(R, T, IN, requires_grad=True),
        torch.randn(R, fed_size, requires_grad=True) if fed_size else None,
    )
    states, now = [], state
    for t in range(T):
        now = cell.step(cell.input_to_gates(x[:, t]), fed, now)
        states.append(now.h)
    slow, fast = torch.stack(states, 1), cell.run(x, fed, state)
    torch.testing.assert_close(fast, slow)
    variables = (x, *cell.parameters()) if fed is None else (x, fed, *cell.parameters())
    weight = torch.randn_like(slow)
    for a, b in zip(
        torch.autograd.grad((fast * weight).sum(), variables),
        torch.autograd.grad((slow * weight).sum(), variables),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("kind", KINDS)
def test_inputs_are_left_as_they_were(kind: str) -> None:
    """The in-place arithmetic inside a step touches its own tensors only."""
    cell, state = CELLS[kind](IN, H), start(kind)
    gates = torch.randn(R, CELLS[kind].gates * H)
    before = gates.clone(), state.h.clone()
    cell.step(gates, None, state)
    assert torch.equal(gates, before[0])
    assert torch.equal(state.h, before[1])


def test_backward_of_a_step_copies_nothing() -> None:
    """In a loop on a GPU each copy is one more launch."""
    names: list[str] = []

    class Names(TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            names.append(function.overloadpacket.__name__)
            return function(*args, **(kwargs or {}))

    inputs = [torch.randn(R, size, requires_grad=True) for size in (4 * H, 4 * H, H)]
    h, c = rnn_cells.lstm(*inputs)
    total = h.sum() + c.sum()
    with Names():
        torch.autograd.grad(total, inputs)
    assert names.count("sigmoid_backward") == 2
    assert not {"copy_", "clone", "_to_copy"} & {*names}


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_state_is_zero(kind: str) -> None:
    state = CELLS[kind](IN, H).zero(R, torch.ones(1))
    assert (state.c is None) == (kind != "lstm")
    assert all(part.shape == (R, H) and not part.any() for part in state if part is not None)
