"""Keys without which the server computes nothing. They are compared in constant time."""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Any

from starlette.requests import Request

from seq2attn.serving.errors import Refusal


class Keys:
    """The keys that are accepted; without any, everybody is."""

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._digests = [_digest(key) for key in keys]

    def __bool__(self) -> bool:
        return bool(self._digests)

    def check(self, request: Request, fields: Mapping[str, Any] | None = None) -> None:
        """Raise Refusal unless the request has a key.

        It is in the header `Authorization: Bearer KEY` or, as in the LibreTranslate protocol, in the field
        `api_key` of the body.
        """
        if not self._digests:
            return
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        key = token.strip() if scheme.lower() == "bearer" else (fields or {}).get("api_key")
        if not isinstance(key, str) or not key:
            way = "send it as `api_key`, or in the header `Authorization: Bearer KEY`"
            raise Refusal(403, f"this server needs an API key: {way}")
        if not self._accepts(key):
            raise Refusal(403, "the API key is wrong")

    def _accepts(self, key: str) -> bool:
        digest = _digest(key)
        # no early end: the time must not tell which of the keys was almost right
        return sum(hmac.compare_digest(digest, one) for one in self._digests) > 0


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "replace")).digest()
