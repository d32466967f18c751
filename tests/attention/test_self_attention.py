"""Self-attention beside torch's own, heads that share keys and values, and positions by rotation."""

import pytest
import reference
import torch
from torch import Tensor, nn

from seq2attn.attention.self_attention import RotaryAngles, SelfAttention, apply_rotary

B, T, D = 3, 5, 12
LENGTHS = [5, 1, 3]


@pytest.fixture(autouse=True)
def _in_float64(float64: None) -> None: ...


def make(
    heads: int = 2, kv_heads: int | None = None, rotary: bool = False, bias: bool = True
) -> SelfAttention:
    attention = SelfAttention(D, heads, kv_heads, rotary, bias)
    for parameter in attention.parameters():
        nn.init.uniform_(parameter, -0.8, 0.8)
    return attention


def mask() -> Tensor:
    return torch.arange(T) < torch.tensor(LENGTHS)[:, None]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("heads", [1, 2, 4])
def test_self_attention_equals_torch_multihead_attention(heads: int, causal: bool, bias: bool) -> None:
    """Vaswani 2017, section 3.2: output and every gradient of nn.MultiheadAttention, over a padded batch or
    over what came before.
    """
    ours, theirs = make(heads, bias=bias), nn.MultiheadAttention(D, heads, bias=bias, batch_first=True)
    pairs = [(theirs.in_proj_weight, ours.qkv.weight), (theirs.out_proj.weight, ours.out.weight)]
    if bias:
        pairs += [(theirs.in_proj_bias, ours.qkv.bias), (theirs.out_proj.bias, ours.out.bias)]
    for to, of in pairs:
        to.data = of.detach().clone()
    x = torch.randn(B, T, D, requires_grad=True)
    later = torch.ones(T, T, dtype=torch.bool).triu(1)
    want, _ = theirs(x, x, x, **({"attn_mask": later} if causal else {"key_padding_mask": ~mask()}))
    got = ours(x, None if causal else mask())
    torch.testing.assert_close(got, want)
    loss = torch.randn_like(want)
    mine = torch.autograd.grad((got * loss).sum(), [x, *(of for _, of in pairs)])
    for a, b in zip(
        mine, torch.autograd.grad((want * loss).sum(), [x, *(to for to, _ in pairs)]), strict=True
    ):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("rotary", [False, True])
@pytest.mark.parametrize(("heads", "kv_heads"), [(2, 1), (6, 1), (6, 2), (6, 3)])
def test_shared_keys_and_values_equal_heads_with_copies(heads: int, kv_heads: int, rotary: bool) -> None:
    """Ainslie 2023, section 2.2: heads side by side are a group. The same as heads of their own whose
    matrices are one another's copies.
    """
    shared, full = make(heads, kv_heads, rotary and heads == 6), make(heads, None, rotary and heads == 6)
    queries, keys, values = (part.unflatten(0, (-1, D // heads)) for part in shared.qkv.parts())
    biases = shared.qkv.bias.unflatten(0, (-1, D // heads)).split((heads, kv_heads, kv_heads))
    group = heads // kv_heads
    with torch.no_grad():
        full.qkv.weight.copy_(
            torch.cat(
                [queries, keys.repeat_interleave(group, 0), values.repeat_interleave(group, 0)]
            ).flatten(0, 1)
        )
        full.qkv.bias.copy_(
            torch.cat(
                [biases[0], biases[1].repeat_interleave(group, 0), biases[2].repeat_interleave(group, 0)]
            ).flatten()
        )
        full.out.load_state_dict(shared.out.state_dict())
    x = torch.randn(B, T, D)
    torch.testing.assert_close(shared(x, mask()), full(x, mask()))
    torch.testing.assert_close(shared(x, None), full(x, None))
    assert shared.qkv.weight.shape == (D + 2 * D // group, D)
    assert [tuple(part.shape) for part in shared.qkv.parts()] == [(D, D), (D // group, D), (D // group, D)]
    assert [tuple(part.shape) for part in shared.project(x, None)] == [
        (B, count, T, D // heads) for count in (heads, kv_heads, kv_heads)
    ]


def test_self_attention_reads_its_mask_or_the_tokens_before() -> None:
    attention, x = make(), torch.randn(B, T, D)
    changed = torch.where(mask()[..., None], x, torch.randn_like(x))
    torch.testing.assert_close(attention(changed, mask())[mask()], attention(x, mask())[mask()])
    for t in range(1, T):
        later = torch.cat([x[:, :t], torch.randn(B, T - t, D)], 1)
        torch.testing.assert_close(attention(later, None)[:, :t], attention(x, None)[:, :t])
        assert not torch.allclose(attention(later, None)[:, t:], attention(x, None)[:, t:])


def test_all_masked_sentence_gets_zeros_and_finite_gradients() -> None:
    """No model asks for it, since every sentence has a token; if one did, no NaN would spread."""
    attention, x, nothing = make(bias=False), torch.randn(B, T, D, requires_grad=True), mask()
    nothing[1] = False
    got = attention(x, nothing)
    assert not got[1].any()
    (gradient,) = torch.autograd.grad(got.sum(), x)
    assert torch.isfinite(gradient).all()
    assert not gradient[1].any()


@pytest.mark.parametrize("rotary", [False, True])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("heads", "kv_heads"), [(1, None), (2, None), (6, 2), (6, 1)])
def test_weights_are_those_that_forward_reads_with(
    heads: int, kv_heads: int | None, causal: bool, rotary: bool
) -> None:
    attention, x = make(heads, kv_heads, rotary and heads != 1), torch.randn(B, T, D)
    source_mask = None if causal else mask()
    weights_BHTT = attention.weights(x, source_mask)
    assert weights_BHTT.shape == (B, heads, T, T)
    torch.testing.assert_close(weights_BHTT.sum(-1), torch.ones(B, heads, T))
    value = attention.project(x, None)[2].repeat_interleave(heads // attention.kv_heads, 1)
    context = attention.out((weights_BHTT @ value).transpose(1, 2).flatten(2))
    torch.testing.assert_close(context, attention(x, source_mask))
    if causal:
        assert not weights_BHTT.triu(1).any()
    else:
        assert not weights_BHTT.movedim(-1, 1)[~mask()].any()


def test_weights_equal_torch_multihead_attention() -> None:
    ours, theirs = make(4, bias=False), nn.MultiheadAttention(D, 4, bias=False, batch_first=True)
    theirs.in_proj_weight.data = ours.qkv.weight.detach().clone()
    x = torch.randn(B, T, D)
    _, expected = theirs(x, x, x, key_padding_mask=~mask(), average_attn_weights=False)
    torch.testing.assert_close(ours.weights(x, mask()), expected)


def test_weights_of_an_all_masked_sentence_are_zeros() -> None:
    assert not make().weights(torch.randn(1, T, D), torch.zeros(1, T, dtype=torch.bool)).any()


@pytest.mark.parametrize(("dtype", "wide"), [(torch.bfloat16, torch.float32), (torch.float64, torch.float64)])
def test_weights_are_float32_or_wider(dtype: torch.dtype, wide: torch.dtype) -> None:
    attention = make().to(dtype)
    assert attention.weights(torch.randn(B, T, D, dtype=dtype), mask()).dtype == wide


@pytest.mark.parametrize("init", ["glorot", "bahdanau15", "uniform"])
def test_draw_parameters_draws_queries_keys_and_values_apart(init: str) -> None:
    attention = SelfAttention(96, 6, 1, False, True)
    before = attention.qkv.weight.detach().clone()
    with torch.no_grad():
        attention.qkv.draw_parameters(init)
    if init != "glorot":
        assert attention.qkv.weight.equal(before)
        return
    for part in attention.qkv.parts():
        bound = (6 / sum(part.shape)) ** 0.5
        assert 0.98 * bound < part.abs().max() <= bound


# Rotary positions


def rotated(x: Tensor, position: Tensor) -> Tensor:
    return apply_rotary(x, RotaryAngles.at(position, x.size(-1), x.dtype))


def paired(x: Tensor) -> Tensor:
    """Half-pairs side by side, as the paper has them."""
    return x.unflatten(-1, (2, -1)).mT.flatten(-2)


@pytest.mark.parametrize("size", [2, 4, 6])
def test_apply_rotary_equals_the_papers_equation(size: int) -> None:
    x, position = torch.randn(7, size), torch.tensor([0, 1, 2, 3, 50, 1000, 100000])
    got = paired(rotated(x, position))
    for row, where in enumerate(position.tolist()):
        torch.testing.assert_close(
            got[row], torch.from_numpy(reference.rotate(paired(x[row]).numpy(), where))
        )


def test_apply_rotary_keeps_lengths_and_products_depend_on_the_distance() -> None:
    """Su 2021, section 3.2."""
    q, k = torch.randn(1, 8), torch.randn(1, 8)

    def product(i: int, j: int) -> float:
        return float((rotated(q, torch.tensor([i])) * rotated(k, torch.tensor([j]))).sum())

    assert product(3, 1) == pytest.approx(product(1002, 1000), abs=1e-9)
    assert product(3, 1) != pytest.approx(product(1, 3), abs=1e-3)
    assert product(5, 5) == pytest.approx(float((q * k).sum()), abs=1e-9)
    torch.testing.assert_close(rotated(q, torch.tensor([17])).norm(), q.norm())


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_apply_rotary_in_half_precision_is_rounded_once(precision: torch.dtype) -> None:
    x, position = torch.randn(300, 8).to(precision), torch.arange(300)
    got = rotated(x, position)
    assert got.dtype == precision
    torch.testing.assert_close(
        got.double(),
        rotated(x.double(), position).to(precision).double(),
        atol=1e-6,
        rtol=torch.finfo(precision).eps,
    )


def test_project_rotates_queries_and_keys_but_not_values() -> None:
    attention, x = make(rotary=True), torch.randn(B, T, D)
    near, far = (
        attention.project(x, attention.rotary_angles(torch.arange(T) + first, x)) for first in (0, 9)
    )
    torch.testing.assert_close(near[2], far[2])
    assert not torch.allclose(near[0], far[0])
    assert not torch.allclose(near[1], far[1])
    torch.testing.assert_close(near[0] @ near[1].mT, far[0] @ far[1].mT)
