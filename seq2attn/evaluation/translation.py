"""A translator on a test set: its outputs, the likelihood of the references, and its word alignments."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from seq2attn.data.formats.text import is_blank
from seq2attn.evaluation import forced_decoding
from seq2attn.evaluation.alignment import Link
from seq2attn.evaluation.forced_decoding import Block, Likelihood
from seq2attn.inference.options import DEFAULTS, SearchOptions
from seq2attn.progress import Progress, silent

if TYPE_CHECKING:
    from seq2attn.inference import Translation

BLOCK = 512  # sentences between two reports of progress


def translate(
    translator: Any,
    sources: Sequence[Any],
    options: SearchOptions = DEFAULTS,
    *,
    first: int = 0,
    progress: Progress = silent,
) -> list[str]:
    """The best translation of each source as text on one line, by search or, with `utility`, of samples.

    Sources are what `translate` of the translator takes. `first` is the number of the first one, which seeds
    what is drawn for it.
    """
    options = replace(options, attention=False)
    outputs: list[str] = []
    for start in range(0, len(sources), BLOCK):
        progress(start, len(sources))
        ranked = translator.translate(sources[start : start + BLOCK], options, first=first + start)
        outputs += [" ".join(translations[0].text.split("\n")) for translations in ranked]
    progress(len(sources), len(sources))
    return outputs


class Forced(NamedTuple):
    """The result of forcing the references on a model."""

    likelihood: Likelihood
    links: list[set[Link]] | None  # of the first references, if `align` is set


def force(
    translator: Any,
    sources: Sequence[Any],
    references: Sequence[Sequence[str]],
    options: SearchOptions = DEFAULTS,
    *,
    align: bool = False,
    progress: Progress = silent,
) -> Forced:
    """Force every reference of each source on the model, in one pass.

    Returns the likelihood of all references and, with `align`, the links of each pair of the first set. A
    link joins each white-space word of the target to the source word with its largest weight. References are
    left out and counted if they are blank, if their source is blank, or if they have more tokens than an
    output can have: no model was trained on such a pair. Unknown tokens of a reference count as in training.
    Of the options, `seed` and `batch_tokens` have an effect.
    """
    links: list[set[Link]] = []
    total = len(sources) * len(references)

    def blocks() -> Iterator[Block]:
        for number, targets in enumerate(references):
            for start in range(0, len(sources), BLOCK):
                progress(number * len(sources) + start, total)
                rows = slice(start, start + BLOCK)
                yield Block(sources[rows], targets[rows], start, attention=align and number == 0)
        progress(total, total)

    def add_links(block: Block, translations: "Sequence[Translation]") -> None:
        if block.attention:
            links.extend(set(translation.alignment()) for translation in translations)

    def is_scored(translation: "Translation") -> bool:
        return not is_blank(translation.source) and not is_blank(translation.text)

    likelihood = forced_decoding.force(translator, blocks(), is_scored, options, take=add_links)
    return Forced(likelihood, links if align else None)
