"""Every score: held to the papers' equations, differentiable, and the same however it is called."""

import numpy as np
import pytest
import reference
import torch
from torch import Tensor, nn

from seq2attn.attention import Score, score_named, softmax
from seq2attn.attention import read as attend
from seq2attn.attention.unrolled import unrolled

pytestmark = pytest.mark.usefixtures("float64")

NAMES = ("additive", "dot", "scaled-dot", "general", "concat")
B, T, S, A = 2, 3, 4, 5


def make(name: str) -> tuple[Score, int, int]:
    """A score with random weights, the size of its queries and of its keys: unequal wherever they may be."""
    query, key = (3, 3) if "dot" in name else (3, 2)
    score = score_named(name, query, key, A)
    for parameter in score.parameters():
        nn.init.normal_(parameter)
    return score, query, key


def weights(name: str, score: Score) -> dict[str, np.ndarray]:
    """The score's parameters under the reference's names."""
    p = {key: value.detach().numpy() for key, value in score.named_parameters()}
    match name:
        case "additive":
            return {"w": p.pop("query.weight"), "b": p.pop("query.bias"), "u": p.pop("key.weight"), "v": p.pop("v")} | p
        case "concat":
            return {"w": p.pop("weight"), "v": p.pop("v")} | p
        case "general":
            # ours projects keys to the query's size: q . (W k)
            return {"w": p.pop("key.weight")} | p
    return p


@pytest.mark.parametrize("name", NAMES)
def test_score_is_the_papers(name: str) -> None:
    score, q, k = make(name)
    query, memory = torch.randn(B, T, q), torch.randn(B, S, k)
    got = score(query, score.keys(memory))
    assert got.shape == (B, T, S)
    w = weights(name, score)
    for b in range(B):
        for t in range(T):
            for s in range(S):
                want = reference.SCORES[name](w, query[b, t].numpy(), memory[b, s].numpy())
                assert got[b, t, s].item() == pytest.approx(want, abs=1e-10)


def test_additive_with_both_projections_side_by_side_is_concat() -> None:
    """v tanh(W q + U k) = v tanh([W U] [q; k]): the two papers' scores are one family."""
    additive, q, k = make("additive")
    joined, *_ = make("concat")
    with torch.no_grad():
        additive.query.bias.zero_()
        joined.weight.copy_(torch.cat([additive.query.weight, additive.key.weight], 1))
        joined.v.copy_(additive.v)
    query, memory = torch.randn(B, T, q), torch.randn(B, S, k)
    torch.testing.assert_close(joined(query, joined.keys(memory)), additive(query, additive.keys(memory)))


@pytest.mark.parametrize("name", NAMES)
def test_read_is_the_papers(name: str) -> None:
    score, q, k = make(name)
    query, memory, values = torch.randn(B, T, q), torch.randn(B, S, k), torch.randn(B, S, 6)
    mask = torch.tensor([[True, True, True, True], [True, False, True, False]])
    context, got = attend(query, score.keys(memory), values, mask, score, softmax)
    w = weights(name, score)
    for b in range(B):
        for t in range(T):
            want_context, want = reference.read(name, w, query[b, t].numpy(), list(memory[b].numpy()), list(values[b].numpy()), mask[b].tolist())
            np.testing.assert_allclose(got[b, t].detach(), want, atol=1e-10)
            np.testing.assert_allclose(context[b, t].detach(), want_context, atol=1e-10)


@pytest.mark.parametrize("loop", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_queries_memory_and_weights(name: str, loop: bool) -> None:
    """By finite differences, through score, normaliser and read, at once and step by step as a loop does it."""
    score, q, k = make(name)
    query, memory = torch.randn(B, T, q, requires_grad=True), torch.randn(B, S, k, requires_grad=True)
    values = torch.randn(B, S, 2, requires_grad=True)
    mask = torch.tensor([[True, True, True, True], [True, True, False, False]])
    names = [key for key, _ in score.named_parameters()]

    def whole(query: Tensor, memory: Tensor, values: Tensor, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        return torch.func.functional_call(
            _Whole(score, loop), {f"score.{key}": value for key, value in zip(names, parameters, strict=True)}, (query, memory, values, mask)
        )

    torch.autograd.gradcheck(whole, (query, memory, values, *score.parameters()))


class _Whole(nn.Module):
    def __init__(self, score: Score, loop: bool) -> None:
        super().__init__()
        self.score, self.loop = score, loop

    def forward(self, query: Tensor, memory: Tensor, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        if not self.loop:
            context, weights = attend(query, self.score.keys(memory), values, mask, self.score, softmax)
            return context, weights
        with unrolled():
            keys = self.score.keys(memory)
            steps = [attend(query[:, t : t + 1], keys, values, mask, self.score, softmax) for t in range(query.size(1))]
        return torch.cat([context for context, _ in steps], 1), torch.cat([weights for _, weights in steps], 1)


@pytest.mark.parametrize("name", NAMES)
def test_a_beam_is_one_more_query(name: str) -> None:
    """W queries of one sentence read its memory as they would each alone."""
    score, q, k = make(name)
    query, memory, values = torch.randn(B, T, q), torch.randn(B, S, k), torch.randn(B, S, 6)
    mask = torch.ones(B, S, dtype=torch.bool)
    together, _ = attend(query, score.keys(memory), values, mask, score, softmax)
    for t in range(T):
        alone, _ = attend(query[:, t : t + 1], score.keys(memory), values, mask, score, softmax)
        torch.testing.assert_close(together[:, t : t + 1], alone)


@pytest.mark.parametrize("name", NAMES)
def test_without_gradient_the_same(name: str) -> None:
    """Where no gradient is asked for, a score may take another way: it must lead to the same place."""
    score, q, k = make(name)
    query, memory = torch.randn(B, T, q), torch.randn(B, S, k)
    with torch.no_grad():
        free = score(query, score.keys(memory))
    torch.testing.assert_close(free, score(query, score.keys(memory)))


def test_an_unknown_score_is_an_error() -> None:
    with pytest.raises(ValueError, match="cosine"):
        score_named("cosine", 3, 3, 3)
