"""States of a search: nested tuples of tensors, from which `select` takes rows.

Dim 0 of a tensor in a state is the row. There are R = B x width rows, and the rows of a sentence are
neighbours. A part whose dim 0 is not the row has the type `PerSentence` or `Constant`.
"""

import abc
from dataclasses import dataclass, replace
from typing import Any, Generic, Self, TypeVar

from torch import Tensor

Parts = TypeVar("Parts")
State = TypeVar("State")


class Selectable(abc.ABC):
    """A part of a state that selects its rows by itself."""

    @abc.abstractmethod
    def select_rows(self, index_R: Tensor) -> Self:
        """The part of the rows `index_R` of the state, in that order."""


@dataclass(frozen=True)
class PerSentence(Selectable, Generic[Parts]):
    """Parts that the `width` rows of a sentence share; dim 0 of their tensors is the sentence. They do not
    change when rows change places within their sentence.
    """

    parts: Parts
    sentences: int
    width: int

    def select_rows(self, index_R: Tensor) -> Self:
        """The parts of the sentences that the rows belong to: all sentences, or fewer, in order."""
        sentences = len(index_R) // self.width
        if sentences == self.sentences:
            return self
        parts = select(self.parts, index_R[:: self.width] // self.width)
        return replace(self, parts=parts, sentences=sentences)


@dataclass(frozen=True)
class Constant(Selectable, Generic[Parts]):
    """Parts that all rows share. No selection changes them."""

    parts: Parts

    def select_rows(self, index_R: Tensor) -> Self:
        return self


def select(state: State, index_R: Tensor) -> State:
    """The rows `index_R` of every tensor in a nested tuple, named or plain; None stays None."""
    value: Any = state
    if value is None:
        return state
    if isinstance(value, Tensor):
        return value.index_select(0, index_R)  # type: ignore[return-value]
    if isinstance(value, Selectable):
        return value.select_rows(index_R)  # type: ignore[return-value]
    parts = (select(part, index_R) for part in value)
    selected: State = type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return selected
