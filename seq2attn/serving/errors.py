"""What the server answers in place of a result: a status and one line, as {"error": "..."}.

The line names the field of the request and the way out. It never repeats a text of the user at length.
"""

from collections.abc import Mapping

from seq2attn.errors import UsageError, UserError


class Refusal(Exception):
    """A request that is not answered as it asks: its status, its line, and headers beside it."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})


class ClientLeft(Exception):
    """The client has closed the connection: nobody reads an answer."""


def refusal_of(error: UserError, status: int = 500) -> Refusal:
    """An error of the library: 400 if the request makes no sense, otherwise `status`."""
    return Refusal(400 if isinstance(error, UsageError) else status, " ".join(str(error).split()))


def short(value: object) -> str:
    """A value of a request for a message: printable ASCII, at most 40 characters."""
    text = ascii(value)
    return text if len(text) <= 40 else f"{text[:36]}...'"
