"""Rows of a state chosen by number: how search reorders, repeats and drops hypotheses, whatever the state is
made of.
"""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from seq2attn.models.memory import Memory
from seq2attn.models.state import select


class Inner(NamedTuple):
    h: Tensor
    c: Tensor | None


class Outer(NamedTuple):
    layers: tuple[Inner, ...]
    fed: Tensor | None
    step: Tensor


def state() -> Outer:
    return Outer(
        (Inner(torch.arange(6.0).view(3, 2), None), Inner(torch.rand(3, 1, 4), torch.rand(3, 2))),
        None,
        torch.tensor([7, 8, 9]),
    )


def test_select_reorders_every_tensor_at_any_depth() -> None:
    before = state()
    got = select(before, torch.tensor([2, 0, 0, 1]))
    assert isinstance(got, Outer)
    assert isinstance(got.layers, tuple)
    assert all(isinstance(layer, Inner) for layer in got.layers)
    assert got.layers[0].h.tolist() == [[4, 5], [0, 1], [0, 1], [2, 3]]
    assert torch.equal(got.layers[1].h, before.layers[1].h[[2, 0, 0, 1]])
    assert got.layers[1].c is not None
    assert before.layers[1].c is not None
    assert torch.equal(got.layers[1].c, before.layers[1].c[[2, 0, 0, 1]])
    assert got.step.tolist() == [9, 7, 7, 8]


def test_select_leaves_none() -> None:
    got = select(state(), torch.tensor([1]))
    assert got.fed is None
    assert got.layers[0].c is None


def test_select_changes_no_value() -> None:
    before = state()
    copy = before.step.clone()
    select(before, torch.tensor([1, 1, 1])).step.zero_()
    assert torch.equal(before.step, copy)


def test_select_of_no_rows_is_empty() -> None:
    assert select(state(), torch.tensor([], dtype=torch.long)).layers[1].h.shape == (0, 1, 4)


def test_select_of_an_unknown_row_is_an_error() -> None:
    with pytest.raises(IndexError):
        select(state(), torch.tensor([3]))


def test_memory_is_shared_by_the_targets_of_a_source() -> None:
    """Every part of it is chosen, a grid stays, and what is not there is not there."""
    final = ((torch.rand(3, 2), torch.rand(3, 2)),)
    whole = Memory(
        torch.rand(3, 4, 5),
        torch.rand(3, 4, 6),
        torch.rand(3, 4) < 0.5,
        torch.rand(3, 6),
        (2, 2),
        torch.tensor([5, 6, 7]),
        final,
        torch.tensor([[7, 8], [5, 3], [6, 3]]),
    )
    source_R = torch.tensor([2, 0, 0, 1, 2])
    got = whole.repeat_for(source_R)
    assert got.grid == (2, 2)
    for name in ("keys_BSK", "values_BSV", "mask_BS", "summary_BV", "stream_B", "source_BS"):
        assert torch.equal(getattr(got, name), getattr(whole, name)[source_R]), name
    assert got.final is not None
    assert all(torch.equal(one, other[source_R]) for one, other in zip(got.final[0], final[0], strict=True))
    assert whole._replace(stream_B=None, final=None, source_BS=None).repeat_for(source_R)[5:] == (None,) * 3
