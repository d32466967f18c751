"""The whole attention: heads beside torch's own, what it keeps of earlier steps, and what it makes of a
source with nothing to read.
"""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seq2attn.attention import Attention, AttentionHistory
from seq2attn.attention.attention import ProjectedMemory
from seq2attn.config import AttentionConfig

B, T, S = 3, 4, 5
Q, K, V = 6, 7, 8  # sizes of queries, keys and values
LENGTHS = [5, 1, 3]
SCORES = (
    "additive",
    "scaled-dot",
    "general",
    "keyed",
    "concat",
    "concat-linear",
    "sigmoid",
    "cosine",
    "location",
)
NORMALISERS = ("softmax", "sparsemax", "entmax15", "sigmoid", "hard-topk", "hard-sample", "gumbel")


@pytest.fixture(autouse=True)
def _in_float64(float64: None) -> None: ...


def make(query: int = Q, key: int = K, value: int = V, size: int = 4, **settings: Any) -> Attention:
    made = Attention(AttentionConfig.model_validate(settings), query, key, value, size).eval()
    for parameter in made.parameters():
        nn.init.uniform_(parameter, -0.8, 0.8)
    return made


def mapped(out: int = Q, bias: bool = True, size: int = 12, **settings: Any) -> Attention:
    """As a Transformer has it: with maps of its own even for one head."""
    made = Attention(
        AttentionConfig.model_validate({"score": "scaled-dot"} | settings),
        Q,
        K,
        V,
        size,
        out_size=out,
        bias=bias,
    ).eval()
    for parameter in made.parameters():
        nn.init.uniform_(parameter, -0.8, 0.8)
    return made


def inputs(key: int = K) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Queries, keys, values and a mask."""
    return (
        torch.randn(B, T, Q),
        torch.randn(B, S, key),
        torch.randn(B, S, V),
        torch.arange(S) < torch.tensor(LENGTHS)[:, None],
    )


def times(past: AttentionHistory | None) -> AttentionHistory | None:
    """The past of T queries at once, of which nothing is asked but their number and what is drawn once a
    sentence.
    """
    if past is None:
        return None
    return AttentionHistory(
        torch.arange(T).expand(B, -1),
        expected=None if past.expected is None else past.expected[:, None].expand(-1, T),
    )


@pytest.mark.parametrize("heads", [2, 4])
def test_heads_are_torchs(heads: int) -> None:
    """Vaswani 2017, section 3.2.2: output, weights head by head, and every gradient of nn.MultiheadAttention."""
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
    assert got.log_p is None
    assert got.entropy is None
    loss = torch.randn_like(want)
    mine = torch.autograd.grad((got.context * loss).sum(), [getattr(ours, name).weight for name in pairs])
    for a, b in zip(mine, torch.autograd.grad((want * loss).sum(), list(pairs.values())), strict=True):
        torch.testing.assert_close(a, b)


def test_one_head_is_torchs_and_maps_nothing() -> None:
    ours = make(key=Q, score="scaled-dot")
    assert not list(ours.parameters())
    query, keys, values, mask = inputs(Q)
    want = F.scaled_dot_product_attention(query, keys, values, mask[:, None])
    torch.testing.assert_close(ours(query, ours.project_memory(keys, values, mask)).context, want)


@pytest.mark.parametrize("kind", ["linear", "nonlinear"])
def test_values_are_mapped_before_they_are_read(kind: str) -> None:
    plain, mapped = make(value_map="identity"), make(value_map=kind)
    mapped.load_state_dict(plain.state_dict(), strict=False)
    assert mapped.value is not None
    assert (mapped.value.bias is None) == (kind == "linear")
    query, keys, values, mask = inputs()
    v = mapped.value(values)
    want = plain(query, plain.project_memory(keys, v.tanh() if kind == "nonlinear" else v, mask))
    torch.testing.assert_close(mapped(query, mapped.project_memory(keys, values, mask)).context, want.context)


@pytest.mark.parametrize("past", ["none", "coverage", "fertility", "location-aware"])
@pytest.mark.parametrize("score", SCORES)
def test_a_head_knows_nothing_of_the_others(score: str, past: str) -> None:
    """What one head's projections are changes its own weights alone, now and after any number of steps."""
    settings = {"score": score, "history": past, "heads": 2} | (
        {"filters": 3, "kernel": 3} if past == "location-aware" else {}
    )
    attention = make(**settings)
    query, keys, values, mask = inputs()

    def walk() -> Tensor:
        source, past = (
            attention.project_memory(keys, values, mask),
            attention.initial_history(B, mask, values),
        )
        steps = []
        for t in range(T):
            now = (
                None
                if past is None
                else AttentionHistory(*(None if part is None else part[:, None] for part in past))
            )  # type: ignore[arg-type]
            read = attention(query[:, t : t + 1], source, now)
            past = attention.update_history(past, read.weights[:, 0])
            steps.append(read.weights)
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
@pytest.mark.parametrize("past", ["none", "coverage", "location-aware"])
@pytest.mark.parametrize("normaliser", ["softmax", "hard-sample"])
@pytest.mark.parametrize("window", ["none", "local-m", "local-p"])
def test_the_past_is_what_a_later_step_asks_for_and_no_more(
    heads: int, past: str, normaliser: str, window: str
) -> None:
    if normaliser == "hard-sample" and window == "local-p":
        return
    attention = make(heads=heads, history=past, normaliser=normaliser, window=window)
    _, _, values, mask = inputs()
    start = attention.initial_history(B, mask, values)
    assert attention.needs_history == (past != "none")
    if past == "none" and normaliser == "softmax" and window != "local-m":
        assert start is None
        assert attention.update_history(None, torch.rand(B, heads, S)) is None
        return
    assert start is not None
    assert start.time.tolist() == [0] * B
    assert start.expected is None
    steps = torch.rand(3, B, heads, S)
    now: AttentionHistory | None = start
    for weights in steps:
        now = attention.update_history(now, weights)
    assert now is not None
    assert now.time.tolist() == [3] * B
    assert start.time.tolist() == [0] * B
    if past == "none":
        assert start.last is start.total is now.last is now.total is None
        return
    assert start.last is not None
    assert start.total is not None
    assert now.last is not None
    assert now.total is not None
    assert start.last.shape == start.total.shape == (B, heads, S)
    assert not start.last.any()
    assert not start.total.any()
    torch.testing.assert_close(now.last, steps[2])
    torch.testing.assert_close(now.total, steps.sum(0))


def test_a_share_of_the_sentences_reads_the_expected_value_in_training_alone() -> None:
    attention = make(normaliser="hard-sample", expectation_prob=0.3).train()
    mask, values = torch.ones(1, S, dtype=torch.bool), torch.randn(1, S, V)
    start = attention.initial_history(20000, mask, values)
    assert start is not None
    assert start.expected is not None
    assert start.expected.double().mean().item() == pytest.approx(0.3, abs=0.02)  # six deviations
    late = attention.update_history(start, torch.rand(20000, 1, S))
    assert late is not None
    assert late.expected is start.expected
    start = attention.eval().initial_history(4, mask, values)
    assert start is not None
    assert start.expected is None


@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("window", ["none", "local-m", "local-p"])
@pytest.mark.parametrize("normaliser", NORMALISERS)
@pytest.mark.parametrize("training", [False, True])
def test_a_source_with_nothing_to_read_gives_zeros_and_finite_gradients(
    heads: int, window: str, normaliser: str, training: bool
) -> None:
    if window == "local-p" and normaliser in ("hard-topk", "hard-sample", "gumbel"):
        return
    attention = make(heads=heads, window=window, normaliser=normaliser).train(training)
    query, keys, values, mask = inputs()
    mask[1] = False
    for x in (query, keys, values):
        x.requires_grad_()
    read = attention(
        query, attention.project_memory(keys, values, mask), times(attention.initial_history(B, mask, values))
    )
    assert not read.weights[1].any()
    assert not read.context[1].any()
    assert read.context[0].any()
    total = read.context.sum() + (0 if read.log_p is None else (read.log_p + read.entropy).sum())
    found = torch.autograd.grad(
        total, (query, keys, values, *attention.parameters()), allow_unused=True, materialize_grads=True
    )
    assert all(torch.isfinite(x).all() for x in found)
    assert not any(x[1].any() for x in found[:3])
    assert found[2][0].any()


@pytest.mark.parametrize(
    ("score", "normaliser", "heads"),
    list(itertools.product(SCORES, ("softmax", "sparsemax", "hard-topk"), (1, 2))),
)
def test_all_queries_at_once_are_one_by_one(score: str, normaliser: str, heads: int) -> None:
    for window in ("none", "local-m", *(("local-p",) if normaliser != "hard-topk" else ())):
        attention = make(key=Q, score=score, normaliser=normaliser, heads=heads, window=window)
        query, keys, values, mask = inputs(Q)
        with torch.no_grad():
            source = attention.project_memory(keys, values, mask)
            past = attention.initial_history(B, mask, values)
            whole = attention(query, source, times(past))
            for t in range(T):
                now = None if past is None else past._replace(time=past.time[:, None] + t)
                one = attention(query[:, t : t + 1], source, now)
                torch.testing.assert_close(one.context[:, 0], whole.context[:, t])
                torch.testing.assert_close(one.weights[:, 0], whole.weights[:, t])


@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("past", ["none", "fertility"])
@pytest.mark.parametrize("score", SCORES)
def test_gradients_of_every_part(score: str, past: str, heads: int) -> None:
    """By finite differences in the memory, the query, the weights of earlier steps and every parameter."""
    attention = make(key=Q, score=score, history=past, heads=heads)
    query, keys, values, mask = (x.requires_grad_() if x.is_floating_point() else x for x in inputs(Q))
    total = torch.rand(B, T, heads, S, requires_grad=True)
    parameters = dict(attention.named_parameters())

    def read(
        query: Tensor, keys: Tensor, values: Tensor, total: Tensor, *given: Tensor
    ) -> tuple[Tensor, Tensor]:
        past = AttentionHistory(torch.arange(T).expand(B, -1), total, total)
        found: tuple[Tensor, Tensor] = torch.func.functional_call(
            _Whole(attention),
            {f"attention.{name}": x for name, x in zip(parameters, given, strict=True)},
            (query, keys, values, mask, past),
        )
        return found

    torch.autograd.gradcheck(read, (query, keys, values, total, *parameters.values()), fast_mode=True)


class _Whole(nn.Module):
    def __init__(self, attention: Attention) -> None:
        super().__init__()
        self.attention = attention

    def forward(
        self, query: Tensor, keys: Tensor, values: Tensor, mask: Tensor, past: AttentionHistory
    ) -> tuple[Tensor, Tensor]:
        source: ProjectedMemory = self.attention.project_memory(keys, values, mask)
        found = self.attention(query, source, past)
        return found.context, found.weights


def test_the_log_probability_of_a_step_is_that_of_all_its_heads() -> None:
    attention = make(normaliser="hard-sample", expectation_prob=0.0, heads=2).train()
    query, keys, values, mask = inputs()
    source = attention.project_memory(keys, values, mask)
    past = times(attention.initial_history(B, mask, values))
    with torch.no_grad():
        soft = make(heads=2)
        soft.load_state_dict(attention.state_dict())
        p_BTHS = soft(query, soft.project_memory(keys, values, mask)).weights
        read = attention(query, source, past)
    drawn = (p_BTHS * read.weights).sum(-1)
    torch.testing.assert_close(read.log_p, drawn.log().sum(-1))
    torch.testing.assert_close(read.entropy, -torch.special.xlogy(p_BTHS, p_BTHS).sum((-1, -2)))


def test_all_heads_of_a_sentence_read_the_expected_value_or_none() -> None:
    attention = make(normaliser="hard-sample", heads=2).train()
    query, keys, values, _ = inputs()
    expected = torch.tensor([True, False, False])
    past = AttentionHistory(torch.arange(T).expand(B, -1), expected=expected[:, None].expand(-1, T))
    found = attention(query, attention.project_memory(keys, values, torch.ones(B, S, dtype=torch.bool)), past)
    drawn = ((found.weights == 0) | (found.weights == 1)).all(-1)  # (B, T, H)
    assert torch.equal(drawn, ~expected[:, None, None].expand_as(drawn))
    assert torch.equal(found.log_p == 0, expected[:, None].expand(-1, T))


@pytest.mark.parametrize("score", ["location", "concat-location"])
def test_heads_that_compare_no_keys_have_no_matrix_for_them(score: str) -> None:
    """A parameter that nothing reads would be weight decay's and the distributed sum's alone."""
    settings = {"score": score, "query_input": "both", "heads": 2}
    assert make(**settings).key is None
    assert make(**settings, history="fertility").key is not None


@pytest.mark.parametrize(
    "settings",
    [{"window": "local-m", "half_width": 1}, {"normaliser": "hard-sample", "at_inference": "sample"}],
)
def test_each_sentence_is_at_its_own_step(settings: dict[str, Any]) -> None:
    attention = make(heads=2, **settings)
    query, keys, values, mask = inputs()
    time = torch.tensor([[0, 1, 2, 3], [7, 5, 6, 4], [3, 3, 0, 1]])
    whole = attention(query, attention.project_memory(keys, values, mask), AttentionHistory(time)).weights
    for b in range(B):
        one = slice(b, b + 1)
        torch.testing.assert_close(
            attention(
                query[one],
                attention.project_memory(keys[one], values[one], mask[one]),
                AttentionHistory(time[one]),
            ).weights,
            whole[one],
        )


def test_heads_draw_independently_outside_training_too() -> None:
    """Heads that ask alike are not alike in what they draw, as in training; one head draws as it does alone."""
    steps, heads = 4000, 2
    attention = make(
        score="location", max_positions=2, heads=heads, normaliser="hard-sample", at_inference="sample"
    )
    assert attention.query is not None
    nn.init.zeros_(attention.query.weight)  # every position of every head scores 0
    source = attention.project_memory(
        torch.randn(1, 2, K), torch.randn(1, 2, V), torch.ones(1, 2, dtype=torch.bool)
    )
    drawn = attention(torch.randn(1, steps, Q), source, AttentionHistory(torch.arange(steps)[None])).weights[
        0, :, :, 0
    ]
    combine_layers = torch.bincount((drawn @ torch.tensor([2.0, 1.0])).long(), minlength=4) / steps
    # four deviations
    torch.testing.assert_close(combine_layers.double(), torch.full((4,), 0.25), rtol=0, atol=0.03)


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
def test_a_position_without_a_weight_of_its_own_is_never_read(settings: dict[str, Any]) -> None:
    """Location scores have as many rows as `positions`: what lies beyond is as padding, whatever comes after
    the score.
    """
    attention = make(score="location", max_positions=2, **settings)
    query, keys, values, mask = inputs()
    source = attention.project_memory(keys, values, mask)
    weights = attention(query, source, AttentionHistory(torch.arange(T).expand(B, -1))).weights
    assert (weights[..., 2:] == 0).all()
    assert (weights[..., :2].sum(-1) > 0).all()
    changed = attention.project_memory(keys, torch.cat([values[:, :2], values[:, 2:] + 1], 1), mask)
    assert torch.equal(
        attention(query, changed, AttentionHistory(torch.arange(T).expand(B, -1))).context,
        attention(query, source, AttentionHistory(torch.arange(T).expand(B, -1))).context,
    )


# Maps to a size of its own, with a bias


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("heads", [1, 2, 4])
def test_maps_with_a_bias_are_torchs(heads: int, bias: bool) -> None:
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
def test_the_context_has_the_size_that_is_asked_for(score: str) -> None:
    attention = mapped(
        out=9, heads=2, score=score, query_input="both" if score == "concat-location" else "state"
    )
    query, keys, values, mask = inputs()
    read = attention(query, attention.project_memory(keys, values, mask))
    assert read.context.shape == (B, T, 9)
    parameters = dict(attention.named_parameters())
    assert parameters["value.weight"].shape == (12, V)
    found = torch.autograd.grad(read.context.square().sum(), list(parameters.values()), allow_unused=True)
    truncated_tokens = {name for name, gradient in zip(parameters, found, strict=True) if gradient is None}
    assert not truncated_tokens, "a parameter that nothing reads"


# Keys and values that heads share


@pytest.mark.parametrize("past", ["none", "fertility"])
@pytest.mark.parametrize("score", [*SCORES, "concat-location"])
@pytest.mark.parametrize(("heads", "kv_heads"), [(2, 1), (4, 1), (4, 2), (6, 3)])
def test_shared_keys_and_values_are_those_of_equal_heads(
    heads: int, kv_heads: int, score: str, past: str
) -> None:
    """Ainslie 2023, section 2.2: heads side by side are a group. The same as heads of their own whose
    matrices are one another's copies.
    """
    settings = {
        "heads": heads,
        "score": score,
        "history": past,
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
def test_the_fused_call_says_the_same(
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
        found = []
        for weights in (False, True):
            read = attention(given[0], attention.project_memory(given[1], given[2], mask), None, weights)
            assert (read.weights is not None) == weights
            assert read.log_p is read.entropy is None
            found.append(
                (
                    read.context,
                    torch.autograd.grad(read.context.square().sum(), [*given, *attention.parameters()]),
                )
            )
        torch.testing.assert_close(found[0][0], found[1][0], rtol=0, atol=1e-9)
        for a, b in zip(found[0][1], found[1][1], strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-9)


def test_only_a_softmax_of_products_is_fused() -> None:
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
        past = times(attention.initial_history(B, mask, values))
        if past is not None and other.get("history"):
            past = past._replace(last=torch.rand(B, T, 2, S), total=torch.rand(B, T, 2, S))
        source = attention.project_memory(keys, values, mask)
        torch.testing.assert_close(
            attention(query, source, past, False).context, attention(query, source, past, True).context
        )


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("learns", [False, True])
@pytest.mark.parametrize("steps", [1, T, 70])
@pytest.mark.parametrize(
    "device",
    ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))],
)
def test_a_source_with_nothing_to_read_gives_zeros_fused_too(
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
def test_the_fused_call_takes_part_in_autocast(precision: torch.dtype) -> None:
    attention = mapped(heads=2).float()
    query, keys, values, mask = (x.float() if x.is_floating_point() else x for x in inputs())
    exact = attention(query, attention.project_memory(keys, values, mask)).context
    with torch.autocast("cpu", precision):
        source = attention.project_memory(keys, values, mask)
        fused, to_compute_dtype = (
            attention(query, source, None, weights).context for weights in (False, True)
        )
    assert fused.dtype == to_compute_dtype.dtype == precision
    torch.testing.assert_close(fused.float(), exact, atol=0.05, rtol=0.05)
    torch.testing.assert_close(to_compute_dtype.float(), exact, atol=0.05, rtol=0.05)
