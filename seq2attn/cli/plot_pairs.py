"""A pair of a prepared folder of texts to draw, with its gold links."""

from typing import TYPE_CHECKING, NamedTuple

from seq2attn.cli.plot_images import ImageOptions
from seq2attn.errors import UsageError

if TYPE_CHECKING:
    from seq2attn.data.formats.pharaoh import Links


class PreparedPair(NamedTuple):
    """A source, its target, whether that is forced on the model, and the gold links between their words."""

    source: str
    target: str
    is_forced: bool
    links: "Links | None"


def of_data(options: ImageOptions) -> PreparedPair | None:
    """The pair that --data, --split and --number name; None without --data, and for a folder of images.

    Raises UsageError for a number that the split or the pair does not have, UserError for a folder that
    cannot be read.
    """
    if options.data is None:
        return None
    from seq2attn.data.formats import pharaoh
    from seq2attn.data.prepared import Prepared

    prepared = Prepared(options.data)
    if not prepared.modality.has_vocabulary:
        return None
    name, number = options.split or "test", options.number or 1
    split = prepared.split(name)
    if number > len(split):
        raise UsageError(f"--number {number}: {name} of {options.data} has {len(split):,} pairs")
    if options.reference not in (None, 1):
        raise UsageError(f"--reference {options.reference}: a pair of texts has one target")
    [source], [target] = split.texts(number - 1, number)
    where = f"{options.data}, {name} {number}"
    links = None if split.gold is None else pharaoh.parse(split.gold[number - 1], where=where)
    return PreparedPair(source, target, options.reference is not None, links)
