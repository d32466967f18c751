"""Which layers and heads of the attention a caller wants: numbers from 1, all of them, or their mean.

It computes nothing and imports little, so that the command line can check names before anything is loaded.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple, Self

from seq2attn.errors import UsageError

if TYPE_CHECKING:
    from seq2attn.inference.results import Caption

ALL = "all"


class Heads(NamedTuple):
    """A layer and a head. Each is a number from 1, "all" (a drawing of each) or None (the mean of all)."""

    layer: int | str | None
    head: int | str | None

    @classmethod
    def parse(cls, layer: int | str | None, head: int | str | None) -> Self:
        """The choice from numbers, or from text as a user types it. Raises UsageError for anything else."""
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
                raise UsageError(f"{name} {value}: the attention of {where} has {has}", setting=name)

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
        """Each (layer, head) to draw; all heads without a layer are those of every layer."""
        layer = ALL if self.layer is None and self.head == ALL else self.layer
        return [(one, head) for one in _each(layer, layers) for head in _each(self.head, heads)]


def select_head(caption: "Caption", heads: Heads, where: str) -> "tuple[Caption, str]":
    """The caption with the attention of one layer and one head, and the title of that drawing.

    Without a number, it is the mean over all layers or heads. If neither is chosen, or if the caption has no
    words, the caption stays as it is and the title is empty. Raises UsageError if there is no such layer or
    head, and if the caption has the mean alone.
    """
    if not heads.any or not caption.words:
        return caption, ""
    from seq2attn.inference.attention_weights import select_attention

    if caption.attention_heads is None:
        raise needs_heads(where, 'caption with attention="all"')
    layers, count, *_ = caption.attention_heads.shape
    heads.check(where, layers, count)
    [(layer, head)] = heads.expand(layers, count)
    return select_attention(caption, layer, head), head_title(layer, head, layers, count)


def needs_heads(where: str, way_out: str) -> UsageError:
    """The error for a layer or head of attention that is the mean alone; `way_out` keeps the heads."""
    return UsageError(
        f"{where}: holds the mean over layers and heads only: leave out `layer` and `head`, or {way_out}"
    )


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


def _number(name: str, value: int | str | None) -> int | str | None:
    if value is None:
        return None
    text = str(value)
    if text.strip().lower() == ALL:
        return ALL
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) > 0):
        raise UsageError(f"{name} {value}: give a number from 1, or all", setting=name)
    return int(text)


def _each(value: int | str | None, count: int) -> Iterator[int | None]:
    if value == ALL:
        yield from range(1, count + 1)
    else:
        assert not isinstance(value, str)
        yield value
