"""CUDA graphs: the kernels of one shape are recorded once, and then all launched by one call.

A kernel costs the host some microseconds, however short it is. So a loop over small kernels, as in a
recurrent decoder or in the step of a search, leaves a GPU idle most of the time. A graph reads and writes the
same memory at each call: its caller copies the inputs into tensors that stay ("static" ones), and the results
out of them. Nothing inside may make the host wait, and a number that Python read stays as it was.

It knows no model.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import torch

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


class Graphs(Generic[Key, Static]):
    """Graphs by key, of which the least recently used leave. They share their memory: what a graph leaves in
    it is gone when another one runs.

    The first `run` of a key runs the function as it is, so that libraries are ready and a shape that never
    comes again costs nothing. The second records it.
    """

    def __init__(self, device: torch.device, limit: int) -> None:
        self._limit = limit
        self._pool = torch.cuda.graph_pool_handle()
        self._stream = torch.cuda.Stream(device)
        self._graphs: OrderedDict[Key, Graph[Static] | None] = OrderedDict()  # None: seen once

    def __len__(self) -> int:
        return sum(graph is not None for graph in self._graphs.values())

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
        own, current = self._stream, torch.cuda.current_stream()
        own.wait_stream(current)
        with torch.cuda.stream(own):
            yield
        current.wait_stream(own)

    def _add(self, key: Key, graph: Graph[Static] | None) -> None:
        self._graphs[key] = graph
        self._graphs.move_to_end(key)
        while len(self) > self._limit or len(self._graphs) > 16 * self._limit:
            self._graphs.popitem(last=False)
