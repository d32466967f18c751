"""Back-pointers of a search: what every row emitted at every step, from which row it came, and what it
attended to.

Tokens and attention are never copied while the search runs; a hypothesis is read back from its end, once,
when all is done.
"""

import itertools

import torch
from torch import Tensor


class History:
    """Grows by one step at a time. Sentences are named by their first number, whatever place they have at a
    step.
    """

    def __init__(self) -> None:
        self._places: list[Tensor] = []  # for each step the sentences in it, in ascending order
        self._parents: list[Tensor] = []  # (B, W): the row of the step that each new row extends
        self._tokens: list[Tensor] = []  # (B, W): the token that each new row adds
        self._weights: list[Tensor] = []  # (B * W, S): of the rows that made the step

    def add(self, sentence_B: Tensor, parent_BW: Tensor, token_BW: Tensor, weights_RS: Tensor | None) -> None:
        self._places.append(sentence_B)
        self._parents.append(parent_BW)
        self._tokens.append(token_BW)
        if weights_RS is not None:
            self._weights.append(weights_RS)

    def read(self, ends: list[tuple[int, int, int]]) -> list[tuple[list[int], Tensor | None]]:
        """Tokens and weights of each (sentence, step, row): what `row` of the step numbered `step` had when
        it met its end token.

        The weights are those of every token and of the end token: (tokens + 1, S), on the CPU.
        """
        if not ends:
            return []
        sentence_E, last_E, row_E = torch.tensor(ends).T.contiguous()
        sizes = [len(sentence_B) for sentence_B in self._places]
        places, parents, tokens = (
            torch.cat(steps).cpu().split(sizes) for steps in (self._places, self._parents, self._tokens)
        )
        first = [0, *itertools.accumulate(sizes)]  # of a step's sentences among those of all steps
        longest, width = int(last_E.max()), parents[0].size(1)
        token_ET = torch.zeros(len(ends), longest, dtype=torch.long)
        weights_of_ET = torch.zeros(len(ends), longest + 1, dtype=torch.long)
        place_E = torch.searchsorted(places[longest], sentence_E)
        for step in range(longest, -1, -1):
            weights_of_ET[:, step] = (first[step] + place_E) * width + row_E
            if step:  # those that ended earlier stay as they are
                place_E = torch.searchsorted(places[step - 1], sentence_E)
                index = place_E.clamp(max=len(places[step - 1]) - 1)
                token_ET[:, step - 1] = tokens[step - 1][index, row_E]
                row_E = torch.where(step <= last_E, parents[step - 1][index, row_E], row_E)
        weights = torch.cat(self._weights).float().cpu() if self._weights else None
        return [
            (ids[:last], None if weights is None else weights[rows[: last + 1]])
            for ids, rows, last in zip(token_ET.tolist(), weights_of_ET, last_E.tolist(), strict=True)
        ]
