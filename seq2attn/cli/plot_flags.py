"""Which heads `plot-alignment` draws, and on what canvas: the options as they were given, and what makes no
sense of them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Self

from seq2attn.errors import UsageError
from seq2attn.plotting import PAGES

ALL = "all"
_SIZE = re.compile(r"\s*(\d*\.?\d+)\s*(in|cm|mm)?\s*[x×*]\s*(\d*\.?\d+)\s*(in|cm|mm)?\s*", re.IGNORECASE)
_INCHES = {"in": 1.0, "cm": 1 / 2.54, "mm": 1 / 25.4}
_LEAST, _MOST = 1.0, 60.0  # inches a side
_DPI = 160
_MOST_DOTS = 20_000  # a side


class Heads(NamedTuple):
    """A layer and a head, each a number from 1, "all" for one drawing of each, or None for the mean of all."""

    layer: int | str | None
    head: int | str | None

    @classmethod
    def parse(cls, layer: str | None, head: str | None) -> Self:
        return cls(_number("layer", layer), _number("head", head))

    @property
    def any(self) -> bool:
        return self.layer is not None or self.head is not None

    @property
    def every(self) -> bool:
        """Whether there may be several."""
        return ALL in (self.layer, self.head)

    def check(self, run: str, layers: int, heads: int) -> None:
        """Raise UsageError where the attention of `run` has no such layer or head."""
        for name, value, most in (("layer", self.layer, layers), ("head", self.head, heads)):
            if isinstance(value, int) and value > most:
                how_many = f"{most} {name}s, numbered from 1" if most > 1 else f"{most} {name} alone"
                raise UsageError(f"--{name} {value}: the attention of {run} has {how_many}")

    def refuse_all(self, what: str) -> None:
        if self.every:
            raise UsageError(f"--heads all is for texts; of {what} choose one at a time: --layer N --head N")

    def choose(self, predictor: Any) -> None:
        """Let a predictor give the weights of this layer and this head, where each is one or the mean."""
        if not self.every:
            predictor.layer, predictor.head = self.layer, self.head

    def chosen(self, layers: int, heads: int) -> list[tuple[int | None, int | None]]:
        """Each (layer, head) to draw: every head of every layer, where it is not said of which."""
        return [(layer, head) for layer in self._layers(layers) for head in _each(self.head, heads)]

    def _layers(self, layers: int) -> Iterator[int | None]:
        return _each(ALL if self.layer is None and self.head == ALL else self.layer, layers)

    @staticmethod
    def name(layer: int | str | None, head: int | str | None, layers: int, heads: int) -> str:
        """What stands above a drawing: nothing above the mean of all, nor above the only one."""
        if layer is None and head is None:
            return ""
        names = (("layer", layer, layers), ("head", head, heads))
        several = ((what, value, most) for what, value, most in names if most > 1)
        return ", ".join(
            f"mean of {most} {what}s" if value is None else f"{what} {value}" for what, value, most in several
        )


class Canvas(NamedTuple):
    """What stands above a drawing, and of a file its width and height in inches and its dots an inch."""

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
        if not (_LEAST <= wide <= _MOST and _LEAST <= high <= _MOST):
            raise UsageError(f"--size {size}: each side must be from {_LEAST:g} to {_MOST:g} inches")
        dots = max(wide, high) * (dpi or _DPI)
        if dots > _MOST_DOTS:
            raise UsageError(f"--size {size} is {dots:,.0f} dots long, above {_MOST_DOTS:,}: lower --dpi")
        return cls(title, (wide, high), dpi)

    def refuse(self, output: Path | None, image: bool) -> None:
        """Raise UsageError where a size makes no sense of what is drawn."""
        given = "--size" if self.size is not None else "--dpi" if self.dpi is not None else None
        if given is not None and (output is None or output.suffix.lower() in PAGES):
            raise UsageError(f"{given} is of an image file: name one with -o, .png, .svg or .pdf")
        if given is not None and image:
            raise UsageError(f"{given} is for texts: an image with its words has its own size; leave it out")
        if self.dpi is not None and output is not None and output.suffix.lower() != ".png":
            raise UsageError(f"--dpi is of a .png: {output.suffix} has no dots; leave it out")


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
