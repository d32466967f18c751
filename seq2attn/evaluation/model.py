"""What a model makes of a test set: its translations, how likely it finds the references, and the word
alignments that its attention implies.

Knows a Translator by what it does, and no file.
"""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypedDict, Unpack

from seq2attn.data.formats.text import is_blank
from seq2attn.evaluation.alignment import Link
from seq2attn.evaluation.forcing import within_bounds
from seq2attn.search.mbr import Utility

if TYPE_CHECKING:
    from seq2attn.inference import Translator

BLOCK = 512  # sentences between two signs of progress

Progress = Callable[[int, int], None]  # done, total


class Search(TypedDict, total=False):
    """Options of a search. What is left out or None is as the run's own search settings say."""

    beam: int | None
    length_penalty: float | None
    no_repeat_ngram: int | None
    utility: Utility | None  # with one, outputs are chosen among `samples`
    samples: int | None
    batch_tokens: int | None


def translate(
    translator: "Translator",
    sources: Sequence[str],
    *,
    seed: int = 1,
    progress: Progress = lambda done, total: None,
    **search: Unpack[Search],
) -> list[str]:
    """The best translation of each source, as text on one line, by search or, with a `utility`, among
    samples.
    """
    outputs: list[str] = []
    for start in range(0, len(sources), BLOCK):
        progress(start, len(sources))
        found = translator.translate(
            sources[start : start + BLOCK], attention=False, seed=seed, first=start, **search
        )
        outputs += [" ".join(translations[0].text.split("\n")) for translations in found]
    progress(len(sources), len(sources))
    return outputs


class Likelihood(NamedTuple):
    """How likely a model finds the references, each given its source."""

    log_probability: float  # of all their tokens and end tokens, natural log
    tokens: int  # target pieces, an end token for each reference included
    references: int
    left_out: int  # that are blank or too long, or whose source is blank

    @property
    def cross_entropy(self) -> float:
        """Nats a target token."""
        return -self.log_probability / self.tokens if self.tokens else math.nan

    @property
    def perplexity(self) -> float:
        """exp(cross-entropy): how many equally likely tokens leave one as unsure."""
        try:
            return math.exp(self.cross_entropy)
        except OverflowError:
            return math.inf


class Forced(NamedTuple):
    """What came of forcing the references on a model."""

    likelihood: Likelihood
    links: list[set[Link]] | None  # of the first references, where they were asked for


def force(
    translator: "Translator",
    sources: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    align: bool = False,
    batch_tokens: int | None = None,
    seed: int = 1,
    progress: Progress = lambda done, total: None,
) -> Forced:
    """Every reference of each source forced on the model, in one pass: how likely all are, and, with `align`,
    for each pair of the first set the links of every
    target word to the source word of largest weight, words as white space parts them.

    What is blank has no translation to be likely, for the model never saw such a pair: those references are
    left out and counted, as are
    those of more tokens than an output can have. One that the tokenizer knows in part only is scored with its
    unknown pieces, as in training.
    """
    log_p, tokens, scored, links = 0.0, 0, 0, []
    total = len(sources) * len(references)
    for number, targets in enumerate(references):
        for start in range(0, len(sources), BLOCK):
            progress(number * len(sources) + start, total)
            some = sources[start : start + BLOCK]
            theirs = within_bounds(targets[start : start + BLOCK], translator.target_tokenizer)
            shown = align and number == 0
            found = translator.score_targets(
                some, theirs, batch_tokens=batch_tokens, attention=shown, seed=seed, first=start
            )
            links += [set(translation.alignment()) for translation in found if shown]
            real = [t for t in found if not is_blank(t.source) and not is_blank(t.text)]
            log_p += math.fsum(translation.log_probability for translation in real)
            tokens += sum(len(translation.tokens) + 1 for translation in real)
            scored += len(real)
    progress(total, total)
    return Forced(Likelihood(log_p, tokens, scored, total - scored), links if align else None)
