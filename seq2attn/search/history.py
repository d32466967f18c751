"""Back-pointers of a search: what every row emitted at every step, from which row it came, and what it attended to.

Tokens and attention are never copied while the search runs; a hypothesis is read back from its end, once, when all is done.
"""

import torch
from torch import Tensor


class History:
    """Grows by one step at a time. Sentences are named by their first number, whatever place they have at a step."""

    def __init__(self) -> None:
        self._places: list[Tensor] = []  # for each step the sentences in it, in order
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
        """Tokens and weights of each (sentence, step, row): what `row` of the step numbered `step` had when it met its end token.

        The weights are those of every token and of the end token: (tokens + 1, S), on the CPU.
        """
        parents, tokens = torch.cat(self._parents).tolist(), torch.cat(self._tokens).tolist()
        width = len(parents[0])
        places: list[dict[int, int]] = []  # for each step: sentence -> its place among the (sentence, step) pairs
        start = 0
        for sentence_B in self._places:
            places.append({sentence: place for place, sentence in enumerate(sentence_B.tolist(), start)})
            start += len(sentence_B)
        weights = torch.cat(self._weights).float().cpu() if self._weights else None
        found = []
        for sentence, last, row in ends:
            emitted, rows = [], []
            for step in range(last, -1, -1):
                rows.append(places[step][sentence] * width + row)
                if step:
                    before = places[step - 1][sentence]
                    emitted.append(tokens[before][row])
                    row = parents[before][row]
            found.append((emitted[::-1], None if weights is None else weights[rows[::-1]]))
        return found
