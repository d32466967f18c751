"""The likelihood of reference outputs under a model: each is forced on it, given its source.

The memory for a text grows with its tokens times the vocabulary, and in a Transformer with the square of its
tokens. So a text with more tokens than an output can have is not forced.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from seq2attn.config import MOST_TOKENS
from seq2attn.data.tokenizer import Tokenizer
from seq2attn.inference.options import DEFAULTS, SearchOptions

_SURE_CHARACTERS = (
    MOST_TOKENS // 4
)  # no text of so many characters has more tokens: none has more than its bytes


class Likelihood(NamedTuple):
    """How likely a model finds the references, each given its source."""

    log_probability: float  # of all their tokens and end tokens, natural log
    tokens: int  # target subwords, an end token for each reference included
    references: int
    left_out: int  # that are blank or too long, or whose source is blank

    @property
    def cross_entropy(self) -> float:
        """Nats a target token."""
        return -self.log_probability / self.tokens if self.tokens else math.nan

    @property
    def perplexity(self) -> float:
        """exp(cross-entropy): a choice among so many equally likely tokens is as uncertain."""
        try:
            return math.exp(self.cross_entropy)
        except OverflowError:
            return math.inf


class Block(NamedTuple):
    """References that are forced together, each with its source."""

    sources: Sequence[Any]  # as the model's `score_targets` takes them
    references: Sequence[str]
    first: int  # number of the first source, which seeds what attention draws at random
    attention: bool = False  # whether `take` needs it


def force(
    model: Any,
    blocks: Iterable[Block],
    is_scored: Callable[[Any], bool],
    options: SearchOptions = DEFAULTS,
    *,
    take: Callable[[Block, Sequence[Any]], None] = lambda block, outputs: None,
) -> Likelihood:
    """The likelihood of all references under a Translator or Captioner.

    Outputs that are not `is_scored` are left out and counted. `take` gets the outputs of each block.
    Of the options, `seed` and `batch_tokens` have an effect.
    """
    log_probability, tokens, scored, count = 0.0, 0, 0, 0
    for block in blocks:
        outputs = model.score_targets(
            block.sources,
            within_bounds(block.references, model.target_tokenizer),
            batch_tokens=options.batch_tokens,
            attention=block.attention,
            seed=options.seed,
            first=block.first,
        )
        take(block, outputs)
        real = [output for output in outputs if is_scored(output)]
        log_probability += math.fsum(output.log_probability for output in real)
        tokens += sum(len(output.tokens) + 1 for output in real)
        scored += len(real)
        count += len(outputs)
    return Likelihood(log_probability, tokens, scored, count - scored)


def is_too_long(text: str, tokenizer: Tokenizer) -> bool:
    """Whether a text has more tokens than an output can have, which are MOST_TOKENS."""
    return len(text) > _SURE_CHARACTERS and len(tokenizer.encode(text)) > MOST_TOKENS


def within_bounds(texts: Sequence[str], tokenizer: Tokenizer) -> list[str]:
    """The texts, with an empty one in place of each that is too long."""
    return ["" if is_too_long(text, tokenizer) else text for text in texts]
