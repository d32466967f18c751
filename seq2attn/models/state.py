"""States of a search as values: nested tuples of tensors, of which `select` takes rows.

Dim 0 of a tensor in a state is the row: R = B x width, and the rows of a sentence stay side by side. What
differs from that says so by its type: `PerSentence` or `Constant`.
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
    """Parts that the `width` rows of a sentence share; dim 0 of their tensors is the sentence. Rows that
    change places within their sentence leave it as it is.
    """

    parts: Parts
    sentences: int
    width: int

    def select_rows(self, index_R: Tensor) -> Self:
        """The parts of the sentences that the rows belong to: all of them in their order, or fewer."""
        sentences = len(index_R) // self.width
        if sentences == self.sentences:
            return self
        parts = select(self.parts, index_R[:: self.width] // self.width)
        return replace(self, parts=parts, sentences=sentences)


@dataclass(frozen=True)
class Constant(Selectable, Generic[Parts]):
    """Parts that all rows share, whichever of them are selected."""

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
