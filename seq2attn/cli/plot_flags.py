"""Options of drawings: the layers and heads to draw, for `plot-alignment` and `caption`, and the size."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from seq2attn.errors import UsageError
from seq2attn.plotting import PAGES

if TYPE_CHECKING:
    from seq2attn.inference import Caption

ALL = "all"
_SIZE = re.compile(r"\s*(\d*\.?\d+)\s*(in|cm|mm)?\s*[x×*]\s*(\d*\.?\d+)\s*(in|cm|mm)?\s*", re.IGNORECASE)
_INCHES = {"in": 1.0, "cm": 1 / 2.54, "mm": 1 / 25.4}
_MIN_SIDE, _MAX_SIDE = 1.0, 60.0  # inches
_DPI = 160
_MAX_DOTS = 20_000  # dots of a side, at most


class Heads(NamedTuple):
    """A layer and a head. Each is a number from 1, "all" (a drawing of each) or None (the mean of all)."""

    layer: int | str | None
    head: int | str | None

    @classmethod
    def parse(cls, layer: str | None, head: str | None) -> Self:
        return cls(_number("layer", layer), _number("head", head))

    @property
    def any(self) -> bool:
        return self.layer is not None or self.head is not None

    @property
    def several(self) -> bool:
        """Whether there may be several drawings."""
        return ALL in (self.layer, self.head)

    def check(self, where: str, layers: int, heads: int) -> None:
        """Raise UsageError if the attention of `where`, a run or a file, has no such layer or head."""
        for name, value, count in (("layer", self.layer, layers), ("head", self.head, heads)):
            if isinstance(value, int) and value > count:
                has = f"{count} {name}s, numbered from 1" if count > 1 else f"only one {name}"
                raise UsageError(f"--{name} {value}: the attention of {where} has {has}")

    def check_run(self, run: str) -> None:
        """Raise UsageError if a run has no such layer or head.

        It also raises UsageError if the members of an ensemble differ in their numbers of layers or heads. It
        loads no weights.
        """
        from seq2attn.inference import run_paths
        from seq2attn.runs.directory import open_run

        models = {path: open_run(path).config.model for path in run_paths(run)}
        counts = {path: (model.attention_layers, model.attention.heads) for path, model in models.items()}
        for path, count in counts.items():
            self.check(path, *count)
        if len(set(counts.values())) > 1:
            raise UsageError(
                f"{run}: the members have different numbers of layers or heads: draw the heads of one run"
            )

    def expand(self, layers: int, heads: int) -> list[tuple[int | None, int | None]]:
        """Each (layer, head) to draw; --head all without --layer draws every head of every layer."""
        layer = ALL if self.layer is None and self.head == ALL else self.layer
        return [(one, head) for one in _each(layer, layers) for head in _each(self.head, heads)]


def select_head(caption: "Caption", heads: Heads, where: str) -> "tuple[Caption, str]":
    """The caption with the attention of one layer and one head, and the title of that drawing.

    Without a number, it is the mean over all layers or heads. The caption needs the attention of all heads.
    If neither is chosen, or if the caption has no words, the caption stays as it is and the title is empty.
    Raises UsageError if there is no such layer or head.
    """
    if not heads.any or not caption.words:
        return caption, ""
    from seq2attn.inference.attention_weights import select_attention

    assert caption.attention_heads is not None
    layers, count, *_ = caption.attention_heads.shape
    heads.check(where, layers, count)
    [(layer, head)] = heads.expand(layers, count)
    return select_attention(caption, layer, head), head_title(layer, head, layers, count)


def head_title(layer: int | None, head: int | None, layers: int, heads: int) -> str:
    """The title of a drawing; empty for the mean of all and for the only head."""
    if layer is None and head is None:
        return ""
    parts = (("layer", layer, layers), ("head", head, heads))
    return ", ".join(
        f"mean of {count} {name}s" if value is None else f"{name} {value}"
        for name, value, count in parts
        if count > 1
    )


class Canvas(NamedTuple):
    """The title above a drawing and, for an image file, width and height in inches and dots an inch."""

    title: str | None
    size: tuple[float, float] | None
    dpi: int | None

    @classmethod
    def parse(cls, title: str | None, size: str | None, dpi: int | None) -> Self:
        title = None if title is None else " ".join(title.split())
        if size is None:
            return cls(title, None, dpi)
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
        return cls(title, (wide, high), dpi)

    def check(self, output: Path | None, of_image: bool) -> None:
        """Raise UsageError if a size or dots an inch are given for a drawing that has none to choose."""
        option = "--size" if self.size is not None else "--dpi" if self.dpi is not None else None
        if option is not None and (output is None or output.suffix.lower() in PAGES):
            raise UsageError(f"{option} is for an image file: name one with -o, .png, .svg or .pdf")
        if option is not None and of_image:
            raise UsageError(
                f"{option} is for texts: the drawing of an image has a size of its own; leave it out"
            )
        if self.dpi is not None and output is not None and output.suffix.lower() != ".png":
            raise UsageError(f"--dpi is for a .png: {output.suffix} has no dots; leave it out")


def _number(name: str, value: str | None) -> int | str | None:
    if value is None:
        return None
    if value.strip().lower() == ALL:
        return ALL
    if not (value.isascii() and value.isdecimal() and len(value) < 10 and int(value) > 0):
        raise UsageError(f"--{name} {value}: give a number from 1, or all")
    return int(value)


def _each(value: int | str | None, count: int) -> Iterator[int | None]:
    if value == ALL:
        yield from range(1, count + 1)
    else:
        assert not isinstance(value, str)
        yield value
