"""The body of a request: read as a stream within a bound of bytes and of time, then parsed as JSON or a form.

Nothing is stored beyond the bound, and nothing of a body that announces more is read.
"""

import asyncio
from typing import Any

from starlette.requests import ClientDisconnect, Request

from seq2attn import strict_json
from seq2attn.serving import forms
from seq2attn.serving.errors import ClientLeft, Refusal

JSON = "application/json"


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
    """The fields of a JSON object or of a form. A name that a form repeats has the list of its values.

    A form, and a request without a body, may also have fields in the address, behind the `?`.
    """
    kind = media_type(request)
    if not kind and _has_no_body(request):
        kind = forms.URL_ENCODED
    if kind not in (JSON, forms.URL_ENCODED, forms.MULTIPART):
        raise Refusal(415, f"Content-Type: send {JSON}, or a form ({forms.URL_ENCODED} or {forms.MULTIPART})")
    body = await read(request, most, seconds)
    if kind == JSON:
        return _of_json(_text(body))
    try:
        in_address = forms.by_name(forms.url_encoded(request.url.query))
        if kind == forms.MULTIPART:
            pairs = forms.multipart(body, request.headers["content-type"])
        else:
            pairs = forms.url_encoded(_text(body))
    except ValueError as error:
        raise Refusal(400, str(error)) from None
    return in_address | forms.by_name(pairs)


def _has_no_body(request: Request) -> bool:
    headers = request.headers
    return headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        raise Refusal(400, "the body is not UTF-8") from None


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


def _too_large(most: int) -> Refusal:
    return Refusal(413, f"the body has more than {most:,} bytes")
