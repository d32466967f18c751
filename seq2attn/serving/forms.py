"""The fields of a form: of `application/x-www-form-urlencoded`, and of `multipart/form-data` (RFC 7578).

Browsers send the latter for `FormData`. The body is in memory already, within a bound. Files are refused.
"""

import re
from collections.abc import Iterable
from urllib.parse import parse_qsl

URL_ENCODED, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"
MOST_FIELDS = 300
_BOUNDARY = re.compile(r";\s*boundary=(?:\"([^\"]{1,70})\"|([^\s;\"]{1,70}))", re.ASCII | re.IGNORECASE)
_DISPOSITION = re.compile(r"(?im)^content-disposition:[ \t]*form-data[ \t]*;(.*)$")
_NAME = re.compile(r"(?i)(?:^|;)[ \t]*name=(?:\"([^\"]*)\"|([^\s;\"]+))")
_FILE = re.compile(r"(?i)(?:^|;)[ \t]*filename\*?=")


def url_encoded(text: str) -> list[tuple[str, str]]:
    """Name and value of each field. Raises ValueError for too many."""
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        raise _too_many() from None


def multipart(body: bytes, content_type: str) -> list[tuple[str, str]]:
    """Name and value of each field. Raises ValueError, in one line, for what is no such form."""
    match = _BOUNDARY.search(content_type)
    if match is None:
        raise ValueError("Content-Type: the form has no boundary")
    line = b"\r\n--" + (match[1] or match[2]).encode("ascii")
    _, *parts = (b"\r\n" + body).split(line, MOST_FIELDS + 1)
    if len(parts) > MOST_FIELDS:
        raise _too_many()
    if not parts or not parts[-1].startswith(b"--"):
        raise ValueError("the form has no end: its last line must be its boundary and --")
    return list(map(_field, parts[:-1]))


def by_name(pairs: Iterable[tuple[str, str]]) -> dict[str, str | list[str]]:
    """The value of each name; a name that the form repeats has the list of its values.

    Browsers write a line break as two characters. They become one again, as in a text of JSON.
    """
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value.replace("\r\n", "\n"))
    return {name: every[0] if len(every) == 1 else every for name, every in values.items()}


def _field(part: bytes) -> tuple[str, str]:
    head, empty, value = part.partition(b"\r\n\r\n")
    try:
        disposition = _DISPOSITION.search(head.decode("utf-8").replace("\r\n", "\n"))
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("the form is not UTF-8") from None
    name = None if disposition is None else _NAME.search(disposition[1])
    if not empty or disposition is None or name is None:
        raise ValueError("a field of the form has no name")
    if _FILE.search(disposition[1]):
        raise ValueError("the form has a file, and no address takes one: leave it out")
    return name[1] if name[1] is not None else name[2], text


def _too_many() -> ValueError:
    return ValueError(f"the form has more than {MOST_FIELDS} fields")
