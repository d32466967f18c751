"""Dropout: the share of zeros, the mean, the gradient, and draws from torch's generator."""

import pytest
import torch

from seq2attn.kernels.dropout import dropout


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_dropout_zeroes_its_share_and_keeps_the_mean(share: float, dtype: torch.dtype) -> None:
    torch.manual_seed(1)
    x = torch.ones(1001, 999, dtype=dtype)
    y = dropout(x, share, True)
    assert y.dtype == dtype
    dropped = (y == 0).double().mean().item()
    assert dropped == pytest.approx(share, abs=4 * (share * (1 - share) / x.numel()) ** 0.5 + 2**-17)
    survivors = y[y != 0]
    torch.testing.assert_close(
        survivors,
        torch.full_like(survivors, 1 / (1 - share)),
        rtol=1e-2 if dtype == torch.bfloat16 else 2e-4,
        atol=0,
    )


def test_dropout_draws_each_number_independently() -> None:
    """Four numbers come from one 64-bit word: equally likely and uncorrelated."""
    torch.manual_seed(2)
    survivors = (dropout(torch.ones(4 * 50_000, dtype=torch.float64), 0.3, True) != 0).view(-1, 4).double()
    torch.testing.assert_close(
        survivors.mean(0), torch.full((4,), 0.7, dtype=torch.float64), rtol=0, atol=0.01
    )
    torch.testing.assert_close(
        torch.corrcoef(survivors.T), torch.eye(4, dtype=torch.float64), rtol=0, atol=0.02
    )


def test_dropout_gradient_has_the_same_zeros() -> None:
    torch.manual_seed(3)
    x = torch.randn(7, 5, dtype=torch.float64, requires_grad=True)
    y = dropout(x, 0.4, True)
    y.sum().backward()
    torch.testing.assert_close(x.grad * x, y)


@pytest.mark.parametrize("share", [1e-7, 1e-6, 1e-5])
def test_dropout_of_a_tiny_share_keeps_nearly_all(share: float) -> None:
    assert dropout(torch.ones(1000), share, True).mean() > 0.99


@pytest.mark.parametrize("shape", [(0,), (1,), (3, 5), (2, 0, 4), ()])
def test_dropout_of_any_shape(shape: tuple[int, ...]) -> None:
    assert dropout(torch.ones(shape), 0.5, True).shape == shape


def test_dropout_depends_on_the_seed() -> None:
    masks = []
    for seed in (4, 4, 5):
        torch.manual_seed(seed)
        masks.append(dropout(torch.ones(64), 0.5, True))
    assert masks[0].equal(masks[1])
    assert not masks[0].equal(masks[2])


def test_dropout_does_nothing_outside_training_or_without_a_share() -> None:
    x = torch.ones(3)
    before = torch.get_rng_state()
    assert dropout(x, 0.5, False) is x
    assert dropout(x, 0.0, True) is x
    assert torch.get_rng_state().equal(before)
