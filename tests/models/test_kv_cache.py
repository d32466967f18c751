"""The cache of keys and values: a value that grows, shares its buffers where that is safe, and copies where
it is not.
"""

import pytest
import torch
from torch import Tensor

from seq2attn.models.layers.kv_cache import INITIAL_CAPACITY, Cache
from seq2attn.models.state import select

B, G, D = 2, 3, 4


def new(count: int = 1) -> tuple[Tensor, Tensor]:
    return torch.randn(B, G, count, D), torch.randn(B, G, count, D)


def empty() -> Cache:
    return Cache.empty(B, G, D, torch.zeros(1))


def test_cache_holds_all_that_was_added_in_order() -> None:
    cache, keys, values = empty(), torch.zeros(B, G, 0, D), torch.zeros(B, G, 0, D)
    for step in range(40):
        added = new(1 + step % 3)
        cache, got_keys, got_values = cache.append(*added)
        keys, values = torch.cat([keys, added[0]], 2), torch.cat([values, added[1]], 2)
        assert cache.used == keys.size(2)
        assert torch.equal(got_keys, keys)
        assert torch.equal(got_values, values)


def test_cache_never_changes_what_it_returned() -> None:
    cache, first, _ = empty().append(*new())
    copy = first.clone()
    for _ in range(3 * INITIAL_CAPACITY):
        cache, _, _ = cache.append(*new())
    assert torch.equal(first, copy)


@pytest.mark.parametrize("already", [0, 1, INITIAL_CAPACITY - 1, INITIAL_CAPACITY, INITIAL_CAPACITY + 1])
def test_caches_that_grow_from_one_do_not_meet(already: int) -> None:
    """The second to grow must copy: the place behind the one they came from is taken."""
    one = empty()
    for _ in range(already):
        one, _, _ = one.append(*new())
    left, right, third = new(), new(), new(2)
    a, keys_a, values_a = one.append(*left)
    before_a = keys_a.clone(), values_a.clone()
    b, keys_b, values_b = one.append(*right)
    c, keys_c, _ = one.append(*third)
    assert torch.equal(keys_a, before_a[0])
    assert torch.equal(values_a, before_a[1])
    assert torch.equal(keys_b[:, :, -1:], right[0])
    assert torch.equal(values_b[:, :, -1:], right[1])
    assert torch.equal(keys_b[:, :, :-1], keys_a[:, :, :-1])
    assert torch.equal(keys_c[:, :, -2:], third[0])
    last = new()
    # and those that grow from them
    for before, grown in ((before_a[0], a), (keys_b.clone(), b), (keys_c.clone(), c)):
        _, keys, _ = grown.append(*last)
        assert torch.equal(keys, torch.cat([before, last[0]], 2))


def test_cache_is_copied_rarely() -> None:
    cache, buffers, copied = empty(), [], 0
    for _ in range(1000):
        before = cache.used
        cache, keys, _ = cache.append(*new())
        if keys.data_ptr() not in [buffer.data_ptr() for buffer in buffers]:
            buffers.append(keys)  # held, so that no other takes its memory
            copied += before
    assert len(buffers) <= 8
    assert copied <= 2 * 1000


def test_cache_of_some_sentences_grows_by_itself() -> None:
    added = new(3)
    cache, _, _ = empty().append(*added)
    selected = select(cache, torch.tensor([1]))
    assert selected.used == 3
    one, two = new(), (torch.randn(1, G, 1, D), torch.randn(1, G, 1, D))
    _, keys, _ = cache.append(*one)
    _, keys_selected, values_selected = selected.append(*two)
    assert torch.equal(keys, torch.cat([added[0], one[0]], 2))
    assert torch.equal(keys_selected, torch.cat([added[0][1:], two[0]], 2))
    assert torch.equal(values_selected, torch.cat([added[1][1:], two[1]], 2))


def test_cache_of_half_precision_is_float32() -> None:
    cache = Cache.empty(B, G, D, torch.zeros(1, dtype=torch.bfloat16))
    for _ in range(2):
        cache, keys, values = cache.append(*(part.bfloat16() for part in new()))
        assert keys.dtype == values.dtype == torch.float32


def test_cache_passes_gradients() -> None:
    """What a way back will need is not written over by the next step."""
    cache, parts, total = empty(), [], torch.zeros(())
    for _ in range(3):
        added = tuple(part.requires_grad_() for part in new())
        parts.append(added)
        cache, keys, values = cache.append(*added)
        total = total + (keys.square() * values).sum()
    total.backward()
    for step, (keys, values) in enumerate(parts):
        torch.testing.assert_close(keys.grad, (3 - step) * 2 * keys * values)
        torch.testing.assert_close(values.grad, (3 - step) * keys.square())


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_cache_of_a_search_holds_no_graph(mode: type) -> None:
    linear = torch.nn.Linear(D, D)
    with mode():
        cache = empty()
        for _ in range(INITIAL_CAPACITY + 1):
            cache, keys, values = cache.append(*(linear(part) for part in new()))
            assert not keys.requires_grad
            assert not values.requires_grad
