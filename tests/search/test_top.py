"""The largest numbers of a row and its normaliser, held to torch's own."""

import pytest
import torch

from seq2attn.search.top import BLOCK, largest, log_normaliser, wide


@pytest.mark.parametrize("size", [3, BLOCK, 8 * BLOCK, 8000, 8000 + 17, 100 * BLOCK - 1])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_largest_are_torchs(size: int, count: int) -> None:
    x = torch.randn(4, 5, size, generator=torch.Generator().manual_seed(size))
    x[0, 0, -1] = 9.0  # in what no whole block holds
    values, places = largest(x, count)
    assert values.equal(x.topk(count).values)
    assert x.gather(2, places).equal(values)
    assert all(len(set(row)) == count for row in places.flatten(0, 1).tolist())


def test_equal_and_impossible_numbers_are_found_once_each() -> None:
    x = torch.full((2, 40 * BLOCK), -torch.inf)
    x[0, 70:75] = 1.0
    values, places = largest(x, 4)
    assert values.equal(x.topk(4).values)
    assert set(places[0].tolist()) <= set(range(70, 75))
    assert all(len(set(row)) == 4 for row in places.tolist())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_normaliser_is_torchs(dtype: torch.dtype) -> None:
    x = 10 * torch.randn(6, 3000, dtype=dtype)
    x[0] = -torch.inf
    x[0, 7] = -80.0
    x[1] += 1e4
    x[2, :50] = -torch.inf
    torch.testing.assert_close(log_normaliser(x), x.logsumexp(1), rtol=1e-6, atol=1e-5)


def test_normaliser_tells_of_what_is_no_number() -> None:
    x = torch.zeros(3, 5)
    x[0, 1], x[1, 2] = torch.nan, torch.inf
    assert log_normaliser(x).isnan().tolist() == [True, True, False]


def test_half_precision_is_widened_and_the_rest_left() -> None:
    x = torch.randn(3)
    assert wide(x) is x
    assert wide(x.bfloat16()).dtype == torch.float32
    assert wide(x.double()).dtype == torch.float64
