"""What a model makes of a test set: its translations, and the word alignments that its attention implies.

Knows a Translator by what it does, and no file.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from seq2attn.evaluation.alignment import Link

if TYPE_CHECKING:
    from seq2attn.inference import Translator

BLOCK = 512  # sentences between two signs of progress

Progress = Callable[[int, int], None]  # done, total


def translate(
    translator: "Translator",
    sources: Sequence[str],
    *,
    beam: int | None = None,
    length_penalty: float | None = None,
    batch_tokens: int | None = None,
    seed: int = 1,
    progress: Progress = lambda done, total: None,
) -> list[str]:
    """The best translation of each source, as text on one line. What is None is as the run's own search settings say."""
    outputs: list[str] = []
    for start in range(0, len(sources), BLOCK):
        progress(start, len(sources))
        some = sources[start : start + BLOCK]
        found = translator.translate(some, beam=beam, length_penalty=length_penalty, batch_tokens=batch_tokens, attention=False, seed=seed, first=start)
        outputs += [" ".join(translations[0].text.split("\n")) for translations in found]
    progress(len(sources), len(sources))
    return outputs


def align(
    translator: "Translator",
    sources: Sequence[str],
    targets: Sequence[str],
    *,
    batch_tokens: int | None = None,
    seed: int = 1,
    progress: Progress = lambda done, total: None,
) -> list[set[Link]]:
    """For each pair the links of every target word to the source word of largest weight, the target being forced on the model: words as white space parts them."""
    links: list[set[Link]] = []
    for start in range(0, len(sources), BLOCK):
        progress(start, len(sources))
        forced = translator.force(sources[start : start + BLOCK], targets[start : start + BLOCK], batch_tokens=batch_tokens, seed=seed, first=start)
        links += [set(translation.alignment()) for translation in forced]
    progress(len(sources), len(sources))
    return links
