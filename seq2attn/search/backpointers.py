"""Back-pointers of a search: for every step the token of each row, the row that it extends, and the row's
attention.

So the search copies neither tokens nor attention while it runs. When all hypotheses are finished, each is
read once, backwards from its end. The shape suffixes are those of `step.py`; E is the number of ends.
"""

import itertools
import math
from typing import NamedTuple

import torch
from torch import Tensor

from seq2attn.search.step import Hypothesis


class End(NamedTuple):
    """Where a hypothesis ends."""

    score: float
    log_prob: float
    last_step: int  # the step that wrote EOS
    row: int  # the row at that step, among the rows of its sentence


class Backpointers:
    """All steps of a search so far. A sentence has the number that it had in the first batch."""

    def __init__(self) -> None:
        # one tensor for each step:
        self._sentences: list[Tensor] = []  # (B,): the sentences of the batch, ascending
        self._parents: list[Tensor] = []  # (B, W): the row that each new row extends
        self._tokens: list[Tensor] = []  # (B, W): the token that each new row adds
        self._weights: list[Tensor] = []  # (R, L, H, S): the attention of the rows that made the step

    def add(
        self, sentence_B: Tensor, parent_BW: Tensor, token_BW: Tensor, weights_RLHS: Tensor | None
    ) -> None:
        self._sentences.append(sentence_B)
        self._parents.append(parent_BW)
        self._tokens.append(token_BW)
        if weights_RLHS is not None:
            self._weights.append(weights_RLHS)

    def hypotheses(self, ends: list[list[End]], limits: list[int], least: int = 1) -> list[list[Hypothesis]]:
        """The hypotheses of each sentence, from their ends and the maximum length of each sentence.

        If a sentence has fewer than `least`, because the limits allow no other output, empty hypotheses of
        score -inf follow.
        """
        flat = [(b, end.last_step, end.row) for b, those in enumerate(ends) for end in those]
        outputs, results = iter(self._read(flat)), []
        for those, limit in zip(ends, limits, strict=True):
            own = itertools.islice(outputs, len(those))
            hypotheses = [
                Hypothesis(tokens, end.score, end.log_prob, weights, finished=end.last_step < limit)
                for end, (tokens, weights) in zip(those, own, strict=True)
            ]
            empty = Hypothesis([], -math.inf, -math.inf, None, finished=False)
            results.append(hypotheses + [empty] * (least - len(hypotheses)))
        return results

    def _read(self, ends: list[tuple[int, int, int]]) -> list[tuple[list[int], Tensor | None]]:
        """Tokens, and weights (tokens + 1, L, H, S) on the CPU, of each (sentence, last step, row)."""
        if not ends:
            return []
        sentence_E, last_E, row_E = torch.tensor(ends).T.contiguous()
        sizes = [len(sentence_B) for sentence_B in self._sentences]
        sentences, parents, tokens = (
            torch.cat(steps).cpu().split(sizes) for steps in (self._sentences, self._parents, self._tokens)
        )
        offsets = [0, *itertools.accumulate(sizes)]  # of a step's sentences among those of all steps
        longest, width = int(last_E.max()), parents[0].size(1)
        token_ET = torch.zeros(len(ends), longest, dtype=torch.long)
        weights_row_ET = torch.zeros(len(ends), longest + 1, dtype=torch.long)
        index_E = torch.searchsorted(sentences[longest], sentence_E)
        for step in range(longest, -1, -1):
            weights_row_ET[:, step] = (offsets[step] + index_E) * width + row_E
            if step:  # at steps after its own end, the row of a hypothesis stays the same
                index_E = torch.searchsorted(sentences[step - 1], sentence_E)
                # after the last step of an end, its sentence may have left: this row is then not used
                index = index_E.clamp(max=len(sentences[step - 1]) - 1)
                token_ET[:, step - 1] = tokens[step - 1][index, row_E]
                row_E = torch.where(step <= last_E, parents[step - 1][index, row_E], row_E)
        weights = torch.cat(self._weights).float().cpu() if self._weights else None
        return [
            (ids[:last], None if weights is None else weights[rows[: last + 1]])
            for ids, rows, last in zip(token_ET.tolist(), weights_row_ET, last_E.tolist(), strict=True)
        ]
