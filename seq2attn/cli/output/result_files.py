"""Where results go: to standard output at once, or to a file that replaces the old one at the end."""

import os
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from seq2attn import files
from seq2attn.cli import console
from seq2attn.cli.input import line_reader
from seq2attn.errors import UsageError, UserError


def check_place(path: Path | None, name: str) -> None:
    if path is not None and path.is_dir():
        raise UsageError(f"{name} {path}: a folder; name a file")
    if path is not None and not path.parent.is_dir():
        raise UserError(f"{name} {path}: there is no folder {path.parent}; make it first")


def _to_stdout(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        error.filename = "standard output"
        raise


def writer(stack: ExitStack, output: Path | None) -> Callable[[str], None]:
    if output is None:
        if sys.stdout is None:
            raise UserError("there is no standard output: name a file by -o")

        return _to_stdout
    file = stack.enter_context(
        files.replace_file(output, on_partial=lambda partial: _tell_lines(output, partial))
    )

    def keep(text: str) -> None:
        file.write(text.encode("utf-8"))
        file.flush()

    return keep


@contextmanager
def attention(path: Path) -> Iterator[IO[bytes]]:
    """A file for the attention weights of translations.

    If the work stops early, the weights up to then are in a partial file.
    """
    tell = _tell_archive if path.suffix == ".npz" else _tell_lines
    with files.replace_file(path, on_partial=lambda partial: tell(path, partial)) as file:
        yield file


def _tell_lines(path: Path, partial: Path) -> None:
    """Warn that there is a partial file, after its incomplete last line is cut off."""
    lines = whole = size = 0
    with partial.open("rb") as file:
        while block := file.read(1 << 20):
            lines += block.count(b"\n")
            whole = size + end + 1 if (end := block.rfind(b"\n")) >= 0 else whole
            size += len(block)
    if not lines:
        partial.unlink()
        return
    if whole < size:
        os.truncate(partial, whole)
    _tell(path, partial, f"{lines:,} line{'s' if lines > 1 else ''}")


def _tell_archive(path: Path, partial: Path) -> None:
    if not zipfile.is_zipfile(partial):  # cut off before the directory at its end
        partial.unlink()
        return
    with zipfile.ZipFile(partial) as archive:
        count = sum(name.endswith("/attention.npy") for name in archive.namelist())
    _tell(path, partial, f"the weights of {count:,} translation{'s' if count != 1 else ''}")


def _tell(path: Path, partial: Path, content: str) -> None:
    before = "is as it was" if path.exists() else "is not there"
    console.warn(f"{path}: not finished, so it {before}; what was finished is in {partial} ({content})")


def warn_of_fonts(unseen: Sequence[str], page: bool = True) -> None:
    """Warn of characters that no installed font has and of emoji, which fonts have only as coloured images.

    `page`: whether a page for the browser could be written instead.
    """
    if not unseen:
        return
    from seq2attn.plotting.fonts import is_emoji

    emoji, missing = [c for c in unseen if is_emoji(c)], [c for c in unseen if not is_emoji(c)]
    if missing:
        console.warn(
            f"no installed font has {_some(missing)}: the image names what it cannot draw; "
            "install a font for it (the Noto fonts have every script)"
            + (", or write .html, which the reader's browser draws" if page else "")
        )
    if emoji:
        are, them = ("are", "them") if len(emoji) > 1 else ("is", "it")
        ways = f"; .html shows {them}" if page else ""
        console.warn(
            f"colour emoji cannot be drawn in .png, .svg or .pdf: {_some(emoji)} {are} named instead{ways}"
        )


def _some(characters: Sequence[str]) -> str:
    return " ".join(characters[:10]) + (" ..." if len(characters) > 10 else "")


def shows_progress(inputs: list[str] | None, output: Path | None) -> bool:
    """Whether to show progress: not if a person types the inputs, or if results go to the same screen."""
    return (bool(inputs) or not line_reader.is_terminal()) and (
        output is not None or not (sys.stdout and sys.stdout.isatty())
    )


def check_folder(folder: Path | None, images: list[str]) -> None:
    """Raise UserError if overlays cannot be written to the folder, or could overwrite images."""
    if folder is None:
        return
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--attention {folder}: a file; name a folder")
    if not folder.absolute().parent.is_dir():
        raise UserError(f"--attention {folder}: there is no folder {folder.parent}; make it first")
    for image in images:
        if image != "-" and folder.resolve() in (
            Path(image).resolve(),
            Path(image).absolute().parent.resolve(),
        ):
            raise UsageError(
                f"--attention {folder}: there are images in it that could be overwritten; name another folder"
            )
