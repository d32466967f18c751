"""One connection of HTTP/1.1: that of uvicorn, with an end for clients that are slow, wrong or too long.

- A head that does not come within a time is answered with 408; a connection that says nothing is closed.
- What is not HTTP, and a head that is too large, is answered with 400 or 431. Both have a line in the log.
- A body that nobody reads to its end, because its request is refused, is thrown away for a moment, so that
  the client reads the answer instead of a broken connection.
- A client that does not read its answers, or hardly, is cut off, and so is one connection too many.
"""

import asyncio
import http
import socket
import sys
import time
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from seq2attn.serving import gate
from seq2attn.serving.gate import Log
from seq2attn.serving.metrics import Metrics

LINGER = 3.0  # seconds for which the rest of a body is thrown away
LEAST_READ = 1 << 16  # bytes of an answer that a client reads in the time of an idle connection, at least
SEND_BUFFER = 1 << 16  # bytes that the system holds of an answer
MOST_CONNECTIONS = 512  # at once; each may hold a body and an answer, and takes a descriptor of a file


def connections(log: Log, metrics: Metrics, seconds: float) -> type[H11Protocol]:
    """The class of connections. `seconds`: how long a client may take to send the head of a request."""

    class Connection(H11Protocol):
        _head: asyncio.TimerHandle | None = None
        _rest: asyncio.TimerHandle | None = None
        _unread: asyncio.TimerHandle | None = None
        _unread_bytes = 0
        _began = 0.0

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            transport.set_write_buffer_limits(high=0)  # each byte that the client does not take pauses
            if (own := transport.get_extra_info("socket")) is not None:
                # of a large buffer the system says only seldom that a slow client has read some of it
                own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
            self._watch_head()
            if len(self.connections) > MOST_CONNECTIONS:
                self._refuse(503, "too many connections, try again later")

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_watching()
            self._unread = self._cancelled(self._unread)
            super().connection_lost(exc)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._watch_reading()

        def resume_writing(self) -> None:
            super().resume_writing()
            self._unread = self._cancelled(self._unread)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self._rest is not None and self.conn.their_state is not h11.SEND_BODY:
                self._rest = self._cancelled(self._rest)
            if self.transport.is_closing():
                self._stop_watching()
            elif self._reads_head and self.conn.trailing_data[0]:
                self._watch_head()
            elif not self._reads_head:
                self._head = self._cancelled(self._head)

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if self.conn.their_state is h11.SEND_BODY and not self.transport.is_closing():
                self._rest = self.loop.call_later(LINGER, self.transport.close)
            elif self._reads_head and self.conn.trailing_data[0]:
                self._watch_head()

        def timeout_keep_alive_handler(self) -> None:
            if self._unread is None:
                super().timeout_keep_alive_handler()
            else:  # `close` would wait until the client has read its answer
                self.timeout_keep_alive_task = self.loop.call_later(
                    self.timeout_keep_alive, self.timeout_keep_alive_handler
                )

        def send_400_response(self, msg: str) -> None:
            error = sys.exception()
            status = getattr(error, "error_status_hint", 400)
            self._refuse(status if 400 <= status < 500 else 400, "this is not HTTP, or its head is too large")

        @property
        def _reads_head(self) -> bool:
            return self.conn.their_state is h11.IDLE

        def _watch_head(self) -> None:
            if self._head is None:
                self._began = time.monotonic()
                self._head = self.loop.call_later(seconds, self._too_slow)

        def _too_slow(self) -> None:
            self._head = None
            if self.conn.trailing_data[0]:
                self._refuse(408, f"the head of the request did not come within {seconds:g} seconds")
            else:
                self.transport.close()

        def _watch_reading(self) -> None:
            self._unread_bytes = self.transport.get_write_buffer_size()
            self._unread = self.loop.call_later(self.timeout_keep_alive, self._look_at_reading)

        def _look_at_reading(self) -> None:
            if self._unread_bytes - self.transport.get_write_buffer_size() < LEAST_READ:
                self.transport.abort()
            else:
                self._watch_reading()

        def _stop_watching(self) -> None:
            self._head, self._rest = self._cancelled(self._head), self._cancelled(self._rest)

        @staticmethod
        def _cancelled(timer: asyncio.TimerHandle | None) -> None:
            if timer is not None:
                timer.cancel()

        def _refuse(self, status: int, message: str) -> None:
            """Answer without the application, log it, and close."""
            if self.cycle is not None and not self.cycle.response_complete:
                self.scope["state"]["logged"] = True  # the application is about to lose this request
            if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                body = b'{"error":"%s"}' % message.encode("ascii")
                headers: list[tuple[bytes, bytes]] = [
                    (b"content-type", b"application/json"),
                    (b"content-length", str(len(body)).encode()),
                    (b"connection", b"close"),
                ]
                reason = http.HTTPStatus(status).phrase.encode()
                events: list[Any] = [
                    h11.Response(status_code=status, headers=headers, reason=reason),
                    h11.Data(data=body),
                    h11.EndOfMessage(),
                ]
                self.transport.write(b"".join(self.conn.send(event) or b"" for event in events))
            since = time.monotonic() - self._began if self._began else 0.0
            metrics.answered("other", status, since)
            log(gate.line(self.client, None, None, status, since), True)
            self.transport.close()

    return Connection
