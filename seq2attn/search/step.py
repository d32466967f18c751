"""What every search shares: the step function that it calls, the hypotheses that it returns, and when
finished sentences leave its batch.

A step is any function from the last tokens and a state to logits; search knows no model. Shape suffixes: B
sentences of the batch, W rows of a sentence (its beam or its samples), R = B * W rows, N tokens of the
vocabulary, T tokens of an output, L decoder layers with attention, H heads, S source positions.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from torch import Tensor

State = TypeVar("State")

Step = Callable[[Tensor, State], tuple[Tensor, State, Tensor | None]]
"""(token_R, state) -> (logits_RN, state, weights_RLHS or None). Logits: natural log-probabilities, up to a
constant of each row.
"""

Select = Callable[[State, Tensor], State]
"""(state, index_R) -> the state of those rows.

Row r is sentence * W + member; the rows of a sentence stay together and in the sentence's order. The index
has fewer rows than the state when finished sentences leave the search; whatever a step reads per sentence
has to follow.
"""


class Hypothesis(NamedTuple):
    """One output of a search."""

    tokens: list[int]  # without BOS and EOS
    score: float  # log_probability / length ** length_penalty; the length counts EOS
    log_probability: float  # of all tokens and EOS: natural log, before any temperature
    weights: Tensor | None  # (tokens + 1, L, H, S) on the CPU: the attention at each token and at EOS
    finished: bool  # False: cut by the maximum length, where only EOS was allowed


class NonFiniteProbabilities(ArithmeticError):
    """A step returned NaN."""


def normalised(log_probability: float, length: int, length_penalty: float) -> float:
    """log p / length ** length_penalty (Wu 2016, section 7, without its constant); `length` counts EOS."""
    return log_probability / float(length**length_penalty)


def refuse_nan(has_nan: Tensor) -> None:
    """Raise NonFiniteProbabilities where a step returned NaN."""
    if bool(has_nan):
        raise NonFiniteProbabilities("a step returned NaN")


def rows_to_keep(is_finished_B: Tensor, batch_multiple: int) -> Tensor | None:
    """The sentences that stay in the batch, ascending: the unfinished ones, filled up with finished ones to a
    multiple of `batch_multiple`; empty when all are finished. None if too few are finished to be worth
    copying the rest.
    """
    unfinished = len(is_finished_B) - int(is_finished_B.sum())
    size = -(-unfinished // batch_multiple) * batch_multiple
    if 8 * size > 7 * len(is_finished_B):
        return None
    return is_finished_B.long().argsort(stable=True)[:size].sort().values
