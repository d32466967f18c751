"""Colours of drawings, and the colour map and the font that a caller names."""

from typing import NamedTuple

import matplotlib
from matplotlib.colors import Colormap, LinearSegmentedColormap

from seq2attn.errors import UsageError
from seq2attn.near import nearest
from seq2attn.plotting import fonts

COLOURS = LinearSegmentedColormap.from_list(
    "seq2attn", ["#f4f7fb", "#cfe1f2", "#8dbde0", "#3a87c2", "#12508f", "#08204a"]
)  # The lightness falls evenly, so that the map is legible in grey, too.
INK = "#1f2933"
SOFT = "#7b8794"  # colour of the end token and of notes
MARK = "#c2410c"  # colour of source words that were hardly read

__all__ = ["COLOURS", "Colormap", "Style"]

_EXAMPLES = "seq2attn, Blues, Greys, viridis or magma"


class Style(NamedTuple):
    """The colours of low to high weights, and the first font family."""

    colours: Colormap = COLOURS
    font: str = fonts.FIRST

    @classmethod
    def of(cls, colormap: str | Colormap | None = None, font: str | None = None) -> "Style":
        """The style with a colour map and a font by their names.

        `colormap` is a name that matplotlib knows, a colour map of matplotlib, or None for our own blue.
        `font` is the family of an installed font, or None for DejaVu Sans. Raises UsageError, which names
        similar ones, if there is none of that name.
        """
        colours = COLOURS if colormap is None else colormap
        return cls(
            colours if isinstance(colours, Colormap) else _colours(colours),
            fonts.FIRST if font is None else fonts.installed(font),
        )


def _colours(name: object) -> Colormap:
    if not isinstance(name, str):
        kind = type(name).__name__
        raise UsageError(f"colormap is of type {kind}: give a name or a Colormap", setting="colormap")
    if name.lower() == COLOURS.name:
        return COLOURS
    names = list(matplotlib.colormaps)
    spelling = {other.lower(): other for other in names} | {other: other for other in names}
    same = spelling.get(name) or spelling.get(name.lower())
    if same is None:
        near = nearest(name, names)
        hint = f"did you mean {' or '.join(near)}?" if near else f"matplotlib has many, such as {_EXAMPLES}"
        raise UsageError(f"colormap {name}: there is no colour map of this name; {hint}", setting="colormap")
    return matplotlib.colormaps[same]
