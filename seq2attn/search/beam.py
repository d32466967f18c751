"""Beam search over any step function; a beam of 1 is greedy search.

It knows neither models nor tokens beyond the first, the end and the banned ones. No Python loop runs over
hypotheses while it
searches, and what it finds for a sentence does not depend on the other sentences of the batch.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from seq2attn.search.backpointers import History
from seq2attn.search.compaction import rows_to_keep
from seq2attn.search.constraints import Constraints
from seq2attn.search.step import Hypothesis, NonFiniteProbabilities, Select, State, Step
from seq2attn.search.topk import log_softmax, top_candidates


@torch.no_grad()
def beam_search(
    step: Step[State],
    state: State,
    *,
    select: Select[State],
    sentences: int,
    beam: int,
    n_best: int,
    length_penalty: float,
    min_length: int,
    max_length_B: Tensor,
    bos: int,
    eos: int,
    banned: Sequence[int],
    prefix_BP: Tensor | None = None,
    no_repeat_ngram: int = 0,
    group: int = 1,
) -> list[list[Hypothesis]]:
    """The `n_best` hypotheses of each sentence, best score first; fewer where fewer exist, but always one.

    `state` has `sentences * beam` rows. Lengths are in tokens before the end token; at its maximum a
    hypothesis may only end. `prefix_BP` holds the
    tokens that each output begins with, -1 after its own end; with `no_repeat_ngram` n above 0 no output
    holds an n-gram twice, but for its forced beginning. A log-probability is at most 0 and `length_penalty`
    at least 0: then no live
    hypothesis can come to more than log p / (maximum + 1) ** length_penalty, and a sentence is finished when
    that cannot beat what it has already.
    Greedy search ends at its first end token, as the word says. Finished sentences leave the batch, which
    stays a multiple of `group` if it was one. Raises NoNumbers when the step gives NaN.
    """
    if not 1 <= n_best <= beam:
        raise ValueError(f"n_best is {n_best}: it must be from 1 to the beam, {beam}")
    if length_penalty < 0:
        raise ValueError(f"length_penalty is {length_penalty}: it must be at least 0")
    if sentences == 0:
        return []
    device = max_length_B.device
    rules = Constraints(
        min_length=min_length,
        max_length_B=max_length_B,
        eos=eos,
        banned=banned,
        prefix_BP=prefix_BP,
        device=device,
        no_repeat_ngram=no_repeat_ngram,
    )
    limits: list[int] = rules.limit_B.tolist()
    history = History()
    sentence_B = torch.arange(sentences, device=device)  # those still searched
    alive_BW = torch.full((sentences, beam), -torch.inf, device=device)  # log p of live hypotheses
    alive_BW[:, 0] = 0.0
    # Finished hypotheses, best first, as columns: score, log p, last step, row at that step. Indexed by the
    # first sentence numbers.
    pool = torch.full((sentences, beam, 4), -torch.inf, dtype=torch.float64, device=device)
    token_R = torch.full((sentences * beam,), bos, dtype=torch.long, device=device)
    broken = torch.zeros((), dtype=torch.bool, device=device)

    for length in range(rules.longest + 1):
        logits_RN, state, weights_RS = step(token_R, state)
        log_p_BWN = rules.apply(log_softmax(logits_RN).view(len(sentence_B), beam, -1), length)
        # A row has one end token, so twice the beam always holds a whole beam that goes on.
        log_p_BK, row_BK, token_BK = top_candidates(log_p_BWN, alive_BW, 2 * beam)
        ends_BK = token_BK == eos

        # Only an end among the best `beam` candidates counts: with a beam of 1 that is greedy search.
        ended_BW = log_p_BK[:, :beam].double().masked_fill(~ends_BK[:, :beam], -torch.inf)
        last_BW = torch.full_like(ended_BW, length)
        new_BWC = torch.stack(
            [ended_BW / (length + 1) ** length_penalty, ended_BW, last_BW, row_BK[:, :beam].double()], dim=2
        )
        both_BXC = torch.cat([pool[sentence_B], new_BWC], dim=1)
        best_BW = both_BXC[:, :, 0].topk(beam).indices
        pool[sentence_B] = both_BXC.gather(1, best_BW[:, :, None].expand(-1, -1, 4))

        alive_BW, chosen_BW = log_p_BK.masked_fill(ends_BK, -torch.inf).topk(beam)
        parent_BW, token_BW = row_BK.gather(1, chosen_BW), token_BK.gather(1, chosen_BW)
        history.add(sentence_B, parent_BW, token_BW, weights_RS)
        rules.follow(parent_BW, token_BW)

        score_BW = pool[sentence_B, :, 0]
        hope_B = alive_BW[:, 0].double() / (rules.limit_B + 1).double() ** length_penalty
        if beam == 1:
            hope_B = hope_B.masked_fill(score_BW[:, 0] > -torch.inf, -torch.inf)
        broken |= hope_B.isnan().any()
        done_B = ~(hope_B > score_BW[:, n_best - 1])
        # nothing of a finished sentence changes any more
        alive_BW = alive_BW.masked_fill(done_B[:, None], -torch.inf)
        finished = int(done_B.sum())
        if finished == len(sentence_B):
            break
        row_BW = torch.arange(len(sentence_B), device=device)[:, None] * beam + parent_BW
        going_B = rows_to_keep(done_B, finished, group)
        if going_B is not None:
            sentence_B, alive_BW, token_BW, row_BW = (
                sentence_B[going_B],
                alive_BW[going_B],
                token_BW[going_B],
                row_BW[going_B],
            )
            rules.keep(going_B)
        elif beam == 1:
            token_R = token_BW.flatten()
            continue  # every row goes on in its own place
        state = select(state, row_BW.flatten())
        token_R = token_BW.flatten()

    if bool(broken):
        raise NonFiniteProbabilities("a step gave log-probabilities that are not numbers")
    return _hypotheses(pool[:, :n_best], history, limits)


def _hypotheses(pool_BWC: Tensor, history: History, limits: list[int]) -> list[list[Hypothesis]]:
    pools = [[entry for entry in pool if math.isfinite(entry[0])] for pool in pool_BWC.tolist()]
    found = iter(
        history.read(
            [
                (sentence, int(last), int(row))
                for sentence, pool in enumerate(pools)
                for _, _, last, row in pool
            ]
        )
    )
    results = []
    for pool, limit in zip(pools, limits, strict=True):
        hypotheses = []
        for score, log_p, last, _ in pool:
            tokens, weights = next(found)
            hypotheses.append(Hypothesis(tokens, score, log_p, weights, finished=last < limit))
        # No output of any probability within the limits: the step never allowed an end.
        results.append(hypotheses or [Hypothesis([], -math.inf, -math.inf, None, finished=False)])
    return results
