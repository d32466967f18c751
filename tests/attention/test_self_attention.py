"""Self-attention beside torch's own, heads that share keys and values, and positions by rotation."""

import pytest
import reference
import torch
from torch import Tensor, nn

from seq2attn.attention.self_attention import RotaryAngles, SelfAttention, rotate

B, T, D = 3, 5, 12
LENGTHS = [5, 1, 3]


@pytest.fixture(autouse=True)
def _in_float64(float64: None) -> None: ...


def make(
    heads: int = 2, kv_heads: int | None = None, rotary: bool = False, bias: bool = True
) -> SelfAttention:
    made = SelfAttention(D, heads, kv_heads, rotary, bias)
    for parameter in made.parameters():
        nn.init.uniform_(parameter, -0.8, 0.8)
    return made


def mask() -> Tensor:
    return torch.arange(T) < torch.tensor(LENGTHS)[:, None]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("heads", [1, 2, 4])
def test_it_is_torchs(heads: int, causal: bool, bias: bool) -> None:
    """Vaswani 2017, section 3.2: output and every gradient of nn.MultiheadAttention, over a padded batch or
    over what came before.
    """
    ours, theirs = make(heads, bias=bias), nn.MultiheadAttention(D, heads, bias=bias, batch_first=True)
    pairs = [(theirs.in_proj_weight, ours.maps.weight), (theirs.out_proj.weight, ours.out.weight)]
    if bias:
        pairs += [(theirs.in_proj_bias, ours.maps.bias), (theirs.out_proj.bias, ours.out.bias)]
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
def test_shared_keys_and_values_are_those_of_equal_heads(heads: int, kv_heads: int, rotary: bool) -> None:
    """Ainslie 2023, section 2.2: heads side by side are a group. The same as heads of their own whose
    matrices are one another's copies.
    """
    shared, full = make(heads, kv_heads, rotary and heads == 6), make(heads, None, rotary and heads == 6)
    queries, keys, values = (part.unflatten(0, (-1, D // heads)) for part in shared.parts())
    biases = shared.maps.bias.unflatten(0, (-1, D // heads)).split((heads, kv_heads, kv_heads))
    group = heads // kv_heads
    with torch.no_grad():
        full.maps.weight.copy_(
            torch.cat(
                [queries, keys.repeat_interleave(group, 0), values.repeat_interleave(group, 0)]
            ).flatten(0, 1)
        )
        full.maps.bias.copy_(
            torch.cat(
                [biases[0], biases[1].repeat_interleave(group, 0), biases[2].repeat_interleave(group, 0)]
            ).flatten()
        )
        full.out.load_state_dict(shared.out.state_dict())
    x = torch.randn(B, T, D)
    torch.testing.assert_close(shared(x, mask()), full(x, mask()))
    torch.testing.assert_close(shared(x, None), full(x, None))
    assert shared.maps.weight.shape == (D + 2 * D // group, D)
    assert [tuple(part.shape) for part in shared.parts()] == [(D, D), (D // group, D), (D // group, D)]
    assert [tuple(part.shape) for part in shared.project(x, None)] == [
        (B, count, T, D // heads) for count in (heads, kv_heads, kv_heads)
    ]


def test_it_keeps_to_its_mask_and_to_the_past() -> None:
    attention, x = make(), torch.randn(B, T, D)
    changed = torch.where(mask()[..., None], x, torch.randn_like(x))
    torch.testing.assert_close(attention(changed, mask())[mask()], attention(x, mask())[mask()])
    for t in range(1, T):
        later = torch.cat([x[:, :t], torch.randn(B, T - t, D)], 1)
        torch.testing.assert_close(attention(later, None)[:, :t], attention(x, None)[:, :t])
        assert not torch.allclose(attention(later, None)[:, t:], attention(x, None)[:, t:])


def test_a_sentence_with_nothing_to_look_at_gets_zeros_and_finite_gradients() -> None:
    """No model asks for it, since every sentence has a token; if one did, no NaN would spread."""
    attention, x, nothing = make(bias=False), torch.randn(B, T, D, requires_grad=True), mask()
    nothing[1] = False
    got = attention(x, nothing)
    assert not got[1].any()
    (gradient,) = torch.autograd.grad(got.sum(), x)
    assert torch.isfinite(gradient).all()
    assert not gradient[1].any()


# Rotary positions


def turned(x: Tensor, position: Tensor) -> Tensor:
    return rotate(x, RotaryAngles.at(position, x.size(-1), x.dtype))


def paired(x: Tensor) -> Tensor:
    """Half-pairs side by side, as the paper has them."""
    return x.unflatten(-1, (2, -1)).mT.flatten(-2)


@pytest.mark.parametrize("size", [2, 4, 6])
def test_rotation_is_the_papers(size: int) -> None:
    x, position = torch.randn(7, size), torch.tensor([0, 1, 2, 3, 50, 1000, 100000])
    got = paired(turned(x, position))
    for row, where in enumerate(position.tolist()):
        torch.testing.assert_close(
            got[row], torch.from_numpy(reference.rotate(paired(x[row]).numpy(), where))
        )


def test_products_know_the_distance_alone_and_lengths_stay() -> None:
    """Su 2021, section 3.2."""
    q, k = torch.randn(1, 8), torch.randn(1, 8)

    def product(i: int, j: int) -> float:
        return float((turned(q, torch.tensor([i])) * turned(k, torch.tensor([j]))).sum())

    assert product(3, 1) == pytest.approx(product(1002, 1000), abs=1e-9)
    assert product(3, 1) != pytest.approx(product(1, 3), abs=1e-3)
    assert product(5, 5) == pytest.approx(float((q * k).sum()), abs=1e-9)
    torch.testing.assert_close(turned(q, torch.tensor([17])).norm(), q.norm())


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_rotation_in_half_precision_is_rounded_once(precision: torch.dtype) -> None:
    x, position = torch.randn(300, 8).to(precision), torch.arange(300)
    got = turned(x, position)
    assert got.dtype == precision
    torch.testing.assert_close(
        got.double(),
        turned(x.double(), position).to(precision).double(),
        atol=1e-6,
        rtol=torch.finfo(precision).eps,
    )


def test_values_are_not_turned() -> None:
    attention, x = make(rotary=True), torch.randn(B, T, D)
    near, far = (attention.project(x, attention.turn(torch.arange(T) + first, x)) for first in (0, 9))
    torch.testing.assert_close(near[2], far[2])
    assert not torch.allclose(near[0], far[0])
    assert not torch.allclose(near[1], far[1])
    torch.testing.assert_close(near[0] @ near[1].mT, far[0] @ far[1].mT)
