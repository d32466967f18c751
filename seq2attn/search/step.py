"""The nouns of search: the step function it drives, and the hypotheses it gives back.

It does not know what a model is: a step is any function from the last tokens and a state to logits.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from torch import Tensor

State = TypeVar("State")

Step = Callable[[Tensor, State], tuple[Tensor, State, Tensor | None]]
"""(token_R, state) -> (logits_RN, state, weights_RS or None): natural log-probabilities, each row up to a
number of its own.
"""

Select = Callable[[State, Tensor], State]
"""(state, index_R) -> the state of those rows.

Row r = sentence * width + member, and the rows of a sentence stay together and in its place. The index has
fewer rows than the
state once sentences are finished and leave the search: whatever a step reads per sentence has to follow them.
"""


class Hypothesis(NamedTuple):
    """One output of a search."""

    tokens: list[int]  # without the first and the end token
    score: float  # log_probability / length ** length_penalty, the end token counted in the length
    log_probability: float  # of all tokens and the end token, natural log, before any temperature
    weights: Tensor | None  # (tokens + 1, S) on the CPU: the attention at each token and at the end token
    finished: bool  # False: cut by the maximum length, where only the end token was allowed


class NonFiniteProbabilities(ArithmeticError):
    """A step gave log-probabilities that are not numbers."""


def normalised(log_probability: float, length: int, length_penalty: float) -> float:
    """log p / length ** length_penalty (Wu 2016, section 7, without its constant); `length` counts the end
    token.
    """
    return log_probability / float(length**length_penalty)
