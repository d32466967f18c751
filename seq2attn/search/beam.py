"""Beam search over any step function; with a beam of 1 it is greedy search.

It knows no model, and of the tokens only BOS, EOS and the banned ones. It has no Python loop over
hypotheses, and the result of a sentence does not depend on the other sentences of its batch. The shape
suffixes are those of `step.py`; K is the number of candidates of a sentence.
"""

import math
from typing import NamedTuple, Self

import torch
from torch import Tensor

from seq2attn.kernels.finished_test import FinishedTest
from seq2attn.search.backpointers import Backpointers, End
from seq2attn.search.constraints import Constraints, Limits
from seq2attn.search.step import Hypothesis, Select, State, Step, refuse_nan
from seq2attn.search.topk import log_softmax, top_candidates


class FinishedPool(NamedTuple):
    """The best W finished hypotheses of each sentence, the best first; a place with score -inf is empty."""

    score: Tensor  # float64 (B, W): log_prob / length ** length_penalty
    log_prob: Tensor  # float64 (B, W)
    last_step: Tensor  # int64 (B, W): the step that wrote EOS; it is the number of tokens before EOS
    row: Tensor  # int64 (B, W): the hypothesis' row at that step, among the W rows of its sentence

    @classmethod
    def empty(cls, sentences: int, width: int, device: torch.device) -> Self:
        free = torch.full((sentences, width), -torch.inf, dtype=torch.float64, device=device)
        none = torch.zeros(sentences, width, dtype=torch.long, device=device)
        return cls(free, free.clone(), none, none.clone())

    def merge(self, new: Self) -> Self:
        """The best W hypotheses of both pools."""
        both = [torch.cat(pair, dim=1) for pair in zip(self, new, strict=True)]
        best_BW = both[0].topk(self.score.size(1)).indices
        return type(self)(*(field.gather(1, best_BW) for field in both))

    def put(self, sentence_B: Tensor, pool: Self) -> None:
        """Write the pool of the sentences `sentence_B` into this one."""
        for field, values in zip(self, pool, strict=True):
            field[sentence_B] = values

    def ends(self, count: int) -> list[list[End]]:
        """The ends of the best `count` hypotheses of each sentence; fewer if there are fewer."""
        rows = zip(*(field[:, :count].tolist() for field in self), strict=True)
        return [
            [End(*values) for values in zip(*fields, strict=True) if math.isfinite(values[0])]
            for fields in rows
        ]


@torch.no_grad()
def beam_search(
    step: Step[State],
    state: State,
    limits: Limits,
    *,
    select: Select[State],
    beam: int,
    n_best: int,
    length_penalty: float,
    batch_multiple: int = 1,
) -> list[list[Hypothesis]]:
    """The `n_best` hypotheses of each sentence, the best score first; fewer if fewer exist, but at least one.

    `state` has `beam` rows for each sentence. A hypothesis of the maximum length may only end.

    A sentence is finished when no live hypothesis can still beat its n-th best finished one. A
    log-probability is at most 0 and `length_penalty` at least 0, so that the best score which a live
    hypothesis can reach is log p / (maximum + 1) ** length_penalty. Greedy search ends at its first EOS.
    Finished sentences leave the batch; if the batch size was a multiple of `batch_multiple`, it stays one.

    Raises NonFiniteProbabilities if the step returns NaN, and ValueError for settings out of range.
    """
    if not 1 <= n_best <= beam:
        raise ValueError(f"n_best is {n_best}: it must be from 1 to the beam, {beam}")
    if length_penalty < 0:
        raise ValueError(f"length_penalty is {length_penalty}: it must be at least 0")
    sentences, device = len(limits.max_length_B), limits.max_length_B.device
    if sentences == 0:
        return []
    constraints = Constraints(limits)
    max_lengths: list[int] = constraints.limit_B.tolist()
    backpointers, finished_test = Backpointers(), FinishedTest(batch_multiple)
    results = FinishedPool.empty(sentences, beam, device)  # of all sentences
    finished = FinishedPool.empty(sentences, beam, device)  # of those in the batch
    sentence_B = torch.arange(sentences, device=device)  # int64 (B,): the sentences still in the batch
    alive_BW = torch.full((sentences, beam), -torch.inf, device=device)  # log p of live hypotheses
    alive_BW[:, 0] = 0.0  # at first the rows of a sentence are equal: only row 0 competes
    # the last token of each row
    token_R = torch.full((sentences * beam,), limits.bos, dtype=torch.long, device=device)
    has_nan = torch.zeros((), dtype=torch.bool, device=device)  # read once, at the end

    for length in range(constraints.longest + 1):
        logits_RN, state, weights_RLHS = step(token_R, state)
        log_p_BWN = constraints.apply(log_softmax(logits_RN).view(len(sentence_B), beam, -1), length)
        # At most `beam` candidates are EOS, one of each row: of 2 * beam, at least `beam` are not.
        log_p_BK, row_BK, token_BK = top_candidates(log_p_BWN, alive_BW, 2 * beam)
        is_end_BK = token_BK == limits.eos

        # EOS counts only among the best `beam` candidates: with a beam of 1 that is greedy search.
        end_log_p_BW = log_p_BK[:, :beam].double().masked_fill(~is_end_BK[:, :beam], -torch.inf)
        score_BW, row_BW = end_log_p_BW / (length + 1) ** length_penalty, row_BK[:, :beam]
        ended = FinishedPool(score_BW, end_log_p_BW, torch.full_like(row_BW, length), row_BW)
        finished = finished.merge(ended)

        alive_BW, index_BW = log_p_BK.masked_fill(is_end_BK, -torch.inf).topk(beam)
        parent_BW, token_BW = row_BK.gather(1, index_BW), token_BK.gather(1, index_BW)
        backpointers.add(sentence_B, parent_BW, token_BW, weights_RLHS)
        constraints.advance(parent_BW, token_BW)

        best_possible_B = alive_BW[:, 0].double() / (constraints.limit_B + 1).double() ** length_penalty
        if beam == 1:
            best_possible_B = best_possible_B.masked_fill(finished.score[:, 0] > -torch.inf, -torch.inf)
        has_nan |= best_possible_B.isnan().any()
        is_finished_B = ~(best_possible_B > finished.score[:, n_best - 1])
        # a finished sentence has no live hypotheses any more
        alive_BW = alive_BW.masked_fill(is_finished_B[:, None], -torch.inf)
        parent_row_BW = torch.arange(len(sentence_B), device=device)[:, None] * beam + parent_BW
        keep_B = finished_test.sentences_to_keep(is_finished_B)
        if keep_B is not None:
            if len(keep_B) == 0:
                break
            results.put(sentence_B, finished)
            finished = FinishedPool(*(field[keep_B] for field in finished))
            sentence_B, alive_BW, token_BW, parent_row_BW = (
                tensor[keep_B] for tensor in (sentence_B, alive_BW, token_BW, parent_row_BW)
            )
            constraints.select_sentences(keep_B)
        token_R = token_BW.flatten()
        if beam > 1 or keep_B is not None:  # otherwise each row extends itself
            state = select(state, parent_row_BW.flatten())

    results.put(sentence_B, finished)
    refuse_nan(has_nan)
    return backpointers.hypotheses(results.ends(n_best), max_lengths)
