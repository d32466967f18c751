"""Every score, with and without a term of past weights: held to the papers' equations, differentiable, and
the same however it is called.
"""

import named_weights
import numpy as np
import pytest
import reference
import torch
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from seq2attn.attention.history import AttentionHistory, build_history_feature
from seq2attn.attention.scores import Cosine, Location, Score, build_score
from seq2attn.config import AttentionConfig
from seq2attn.kernels.deferred_gradients import unrolled

pytestmark = pytest.mark.usefixtures("float64")

B, T, S, A, P = 2, 3, 4, 5, 2
MAPS = ("identity", "linear", "nonlinear")
CHOICES = {
    **{
        name: AttentionConfig(score=name)
        for name in (
            "additive",
            "dot",
            "scaled-dot",
            "general",
            "concat",
            "concat-linear",
            "sigmoid",
            "cosine",
        )
    },
    **{f"keyed-{q}-{k}": AttentionConfig(score="keyed", query_map=q, key_map=k) for q in MAPS for k in MAPS},  # type: ignore[arg-type]
    "location": AttentionConfig(score="location", max_positions=S),
    "location-short": AttentionConfig(score="location", max_positions=S - 1),
    "location-long": AttentionConfig(score="location", max_positions=S + 2),
    "concat-location": AttentionConfig(score="concat-location", query_input="both", max_positions=S),
    "concat-location-short": AttentionConfig(
        score="concat-location", query_input="both", max_positions=S - 1
    ),
}
EQUAL = ("dot", "scaled-dot", "cosine", "keyed-identity-identity")  # queries and keys of one size
every = pytest.mark.parametrize("name", CHOICES)
past = pytest.mark.parametrize("past", [False, True], ids=["no past", "past"])


def make(name: str, past: bool = False) -> tuple[AttentionConfig, Score, int, int]:
    """A score with random weights, the size of its queries and of its keys: unequal wherever they may be."""
    settings = (
        CHOICES[name].model_copy(update={"history": "location-aware", "filters": P})
        if past
        else CHOICES[name]
    )
    query, key = (3, 3) if name in EQUAL else (3, 2)
    score = build_score(settings, query, key, A, P if past else 0)
    for parameter in score.parameters():
        nn.init.normal_(parameter)
    return settings, score, query, key


def inputs(q: int, k: int, past: bool) -> tuple[Tensor, Tensor, Tensor | None]:
    return torch.randn(B, T, q), torch.randn(B, S, k), torch.randn(B, T, S, P) if past else None


@past
@every
def test_score_is_the_papers(name: str, past: bool) -> None:
    settings, score, q, k = make(name, past)
    query, memory, features = inputs(q, k, past)
    got = score(query, score.keys(memory), features)
    assert got.shape == (B, T, S)
    w = named_weights.score(settings, score)
    for b in range(B):
        for t in range(T):
            for s in range(S):
                f = None if features is None else features[b, t, s].numpy()
                want = reference.SCORES[settings.score](w, query[b, t].numpy(), memory[b, s].numpy(), s, f)
                assert got[b, t, s].item() == pytest.approx(want, abs=1e-10)


class Looped(nn.Module):
    """A score over all steps at once, or step by step as a loop does it."""

    def __init__(self, score: Score, loop: bool) -> None:
        super().__init__()
        self.score, self.loop = score, loop

    def forward(self, query: Tensor, memory: Tensor, features: Tensor | None = None) -> Tensor:
        if not self.loop:
            return self.score(query, self.score.keys(memory), features)
        with unrolled():
            keys = self.score.keys(memory)
            steps = [slice(t, t + 1) for t in range(query.size(1))]
            return torch.cat(
                [self.score(query[:, t], keys, None if features is None else features[:, t]) for t in steps],
                1,
            )


@past
@every
@pytest.mark.parametrize("loop", [False, True], ids=["at once", "loop"])
def test_gradients_of_queries_memory_features_and_weights(name: str, past: bool, loop: bool) -> None:
    """By finite differences."""
    _, score, q, k = make(name, past)
    names = [f"score.{key}" for key, _ in score.named_parameters()]
    parts = [part.requires_grad_() for part in inputs(q, k, past) if part is not None]

    def whole(*args: Tensor) -> Tensor:
        given, parameters = args[: len(parts)], args[len(parts) :]
        scores: Tensor = torch.func.functional_call(
            Looped(score, loop), dict(zip(names, parameters, strict=True)), given
        )
        # a location score reads no memory, and gradcheck asks for a gradient
        return scores + 0 * given[1].sum()

    torch.autograd.gradcheck(whole, (*parts, *score.parameters()))


@past
@every
def test_a_loop_whose_steps_feed_one_another_is_plain_autograd(name: str, past: bool) -> None:
    """Each query, and each step's features, come from the weights before: gradients through all of them, as
    without `unrolled`.
    """
    settings, score, q, k = make(name, past)
    term = build_history_feature(settings, k)
    for parameter in () if term is None else term.parameters():
        nn.init.normal_(parameter)
    query, memory, recur = (
        torch.randn(B, q, requires_grad=True),
        torch.randn(B, S, k, requires_grad=True),
        torch.randn(k, q),
    )

    def walk() -> Tensor:
        keys, asks, steps, last = score.keys(memory), query, [], torch.zeros(B, 1, S)
        for t in range(T):
            features = None if term is None else term(AttentionHistory(torch.full((B, 1), t), last), None)
            steps.append(score(asks[:, None], keys, features))
            last = steps[-1].softmax(-1)
            asks = asks + (last @ memory)[:, 0] @ recur
        return torch.cat(steps, 1)

    slow = walk()
    with unrolled():
        fast = walk()
    torch.testing.assert_close(fast, slow)
    weight = torch.randn_like(slow)
    args = (query, memory, *score.parameters(), *(() if term is None else term.parameters()))
    for got, want in zip(
        torch.autograd.grad((fast * weight).sum(), args),
        torch.autograd.grad((slow * weight).sum(), args),
        strict=True,
    ):
        torch.testing.assert_close(got, want)


@past
@every
def test_a_beam_is_one_more_query(name: str, past: bool) -> None:
    """W queries of one sentence are answered as they would be each alone."""
    _, score, q, k = make(name, past)
    query, memory, features = inputs(q, k, past)
    combine_layers = score(query, score.keys(memory), features)
    for t in range(T):
        one = slice(t, t + 1)
        torch.testing.assert_close(
            combine_layers[:, one],
            score(query[:, one], score.keys(memory), None if features is None else features[:, one]),
        )


@past
@every
def test_without_gradient_the_same(name: str, past: bool) -> None:
    """Where no gradient is asked for, a score may take another way: it must lead to the same place."""
    _, score, q, k = make(name, past)
    query, memory, features = inputs(q, k, past)
    with torch.no_grad():
        free = score(query, score.keys(memory), features)
    torch.testing.assert_close(free, score(query, score.keys(memory), features))


@past
@every
def test_a_longer_memory_leaves_the_scores_of_its_start(name: str, past: bool) -> None:
    _, score, q, k = make(name, past)
    query, memory, features = inputs(q, k, past)
    longer = torch.cat([memory, torch.randn(B, 3, k)], 1)
    more = None if features is None else torch.cat([features, torch.randn(B, T, 3, P)], 2)
    torch.testing.assert_close(
        score(query, score.keys(longer), more)[..., :S], score(query, score.keys(memory), features)
    )


@past
@every
def test_a_past_of_nothing_adds_nothing(name: str, past: bool) -> None:
    """Features of zeros, or none at all: the scores and gradients of the score without a past."""
    _, score, q, k = make(name, past=True)
    query, memory, _ = inputs(q, k, past)
    query.requires_grad_()
    nothing = torch.zeros(B, T, S, P) if past else None
    bare = build_score(CHOICES[name], q, k, A)
    bare.load_state_dict({key: value for key, value in score.state_dict().items() if key != "past.weight"})
    got, want = score(query, score.keys(memory), nothing), bare(query, bare.keys(memory))
    torch.testing.assert_close(got, want)
    weight = torch.randn_like(want)
    torch.testing.assert_close(
        *(torch.autograd.grad((scores * weight).sum(), query)[0] for scores in (got, want))
    )


@past
@every
@pytest.mark.parametrize(
    ("loop", "dtype"), [(False, torch.bfloat16), (True, torch.bfloat16), (True, torch.float16)], ids=str
)
def test_under_autocast(name: str, past: bool, loop: bool, dtype: torch.dtype) -> None:
    """Products and scores in half precision: near float32's, gradients finite and of each weight's own type."""
    _, score, q, k = make(name, past)
    score = score.float()
    query, memory, features = (
        part if part is None else part.float().requires_grad_() for part in inputs(q, k, past)
    )
    want = score(query, score.keys(memory), features)
    with torch.autocast("cpu", dtype):
        got = Looped(score, loop)(query, memory, features)
    assert got.dtype == dtype
    torch.testing.assert_close(
        got.float(), want, rtol=0.02, atol=0.02 * max(1.0, want.abs()[want > -5000].max().item())
    )
    got.float().square().clamp_max(1e4).sum().backward()
    for name_of, parameter in score.named_parameters():
        assert parameter.grad is not None, name_of
        assert parameter.grad.dtype == torch.float32
        assert parameter.grad.isfinite().all()
    assert query.grad is not None
    assert query.grad.isfinite().all()


# Against torch's own modules, and one another


def test_general_is_torchs_bilinear() -> None:
    _, score, q, k = make("general")
    query, memory, _ = inputs(q, k, False)
    torchs = nn.Bilinear(q, k, 1, bias=False)
    with torch.no_grad():
        torchs.weight.copy_(score.key.weight[None])
    pairs = query[:, :, None].expand(B, T, S, q).contiguous(), memory[:, None].expand(B, T, S, k).contiguous()
    torch.testing.assert_close(score(query, score.keys(memory)), torchs(*pairs)[..., 0])


def test_linear_maps_of_queries_and_keys_are_general_with_their_product() -> None:
    """(W_q q) . (W_k k) = q . (W_q^T W_k) k."""
    _, keyed, q, k = make("keyed-linear-linear")
    _, general, *_ = make("general")
    with torch.no_grad():
        general.key.weight.copy_(keyed.query.weight.t() @ keyed.key.weight)
    query, memory, _ = inputs(q, k, False)
    torch.testing.assert_close(keyed(query, keyed.keys(memory)), general(query, general.keys(memory)))


def test_maps_that_are_the_identity_are_dot() -> None:
    _, keyed, q, k = make("keyed-identity-identity")
    _, dot, *_ = make("dot")
    query, memory, _ = inputs(q, k, False)
    assert torch.equal(keyed(query, keyed.keys(memory)), dot(query, dot.keys(memory)))


@pytest.mark.parametrize(
    ("query_map", "key_map", "size"),
    [("identity", "linear", 3), ("nonlinear", "identity", 2), ("linear", "nonlinear", A)],
)
def test_keyed_meets_at_the_size_of_its_identity(query_map: str, key_map: str, size: int) -> None:
    _, score, _, k = make(f"keyed-{query_map}-{key_map}")
    assert score.keys(torch.randn(B, S, k)).size(-1) == size


def test_additive_with_both_projections_side_by_side_is_concat() -> None:
    """v tanh(W q + U k) = v tanh([W U] [q; k]): the two papers' scores are one family."""
    _, additive, q, k = make("additive", past=True)
    _, joined, *_ = make("concat", past=True)
    with torch.no_grad():
        additive.query.bias.zero_()
        joined.weight.copy_(torch.cat([additive.query.weight, additive.key.weight], 1))
        joined.v.copy_(additive.v)
        joined.past.weight.copy_(additive.past.weight)
    query, memory, features = inputs(q, k, True)
    torch.testing.assert_close(
        joined(query, joined.keys(memory), features), additive(query, additive.keys(memory), features)
    )


vectors = st.lists(st.floats(-10, 10).map(lambda x: round(x, 3)), min_size=3, max_size=3)


@given(vectors, vectors, st.floats(-2, 2))
@effort(max_examples=60, deadline=None)
def test_cosine_is_torchs(q: list[float], k: list[float], p: float) -> None:
    """Zero vectors among them: torch's cosine is 0 there too."""
    score = Cosine().double()
    nn.init.constant_(score.p, p)
    query, memory = torch.tensor([[q]], dtype=torch.float64), torch.tensor([[k]], dtype=torch.float64)
    want = 10 * np.exp(p) * F.cosine_similarity(query, memory, dim=-1)
    torch.testing.assert_close(score(query, score.keys(memory))[0], want)


@pytest.mark.parametrize("loop", [False, True], ids=["at once", "loop"])
@pytest.mark.parametrize("length", [0.0, 1e-30, 1e-7])
@pytest.mark.parametrize("dtype", [None, torch.bfloat16, torch.float16])
def test_cosine_of_nothing_is_nothing_with_a_small_gradient(
    length: float, dtype: torch.dtype | None, loop: bool
) -> None:
    """A first state of zeros asks a memory that holds zeros: neither may take the weights away with it."""
    score = Cosine().float()
    query, memory = (
        torch.full((1, 2, 3), length, dtype=torch.float32),
        torch.ones(1, 2, 3, dtype=torch.float32),
    )
    memory[0, 0] = length
    query[0, 1] = 2.0
    query.requires_grad_()
    memory.requires_grad_()
    with torch.autocast("cpu", dtype, enabled=dtype is not None):
        scores = Looped(score, loop)(query, memory)
    torch.testing.assert_close(
        scores.float(), torch.tensor([[[0.0, 0.0], [0.0, 10.0]]], dtype=torch.float32), atol=0.05, rtol=0
    )
    scores.float().sum().backward()
    for tensor in (query, memory, score.p):
        assert tensor.grad is not None
        assert tensor.grad.abs().max() < 100


def test_cosine_of_long_half_precision_vectors() -> None:
    """Their length is beyond the type's largest number."""
    score, far = Cosine().float(), torch.full((1, 1, 8), 6e4, dtype=torch.float16)
    assert score(far, score.keys(-far)).item() == pytest.approx(-10, rel=1e-6)


@pytest.mark.parametrize("past", [0, P])
def test_cosine_starts_at_ten(past: int) -> None:
    """exp(0) = 1: alike scores 10, opposite -10, whatever the lengths."""
    score, memory = Cosine(past), torch.tensor([[[6.0, 8.0], [-0.3, -0.4], [4.0, -3.0]]])
    torch.testing.assert_close(
        score(torch.tensor([[[3.0, 4.0]]]), score.keys(memory)), torch.tensor([[[10.0, -10.0, 0.0]]])
    )


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("positions", [1, 3, 4, 9])
def test_location_reads_no_memory_and_nothing_beyond_its_rows(positions: int, bias: bool) -> None:
    score = Location(3, positions, bias=bias)
    query, keys = torch.randn(B, T, 3), score.keys(torch.randn(B, S, 2))
    assert keys.numel() == 0
    got = score(query, keys)
    assert torch.equal(got, score(query, score.keys(torch.full((B, S, 2), torch.nan))))
    rows = min(positions, S)
    torch.testing.assert_close(got[..., :rows], score.positions(query)[..., :rows])
    assert got.shape == (B, T, S)
    assert (got[..., rows:] == -10000).all()
    assert (got.softmax(-1)[..., rows:] == 0).all()


@every
def test_modules_hold_weights_only(name: str) -> None:
    """A call leaves nothing on the score: another sentence between two calls changes nothing, and no tensor
    is there but the weights.
    """
    _, score, q, k = make(name)
    first, second = inputs(q, k, False), inputs(q, k, False)
    with unrolled():
        once = score(first[0], score.keys(first[1]))
    score(second[0].requires_grad_(), score.keys(second[1])).sum().backward()
    assert torch.equal(score(first[0], score.keys(first[1])), once)
    for module in score.modules():
        assert not list(module.buffers())
        assert not any(isinstance(value, Tensor) for value in vars(module).values())
