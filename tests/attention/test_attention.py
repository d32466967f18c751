"""The whole attention: heads equal to torch's own, the history of earlier steps, sources with nothing to
read, and the fused call.
"""

import itertools
from typing import Any

import pytest
import torch
from pairwise import pairwise
from torch import Tensor, nn
from torch.nn import functional as F

from seq2attn import config
from seq2attn.attention import Attention, AttentionHistory
from seq2attn.attention.attention import ProjectedMemory
from seq2attn.config import AttentionConfig

B, T, S = 3, 4, 5
Q, K, V = 6, 7, 8  # sizes of queries, keys and values
LENGTHS = [5, 1, 3]
SCORES = tuple(score for score in config.SCORES if score not in ("dot", "concat-location"))
WINDOWS = ("none", "local-m", "local-p")
NORMALISERS = ("softmax", "sparsemax", "entmax15", "sigmoid", "hard-topk", "hard-sample", "gumbel")


@pytest.fixture(autouse=True)
def _in_float64(float64: None) -> None: ...


def make(query: int = Q, key: int = K, value: int = V, size: int = 4, **settings: Any) -> Attention:
    attention = Attention(AttentionConfig.model_validate(settings), query, key, value, size).eval()
    for parameter in attention.parameters():
        nn.init.uniform_(parameter, -0.8, 0.8)
    return attention


def mapped(out: int = Q, bias: bool = True, size: int = 12, **settings: Any) -> Attention:
    """As in a Transformer: with projections even for one head."""
    attention = Attention(
        AttentionConfig.model_validate({"score": "scaled-dot"} | settings),
        Q,
        K,
        V,
        size,
        out_size=out,
        bias=bias,
    ).eval()
    for parameter in attention.parameters():
        nn.init.uniform_(parameter, -0.8, 0.8)
    return attention


def inputs(key: int = K) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Queries, keys, values and a mask."""
    return (
        torch.randn(B, T, Q),
        torch.randn(B, S, key),
        torch.randn(B, S, V),
        torch.arange(S) < torch.tensor(LENGTHS)[:, None],
    )


def at_steps(history: AttentionHistory | None) -> AttentionHistory | None:
    """The history of T queries at once."""
    return None if history is None else history.for_all_steps(T)


@pytest.mark.parametrize("heads", [2, 4])
def test_heads_equal_torch_multihead_attention(heads: int) -> None:
    """Vaswani 2017, section 3.2.2: output, weights of each head, and every gradient."""
    theirs = nn.MultiheadAttention(V, heads, bias=False, kdim=K, vdim=V, batch_first=True)
    assert theirs.q_proj_weight is not None
    ours = make(query=V, size=V, score="scaled-dot", heads=heads)
    pairs = {
        "query": theirs.q_proj_weight,
        "key": theirs.k_proj_weight,
        "value": theirs.v_proj_weight,
        "out": theirs.out_proj.weight,
    }
    with torch.no_grad():
        for name, weight in pairs.items():
            getattr(ours, name).weight.copy_(weight)
    _, keys, values, mask = inputs()
    query = torch.randn(B, T, V)
    want, weights = theirs(query, keys, values, key_padding_mask=~mask, average_attn_weights=False)
    got = ours(query, ours.project_memory(keys, values, mask))
    torch.testing.assert_close(got.context, want)
    torch.testing.assert_close(got.weights.transpose(1, 2), weights)
    assert got.log_prob is None
    assert got.entropy is None
    loss = torch.randn_like(want)
    mine = torch.autograd.grad((got.context * loss).sum(), [getattr(ours, name).weight for name in pairs])
    for a, b in zip(mine, torch.autograd.grad((want * loss).sum(), list(pairs.values())), strict=True):
        torch.testing.assert_close(a, b)


def test_one_head_equals_torch_attention_and_projects_nothing() -> None:
    ours = make(key=Q, score="scaled-dot")
    assert not list(ours.parameters())
    query, keys, values, mask = inputs(Q)
    want = F.scaled_dot_product_attention(query, keys, values, mask[:, None])
    torch.testing.assert_close(ours(query, ours.project_memory(keys, values, mask)).context, want)


@pytest.mark.parametrize("kind", ["linear", "nonlinear"])
def test_value_map_is_applied_to_the_values(kind: str) -> None:
    plain, mapped = make(value_map="identity"), make(value_map=kind)
    mapped.load_state_dict(plain.state_dict(), strict=False)
    assert mapped.value is not None
    assert (mapped.value.bias is None) == (kind == "linear")
    query, keys, values, mask = inputs()
    v = F.linear(values, mapped.value.weight, mapped.value.bias)
    want = plain(query, plain.project_memory(keys, v.tanh() if kind == "nonlinear" else v, mask))
    torch.testing.assert_close(mapped(query, mapped.project_memory(keys, values, mask)).context, want.context)


@pytest.mark.parametrize("history", ["none", "coverage", "fertility", "location-aware"])
@pytest.mark.parametrize("score", SCORES)
def test_heads_are_independent(score: str, history: str) -> None:
    """A change of one head's projections changes its own weights alone, now and after any number of steps."""
    settings = {"score": score, "history": history, "heads": 2}
    attention = make(**settings | ({"filters": 3, "kernel": 3} if history == "location-aware" else {}))
    query, keys, values, mask = inputs()

    def walk() -> Tensor:
        memory = attention.project_memory(keys, values, mask)
        rows = attention.initial_history(B, mask, values)
        steps = []
        for t in range(T):
            output = attention(query[:, t : t + 1], memory, None if rows is None else rows.by_sentence(B))
            rows = attention.update_history(rows, output.weights[:, 0])
            steps.append(output.weights)
        return torch.cat(steps, 1)

    with torch.no_grad():
        before = walk()
        assert attention.query is not None
        for layer in (attention.query, attention.key):
            if layer is not None:
                layer.weight[2:] += 1  # the second head's half of four rows
        after = walk()
    assert torch.equal(after[:, :, 0], before[:, :, 0])
    assert not torch.allclose(after[:, :, 1], before[:, :, 1])


@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("history", ["none", "coverage", "location-aware"])
@pytest.mark.parametrize("normaliser", ["softmax", "hard-sample"])
@pytest.mark.parametrize("window", ["none", "local-m", "local-p"])
def test_history_holds_what_later_steps_need_and_no_more(
    heads: int, history: str, normaliser: str, window: str
) -> None:
    if normaliser == "hard-sample" and window == "local-p":
        return
    attention = make(heads=heads, history=history, normaliser=normaliser, window=window)
    _, _, values, mask = inputs()
    start = attention.initial_history(B, mask, values)
    assert attention.needs_history == (history != "none")
    if history == "none" and normaliser == "softmax" and window != "local-m":
        assert start is None
        assert attention.update_history(None, torch.rand(B, heads, S)) is None
        return
    assert start is not None
    assert start.step.tolist() == [0] * B
    assert start.use_expectation is None
    steps = torch.rand(3, B, heads, S)
    now: AttentionHistory | None = start
    for weights in steps:
        now = attention.update_history(now, weights)
    assert now is not None
    assert now.step.tolist() == [3] * B
    assert start.step.tolist() == [0] * B
    if history == "none":
        assert start.previous is start.cumulative is now.previous is now.cumulative is None
        return
    assert start.previous is not None
    assert start.cumulative is not None
    assert now.previous is not None
    assert now.cumulative is not None
    assert start.previous.shape == start.cumulative.shape == (B, heads, S)
    assert not start.previous.any()
    assert not start.cumulative.any()
    torch.testing.assert_close(now.previous, steps[2])
    torch.testing.assert_close(now.cumulative, steps.sum(0))


def test_use_expectation_is_drawn_once_a_sentence_in_training_alone() -> None:
    attention = make(normaliser="hard-sample", expectation_prob=0.3).train()
    mask, values = torch.ones(1, S, dtype=torch.bool), torch.randn(1, S, V)
    start = attention.initial_history(20000, mask, values)
    assert start is not None
    assert start.use_expectation is not None
    assert start.use_expectation.double().mean().item() == pytest.approx(0.3, abs=0.02)  # six deviations
    late = attention.update_history(start, torch.rand(20000, 1, S))
    assert late is not None
    assert late.use_expectation is start.use_expectation
    start = attention.eval().initial_history(4, mask, values)
    assert start is not None
    assert start.use_expectation is None


def differentiable(normaliser: str, window: str, *_: Any) -> bool:
    """Whether the window may go with the normaliser: one that is predicted needs a gradient."""
    return window != "local-p" or normaliser not in config.HARD


@pytest.mark.parametrize(
    ("normaliser", "window", "heads", "training"),
    pairwise(NORMALISERS, WINDOWS, (1, 2), (False, True), allowed=differentiable),
)
def test_all_masked_source_gives_zeros_and_finite_gradients(
    normaliser: str, window: str, heads: int, training: bool
) -> None:
    attention = make(heads=heads, window=window, normaliser=normaliser).train(training)
    query, keys, values, mask = inputs()
    mask[1] = False
    for x in (query, keys, values):
        x.requires_grad_()
    output = attention(
        query,
        attention.project_memory(keys, values, mask),
        at_steps(attention.initial_history(B, mask, values)),
    )
    assert not output.weights[1].any()
    assert not output.context[1].any()
    assert output.context[0].any()
    total = output.context.sum() + (
        0 if output.log_prob is None else (output.log_prob + output.entropy).sum()
    )
    gradients = torch.autograd.grad(
        total, (query, keys, values, *attention.parameters()), allow_unused=True, materialize_grads=True
    )
    assert all(torch.isfinite(x).all() for x in gradients)
    assert not any(x[1].any() for x in gradients[:3])
    assert gradients[2][0].any()


@pytest.mark.parametrize(
    ("normaliser", "window", "score", "heads"),
    pairwise(("softmax", "sparsemax", "hard-topk"), WINDOWS, SCORES, (1, 2), allowed=differentiable),
)
def test_queries_at_once_equal_queries_one_by_one(
    normaliser: str, window: str, score: str, heads: int
) -> None:
    attention = make(key=Q, score=score, normaliser=normaliser, heads=heads, window=window)
    query, keys, values, mask = inputs(Q)
    with torch.no_grad():
        memory = attention.project_memory(keys, values, mask)
        history = attention.initial_history(B, mask, values)
        whole = attention(query, memory, at_steps(history))
        for t in range(T):
            now = None if history is None else history._replace(step=history.step[:, None] + t)
            one = attention(query[:, t : t + 1], memory, now)
            torch.testing.assert_close(one.context[:, 0], whole.context[:, t])
            torch.testing.assert_close(one.weights[:, 0], whole.weights[:, t])


@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("history", ["none", "fertility"])
@pytest.mark.parametrize("score", SCORES)
def test_gradients_by_finite_differences(score: str, history: str, heads: int) -> None:
    """By finite differences in the memory, the query, the weights of earlier steps and every parameter."""
    attention = make(key=Q, score=score, history=history, heads=heads)
    query, keys, values, mask = (x.requires_grad_() if x.is_floating_point() else x for x in inputs(Q))
    total = torch.rand(B, T, heads, S, requires_grad=True)
    parameters = dict(attention.named_parameters())

    def read(
        query: Tensor, keys: Tensor, values: Tensor, total: Tensor, *given: Tensor
    ) -> tuple[Tensor, Tensor]:
        history = AttentionHistory(torch.arange(T).expand(B, -1), total, total)
        output: tuple[Tensor, Tensor] = torch.func.functional_call(
            _Whole(attention),
            {f"attention.{name}": x for name, x in zip(parameters, given, strict=True)},
            (query, keys, values, mask, history),
        )
        return output

    torch.autograd.gradcheck(read, (query, keys, values, total, *parameters.values()), fast_mode=True)


class _Whole(nn.Module):
    def __init__(self, attention: Attention) -> None:
        super().__init__()
        self.attention = attention

    def forward(
        self, query: Tensor, keys: Tensor, values: Tensor, mask: Tensor, history: AttentionHistory
    ) -> tuple[Tensor, Tensor]:
        memory: ProjectedMemory = self.attention.project_memory(keys, values, mask)
        output = self.attention(query, memory, history)
        return output.context, output.weights


def test_log_prob_and_entropy_sum_over_heads() -> None:
    attention = make(normaliser="hard-sample", expectation_prob=0.0, heads=2).train()
    query, keys, values, mask = inputs()
    memory = attention.project_memory(keys, values, mask)
    history = at_steps(attention.initial_history(B, mask, values))
    with torch.no_grad():
        soft = make(heads=2)
        soft.load_state_dict(attention.state_dict())
        p_BTHS = soft(query, soft.project_memory(keys, values, mask)).weights
        output = attention(query, memory, history)
    p_BTH = (p_BTHS * output.weights).sum(-1)
    torch.testing.assert_close(output.log_prob, p_BTH.log().sum(-1))
    torch.testing.assert_close(output.entropy, -torch.special.xlogy(p_BTHS, p_BTHS).sum((-1, -2)))


def test_use_expectation_holds_for_all_heads_of_a_row() -> None:
    attention = make(normaliser="hard-sample", heads=2).train()
    query, keys, values, _ = inputs()
    expected = torch.tensor([True, False, False])
    history = AttentionHistory(torch.arange(T).expand(B, -1), use_expectation=expected[:, None].expand(-1, T))
    output = attention(
        query, attention.project_memory(keys, values, torch.ones(B, S, dtype=torch.bool)), history
    )
    is_draw_BTH = ((output.weights == 0) | (output.weights == 1)).all(-1)  # (B, T, H)
    assert torch.equal(is_draw_BTH, ~expected[:, None, None].expand_as(is_draw_BTH))
    assert torch.equal(output.log_prob == 0, expected[:, None].expand(-1, T))


@pytest.mark.parametrize("score", ["location", "concat-location"])
def test_location_scores_have_no_key_matrix(score: str) -> None:
    """A parameter that nothing reads would be weight decay's and the distributed sum's alone."""
    settings = {"score": score, "query_input": "both", "heads": 2}
    assert make(**settings).key is None
    assert make(**settings, history="fertility").key is not None


@pytest.mark.parametrize(
    "settings",
    [{"window": "local-m", "half_width": 1}, {"normaliser": "hard-sample", "at_inference": "sample"}],
)
def test_history_step_is_that_of_each_sentence(settings: dict[str, Any]) -> None:
    attention = make(heads=2, **settings)
    query, keys, values, mask = inputs()
    step = torch.tensor([[0, 1, 2, 3], [7, 5, 6, 4], [3, 3, 0, 1]])
    whole = attention(query, attention.project_memory(keys, values, mask), AttentionHistory(step)).weights
    for b in range(B):
        one = slice(b, b + 1)
        torch.testing.assert_close(
            attention(
                query[one],
                attention.project_memory(keys[one], values[one], mask[one]),
                AttentionHistory(step[one]),
            ).weights,
            whole[one],
        )


def test_heads_sample_independently_at_inference() -> None:
    """Heads with equal weights sample different positions, as in training."""
    steps, heads = 4000, 2
    attention = make(
        score="location", max_positions=2, heads=heads, normaliser="hard-sample", at_inference="sample"
    )
    assert attention.query is not None
    nn.init.zeros_(attention.query.weight)  # every position of every head scores 0
    memory = attention.project_memory(
        torch.randn(1, 2, K), torch.randn(1, 2, V), torch.ones(1, 2, dtype=torch.bool)
    )
    weights = attention(
        torch.randn(1, steps, Q), memory, AttentionHistory(torch.arange(steps)[None])
    ).weights[0, :, :, 0]
    frequency = torch.bincount((weights @ torch.tensor([2.0, 1.0])).long(), minlength=4) / steps
    # four deviations
    torch.testing.assert_close(frequency.double(), torch.full((4,), 0.25), rtol=0, atol=0.03)


@pytest.mark.parametrize(
    "settings",
    [
        {"window": "local-m", "half_width": 1},
        {"normaliser": "hard-topk", "k": 3},
        {"temperature": 5000.0},
        {"normaliser": "sigmoid"},
        {"heads": 2},
    ],
    ids=lambda settings: "-".join(map(str, settings.values())),
)
def test_positions_beyond_max_positions_are_never_read(settings: dict[str, Any]) -> None:
    """Location scores have as many rows as `positions`: what lies beyond is as padding, whatever comes after
    the score.
    """
    attention = make(score="location", max_positions=2, **settings)
    query, keys, values, mask = inputs()
    memory = attention.project_memory(keys, values, mask)
    weights = attention(query, memory, AttentionHistory(torch.arange(T).expand(B, -1))).weights
    assert (weights[..., 2:] == 0).all()
    assert (weights[..., :2].sum(-1) > 0).all()
    changed = attention.project_memory(keys, torch.cat([values[:, :2], values[:, 2:] + 1], 1), mask)
    assert torch.equal(
        attention(query, changed, AttentionHistory(torch.arange(T).expand(B, -1))).context,
        attention(query, memory, AttentionHistory(torch.arange(T).expand(B, -1))).context,
    )


# Maps to a size of its own, with a bias


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("heads", [1, 2, 4])
def test_projections_with_bias_equal_torch_multihead_attention(heads: int, bias: bool) -> None:
    """nn.MultiheadAttention to sources of other sizes: context, weights and every gradient; with one head,
    too.
    """
    theirs = nn.MultiheadAttention(Q * 2, heads, bias=bias, kdim=K, vdim=V, batch_first=True)
    ours = Attention(
        AttentionConfig(score="scaled-dot", heads=heads), Q * 2, K, V, Q * 2, out_size=Q * 2, bias=bias
    )
    maps: list[Any] = [ours.query, ours.key, ours.value, ours.out]
    pairs = [
        (to, one.weight)
        for to, one in zip(
            (theirs.q_proj_weight, theirs.k_proj_weight, theirs.v_proj_weight, theirs.out_proj.weight),
            maps,
            strict=True,
        )
    ]
    assert all(one is not None and (one.bias is not None) == bias for one in maps)
    for one in maps:
        if bias:
            nn.init.uniform_(one.bias, -0.8, 0.8)
    for to, of in pairs:
        assert to is not None
        of.data = to.detach().clone()
    if bias:
        theirs.in_proj_bias.data = torch.cat([one.bias.detach() for one in maps[:3]])
        theirs.out_proj.bias.data = maps[3].bias.detach().clone()
    _, keys, values, mask = inputs()
    query = torch.randn(B, T, Q * 2)
    want, weights = theirs(query, keys, values, key_padding_mask=~mask, average_attn_weights=False)
    got = ours(query, ours.project_memory(keys, values, mask))
    torch.testing.assert_close(got.context, want)
    torch.testing.assert_close(got.weights.transpose(1, 2), weights)
    loss = torch.randn_like(want)
    mine = torch.autograd.grad((got.context * loss).sum(), [of for _, of in pairs])
    for a, b in zip(mine, torch.autograd.grad((want * loss).sum(), [to for to, _ in pairs]), strict=True):  # type: ignore[arg-type]
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("score", [*SCORES, "concat-location"])
def test_out_size_is_the_size_of_the_context(score: str) -> None:
    attention = mapped(
        out=9, heads=2, score=score, query_input="both" if score == "concat-location" else "state"
    )
    query, keys, values, mask = inputs()
    output = attention(query, attention.project_memory(keys, values, mask))
    assert output.context.shape == (B, T, 9)
    parameters = dict(attention.named_parameters())
    assert parameters["value.weight"].shape == (12, V)
    gradients = torch.autograd.grad(
        output.context.square().sum(), list(parameters.values()), allow_unused=True
    )
    unread = {name for name, gradient in zip(parameters, gradients, strict=True) if gradient is None}
    assert not unread, "a parameter that nothing reads"


# Keys and values that heads share


@pytest.mark.parametrize(
    ("both_heads", "score", "history"),
    pairwise([(2, 1), (4, 1), (4, 2), (6, 3)], [*SCORES, "concat-location"], ("none", "fertility")),
)
def test_shared_keys_and_values_equal_heads_with_copies(
    both_heads: tuple[int, int], score: str, history: str
) -> None:
    """Ainslie 2023, section 2.2: heads side by side are a group. The same as heads of their own whose
    matrices are one another's copies.
    """
    heads, kv_heads = both_heads
    settings = {
        "heads": heads,
        "score": score,
        "history": history,
        "query_input": "both" if score == "concat-location" else "state",
    }
    shared, full = mapped(kv_heads=kv_heads, **settings), mapped(**settings)
    state = shared.state_dict()
    for name in ("key", "value"):
        for end in ("weight", "bias"):
            if (part := state.get(f"{name}.{end}")) is not None:
                assert len(part) == 12 // heads * kv_heads
                state[f"{name}.{end}"] = (
                    part.unflatten(0, (kv_heads, -1)).repeat_interleave(heads // kv_heads, 0).flatten(0, 1)
                )
    full.load_state_dict(state)
    query, keys, values, mask = inputs()
    total = torch.rand(B, T, heads, S)
    now = AttentionHistory(torch.arange(T).expand(B, -1), total, total)
    want, got = (one(query, one.project_memory(keys, values, mask), now) for one in (full, shared))
    torch.testing.assert_close(got.context, want.context)
    torch.testing.assert_close(got.weights, want.weights)
    if score != "concat-linear":  # whose query a softmax does not see
        assert not torch.allclose(got.weights[:, :, 0], got.weights[:, :, -1])


# One fused call where nobody asks for weights

PRODUCTS = ("dot", "scaled-dot", "general", "keyed")


@pytest.mark.parametrize("temperature", [1.0, 0.6])
@pytest.mark.parametrize(("heads", "kv_heads"), [(1, None), (2, None), (4, 2), (4, 1)])
@pytest.mark.parametrize("score", PRODUCTS)
def test_fused_call_equals_the_slow_path(
    score: str, heads: int, kv_heads: int | None, temperature: float
) -> None:
    """Context and every gradient; and nothing is kept that the loss or a search would ask for."""
    for training, out in itertools.product((False, True), (None, Q)):
        settings = AttentionConfig(score=score, heads=heads, kv_heads=kv_heads, temperature=temperature)  # type: ignore[arg-type]
        attention = Attention(settings, 8, 8, 8, 8, out_size=out, bias=out is not None).train(training)
        for parameter in attention.parameters():
            nn.init.uniform_(parameter, -0.8, 0.8)
        _, _, _, mask = inputs()
        given = [torch.randn(B, count, 8, requires_grad=True) for count in (T, S, S)]
        results = []
        for weights in (False, True):
            output = attention(given[0], attention.project_memory(given[1], given[2], mask), None, weights)
            assert (output.weights is not None) == weights
            assert output.log_prob is output.entropy is None
            results.append(
                (
                    output.context,
                    torch.autograd.grad(output.context.square().sum(), [*given, *attention.parameters()]),
                )
            )
        torch.testing.assert_close(results[0][0], results[1][0], rtol=0, atol=1e-9)
        for a, b in zip(results[0][1], results[1][1], strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-9)


def test_only_a_softmax_of_products_can_fuse() -> None:
    fused = {
        score
        for score in (*SCORES, "dot", "concat-location")
        if mapped(heads=2, score=score, query_input="both" if "concat-l" in score else "state").can_fuse
    }
    assert fused == set(PRODUCTS)
    for other in (
        {"normaliser": "sparsemax"},
        {"window": "local-m"},
        {"window": "local-p"},
        {"history": "coverage"},
    ):
        attention = mapped(heads=2, **other)
        assert not attention.can_fuse
        query, keys, values, mask = inputs()
        history = at_steps(attention.initial_history(B, mask, values))
        if history is not None and other.get("history"):
            history = history._replace(previous=torch.rand(B, T, 2, S), cumulative=torch.rand(B, T, 2, S))
        memory = attention.project_memory(keys, values, mask)
        torch.testing.assert_close(
            attention(query, memory, history, False).context, attention(query, memory, history, True).context
        )


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("learns", [False, True])
@pytest.mark.parametrize("steps", [1, T, 70])
@pytest.mark.parametrize(
    "device",
    ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))],
)
def test_all_masked_source_gives_zeros_in_the_fused_call(
    dtype: torch.dtype, learns: bool, steps: int, device: str
) -> None:
    """Whichever of torch's kernels is chosen."""
    attention = Attention(AttentionConfig(score="scaled-dot", heads=2), 8, 8, 8, 8).to(device, dtype)
    query, keys, values = (
        torch.randn(B, count, 8, dtype=dtype, device=device, requires_grad=learns) for count in (steps, S, S)
    )
    mask = (torch.arange(S) < torch.tensor([S, 0, 2])[:, None]).to(device)
    with torch.set_grad_enabled(learns):
        context = attention(query, attention.project_memory(keys, values, mask), None, False).context
    assert torch.isfinite(context).all()
    assert not context[1].any()
    assert context[2].any()
    if learns:
        for gradient in torch.autograd.grad(context.float().square().sum(), (query, keys, values)):
            assert torch.isfinite(gradient).all()
            assert not gradient[1].any()


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_fused_call_uses_autocast(precision: torch.dtype) -> None:
    attention = mapped(heads=2).float()
    query, keys, values, mask = (x.float() if x.is_floating_point() else x for x in inputs())
    exact = attention(query, attention.project_memory(keys, values, mask)).context
    with torch.autocast("cpu", precision):
        memory = attention.project_memory(keys, values, mask)
        fused, slow = (attention(query, memory, None, weights).context for weights in (False, True))
    assert fused.dtype == slow.dtype == precision
    torch.testing.assert_close(fused.float(), exact, atol=0.05, rtol=0.05)
    torch.testing.assert_close(slow.float(), exact, atol=0.05, rtol=0.05)
