"""CUDA graphs: the kernels of one shape are recorded once, and then all launched by one call.

A kernel costs the host some microseconds, however short it is. So a loop over small kernels, as in a
recurrent decoder or in the step of a search, leaves a GPU idle most of the time. A graph reads and writes the
same memory at each call: its caller copies the inputs into tensors that stay ("static" ones), and the results
out of them. Nothing inside may make the host wait, and a number that Python read stays as it was.

It knows no model.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

Key = TypeVar("Key")
Static = TypeVar("Static")


class Graph(Generic[Static]):
    """The recorded kernels, and the tensors that they read and write."""

    def __init__(self, static: Static) -> None:
        self.static = static
        self._recorded = torch.cuda.CUDAGraph()

    def record(self, function: Callable[[Static], object], pool: Any, stream: torch.cuda.Stream) -> None:
        # Threads that prepare batches pin memory, which the mode "global" forbids them.
        with torch.cuda.graph(self._recorded, pool, stream, capture_error_mode="thread_local"):
            function(self.static)

    def replay(self) -> None:
        self._recorded.replay()


class StaticMemory:
    """One block of memory, in which each list of tensors has its own places: tensors of the same shapes,
    taken in the same order, are at the same places. So graphs of many shapes take no more memory than the
    largest of them.
    """

    ALIGNMENT = 256  # bytes, as torch's own allocations

    def __init__(self, device: torch.device) -> None:
        self._block = torch.empty(0, dtype=torch.uint8, device=device)
        self._end = 0

    def begin(self, tensors: Iterable[Tensor]) -> bool:
        """Begin a new list of tensors like these. True if the block is a new one: no graph that knows the old
        one may run again.
        """
        size, self._end = sum(self._size(tensor) for tensor in tensors), 0
        if size <= len(self._block):
            return False
        self._block = torch.empty(round_up(size), dtype=torch.uint8, device=self._block.device)
        return True

    def take(self, pattern: Tensor) -> Tensor:
        """The next tensor of the list, of shape and type of `pattern`."""
        start = self._end
        self._end += self._size(pattern)
        part = self._block[start : start + pattern.numel() * pattern.element_size()]
        return part.view(pattern.dtype).view(pattern.shape)

    def holds(self, tensor: Tensor) -> bool:
        return tensor.untyped_storage().data_ptr() == self._block.untyped_storage().data_ptr()

    def _size(self, tensor: Tensor) -> int:
        return -(-tensor.numel() * tensor.element_size() // self.ALIGNMENT) * self.ALIGNMENT


def round_up(count: int, least: int = 4) -> int:
    """The next of few numbers: at most a quarter more, and a multiple of `least`."""
    unit = max(least, 1 << max(0, count.bit_length() - 3))
    return -(-count // unit) * unit


class Graphs(Generic[Key, Static]):
    """Graphs by key, of which the least recently used leave. They share their memory: what a graph leaves in
    it is gone when another one runs.

    The first `run` of a key runs the function as it is, so that libraries are ready and a shape that never
    comes again costs nothing. The second records it.
    """

    def __init__(self, device: torch.device, limit: int) -> None:
        self._limit, self._device = limit, device
        self._pool = torch.cuda.graph_pool_handle()
        self._stream = torch.cuda.Stream(device)
        self._graphs: OrderedDict[Key, Graph[Static] | None] = OrderedDict()  # None: seen once

    def __len__(self) -> int:
        return sum(graph is not None for graph in self._graphs.values())

    def clear(self) -> None:
        """Forget all of them."""
        self._graphs.clear()
        self._pool = torch.cuda.graph_pool_handle()  # torch gives up a pool without graphs

    def has_run(self, key: Key) -> bool:
        return key in self._graphs

    def find(self, key: Key) -> Graph[Static] | None:
        graph = self._graphs.get(key)
        if graph is not None:
            self._graphs.move_to_end(key)
        return graph

    def record(self, key: Key, static: Static, function: Callable[[Static], object]) -> Graph[Static]:
        """Record `function(static)`, which does not run yet."""
        graph = Graph(static)
        graph.record(function, self._pool, self._stream)
        self._add(key, graph)
        return graph

    @contextmanager
    def aside(self, key: Key) -> Iterator[None]:
        """The context of the first run: the stream in which graphs are recorded."""
        self._add(key, None)
        own, current = self._stream, torch.cuda.current_stream(self._device)
        own.wait_stream(current)
        with torch.cuda.stream(own):
            yield
        current.wait_stream(own)

    def _add(self, key: Key, graph: Graph[Static] | None) -> None:
        self._graphs[key] = graph
        self._graphs.move_to_end(key)
        while len(self) > self._limit or len(self._graphs) > 16 * self._limit:
            self._graphs.popitem(last=False)
