"""The additive score with its own backward: values by plain broadcasting, gradients by finite differences,
memory by counting elements.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from seq2attn.kernels import additive_score as module
from seq2attn.kernels.additive_score import additive_score
from seq2attn.kernels.deferred_gradients import unrolled

pytestmark = pytest.mark.usefixtures("float64")

history = pytest.mark.parametrize("features", [0, 2], ids=["no history", "history"])


def plain(
    query: Tensor, keys: Tensor, v: Tensor, features: Tensor | None = None, u: Tensor | None = None
) -> Tensor:
    before = query[:, :, None, :] + keys[:, None, :, :]
    return (torch.tanh(before if features is None else before + features @ u) * v).sum(-1)


def loop(
    query: Tensor, keys: Tensor, v: Tensor, features: Tensor | None = None, u: Tensor | None = None
) -> Tensor:
    """As a decoder does it: one query a step, keys shared by all steps."""
    with unrolled():
        return torch.cat(
            [
                additive_score(
                    query[:, t : t + 1], keys, v, None if features is None else features[:, t : t + 1], u
                )
                for t in range(query.size(1))
            ],
            1,
        )


def parts(
    features: int, *, grad: bool = True, b: int = 2, t: int = 3, s: int = 5, a: int = 4
) -> tuple[Tensor, ...]:
    shapes = [(b, t, a), (b, s, a), (a,)] + ([(b, t, s, features), (features, a)] if features else [])
    return tuple(torch.randn(shape, requires_grad=grad) for shape in shapes)


@history
def test_scores_equal_the_plain_formula(features: int) -> None:
    args = parts(features)
    torch.testing.assert_close(additive_score(*args), plain(*args))


@history
@pytest.mark.parametrize("chunk", [1, 60, 90, 1 << 22])
def test_scores_without_gradients_equal_the_plain_formula(
    features: int, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK", chunk)
    args = parts(features, grad=False)
    torch.testing.assert_close(additive_score(*args), plain(*args))


@history
@pytest.mark.parametrize("way", [additive_score, loop])
def test_gradients_by_finite_differences(features: int, way: Callable[..., Tensor]) -> None:
    torch.autograd.gradcheck(way, parts(features))


@pytest.mark.parametrize(
    ("features", "index"), [(0, 0), (0, 1), (0, 2), (2, 0), (2, 1), (2, 2), (2, 3), (2, 4)]
)
@pytest.mark.parametrize("way", [additive_score, loop])
def test_gradient_of_one_input(features: int, index: int, way: Callable[..., Tensor]) -> None:
    got = list(parts(features, grad=False))
    got[index].requires_grad_()
    torch.autograd.gradcheck(way, tuple(got))


@history
def test_loop_equals_plain_autograd(features: int) -> None:
    """Over several steps, of which a loss takes some and weighs them unequally."""
    args = parts(features, t=5)
    weight = torch.randn(2, 5, 5) * torch.tensor([1.0, 0.0, 2.0, 1.0, 0.0])[:, None]
    want = torch.autograd.grad((plain(*args) * weight).sum(), args)
    for got, expected in zip(torch.autograd.grad((loop(*args) * weight).sum(), args), want, strict=True):
        torch.testing.assert_close(got, expected)


def test_features_of_earlier_scores_pass_gradients() -> None:
    """What coverage does: each step's features come from the steps before, and the gradient goes back through
    all of them.
    """
    query, keys, v, _, u = parts(1, t=4)

    def walk(score: Callable[..., Tensor]) -> Tensor:
        total, steps = torch.zeros(2, 1, 5), []
        for t in range(4):
            steps.append(score(query[:, t : t + 1], keys, v, total[..., None], u))
            total = total + steps[-1].softmax(-1)
        return torch.cat(steps, 1)

    with unrolled():
        fast = walk(additive_score)
    slow, weight = walk(plain), torch.randn(2, 4, 5)
    torch.testing.assert_close(fast, slow)
    args = (query, keys, v, u)
    for got, want in zip(
        torch.autograd.grad((fast * weight).sum(), args),
        torch.autograd.grad((slow * weight).sum(), args),
        strict=True,
    ):
        torch.testing.assert_close(got, want)


@history
def test_inputs_are_not_modified(features: int) -> None:
    args = parts(features)
    before = [part.detach().clone() for part in args]
    additive_score(*args).sum().backward()
    with torch.no_grad():
        additive_score(*args)
    for part, was in zip(args, before, strict=True):
        assert torch.equal(part.detach(), was)


@history
@pytest.mark.parametrize("way", [additive_score, loop])
def test_second_backward_gives_the_same_gradients(features: int, way: Callable[..., Tensor]) -> None:
    args = parts(features)
    scores = way(*args).square().sum()
    once = torch.autograd.grad(scores, args, retain_graph=True)
    again = torch.autograd.grad(scores, args)
    for a, b in zip(once, again, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("index", range(5))
@pytest.mark.parametrize("way", [additive_score, loop])
def test_gradient_of_one_input_stores_nothing_for_the_next_backward(
    index: int, way: Callable[..., Tensor]
) -> None:
    args = parts(2)
    scores = way(*args).square().sum()
    want = torch.autograd.grad(scores, args, retain_graph=True)
    (alone,) = torch.autograd.grad(scores, args[index], retain_graph=True)
    assert torch.equal(alone, want[index])
    for got, expected in zip(torch.autograd.grad(scores, args), want, strict=True):
        assert torch.equal(got, expected)


@history
@pytest.mark.parametrize("way", [additive_score, loop])
def test_scores_and_gradients_under_autocast(features: int, way: Callable[..., Tensor]) -> None:
    """Products in bfloat16: scores near float32's, gradients in each part's own type, past weights in float32
    among them.
    """
    args = tuple(part.detach().float().requires_grad_() for part in parts(features, a=16))
    want = plain(*args)
    with torch.autocast("cpu", torch.bfloat16):
        got = way(*args)
    assert got.dtype == torch.bfloat16
    torch.testing.assert_close(got.float(), want, rtol=0.03, atol=0.1)
    weight = torch.randn_like(want)
    for a, b in zip(
        torch.autograd.grad((got * weight).sum(), args),
        torch.autograd.grad((want * weight).sum(), args),
        strict=True,
    ):
        assert a.dtype == torch.float32
        torch.testing.assert_close(a, b, rtol=0.05, atol=0.05 * b.abs().max().item())


class Elements(TorchDispatchMode):
    """The most elements that lived at once, of all that was made inside, the way back included."""

    def __init__(self) -> None:
        super().__init__()
        self.living: dict[int, tuple[StorageWeakRef, int]] = {}
        self.most = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor):
                storage = leaf.untyped_storage()
                self.living[storage._cdata] = (
                    StorageWeakRef(storage),
                    storage.nbytes() // leaf.element_size(),
                )
        self.living = {key: (ref, size) for key, (ref, size) in self.living.items() if not ref.expired()}
        self.most = max(self.most, sum(size for _, size in self.living.values()))
        return out


def most_elements(way: Callable[..., Tensor], args: tuple[Tensor, ...]) -> int:
    with Elements() as elements:
        way(*args).sum().backward()
    return elements.most


@history
def test_memory_does_not_grow_with_queries_times_keys_times_units(features: int) -> None:
    """A few (B, S, A) and (B, T, S) or (B, T, S, P) tensors, where plain autograd keeps (B, T, S, A)."""
    b, t, s, a = 2, 64, 20, 40
    args = parts(features, b=b, t=t, s=s, a=a)
    bound = 6 * b * s * a + b * t * (2 * s * (1 + features) + 4 * a)
    assert most_elements(additive_score, args) < bound
    assert most_elements(loop, args) < bound
    assert most_elements(plain, args) > b * t * s * a > 2 * bound  # the counting counts


@pytest.mark.parametrize(
    ("features", "index"), [(0, 0), (0, 1), (0, 2), (2, 0), (2, 1), (2, 2), (2, 3), (2, 4)]
)
def test_nothing_large_is_saved_for_backward(features: int, index: int) -> None:
    """Whichever part the gradient is for."""
    args, saved = parts(features, grad=False, b=2, t=16, s=6, a=50), []
    args[index].requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: saved.append(tensor.numel()) or tensor, lambda tensor: tensor
    ):
        additive_score(*args)
    assert saved
    assert sum(saved) <= sum(part.numel() for part in args)


@history
def test_memory_without_gradients_is_a_chunk(features: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 4 * 2 * 6 * 100)
    args = parts(features, grad=False, b=2, t=64, s=6, a=100)
    with Elements() as elements:
        additive_score(*args)
    seen = sum(part.numel() for part in args)  # views of them are counted too
    assert elements.most <= seen + 2 * module.CHUNK + 2 * 2 * 64 * 6


@history
@pytest.mark.parametrize("grad", [False, True])
def test_heads_are_one_more_batch_dimension(features: int, grad: bool) -> None:
    query, keys, v, *rest = parts(features, grad=grad, b=6)
    heads = [part.unflatten(0, (2, 3)) for part in (query, keys, *rest[:1])]
    scores = additive_score(heads[0], heads[1], v, *heads[2:], *rest[1:])
    torch.testing.assert_close(scores, additive_score(query, keys, v, *rest).unflatten(0, (2, 3)))
