"""A server from its socket to its end: it listens, answers, and when it is asked to end, finishes what it has
begun.
"""

import asyncio
import contextlib
import logging
import socket
import traceback
from collections.abc import Callable, Generator, Sequence
from typing import Any

import uvicorn

from seq2attn.errors import UserError
from seq2attn.serving.application import application
from seq2attn.serving.connections import connections
from seq2attn.serving.gate import OWN_HOSTS, Log
from seq2attn.serving.service import Service

KEEP_ALIVE = 15  # seconds for which an idle connection stays open
BACKLOG = 1024  # connections that wait to be accepted
MORE_SECONDS = 5  # for the end, beside the time that a request has


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens on that address; port 0 is any that is free.

    Clients that come before there is a server wait for it.

    Raises UserError if there is no such address here, or if another program uses it.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "no name of a host"
        raise UserError(
            f"host {host}: {reason}; choose 127.0.0.1 or an address of this machine", "host"
        ) from None
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise UserError(
            f"port {port}: {error.strerror} ({host}); choose another one, or 0 for any that is free", "port"
        ) from None
    return sock


def url(sock: socket.socket) -> str:
    """The address of the page."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def is_loopback(sock: socket.socket) -> bool:
    host: str = sock.getsockname()[0]
    return host == "::1" or host.startswith("127.")


class Server(uvicorn.Server):
    """The server of a service. `stop` may be called from a handler of signals."""

    def __init__(
        self,
        service: Service,
        sock: socket.socket,
        log: Log,
        *,
        host: str = "127.0.0.1",
        origins: Sequence[str] = (),
        debug: bool = False,
        begin: Callable[[], None] = lambda: None,
    ) -> None:
        """`begin` is called once it listens. With `debug`, the log has tracebacks."""
        self._sock, self._begin, self._service = sock, begin, service
        hosts = (*dict.fromkeys((*OWN_HOSTS, host.lower())),) if is_loopback(sock) else None

        def report(error: Exception) -> None:
            if debug:
                traceback.print_exception(error)

        self._gate = application(service, log, hosts=hosts, origins=origins, report=report)
        limits = service.limits
        super().__init__(
            uvicorn.Config(
                self._gate,
                http=connections(log, service.metrics, limits.receiving),
                ws="none",
                lifespan="on",
                loop="asyncio",
                log_config=None,
                access_log=False,
                backlog=BACKLOG,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE,
                timeout_graceful_shutdown=int(limits.seconds) + MORE_SECONDS,
            )
        )
        # It writes of what the gate has told already, and of its own defects.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)

    def stop(self) -> None:
        """Accept nothing new, finish what has begun, and return from `run`."""
        self._gate.ending = True
        self.should_exit = True

    def run(self, sockets: Any = None) -> None:
        """Serve until `stop`, or until an exception: then nothing is computed to its end."""
        try:
            asyncio.run(self.serve([self._sock]))
        finally:
            self._service.stop()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self._begin()

    async def shutdown(self, sockets: Any = None) -> None:
        # Clients that have connected, or sent a request, a moment ago are heard before the door closes.
        await asyncio.sleep(0.05)
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals to the program around."""
        yield
