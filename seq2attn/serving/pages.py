"""The files of the explorer, read once and served from memory.

An address is looked up among their names. It never becomes a path, so there is nothing to trick.
"""

from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

FOLDER = Path(__file__).parents[1] / "explorer"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}
# Scripts of the page alone, no others and none in its text; styles also in its elements, as SVG needs them.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True)
class _File:
    content: bytes
    kind: str

    async def __call__(self, request: Request) -> Response:
        headers = {"content-type": self.kind, "content-security-policy": POLICY, "cache-control": "no-cache"}
        return Response(self.content, headers=headers)


def routes(folder: Path = FOLDER) -> list[Route]:
    """A route for each file of a type that a page may have, and `/` for its index.html."""
    files = {
        f"/{path.relative_to(folder).as_posix()}": _File(path.read_bytes(), TYPES[path.suffix])
        for path in sorted(folder.rglob("*"))
        if path.suffix in TYPES and path.is_file()
    }
    if "/index.html" in files:
        files = {"/": files["/index.html"], **files}
    return [Route(path, file.__call__) for path, file in files.items()]
