"""Products of an unrolled loop with their matrix gradient taken once: the same numbers and gradients as plain
autograd.
"""

import pytest
import torch
from torch import Tensor, nn

from seq2attn.kernels.deferred_gradients import Linear, product, unrolled

pytestmark = pytest.mark.usefixtures("float64")


def loop(x: Tensor, matrix: Tensor, bias: Tensor, keys: Tensor, steps: int = 3) -> Tensor:
    """A small recurrence that multiplies by the same matrix, by its transpose, and by one matrix a sentence
    at each step.
    """
    h, out = x, []
    for _ in range(steps):
        h = torch.tanh(product(h, matrix) + bias)
        scores = product(h[:, None], keys.mT)
        h = h + product(scores, keys)[:, 0] + product(h, matrix.t())
        out.append(h)
    return torch.stack(out, 1)


def parts() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return tuple(torch.randn(*shape, requires_grad=True) for shape in ((2, 4), (4, 4), (4,), (2, 3, 4)))  # type: ignore[return-value]


def inside(*args: Tensor) -> Tensor:
    with unrolled():
        return loop(*args)


def test_gradients_by_finite_differences() -> None:
    torch.autograd.gradcheck(inside, parts())


def test_the_same_as_plain_autograd() -> None:
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


def test_going_back_twice_gives_the_same() -> None:
    args = parts()
    loss = inside(*args).square().sum()
    once = torch.autograd.grad(loss, args, retain_graph=True)
    again = torch.autograd.grad(loss, args)
    for a, b in zip(once, again, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("wanted", range(4))
def test_the_gradient_of_one_part_leaves_nothing_for_the_next(wanted: int) -> None:
    """On a way back that never comes to a matrix, no step keeps its share of that matrix's gradient."""
    args = parts()
    loss = inside(*args).square().sum()
    want = torch.autograd.grad(loss, args, retain_graph=True)
    (alone,) = torch.autograd.grad(loss, args[wanted], retain_graph=True)
    assert torch.equal(alone, want[wanted])
    for got, expected in zip(torch.autograd.grad(loss, args), want, strict=True):
        assert torch.equal(got, expected)


def test_a_loss_of_some_steps_only() -> None:
    args = parts()
    for a, b in zip(
        torch.autograd.grad(loop(*args)[:, 1].sum(), args),
        torch.autograd.grad(inside(*args)[:, 1].sum(), args),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


def test_two_loops_do_not_mix() -> None:
    """Two loops over the same matrix, gone back together, each bring their share."""
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


def test_nothing_is_left_when_the_loop_is_over() -> None:
    """A change of the matrix between two loops is seen: nothing is kept from the first."""
    args = parts()
    inside(*args).sum().backward()
    with torch.no_grad():
        args[1].mul_(2.0)
    assert torch.equal(inside(*args), loop(*args))


def test_an_error_inside_leaves_the_loop() -> None:
    def broken() -> None:
        with unrolled():
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        broken()
    matrix = torch.randn(4, 4, requires_grad=True)
    assert "Product" not in type(product(torch.randn(2, 4), matrix).grad_fn).__name__


def test_linear_is_torchs() -> None:
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


def test_a_frozen_matrix_gets_no_gradient_and_lets_it_through() -> None:
    x, matrix = torch.randn(2, 4, requires_grad=True), torch.randn(4, 4)
    with unrolled():
        y = product(product(x, matrix), matrix)
    y.sum().backward()
    assert matrix.grad is None
    torch.testing.assert_close(x.grad, (matrix @ matrix).sum(1).expand(2, 4))
