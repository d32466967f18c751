"""Every request passes here: who may ask, what an error looks like, headers of safety, one line of log.

It is an ASGI application around that of the routes. It knows no route but their names, and reads no body.
"""

import json
import time
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import Any

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from seq2attn.serving.errors import ClientLeft, Refusal
from seq2attn.serving.metrics import Metrics

Log = Callable[[str, bool], None]  # gets a line, and whether something went wrong
CLIENT_LEFT = 499  # as nginx logs it: nobody got an answer
OWN_HOSTS = ("localhost", "127.0.0.1", "[::1]")
_SAFE = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
}
MOST_HEADERS = 16 << 10  # bytes of all names and values
_LONGEST = 200  # characters of a path in the log


class Gate:
    """The application with its guard."""

    def __init__(
        self,
        app: ASGIApp,
        routes: Collection[str],
        metrics: Metrics,
        log: Log,
        *,
        hosts: Sequence[str] | None = None,
        origins: Sequence[str] = (),
        seconds: float = 30.0,
        report: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        """`routes`: paths that the log of metrics names.

        `hosts`: names that the header Host may have, None for any. A page of a stranger can make a browser
        take its name for 127.0.0.1 (DNS rebinding), but not change that header. `origins`: pages that may
        read answers, "*" for all. `seconds`: until the answer. `report` gets what should not have happened.
        """
        self._app, self._routes, self._metrics, self._log = app, routes, metrics, log
        self._hosts, self._origins, self._seconds, self._report = hosts, origins, seconds, report
        self.ending = False  # whether every answer closes its connection

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        state = scope.setdefault("state", {})
        state["deadline"] = began + self._seconds
        scope["app"] = self  # Starlette's routes then raise errors in place of plain text
        headers = Headers(scope=scope)
        status, size, problem = 0, 0, None

        async def answer(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": self._with_safety(message["headers"], headers)}
            size += len(message.get("body", b""))
            await send(message)

        try:
            try:
                if sum(len(name) + len(value) for name, value in headers.raw) > MOST_HEADERS:
                    raise Refusal(431, f"the headers have more than {MOST_HEADERS:,} bytes")
                self._check_host(headers)
                if self._is_preflight(scope, headers):
                    await Response(status_code=204)(scope, receive, answer)
                else:
                    await self._app(scope, receive, answer)
            except ClientLeft:
                status = CLIENT_LEFT
            except (Refusal, HTTPException) as error:
                if status:
                    raise
                await _refuse(error)(scope, receive, answer)
            except Exception as error:  # noqa: BLE001 (the server goes on)
                problem = type(error).__name__
                self._report(error)
                if not status:
                    sorry = "internal error: a defect of the server, which its log names"
                    await JSONResponse({"error": sorry}, 500)(scope, receive, answer)
        finally:
            seconds = time.monotonic() - began
            if not state.get("logged"):
                self._write(scope, status or CLIENT_LEFT, seconds, size, state.get("received", 0), problem)

    def _check_host(self, headers: Headers) -> None:
        if self._hosts is not None:
            for host in headers.getlist("host") or [""]:
                name = host[: host.find("]") + 1] if host.startswith("[") else host.partition(":")[0]
                if name.lower() not in self._hosts:
                    raise Refusal(421, f"Host: this server answers to {', '.join(self._hosts)} alone")

    def _allowed(self, headers: Headers) -> str | None:
        """The value of Access-Control-Allow-Origin for a page that may read the answer."""
        origin = headers.get("origin")
        return "*" if "*" in self._origins and origin else origin if origin in self._origins else None

    def _is_preflight(self, scope: Scope, headers: Headers) -> bool:
        asks = scope["method"] == "OPTIONS" and "access-control-request-method" in headers
        return asks and self._allowed(headers) is not None

    def _with_safety(
        self, headers: Sequence[tuple[bytes, bytes]], request: Headers
    ) -> list[tuple[bytes, bytes]]:
        names = {name for name, _ in headers}
        close = {"connection": "close"} if self.ending else {}
        more = close | {name: value for name, value in _SAFE.items() if name.encode() not in names}
        if self._origins:
            more["vary"] = "Origin"
            if (origin := self._allowed(request)) is not None:
                more["access-control-allow-origin"] = origin
                more["access-control-allow-methods"] = "GET, POST"
                more["access-control-allow-headers"] = "Authorization, Content-Type"
                more["access-control-max-age"] = "600"
        else:
            more["cross-origin-resource-policy"] = "same-origin"
        return [
            *headers,
            *((name.encode(), value.encode("latin-1", "replace")) for name, value in more.items()),
        ]

    def _write(
        self, scope: Scope, status: int, seconds: float, size: int, received: int, problem: str | None
    ) -> None:
        route = scope["path"] if scope["path"] in self._routes else "other"
        self._metrics.answered(route, status, seconds)
        client = scope.get("client")
        self._log(
            line(client, scope["method"], scope["path"], status, seconds, received, size, problem),
            status >= 400,
        )


def line(
    client: Any,
    method: str | None,
    path: str | None,
    status: int,
    seconds: float,
    received: int = 0,
    sent: int = 0,
    problem: str | None = None,
) -> str:
    """The line of a request in the log: one JSON object in ASCII, so that nothing controls a terminal.

    It has neither texts nor what follows a `?` in the address.
    """
    facts: dict[str, Any] = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "client": str(client[0]) if client else None,
        "method": None if method is None else method[:16],
        "path": None if path is None else path[:_LONGEST],
        "status": status,
        "milliseconds": round(seconds * 1000, 1),
        "received": received,
        "sent": sent,
    }
    if problem is not None:
        facts["problem"] = problem
    # DEL is the one control character that json.dumps leaves as it is
    return json.dumps(facts).replace("\x7f", "\\u007f")


def _refuse(error: Refusal | HTTPException) -> JSONResponse:
    if isinstance(error, Refusal):
        return JSONResponse({"error": str(error)}, error.status, error.headers)
    messages = {404: "there is no such page", 405: "this page does not take that method"}
    message = messages.get(error.status_code, str(error.detail))
    return JSONResponse({"error": message}, error.status_code, dict(error.headers or {}))
