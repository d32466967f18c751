"""What inference returns: `Translation` and `Caption`, with the text and the attention of a hypothesis.

Probabilities are natural logs. Attention is None if the model has none or the caller did not ask for it.
Shapes: T target words, U target subwords, S source words (or positions of an image), R source subwords, L
decoder layers with attention, H heads of each. The weights of a target word are the mean over its subwords;
a source word gets the sum over its subwords.
"""

from dataclasses import dataclass, field

from numpy import float32
from numpy.typing import NDArray

Weights = NDArray[float32]


@dataclass(frozen=True)
class Translation:
    """A translation of one text."""

    source: str
    text: str
    score: float  # log_probability / length ** length_penalty; with a utility, the mean utility
    log_probability: float  # of all tokens and the end token
    tokens: list[int] = field(default_factory=list)  # of the target, without BOS and EOS
    source_subwords: list[str] = field(default_factory=list)
    target_subwords: list[str] = field(default_factory=list)
    # (U+1, R+1), the mean over layers and heads; the end tokens come last
    subword_attention: Weights | None = field(default=None, compare=False)
    source_words: list[str] = field(default_factory=list)  # white-space words of the raw source
    target_words: list[str] = field(default_factory=list)
    attention: Weights | None = field(default=None, compare=False)  # (T, S), the mean over layers and heads
    finished: bool = True  # False: cut at the maximum length
    # source tokens beyond the limit, which the model did not read; at least so many, if the text was also
    # cut at MAX_CHARACTERS
    truncated_tokens: int = 0
    unforced: int = 0  # tokens of the prefix that were dropped because they exceed the longest output
    # (L, H, T, S) and (L, H, U+1, R+1): with attention="all"
    attention_heads: Weights | None = field(default=None, compare=False)
    subword_attention_heads: Weights | None = field(default=None, compare=False)

    def alignment(self) -> list[tuple[int, int]]:
        """(source word, target word), counted from 0, in target order.

        Each target word has the source word with the largest weight, or none if all its weights are 0.
        """
        if self.attention is None or self.attention.size == 0:
            return []
        best, weight = self.attention.argmax(1), self.attention.max(1)
        return [(int(source), target) for target, source in enumerate(best) if weight[target] > 0]


@dataclass(frozen=True)
class Caption:
    """A caption of one image or clip."""

    text: str
    score: float  # log_probability / length ** length_penalty; with a utility, the mean utility
    log_probability: float  # of all tokens and the end token
    tokens: list[int] = field(default_factory=list)  # without BOS and EOS
    subwords: list[str] = field(default_factory=list)
    # (U+1, S), the mean over layers and heads; the end token comes last
    subword_attention: Weights | None = field(default=None, compare=False)
    words: list[str] = field(default_factory=list)  # white-space words of the text
    attention: Weights | None = field(default=None, compare=False)  # (T, S), the mean over layers and heads
    # rows and columns of the S positions, row by row; None: the positions are the frames of a clip
    grid: tuple[int, int] | None = None
    finished: bool = True  # False: cut at the maximum length
    # (L, H, T, S) and (L, H, U+1, S): with attention="all"
    attention_heads: Weights | None = field(default=None, compare=False)
    subword_attention_heads: Weights | None = field(default=None, compare=False)
