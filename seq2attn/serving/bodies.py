"""The body of a request: read as a stream within a bound of bytes and of time, then parsed as JSON or a form.

Nothing is stored beyond the bound, and nothing of a body that announces more is read.
"""

import asyncio
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request

from seq2attn import strict_json
from seq2attn.serving.errors import ClientLeft, Refusal

MOST_FIELDS = 300  # of a form


async def read(request: Request, most: int, seconds: float) -> bytes:
    """The whole body. Raises Refusal if it has more than `most` bytes, or takes longer than that."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and (len(length) > 18 or int(length) > most):
        raise _too_large(most)
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                if len(body) + len(chunk) > most:
                    raise _too_large(most)
                body += chunk
    except TimeoutError:
        raise Refusal(408, f"the body did not come within {seconds:g} seconds") from None
    except ClientDisconnect:
        raise ClientLeft from None
    request.state.received = len(body)
    return bytes(body)


async def fields(request: Request, most: int, seconds: float) -> dict[str, Any]:
    """The fields of a JSON object or of a form. A name that a form repeats has the list of its values."""
    kind = media_type(request)
    if kind not in ("application/json", "application/x-www-form-urlencoded"):
        raise Refusal(
            415, "Content-Type: send application/json, or a form (application/x-www-form-urlencoded)"
        )
    body = await read(request, most, seconds)
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise Refusal(400, "the body is not UTF-8") from None
    return _of_json(text) if kind == "application/json" else _of_form(text)


def media_type(request: Request) -> str:
    """The type of the body, in lower case and without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _of_json(text: str) -> dict[str, Any]:
    try:
        value = strict_json.parse(text)
    except ValueError:
        raise Refusal(400, "the body is not JSON, or is nested too deep") from None
    if not isinstance(value, dict):
        raise Refusal(400, 'the body is not a JSON object, as {"q": "..."} is')
    return value


def _of_form(text: str) -> dict[str, Any]:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        raise Refusal(400, f"the form has more than {MOST_FIELDS} fields") from None
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return {name: every[0] if len(every) == 1 else every for name, every in values.items()}


def _too_large(most: int) -> Refusal:
    return Refusal(413, f"the body has more than {most:,} bytes")
