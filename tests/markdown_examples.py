"""The Markdown of the project: its pages, their sections and blocks, and the commands in them."""

import re
import shlex
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in [*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.md"))]
}
README = PAGES["README.md"]


def sections(page: str) -> dict[str, str]:
    """The text under each `## ` heading."""
    return dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))


def blocks(page: str, language: str) -> list[str]:
    """The blocks of a language. A line that goes on in the next is one line."""
    return [
        block.strip("\n").replace(" \\\n", " ")
        # all blocks, so that the end of one is not taken for the beginning of another
        for name, block in re.findall(r"^```([^`\n]*)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
        if re.fullmatch(language, name)
    ]


def printed_blocks(page: str) -> Iterator[tuple[str, str | None]]:
    """Each block of Python, with the `text` block under it: what it prints."""
    pattern = r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?"
    for match in re.finditer(pattern, page, re.MULTILINE | re.DOTALL):
        yield match[1], match[2]


def pipelines(page: str) -> list[str]:
    """The lines of its sh blocks that run here: none that install or download, or need a missing package."""
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    unable = ["venv", "curl", *(["seq2attn export"] if find_spec("ctranslate2") is None else [])]
    return [line for line in lines if not any(word in line for word in unable)]


def stages(line: str) -> list[list[str]]:
    """The words of each command of a pipeline."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;")
    lexer.whitespace_split = True
    commands: list[list[str]] = [[]]
    for word in lexer:
        if set(word) <= set("|&;"):
            commands.append([])
        else:
            commands[-1].append(word)
    return commands


def calls(page: str) -> Iterator[list[str]]:
    """The arguments of every `seq2attn` in blocks and code spans, if no word is a placeholder."""
    spans = re.findall(r"`([^`\n]+)`", page)
    lines = [line for block in blocks(page, "(?:sh)?") for line in block.splitlines()]
    for line in [*lines, *spans]:
        if re.search(r"\b[A-Z]{3,}\b|\.\.\.|\[|\{", line) or "seq2attn" not in line:
            continue
        for words in stages(line):
            if len(words) > 1 and Path(words[0]).name == "seq2attn":
                yield words[1:]
