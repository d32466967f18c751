"""The likeliest continuations, held to a sort of all of them."""

import pytest
import torch

from seq2attn.search.topk import BLOCK, log_softmax, top_candidates


@pytest.mark.parametrize("size", [3, BLOCK, 8 * BLOCK, 8000, 8000 + 17, 100 * BLOCK - 1])
@pytest.mark.parametrize(("width", "count"), [(1, 1), (1, 2), (3, 6)])
def test_top_candidates_equal_a_full_sort(size: int, width: int, count: int) -> None:
    chance = torch.Generator().manual_seed(size)
    log_p, before = torch.randn(4, width, size, generator=chance), torch.randn(4, width, generator=chance)
    log_p[0, 0, -1] = 9.0  # in what no whole block holds
    before[1, 0] = -torch.inf
    sums, rows, tokens = top_candidates(log_p, before, count)
    whole = before[:, :, None] + log_p
    assert sums.equal(whole.flatten(1).topk(min(count, width * size)).values)
    for b in range(4):
        assert [whole[b, row, token] for row, token in zip(rows[b], tokens[b], strict=True)] == list(sums[b])
        assert len(set(zip(rows[b].tolist(), tokens[b].tolist(), strict=True))) == len(sums[b])


def test_top_candidates_returns_equal_and_impossible_tokens_once() -> None:
    log_p = torch.full((2, 2, 40 * BLOCK), -torch.inf)
    log_p[0, 1, 70:75] = -1.0
    sums, rows, tokens = top_candidates(log_p, torch.zeros(2, 2), 4)
    assert sums[0].tolist() == [-1.0] * 4
    assert rows[0].tolist() == [1] * 4
    assert set(tokens[0].tolist()) <= set(range(70, 75))
    for b in range(2):
        assert len(set(zip(rows[b].tolist(), tokens[b].tolist(), strict=True))) == 4


def test_top_candidates_ranks_nan_first() -> None:
    log_p = torch.zeros(1, 2, 40 * BLOCK)
    log_p[0, 1, 9] = torch.nan
    assert top_candidates(log_p, torch.zeros(1, 2), 2)[0].isnan().tolist() == [[True, False]]


def test_log_softmax_widens_half_precision_and_keeps_double() -> None:
    x = torch.randn(2, 300)
    assert log_softmax(x.bfloat16()).equal(x.bfloat16().float().log_softmax(1))
    assert log_softmax(x.double()).equal(x.double().log_softmax(1))
