"""Deferred gradients of an unrolled loop: the same numbers and gradients as plain autograd."""

import gc
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from seq2attn.kernels.deferred_gradients import DeferredGradient, Linear, matmul, reaches, unrolled

pytestmark = pytest.mark.usefixtures("float64")


def loop(x: Tensor, matrix: Tensor, bias: Tensor, keys: Tensor, steps: int = 3) -> Tensor:
    """A small recurrence that multiplies by the same matrix, by its transpose, and by one matrix a sentence
    at each step.
    """
    h, out = x, []
    for _ in range(steps):
        h = torch.tanh(matmul(h, matrix) + bias)
        scores = matmul(h[:, None], keys.mT)
        h = h + matmul(scores, keys)[:, 0] + matmul(h, matrix.t())
        out.append(h)
    return torch.stack(out, 1)


def parts() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return tuple(torch.randn(*shape, requires_grad=True) for shape in ((2, 4), (4, 4), (4,), (2, 3, 4)))  # type: ignore[return-value]


def inside(*args: Tensor) -> Tensor:
    with unrolled():
        return loop(*args)


def test_gradients_by_finite_differences() -> None:
    torch.autograd.gradcheck(inside, parts())


def test_matmul_in_a_loop_equals_plain_autograd() -> None:
    args = parts()
    slow, fast = loop(*args), inside(*args)
    assert torch.equal(slow, fast)
    weights = torch.randn_like(slow)
    for a, b in zip(
        torch.autograd.grad((slow * weights).sum(), args),
        torch.autograd.grad((fast * weights).sum(), args),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


def test_second_backward_gives_the_same_gradients() -> None:
    args = parts()
    loss = inside(*args).square().sum()
    once = torch.autograd.grad(loss, args, retain_graph=True)
    again = torch.autograd.grad(loss, args)
    for a, b in zip(once, again, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("index", range(4))
def test_gradient_of_one_input_stores_nothing_for_the_next_backward(index: int) -> None:
    """A backward pass that does not reach a matrix stores nothing for it."""
    args = parts()
    loss = inside(*args).square().sum()
    want = torch.autograd.grad(loss, args, retain_graph=True)
    (alone,) = torch.autograd.grad(loss, args[index], retain_graph=True)
    assert torch.equal(alone, want[index])
    for got, expected in zip(torch.autograd.grad(loss, args), want, strict=True):
        assert torch.equal(got, expected)


def test_loss_of_some_steps() -> None:
    args = parts()
    for a, b in zip(
        torch.autograd.grad(loop(*args)[:, 1].sum(), args),
        torch.autograd.grad(inside(*args)[:, 1].sum(), args),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


def test_gradients_of_two_loops_are_separate() -> None:
    """Two loops over the same matrix, in one backward pass, each add their gradient."""
    args = parts()
    other = parts()[0]
    plain = loop(*args).sum() + loop(other, *args[1:]).square().sum()
    with unrolled():
        first = loop(*args)
    with unrolled():
        second = loop(other, *args[1:])
    for a, b in zip(
        torch.autograd.grad(plain, args),
        torch.autograd.grad(first.sum() + second.square().sum(), args),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


def test_loop_keeps_nothing_of_an_earlier_loop() -> None:
    """A change of the matrix between two loops has its effect on the second."""
    args = parts()
    inside(*args).sum().backward()
    with torch.no_grad():
        args[1].mul_(2.0)
    assert torch.equal(inside(*args), loop(*args))


def test_error_inside_ends_the_loop() -> None:
    def broken() -> None:
        with unrolled():
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        broken()
    matrix = torch.randn(4, 4, requires_grad=True)
    assert "_Matmul" not in type(matmul(torch.randn(2, 4), matrix).grad_fn).__name__


def test_linear_equals_torch_linear() -> None:
    ours, theirs = Linear(4, 5), nn.Linear(4, 5)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 3, 4, requires_grad=True)
    with unrolled():
        y = ours(x) + ours(2 * x)
    torch.testing.assert_close(y, theirs(x) + theirs(2 * x))
    got = torch.autograd.grad(y.square().sum(), (x, *ours.parameters()))
    want = torch.autograd.grad((theirs(x) + theirs(2 * x)).square().sum(), (x, *theirs.parameters()))
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b)


def test_frozen_matrix_gets_no_gradient_and_passes_it_on() -> None:
    x, matrix = torch.randn(2, 4, requires_grad=True), torch.randn(4, 4)
    with unrolled():
        y = matmul(matmul(x, matrix), matrix)
    y.sum().backward()
    assert matrix.grad is None
    torch.testing.assert_close(x.grad, (matrix @ matrix).sum(1).expand(2, 4))


@pytest.mark.parametrize("lead", [(), (3,), (2, 3)])
def test_matmul_of_any_leading_dimensions_by_one_matrix(lead: tuple[int, ...]) -> None:
    x, matrix = torch.randn(*lead, 5, 4, requires_grad=True), torch.randn(4, 2, requires_grad=True)
    with unrolled():
        y = matmul(x, matrix)
    torch.testing.assert_close(y, x @ matrix)
    for a, b in zip(
        torch.autograd.grad(y.square().sum(), (x, matrix)),
        torch.autograd.grad((x @ matrix).square().sum(), (x, matrix)),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


class _Node(torch.autograd.Function):
    """Notes whether the backward pass will reach its input number 0."""

    reached: ClassVar[list[bool]] = []

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
        return x * y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        _Node.reached.append(reaches(ctx, 0))
        return gradient, gradient


def test_torch_says_which_nodes_a_backward_pass_reaches() -> None:
    """`reaches` asks torch._C._will_engine_execute_node, which is private: torch 2.11 to 2.13, the range that
    pyproject.toml allows, has it and uses it in torch.autograd.graph. Run this test before the range is
    raised: with another answer, steps would lose their gradients or count them twice.
    """
    x, y = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    output = _Node.apply(x * 2, y * 2).sum()
    _Node.reached.clear()
    torch.autograd.grad(output, y, retain_graph=True)
    torch.autograd.grad(output, x, retain_graph=True)
    torch.autograd.grad(output, (x, y), retain_graph=True)
    output.backward()
    assert _Node.reached == [False, True, True, True]


def test_loop_holds_nothing_when_its_graph_is_gone() -> None:
    gc.collect()
    before = sum(issubclass(type(thing), DeferredGradient) for thing in gc.get_objects())
    args = parts()
    inside(*args).sum().backward()
    gc.collect()
    assert sum(issubclass(type(thing), DeferredGradient) for thing in gc.get_objects()) == before
