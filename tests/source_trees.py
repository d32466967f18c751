"""The package's files as syntax trees, and what they import: what the tests of its structure share."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "seq2attn"
FILES = sorted(PACKAGE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}


def place(path: Path) -> str:
    """attention/scores.py, the path within the package."""
    return path.relative_to(PACKAGE).as_posix()


def part(path: Path) -> str:
    """The folder or file at the top of the package that a file belongs to: "attention", "errors"."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def line_of(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def imports(tree: ast.AST, path: Path) -> Iterator[tuple[str, int]]:
    """Absolute names of everything a file imports, wherever in the file, with the line."""
    package = ("seq2attn", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(name for name in (start, node.module or "") if name)
            yield from ((f"{module}.{alias.name}", node.lineno) for alias in node.names)
