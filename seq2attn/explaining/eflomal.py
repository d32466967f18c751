"""Word links by eflomal (Östling and Tiedemann 2016), a statistical aligner that learns from the pairs alone.

It aligns both directions, and their links are symmetrised by grow-diag-final-and. It draws at random, so two
calls differ in a few links. eflomal is a package of its own, which the extra `align` installs.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from seq2attn.data.formats.pharaoh import parse
from seq2attn.errors import UserError
from seq2attn.explaining.aligner import pharaoh
from seq2attn.explaining.symmetrise import symmetrise
from seq2attn.progress import Progress

INSTALL = "install it with `pip install 'seq2attn[align]'` or `pip install 'eflomal>=2,<3'`"


def refuse_missing() -> None:
    """Raise UserError if eflomal is not installed."""
    try:
        import eflomal  # noqa: F401
    except ImportError as error:
        if (error.name or "eflomal").split(".")[0] != "eflomal":
            raise
        raise UserError(f"align needs the package eflomal ({error}); {INSTALL}", setting="align") from None


def link(pairs: Callable[[], Iterator[tuple[str, str]]], folder: Path, progress: Progress) -> Iterator[str]:
    """A line of links for each pair, which `pairs()` gives once or more. Temporary files go to `folder`.

    Words are those between white space, in lower case. Raises UserError if eflomal fails.
    """
    import eflomal

    progress(0, None)
    paths = folder / "forward.links", folder / "reverse.links"
    try:
        eflomal.Aligner().align(
            (_words(source) for source, _ in pairs()),
            (_words(target) for _, target in pairs()),
            links_filename_fwd=str(paths[0]),
            links_filename_rev=str(paths[1]),
        )
    except Exception as error:  # noqa: BLE001 (it starts a program, which may end in any way)
        raise UserError(
            f"eflomal failed: {' '.join(str(error).split())[:200] or type(error).__name__}"
        ) from None
    # both files have links of source and target words
    with paths[0].open(encoding="ascii") as forward, paths[1].open(encoding="ascii") as reverse:
        for number, (one, other) in enumerate(zip(forward, reverse, strict=True)):
            if number % 1000 == 0:
                progress(number, None)
            yield pharaoh(symmetrise(parse(one).sure, parse(other).sure, "grow-diag-final-and"))


def _words(text: str) -> str:
    return " ".join(text.split()) + "\n"
