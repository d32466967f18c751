"""Where results go: standard output as they come, or a file that takes its place when all is done. Knows nothing of what is written."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from seq2attn.cli import console, stream
from seq2attn.errors import UsageError, UserError


def refuse_place(path: Path | None, name: str) -> None:
    if path is not None and path.is_dir():
        raise UsageError(f"{name} {path}: a folder; name a file")
    if path is not None and not path.parent.is_dir():
        raise UserError(f"{name} {path}: there is no folder {path.parent}; make it first")


def writer(stack: ExitStack, output: Path | None) -> Callable[[str], None]:
    if output is None:
        if sys.stdout is None:
            raise UserError("there is no standard output: name a file by -o")

        def write(text: str) -> None:
            sys.stdout.write(text)
            sys.stdout.flush()

        return write
    file = stack.enter_context(beside(output))

    def keep(text: str) -> None:
        file.write(text.encode("utf-8"))
        file.flush()

    return keep


@contextmanager
def beside(path: Path) -> Iterator[IO[bytes]]:
    """A file to write that takes its place when all is done, or when the work is stopped: what is finished is kept, and what stood there where nothing is."""
    if path.exists() and not path.is_file():  # a device or a pipe
        with path.open("wb") as file:
            yield file
        return
    new = path.with_name(path.name + ".new")
    done = False
    with new.open("wb") as file:
        try:
            yield file
            done = True
        finally:
            if done or file.tell():
                file.flush()
                os.replace(new, path)
            else:
                new.unlink()


def warn_of_fonts(unseen: Sequence[str], page: bool = True) -> None:
    """A line on characters that no installed font has, if any, and one on emoji among them, which are in fonts as coloured pictures; `page`: whether a page
    for the browser could be written instead."""
    if not unseen:
        return
    from seq2attn.plotting.fonts import is_emoji

    emoji, missing = [c for c in unseen if is_emoji(c)], [c for c in unseen if not is_emoji(c)]
    if missing:
        console.warn(
            f"no installed font has {_some(missing)}: the picture names what it cannot draw; install a font for it "
            "(the Noto fonts have every script)" + (", or write .html, which the reader's browser draws" if page else "")
        )
    if emoji:
        are, them = ("are", "them") if len(emoji) > 1 else ("is", "it")
        ways = f"; .html shows {them}" if page else ""
        console.warn(f"colour emoji cannot be drawn in .png, .svg or .pdf: {_some(emoji)} {are} named instead{ways}")


def _some(characters: Sequence[str]) -> str:
    return " ".join(characters[:10]) + (" ..." if len(characters) > 10 else "")


def shows_progress(inputs: list[str] | None, output: Path | None) -> bool:
    """Not where a person types them, nor where results come to the same screen."""
    return (bool(inputs) or not stream.is_terminal()) and (output is not None or not (sys.stdout and sys.stdout.isatty()))
