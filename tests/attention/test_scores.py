"""Every score, with and without history features: the papers' equations, right gradients, and the same result
however it is called.
"""

import itertools

import named_weights
import numpy as np
import pytest
import reference
import torch
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st
from pairwise import pairwise
from torch import Tensor, nn
from torch.nn import functional as F

from seq2attn.attention.history import AttentionHistory, build_history_feature
from seq2attn.attention.scores import Cosine, Location, ProductScore, Score, build_score
from seq2attn.config import SCORES, AttentionConfig
from seq2attn.kernels.deferred_gradients import Linear, unrolled

pytestmark = pytest.mark.usefixtures("float64")

B, T, S, A, P = 2, 3, 4, 5, 2
MAPS = ("identity", "linear", "nonlinear")
CHOICES = {
    **{
        name: AttentionConfig(score=name)
        for name, traits in SCORES.items()
        if name != "keyed" and traits.uses_keys
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
# queries and keys of one size
EQUAL = (*(name for name, traits in SCORES.items() if traits.equal_sizes), "keyed-identity-identity")
every = pytest.mark.parametrize("name", CHOICES)
history = pytest.mark.parametrize("history", [False, True], ids=["no history", "history"])


def make(name: str, history: bool = False) -> tuple[AttentionConfig, Score, int, int]:
    """A score with random weights, the size of its queries and of its keys: unequal wherever they may be."""
    settings = (
        CHOICES[name].model_copy(update={"history": "location-aware", "filters": P})
        if history
        else CHOICES[name]
    )
    query, key = (3, 3) if name in EQUAL else (3, 2)
    score = build_score(settings, query, key, A, P if history else 0)
    for parameter in score.parameters():
        nn.init.normal_(parameter)
    return settings, score, query, key


def run(score: Score, query: Tensor, memory: Tensor, features: Tensor | None = None) -> Tensor:
    scores: Tensor = score(score.project_query(query), score.project_keys(memory), features)
    return scores


def inputs(q: int, k: int, history: bool) -> tuple[Tensor, Tensor, Tensor | None]:
    return torch.randn(B, T, q), torch.randn(B, S, k), torch.randn(B, T, S, P) if history else None


def test_every_score_has_a_reference() -> None:
    missing = sorted(SCORES.keys() - reference.SCORES.keys())
    assert not missing, f"tests/reference/attention.py: SCORES has no function for {', '.join(missing)}"


@history
@every
def test_scores_equal_the_papers_equations(name: str, history: bool) -> None:
    settings, score, q, k = make(name, history)
    query, memory, features = inputs(q, k, history)
    got = run(score, query, memory, features)
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
            return run(self.score, query, memory, features)
        with unrolled():
            keys = self.score.project_keys(memory)
            steps = [slice(t, t + 1) for t in range(query.size(1))]
            return torch.cat(
                [
                    self.score(
                        self.score.project_query(query[:, t]),
                        keys,
                        None if features is None else features[:, t],
                    )
                    for t in steps
                ],
                1,
            )


@pytest.mark.parametrize(
    ("name", "history", "loop"),
    [
        # quick: each score once, with the two options in turn
        pytest.param(name, *options, marks=() if i % 4 == j else pytest.mark.slow)
        for i, name in enumerate(CHOICES)
        for j, options in enumerate(itertools.product((False, True), repeat=2))
    ],
)
def test_gradients_of_queries_memory_features_and_parameters(name: str, history: bool, loop: bool) -> None:
    """By finite differences."""
    _, score, q, k = make(name, history)
    names = [f"score.{key}" for key, _ in score.named_parameters()]
    parts = [part.requires_grad_() for part in inputs(q, k, history) if part is not None]

    def whole(*args: Tensor) -> Tensor:
        given, parameters = args[: len(parts)], args[len(parts) :]
        scores: Tensor = torch.func.functional_call(
            Looped(score, loop), dict(zip(names, parameters, strict=True)), given
        )
        # a location score reads no memory, and gradcheck asks for a gradient
        return scores + 0 * given[1].sum()

    torch.autograd.gradcheck(whole, (*parts, *score.parameters()))


@history
@every
def test_loop_with_feedback_equals_plain_autograd(name: str, history: bool) -> None:
    """Each query, and each step's features, come from the weights before: gradients through all of them, as
    without `unrolled`.
    """
    settings, score, q, k = make(name, history)
    feature = build_history_feature(settings, k)
    for parameter in () if feature is None else feature.parameters():
        nn.init.normal_(parameter)
    query, memory, recur = (
        torch.randn(B, q, requires_grad=True),
        torch.randn(B, S, k, requires_grad=True),
        torch.randn(k, q),
    )

    def walk() -> Tensor:
        keys, queries, steps, weights = score.project_keys(memory), query, [], torch.zeros(B, 1, S)
        for t in range(T):
            features = None
            if feature is not None:
                features = feature(AttentionHistory(torch.full((B, 1), t), weights[:, :, None]), None)[:, 0]
            steps.append(score(score.project_query(queries[:, None]), keys, features))
            weights = steps[-1].softmax(-1)
            queries = queries + (weights @ memory)[:, 0] @ recur
        return torch.cat(steps, 1)

    slow = walk()
    with unrolled():
        fast = walk()
    torch.testing.assert_close(fast, slow)
    weight = torch.randn_like(slow)
    args = (query, memory, *score.parameters(), *(() if feature is None else feature.parameters()))
    for got, want in zip(
        torch.autograd.grad((fast * weight).sum(), args),
        torch.autograd.grad((slow * weight).sum(), args),
        strict=True,
    ):
        torch.testing.assert_close(got, want)


@history
@every
def test_queries_of_a_beam_are_scored_independently(name: str, history: bool) -> None:
    """W queries of one sentence are answered as they would be each alone."""
    _, score, q, k = make(name, history)
    query, memory, features = inputs(q, k, history)
    together = run(score, query, memory, features)
    for t in range(T):
        one = slice(t, t + 1)
        torch.testing.assert_close(
            together[:, one],
            run(score, query[:, one], memory, None if features is None else features[:, one]),
        )


@history
@every
def test_scores_without_gradients_are_the_same(name: str, history: bool) -> None:
    """Where no gradient is asked for, a score may take another way: it must lead to the same place."""
    _, score, q, k = make(name, history)
    query, memory, features = inputs(q, k, history)
    with torch.no_grad():
        free = run(score, query, memory, features)
    torch.testing.assert_close(free, run(score, query, memory, features))


@history
@every
def test_scores_of_a_longer_memory_start_the_same(name: str, history: bool) -> None:
    _, score, q, k = make(name, history)
    query, memory, features = inputs(q, k, history)
    longer = torch.cat([memory, torch.randn(B, 3, k)], 1)
    more = None if features is None else torch.cat([features, torch.randn(B, T, 3, P)], 2)
    torch.testing.assert_close(run(score, query, longer, more)[..., :S], run(score, query, memory, features))


@history
@every
def test_features_of_zeros_add_nothing(name: str, history: bool) -> None:
    """Features of zeros, or none at all: the scores and gradients of the score without history."""
    _, score, q, k = make(name, history=True)
    query, memory, _ = inputs(q, k, history)
    query.requires_grad_()
    nothing = torch.zeros(B, T, S, P) if history else None
    bare = build_score(CHOICES[name], q, k, A)
    bare.load_state_dict(
        {key: value for key, value in score.state_dict().items() if key != "history_proj.weight"}
    )
    got, want = run(score, query, memory, nothing), run(bare, query, memory)
    torch.testing.assert_close(got, want)
    weight = torch.randn_like(want)
    torch.testing.assert_close(
        *(torch.autograd.grad((scores * weight).sum(), query)[0] for scores in (got, want))
    )


@pytest.mark.parametrize(
    ("name", "history", "loop", "dtype"),
    pairwise(CHOICES, (False, True), (False, True), (torch.bfloat16, torch.float16)),
)
def test_scores_and_gradients_under_autocast(
    name: str, history: bool, loop: bool, dtype: torch.dtype
) -> None:
    """Scores in half precision are near float32's; gradients are finite, in each parameter's dtype."""
    _, score, q, k = make(name, history)
    score = score.float()
    query, memory, features = (
        part if part is None else part.float().requires_grad_() for part in inputs(q, k, history)
    )
    want = run(score, query, memory, features)
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


def test_general_equals_torch_bilinear() -> None:
    _, score, q, k = make("general")
    query, memory, _ = inputs(q, k, False)
    torchs = nn.Bilinear(q, k, 1, bias=False)
    with torch.no_grad():
        torchs.weight.copy_(score.key.weight[None])
    pairs = query[:, :, None].expand(B, T, S, q).contiguous(), memory[:, None].expand(B, T, S, k).contiguous()
    torch.testing.assert_close(run(score, query, memory), torchs(*pairs)[..., 0])


def test_keyed_with_linear_maps_equals_general_with_their_product() -> None:
    """(W_q q) . (W_k k) = q . (W_q^T W_k) k."""
    _, keyed, q, k = make("keyed-linear-linear")
    _, general, *_ = make("general")
    with torch.no_grad():
        general.key.weight.copy_(keyed.query.weight.t() @ keyed.key.weight)
    query, memory, _ = inputs(q, k, False)
    torch.testing.assert_close(run(keyed, query, memory), run(general, query, memory))


def test_keyed_with_identities_equals_dot() -> None:
    _, keyed, q, k = make("keyed-identity-identity")
    _, dot, *_ = make("dot")
    query, memory, _ = inputs(q, k, False)
    assert torch.equal(run(keyed, query, memory), run(dot, query, memory))


@pytest.mark.parametrize(
    ("query_map", "key_map", "size"),
    [("identity", "linear", 3), ("nonlinear", "identity", 2), ("linear", "nonlinear", A)],
)
def test_keyed_maps_to_the_size_of_its_identity(query_map: str, key_map: str, size: int) -> None:
    _, score, _, k = make(f"keyed-{query_map}-{key_map}")
    assert score.project_keys(torch.randn(B, S, k)).size(-1) == size


def test_concat_equals_additive_with_joined_matrices() -> None:
    """v tanh(W q + U k) = v tanh([W U] [q; k]): the two papers' scores are one family."""
    _, additive, q, k = make("additive", history=True)
    _, joined, *_ = make("concat", history=True)
    with torch.no_grad():
        additive.query.bias.zero_()
        joined.weight.copy_(torch.cat([additive.query.weight, additive.key.weight], 1))
        joined.v.copy_(additive.v)
        joined.history_proj.weight.copy_(additive.history_proj.weight)
    query, memory, features = inputs(q, k, True)
    torch.testing.assert_close(run(joined, query, memory, features), run(additive, query, memory, features))


vectors = st.lists(st.floats(-10, 10).map(lambda x: round(x, 3)), min_size=3, max_size=3)


@given(vectors, vectors, st.floats(-2, 2))
@effort(max_examples=60, deadline=None)
def test_cosine_equals_torch_cosine_similarity(q: list[float], k: list[float], p: float) -> None:
    """Zero vectors among them: torch's cosine is 0 there too."""
    score = Cosine().double()
    nn.init.constant_(score.p, p)
    query, memory = torch.tensor([[q]], dtype=torch.float64), torch.tensor([[k]], dtype=torch.float64)
    want = 10 * np.exp(p) * F.cosine_similarity(query, memory, dim=-1)
    torch.testing.assert_close(run(score, query, memory)[0], want)


@pytest.mark.parametrize("loop", [False, True], ids=["at once", "loop"])
@pytest.mark.parametrize("length", [0.0, 1e-30, 1e-7])
@pytest.mark.parametrize("dtype", [None, torch.bfloat16, torch.float16])
def test_cosine_of_zero_vectors_is_zero_with_a_small_gradient(
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
    assert run(score, far, -far).item() == pytest.approx(-10, rel=1e-6)


@pytest.mark.parametrize("history_size", [0, P])
def test_cosine_starts_at_ten(history_size: int) -> None:
    """exp(0) = 1: alike scores 10, opposite -10, whatever the lengths."""
    score, memory = Cosine(history_size), torch.tensor([[[6.0, 8.0], [-0.3, -0.4], [4.0, -3.0]]])
    torch.testing.assert_close(
        run(score, torch.tensor([[[3.0, 4.0]]]), memory), torch.tensor([[[10.0, -10.0, 0.0]]])
    )


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("positions", [1, 3, 4, 9])
def test_location_reads_only_the_query_up_to_its_rows(positions: int, bias: bool) -> None:
    score = Location(3, positions, 0, bias)
    query, keys = torch.randn(B, T, 3), score.project_keys(torch.randn(B, S, 2))
    assert keys.numel() == 0
    got = score(query, keys)
    assert torch.equal(got, run(score, query, torch.full((B, S, 2), torch.nan)))
    rows = min(positions, S)
    torch.testing.assert_close(got[..., :rows], score.positions(query)[..., :rows])
    assert got.shape == (B, T, S)
    assert (got[..., rows:] == -10000).all()
    assert (got.softmax(-1)[..., rows:] == 0).all()


@every
def test_scores_hold_parameters_only(name: str) -> None:
    """A call leaves nothing on the score: another sentence between two calls changes nothing, and no tensor
    is there but the weights.
    """
    _, score, q, k = make(name)
    first, second = inputs(q, k, False), inputs(q, k, False)
    with unrolled():
        once = run(score, first[0], first[1])
    run(score, second[0].requires_grad_(), second[1]).sum().backward()
    assert torch.equal(run(score, first[0], first[1]), once)
    for module in score.modules():
        assert not list(module.buffers())
        assert not any(isinstance(value, Tensor) for value in vars(module).values())


@history
@every
def test_scores_of_heads_are_independent(name: str, history: bool) -> None:
    """Heads are one more leading dimension."""
    _, score, q, k = make(name, history)
    heads = [inputs(q, k, history) for _ in range(3)]
    query, memory = (torch.stack([head[i] for head in heads], 1) for i in (0, 1))
    features = torch.stack([head[2] for head in heads], 1) if history else None
    scores = run(score, query, memory, features)
    assert scores.shape == (B, 3, T, S)
    for h, head in enumerate(heads):
        torch.testing.assert_close(scores[:, h], run(score, *head))


@every
def test_a_score_that_declares_a_product_is_one(name: str) -> None:
    """What torch's fused call computes from the projected queries and keys and the scale."""
    _, score, q, k = make(name)
    assert score.is_product == isinstance(score, ProductScore)
    if score.is_product:
        query, memory, _ = inputs(q, k, False)
        query_key = score.project_query(query) @ score.project_keys(memory).mT
        torch.testing.assert_close(
            run(score, query, memory), query_key * score.scale(score.project_keys(memory).size(-1))
        )


@every
def test_max_positions_is_that_of_location_scores(name: str) -> None:
    config, score, *_ = make(name)
    assert score.max_positions == (config.max_positions if "location" in name else None)


# First parameters


class NewScore(Score):
    """A score with a vector, a matrix and a bias that nobody has thought of."""

    def __init__(self) -> None:
        super().__init__(Linear(3, 2))
        self.u = nn.Parameter(torch.zeros(400))


@pytest.mark.parametrize("init", ["glorot", "bahdanau15", "uniform"])
def test_a_new_score_draws_its_vector(init: str) -> None:
    score = NewScore()
    with torch.no_grad():
        for parameter in score.parameters():
            parameter.fill_(0.5 if parameter.dim() == 2 else 0.0)
        score.draw_parameters(init)
    assert not score.query.bias.any()
    assert (score.query.weight == 0.5).all() == (init != "bahdanau15")
    if init == "glorot":
        assert 0.045 < score.u.abs().max() <= 0.05  # 400 ** -0.5
        assert score.u.abs().min() < 0.005
    else:
        assert not score.u.any()  # left as the scheme drew it
    if init == "bahdanau15":
        assert 0 < score.query.weight.abs().max() < 0.006


@history
@every
def test_draw_parameters_draws_as_bahdanau15_says(name: str, history: bool) -> None:
    """W and U of a score with a vector are N(0, 0.001^2); other scores are left as they are."""
    _, score, *_ = make(name, history)
    has_vector = any(parameter.dim() == 1 for _, parameter in score.named_parameters(recurse=False))
    before = {name: parameter.detach().clone() for name, parameter in score.named_parameters()}
    with torch.no_grad():
        score.draw_parameters("bahdanau15")
    for parameter_name, parameter in score.named_parameters():
        redrawn = has_vector and parameter.dim() == 2
        assert torch.equal(parameter, before[parameter_name]) == (not redrawn)
        assert not redrawn or parameter.abs().max() < 0.006
