"""What the tests of the server share: translators that only write capitals, a client within this process, and
a real server in a thread.
"""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import tiny
from starlette.testclient import TestClient

from seq2attn.inference.results import Translation
from seq2attn.serving.application import application
from seq2attn.serving.keys import Keys
from seq2attn.serving.limits import Limits
from seq2attn.serving.runs import ServedRun, ServedRuns
from seq2attn.serving.server import Server, bind, url
from seq2attn.serving.service import Service


class Capitals:
    """A translator into capitals, with "2", "3" ... behind the alternatives. It knows no model."""

    attends = True
    ensemble = None

    def __init__(self, source: str | None = "en", target: str | None = "fr", distinct: int = 99) -> None:
        self.languages = (source, target)
        self.config = tiny.settings()
        self.calls: list[list[str]] = []
        self.may_go = threading.Event()
        self.may_go.set()
        self.distinct = distinct
        self.truncated = 0

    def translate(self, texts: Sequence[str], *, beam: int, n_best: int, attention: bool) -> Any:
        assert not attention
        assert beam >= n_best
        self.calls.append(list(texts))
        assert self.may_go.wait(30)
        if any("defect" in text for text in texts):
            raise ValueError("a defect")
        names = ["", *map(str, range(2, n_best + 1))][: self.distinct]
        return [
            [
                Translation(text, text.upper() + name, 0.0, 0.0, truncated_tokens=self.truncated)
                for name in names
            ]
            for text in texts
        ]


def service(*predictors: Any, keys: Sequence[str] = (), **limits: Any) -> Service:
    """A service of runs named a, b, c ..."""
    runs = [ServedRun(name, predictor) for name, predictor in zip("abcdef", predictors, strict=False)]
    return Service(ServedRuns(runs), Limits(**limits), Keys(keys))


@dataclass
class Log:
    """The lines of the log."""

    lines: list[dict[str, Any]] = field(default_factory=list)
    failures: int = 0

    def __call__(self, line: str, failed: bool) -> None:
        assert line.isascii()
        assert line.isprintable()
        self.lines.append(json.loads(line))
        self.failures += failed


@contextlib.contextmanager
def client(of: Service, log: Log | None = None, **options: Any) -> Iterator[TestClient]:
    with TestClient(application(of, log or Log(), **options), raise_server_exceptions=False) as each:
        yield each


@contextlib.contextmanager
def running(of: Service, log: Log, **options: Any) -> Iterator[tuple[Server, str]]:
    """A server on a free port, and its address; it has ended when the body has."""
    with bind("127.0.0.1", 0) as sock:
        ready = threading.Event()
        server = Server(of, sock, log, begin=ready.set, **options)
        thread = threading.Thread(target=server.run)
        thread.start()
        assert ready.wait(30)
        try:
            yield server, url(sock)
        finally:
            server.stop()
            thread.join(30)
            assert not thread.is_alive()


def connect(address: str) -> socket.socket:
    host, port = address.removeprefix("http://").rstrip("/").split(":")
    return socket.create_connection((host, int(port)), timeout=30)


def raw(address: str, data: bytes) -> bytes:
    """What the server answers to these bytes until it closes."""
    with connect(address) as connection:
        connection.sendall(data)
        return read(connection)


def answer(connection: socket.socket) -> bytes:
    """One answer, with its body, of a connection that may stay open."""
    data = b""
    while not (head := data.partition(b"\r\n\r\n"))[1] or len(head[2]) < length(head[0]):
        part = connection.recv(65536)
        assert part, data
        data += part
    return data


def length(head: bytes) -> int:
    lines = head.lower().split(b"\r\n")
    return next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:"))


def read(connection: socket.socket) -> bytes:
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def wait_for(condition: Any, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)
