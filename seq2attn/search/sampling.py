"""Sampling over any step function: outputs drawn at random, each from a stream of random numbers of its own.

A draw is one uniform number through the inverse of the distribution's sum, so what is drawn for a sentence
depends on its seed and its
probabilities alone, never on the batch. It knows no model.
"""

import hashlib
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from seq2attn.search.backpointers import History
from seq2attn.search.compaction import rows_to_keep
from seq2attn.search.constraints import Constraints
from seq2attn.search.step import Hypothesis, NonFiniteProbabilities, Select, State, Step, normalised
from seq2attn.search.topk import log_softmax


def seed_of(*parts: int) -> int:
    """One seed from several numbers, so that near numbers give unrelated streams."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=7).digest())


def top_k_top_p(log_p_RN: Tensor, temperature: float, top_k: int, top_p: float) -> Tensor:
    """The distribution to draw from, float64 (R, N): sharpened, and cut to the `top_k` likeliest tokens (0:
    all) and then to the fewest whose sum reaches `top_p`.

    Holtzman 2020 for top_p; the likeliest token always stays.
    """
    scaled_RN = log_p_RN.double() / temperature
    if 0 < top_k < scaled_RN.shape[1]:
        least_R1 = scaled_RN.topk(top_k).values[:, -1:]
        scaled_RN = scaled_RN.masked_fill(scaled_RN < least_R1, -torch.inf)
    p_RN = scaled_RN.softmax(1)
    if top_p < 1:
        sorted_RN, index_RN = p_RN.sort(dim=1, descending=True, stable=True)
        before_RN = sorted_RN.cumsum(1) - sorted_RN
        p_RN = p_RN.masked_fill((before_RN >= top_p).scatter(1, index_RN, before_RN >= top_p), 0.0)
    return p_RN / p_RN.sum(1, keepdim=True)


@torch.no_grad()
def sample(
    step: Step[State],
    state: State,
    *,
    select: Select[State],
    seeds: Sequence[int],
    samples: int,
    temperature: float,
    top_k: int,
    top_p: float,
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
    """`samples` independent outputs for each sentence, best score first; sentence b draws from `seeds[b]`.

    `state` has one row for each sentence and sample. Lengths, prefixes, `no_repeat_ngram` and `group` are as
    in beam search. The log-probabilities given back are the model's own,
    before the temperature and the cuts. Raises NoNumbers when the step gives NaN.
    """
    if samples < 1 or temperature <= 0 or top_k < 0 or not 0 < top_p <= 1 or length_penalty < 0:
        raise ValueError(
            f"samples {samples}, temperature {temperature}, top_k {top_k}, top_p {top_p}, length_penalty {length_penalty}: out of range"
        )
    if not seeds:
        return []
    device, sentences = max_length_B.device, len(seeds)
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
    uniform_RT = torch.zeros(sentences * samples, rules.longest + 1, dtype=torch.float64)
    for row in range(sentences * samples):
        stream = torch.Generator().manual_seed(seed_of(seeds[row // samples], row % samples))
        drawn = limits[row // samples] + 1
        uniform_RT[row, :drawn] = torch.rand(drawn, generator=stream, dtype=torch.float64)
    uniform_BWT = uniform_RT.view(sentences, samples, -1).to(device)
    history = History()
    sentence_B = torch.arange(sentences, device=device)
    log_p_BW = torch.zeros(sentences, samples, dtype=torch.float64, device=device)
    last_BW = torch.full((sentences, samples), -1, device=device)  # the step of the end token
    broken = torch.zeros((), dtype=torch.bool, device=device)
    token_R = torch.full((sentences * samples,), bos, dtype=torch.long, device=device)

    for length in range(rules.longest + 1):
        logits_RN, state, weights_RS = step(token_R, state)
        log_p_BWN = rules.apply(log_softmax(logits_RN).view(len(sentence_B), samples, -1), length)
        broken |= log_p_BWN.isnan().any()
        sums_BWN = (
            top_k_top_p(log_p_BWN.flatten(0, 1), temperature, top_k, top_p).view_as(log_p_BWN).cumsum(2)
        )
        # The first token whose sum is beyond the number; never one of no probability, even where the last
        # sums round.
        beyond_BW1 = uniform_BWT[sentence_B, :, length, None] * sums_BWN[:, :, -1:]
        token_BW = torch.searchsorted(sums_BWN, beyond_BW1, right=True)[:, :, 0].clamp(
            max=log_p_BWN.shape[2] - 1
        )

        open_BW = last_BW[sentence_B] < 0
        log_p_BW[sentence_B] += torch.where(
            open_BW, log_p_BWN.gather(2, token_BW[:, :, None])[:, :, 0].double(), 0.0
        )
        last_BW[sentence_B] = torch.where(open_BW & (token_BW == eos), length, last_BW[sentence_B])
        row_BW = torch.arange(samples, device=device).expand(len(sentence_B), -1)
        history.add(sentence_B, row_BW, token_BW, weights_RS)
        rules.follow(row_BW, token_BW)

        token_R = token_BW.flatten()
        done_B = ((last_BW[sentence_B] >= 0) | ~log_p_BW[sentence_B].isfinite()).all(1)
        finished = int(done_B.sum())
        if finished == len(sentence_B):
            break
        going_B = rows_to_keep(done_B, finished, group)
        if going_B is not None:
            state = select(state, (going_B[:, None] * samples + row_BW[: len(going_B)]).flatten())
            sentence_B, token_R = sentence_B[going_B], token_BW[going_B].flatten()
            rules.keep(going_B)

    if bool(broken):
        raise NonFiniteProbabilities("a step gave log-probabilities that are not numbers")
    ended = [
        [
            (log_p, last) if math.isfinite(log_p) and last >= 0 else None
            for log_p, last in zip(*rows, strict=True)
        ]
        for rows in zip(log_p_BW.tolist(), last_BW.tolist(), strict=True)
    ]
    found = iter(
        history.read(
            [
                (sentence, entry[1], row)
                for sentence, rows in enumerate(ended)
                for row, entry in enumerate(rows)
                if entry
            ]
        )
    )
    results = []
    for rows, limit in zip(ended, limits, strict=True):
        hypotheses = []
        for entry in rows:
            if entry is None:  # the step allowed no token, or no end
                hypotheses.append(Hypothesis([], -math.inf, -math.inf, None, finished=False))
            else:
                log_p, last = entry
                tokens, weights = next(found)
                hypotheses.append(
                    Hypothesis(
                        tokens,
                        normalised(log_p, last + 1, length_penalty),
                        log_p,
                        weights,
                        finished=last < limit,
                    )
                )
        results.append(sorted(hypotheses, key=lambda hypothesis: -hypothesis.score))
    return results
