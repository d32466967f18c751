"""Stands in for CUDA graphs and for streams. `cpp/capture.h` records and replays.

While a graph is captured, whatever makes the host wait is refused, as is pinned memory: in the mode "global"
that of all threads. Each call of a graph counts as one operation.
"""

import contextlib
import ctypes
import itertools
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from . import counts

_callbacks: dict[int, Callable[[], None]] = {}
_errors: list[Exception] = []
_numbers = itertools.count(1)
_here = threading.local()


@ctypes.CFUNCTYPE(None, ctypes.c_int64)
def _run_callback(number: int) -> None:
    try:
        _callbacks[number]()
    except Exception as error:  # noqa: BLE001 - no exception can pass through C
        _errors.append(error)


def _call(act: str, number: int = 0, flag: bool = False) -> int:
    library = counts.compiled_device()
    result = int(library.simulated_graph(act.encode(), ctypes.c_int64(number), int(flag), _run_callback))
    text = library.simulated_graph_error().decode()
    if _errors:
        raise _errors.pop()
    if text:
        raise RuntimeError(text)
    return result


def is_capturing() -> bool:
    return bool(counts.compiled_device().simulated_captures())


def refuse_in_capture() -> None:
    """Raise RuntimeError if a graph is being captured."""
    _call("refuse")


def on_replay(compute: Callable[[], Sequence[Tensor]], results: Sequence[Tensor]) -> None:
    """While a graph is captured: its replays call `compute`, and write what it returns, tensors of the CPU,
    to the `results`, tensors of the device. For what no operation of the device does.
    """
    if not is_capturing():
        return
    host = torch.ops.simulated_device.host
    aliases = [host(result.detach()) for result in results]

    def again() -> None:
        with torch.no_grad():
            for alias, result in zip(aliases, compute(), strict=True):
                alias.copy_(result)

    number = next(_numbers)
    _callbacks[number] = again
    _capturing.callbacks.append(number)
    _call("record", number)


class Stream:
    """A stream, in which all happens at once."""

    def __init__(self, device: Any = None, priority: int = 0, **more: Any) -> None:
        self.is_default = bool(more.get("is_default", False))

    def wait_stream(self, other: "Stream") -> None: ...

    def wait_event(self, event: "Event") -> None: ...

    def record_event(self, event: "Event | None" = None) -> "Event":
        return event or Event()

    def query(self) -> bool:
        return True

    def is_capturing(self) -> bool:
        return is_capturing()

    def synchronize(self) -> None:
        refuse_in_capture()
        counts.add("wait:synchronize")


class Event:
    def __init__(self, *arguments: Any, **more: Any) -> None: ...

    def record(self, stream: Stream | None = None) -> None: ...

    def wait(self, stream: Stream | None = None) -> None: ...

    def query(self) -> bool:
        return True

    def elapsed_time(self, other: "Event") -> float:
        return 0.0

    def synchronize(self) -> None:
        refuse_in_capture()
        counts.add("wait:synchronize")


DEFAULT = Stream(is_default=True)


def current_stream(device: Any = None) -> Stream:
    return getattr(_here, "stream", DEFAULT)


@contextlib.contextmanager
def stream(new: Stream | None) -> Iterator[None]:
    before = current_stream()
    _here.stream = new or before
    try:
        yield
    finally:
        _here.stream = before


class CUDAGraph:
    def __init__(self, keep_graph: bool = False) -> None:
        self.number: int | None = None
        self.callbacks: list[int] = []

    def capture_begin(self, pool: Any = None, capture_error_mode: str = "global") -> None:
        global _capturing
        if current_stream().is_default:
            raise RuntimeError("CUDA graphs must be captured on a non-default stream.")
        self._pool = pool or graph_pool_handle()
        _call("begin", self._pool[1], capture_error_mode == "global")
        _capturing = self

    def capture_end(self) -> None:
        self.number = _call("end")
        self.reset = weakref.finalize(self, _forget, self.number, self.callbacks)
        self.reset.atexit = False

    def replay(self) -> None:
        if self.number is None:
            raise RuntimeError("Called CUDAGraph::replay without a preceding successful capture.")
        _call("replay", self.number)

    def pool(self) -> Any:
        return self._pool


def _forget(graph: int, callbacks: list[int]) -> None:
    _call("forget", graph)
    for number in callbacks:
        del _callbacks[number]


_capturing = CUDAGraph()


def graph_pool_handle() -> tuple[int, int]:
    return 0, next(_numbers)


class graph:
    """The context in which a graph is captured, in a stream of its own."""

    def __init__(
        self,
        cuda_graph: CUDAGraph,
        pool: Any = None,
        stream: Stream | None = None,
        capture_error_mode: str = "global",
    ) -> None:
        self.cuda_graph, self.pool, self.mode = cuda_graph, pool, capture_error_mode
        self.stream = stream or Stream()

    def __enter__(self) -> None:
        torch.cuda.synchronize()
        self.context = stream(self.stream)
        self.context.__enter__()
        try:
            self.cuda_graph.capture_begin(self.pool, self.mode)
        except BaseException:
            self.context.__exit__(None, None, None)
            raise

    def __exit__(self, *error: object) -> None:
        self.cuda_graph.capture_end()
        self.context.__exit__(*error)


def install() -> None:
    for name, value in {
        "CUDAGraph": CUDAGraph,
        "graph": graph,
        "graph_pool_handle": graph_pool_handle,
        "is_current_stream_capturing": is_capturing,
        "Stream": Stream,
        "Event": Event,
        "stream": stream,
        "current_stream": current_stream,
        "default_stream": lambda device=None: DEFAULT,
    }.items():
        setattr(torch.cuda, name, value)
        if hasattr(torch.cuda.graphs, name):
            setattr(torch.cuda.graphs, name, value)
    torch.accelerator.current_stream = current_stream  # which `fully_shard` asks
