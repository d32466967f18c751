"""How a drawing looks, as the options of `plot-alignment` say it: title, size, colour map and font."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from seq2attn.errors import UsageError
from seq2attn.plotting import PAGES

if TYPE_CHECKING:
    from seq2attn.plotting.style import Style

_SIZE = re.compile(r"\s*(\d*\.?\d+)\s*(in|cm|mm)?\s*[x×*]\s*(\d*\.?\d+)\s*(in|cm|mm)?\s*", re.IGNORECASE)
_INCHES = {"in": 1.0, "cm": 1 / 2.54, "mm": 1 / 25.4}
_MIN_SIDE, _MAX_SIDE = 1.0, 60.0  # inches
_DPI = 160
_MAX_DOTS = 20_000  # dots of a side, at most


class Canvas(NamedTuple):
    """The title above a drawing and, for an image file, its size in inches, dots an inch, and its look."""

    title: str | None
    size: tuple[float, float] | None
    dpi: int | None
    colormap: str | None = None
    font: str | None = None

    @classmethod
    def parse(
        cls,
        title: str | None,
        size: str | None,
        dpi: int | None,
        colormap: str | None = None,
        font: str | None = None,
    ) -> Self:
        title = None if title is None else " ".join(title.split())
        if size is None:
            return cls(title, None, dpi, colormap, font)
        match = _SIZE.fullmatch(size)
        if match is None:
            raise UsageError(f"--size {size}: write WxH, in inches as 8x5, in centimetres as 20x12cm")
        second = match[4] or match[2] or "in"
        first = match[2] or second
        wide, high = float(match[1]) * _INCHES[first.lower()], float(match[3]) * _INCHES[second.lower()]
        if not (_MIN_SIDE <= wide <= _MAX_SIDE and _MIN_SIDE <= high <= _MAX_SIDE):
            raise UsageError(f"--size {size}: each side must be from {_MIN_SIDE:g} to {_MAX_SIDE:g} inches")
        dots = max(wide, high) * (dpi or _DPI)
        if dots > _MAX_DOTS:
            raise UsageError(f"--size {size} is {dots:,.0f} dots long, above {_MAX_DOTS:,}: lower --dpi")
        return cls(title, (wide, high), dpi, colormap, font)

    def check(self, output: Path | None, of_image: bool) -> None:
        """Raise UsageError if a drawing has no such property to choose."""
        given = {
            name: value
            for name in ("size", "dpi", "colormap", "font")
            if (value := getattr(self, name)) is not None
        }
        if given and (output is None or output.suffix.lower() in PAGES):
            raise UsageError(
                f"--{next(iter(given))} is for an image file: name one with -o, .png, .svg or .pdf"
            )
        if of_image and (option := next((name for name in ("size", "dpi") if name in given), None)):
            raise UsageError(
                f"--{option} is for texts: the drawing of an image has a size of its own; leave it out"
            )
        if self.dpi is not None and output is not None and output.suffix.lower() != ".png":
            raise UsageError(f"--dpi is for a .png: {output.suffix} has no dots; leave it out")

    def style(self) -> "Style | None":
        """The colour map and the font; None for our own. Raises UsageError if there is none of that name.

        It imports matplotlib only if one is given.
        """
        if self.colormap is None and self.font is None:
            return None
        from seq2attn.plotting.style import Style

        return Style.of(self.colormap, self.font)
