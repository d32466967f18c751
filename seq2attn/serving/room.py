"""The memory that the bodies of all requests together may take, from their first byte until the answer.

It is an ASGI application around another one. A body that finds no room is refused, and the client may try
again: thousands of bodies, each within its own bound, would not fit into memory.
"""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from seq2attn.serving.errors import Refusal


class Room:
    """The application with its bound."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        """`most`: bytes of all bodies together."""
        self._app, self._most = app, most
        self.size = 0  # bytes of all bodies now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        own = 0

        async def bounded() -> Message:
            nonlocal own
            message = await receive()
            count = len(message.get("body", b""))
            if self.size + count > self._most:
                busy = "too many bodies are received at once: try again in 5 seconds"
                raise Refusal(503, busy, {"Retry-After": "5"})
            own, self.size = own + count, self.size + count
            return message

        try:
            await self._app(scope, bounded, send)
        finally:
            self.size -= own
