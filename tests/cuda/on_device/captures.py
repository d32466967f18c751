"""What the simulated device promises of CUDA graphs, as a GPU keeps it."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

DEVICE = torch.device("cuda", 0)


def capture(function: Any, pool: Any = None) -> torch.cuda.CUDAGraph:
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool):
        function()
    return graph


def test_capture_computes_nothing_and_replay_reads_what_the_memory_holds_then() -> None:
    x, total, left = torch.ones(3, device=DEVICE), torch.zeros(3, device=DEVICE), {}

    def step() -> None:
        left["y"] = x * 2
        total.add_(left["y"])

    graph = capture(step)
    assert total.tolist() == [0, 0, 0]
    assert bool(left["y"].isnan().all())
    x.copy_(torch.tensor([1.0, 2.0, 3.0]))
    graph.replay()
    graph.replay()
    assert total.tolist() == [4, 8, 12]
    assert left["y"].tolist() == [2, 4, 6]


def test_number_that_python_read_stays_as_it_was() -> None:
    x, factor = torch.ones(2, device=DEVICE), [3.0]
    out = torch.zeros(2, device=DEVICE)
    graph = capture(lambda: out.copy_(x * factor[0]))
    factor[0] = 5.0
    graph.replay()
    assert out.tolist() == [3, 3]


def test_random_numbers_are_those_of_the_seed_at_the_replay() -> None:
    x, out = torch.ones(64, device=DEVICE), torch.zeros(64, device=DEVICE)
    graph = capture(lambda: out.copy_(F.dropout(x, 0.5)))
    draws = []
    for seed in (1, 2, 1):
        torch.manual_seed(seed)
        graph.replay()
        draws.append(out.tolist())
    torch.manual_seed(1)
    assert draws[0] == draws[2] == F.dropout(x, 0.5).tolist()
    assert draws[0] != draws[1]


def gradients(parameters: list[Tensor], x: Tensor) -> None:
    state = [torch.zeros(1, 2, 3, device=DEVICE) for _ in range(2)]
    hidden = torch.lstm(x, state, parameters, True, 1, 0.0, True, False, True)[0]
    F.scaled_dot_product_attention(hidden, hidden, hidden).square().sum().backward()


def test_replay_of_a_backward_pass_adds_to_the_gradients() -> None:
    shapes = ((12, 3), (12, 3), (12,), (12,))
    parameters = [torch.randn(shape, device=DEVICE, requires_grad=True) for shape in shapes]
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    x = torch.zeros(2, 5, 3, device=DEVICE)
    graph = capture(lambda: gradients(parameters, x))
    x.copy_(torch.randn(2, 5, 3))
    graph.replay()
    graph.replay()
    replayed = [parameter.grad for parameter in parameters]
    for parameter in parameters:
        parameter.grad = None
    gradients(parameters, x)
    for parameter, twice in zip(parameters, replayed, strict=True):
        torch.testing.assert_close(twice, 2 * parameter.grad)  # type: ignore[operator]


WAITS = {
    "a number read": lambda x: x.sum().item(),
    "positions that are not 0": lambda x: x.nonzero(),
    "a mask as an index": lambda x: x[x > 0],
    "a copy to the host": lambda x: x.cpu(),
    "a copy of pageable memory": lambda x: x.copy_(torch.ones(3)),
    "synchronize": lambda x: torch.cuda.synchronize(),
}


@pytest.mark.parametrize("wait", WAITS)
def test_wait_in_a_capture_is_refused(wait: str) -> None:
    x = torch.ones(3, device=DEVICE)
    with pytest.raises(RuntimeError, match=r"during capture|stream is capturing"):
        capture(lambda: WAITS[wait](x))
    assert x.sum().item() == 3  # and the device goes on


def test_memory_that_the_program_freed_is_refused() -> None:
    out, inputs = torch.zeros(3, device=DEVICE), [torch.ones(3, device=DEVICE)]
    graph = capture(lambda: out.add_(inputs[0]))
    inputs.clear()
    with pytest.raises(RuntimeError, match="has freed"):
        graph.replay()


def test_graphs_of_a_pool_write_over_what_later_ones_left() -> None:
    x, pool, left = torch.ones(2, device=DEVICE), torch.cuda.graph_pool_handle(), {}
    first = capture(lambda: left.update(first=x * 2), pool)
    second = capture(lambda: left.update(second=x * 3), pool)
    first.replay()
    second.replay()
    assert (left["first"].tolist(), left["second"].tolist()) == ([2, 2], [3, 3])
    first.replay()
    assert bool(left["second"].isnan().all())
