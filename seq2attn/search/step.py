"""What every search shares: the step function that it calls, and the hypotheses that it returns.

A step is any function from the last tokens and a state to logits; search knows no model. The states of our
decoders, and how their rows are selected, are in `models/state.py`; the cache of a Transformer is in
`models/layers/kv_cache.py`.

Shape suffixes: B sentences of the batch, W rows of a sentence (its beam or its samples), R = B * W rows, N
tokens of the vocabulary, T tokens of an output, L decoder layers with attention, H heads, S source positions.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from torch import Tensor

State = TypeVar("State")

Step = Callable[[Tensor, State], tuple[Tensor, State, Tensor | None]]
"""(token_R, state) -> (logits_RN, state, weights_RLHS or None). The softmax of a row of logits is the
distribution of the row's next token.
"""

Select = Callable[[State, Tensor], State]
"""(state, index_R) -> the state of the rows `index_R`, in that order.

Row r is number r % W of sentence r // W. The rows of a sentence stay together, and the sentences stay in
order. When finished sentences leave the search, the index has fewer rows than the state, and what a step
reads of each sentence must be selected too.
"""


class Hypothesis(NamedTuple):
    """One output of a search, with its score and its attention."""

    tokens: list[int]  # without BOS and EOS
    score: float  # log_probability / length ** length_penalty; the length counts EOS
    log_probability: float  # of all tokens and EOS: natural log, before any temperature
    weights: Tensor | None  # (tokens + 1, L, H, S) on the CPU: the attention at each token and at EOS
    finished: bool  # False: the maximum length ended it, and only EOS was allowed


class NonFiniteProbabilities(ArithmeticError):
    """A step returned NaN."""


def normalised(log_probability: float, length: int, length_penalty: float) -> float:
    """log p / length ** length_penalty (Wu 2016, section 7, without its constant); `length` counts EOS."""
    return log_probability / float(length**length_penalty)


def refuse_nan(has_nan: Tensor) -> None:
    """Raise NonFiniteProbabilities if a step returned NaN."""
    if bool(has_nan):
        raise NonFiniteProbabilities("a step returned NaN")
