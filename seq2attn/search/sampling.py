"""Sampling over any step function: random outputs, each from a random stream of its own.

A token is drawn by one uniform number and the inverse of the cumulative distribution. So the sample of a
sentence depends on its seed and its probabilities alone, never on the batch. Sampling knows no model. The
shape suffixes are those of `step.py`.
"""

import hashlib
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from seq2attn.kernels.finished_test import FinishedTest
from seq2attn.search.backpointers import Backpointers, End
from seq2attn.search.constraints import Constraints, Limits
from seq2attn.search.step import Hypothesis, Select, State, Step, normalised, refuse_nan
from seq2attn.search.topk import log_softmax


def seed_of(*parts: int) -> int:
    """One seed from several numbers; numbers that differ by little give unrelated random streams."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=7).digest())


def top_k_top_p(log_p_RN: Tensor, temperature: float, top_k: int, top_p: float) -> Tensor:
    """The distribution to draw from, float64 (R, N), from log-probabilities (R, N).

    They are divided by the temperature. Then only the `top_k` most probable tokens stay (0: all), and of
    these only as many as are needed for a sum of `top_p` (Holtzman 2020). The most probable token always
    stays.
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
    limits: Limits,
    *,
    select: Select[State],
    seeds: Sequence[int],
    samples: int,
    temperature: float,
    top_k: int,
    top_p: float,
    length_penalty: float,
    batch_multiple: int = 1,
) -> list[list[Hypothesis]]:
    """`samples` independent outputs of each sentence, the best score first. The seed of sentence b is
    `seeds[b]`.

    `state` has `samples` rows for each sentence; `batch_multiple` is that of beam search. The
    log-probabilities of the outputs are the model's, before temperature, top-k and top-p. Raises
    NonFiniteProbabilities if the step returns NaN, and ValueError for settings out of range.
    """
    if samples < 1 or temperature <= 0 or top_k < 0 or not 0 < top_p <= 1 or length_penalty < 0:
        raise ValueError(
            f"samples {samples}, temperature {temperature}, top_k {top_k}, top_p {top_p}, "
            f"length_penalty {length_penalty}: out of range"
        )
    if not seeds:
        return []
    device, sentences = limits.max_length_B.device, len(seeds)
    constraints = Constraints(limits)
    max_lengths: list[int] = constraints.limit_B.tolist()
    uniform_BWT = _uniform(seeds, samples, max_lengths).to(device)
    backpointers, finished_test = Backpointers(), FinishedTest(batch_multiple)
    sentence_B = torch.arange(sentences, device=device)  # int64 (B,): the sentences still in the batch
    log_p_BW = torch.zeros(sentences, samples, dtype=torch.float64, device=device)  # of all sentences
    last_BW = torch.full((sentences, samples), -1, device=device)  # int64: the step of EOS; -1: none yet
    has_nan = torch.zeros((), dtype=torch.bool, device=device)  # read once, at the end
    token_R = torch.full((sentences * samples,), limits.bos, dtype=torch.long, device=device)

    for length in range(constraints.longest + 1):
        logits_RN, state, weights_RLHS = step(token_R, state)
        log_p_BWN = constraints.apply(log_softmax(logits_RN).view(len(sentence_B), samples, -1), length)
        has_nan |= log_p_BWN.isnan().any()
        p_RN = top_k_top_p(log_p_BWN.flatten(0, 1), temperature, top_k, top_p)
        cumulative_BWN = p_RN.view_as(log_p_BWN).cumsum(2)
        # The first token whose cumulative probability exceeds the number. Its probability is never 0, even if
        # the last sums are rounded.
        threshold_BW1 = uniform_BWT[sentence_B, :, length, None] * cumulative_BWN[:, :, -1:]
        token_BW1 = torch.searchsorted(cumulative_BWN, threshold_BW1, right=True)
        token_BW1 = token_BW1.clamp(max=log_p_BWN.shape[2] - 1)
        token_BW = token_BW1[:, :, 0]

        open_BW = last_BW[sentence_B] < 0
        token_log_p_BW = log_p_BWN.gather(2, token_BW1)[:, :, 0].double()
        log_p_BW[sentence_B] += torch.where(open_BW, token_log_p_BW, 0.0)
        last_BW[sentence_B] = torch.where(open_BW & (token_BW == limits.eos), length, last_BW[sentence_B])
        row_BW = torch.arange(samples, device=device).expand(len(sentence_B), -1)
        backpointers.add(sentence_B, row_BW, token_BW, weights_RLHS)
        constraints.advance(row_BW, token_BW)

        token_R = token_BW.flatten()
        is_finished_B = ((last_BW[sentence_B] >= 0) | ~log_p_BW[sentence_B].isfinite()).all(1)
        keep_B = finished_test.sentences_to_keep(is_finished_B)
        if keep_B is not None:
            if len(keep_B) == 0:
                break
            state = select(state, (keep_B[:, None] * samples + row_BW[: len(keep_B)]).flatten())
            sentence_B, token_R = sentence_B[keep_B], token_BW[keep_B].flatten()
            constraints.select_sentences(keep_B)

    refuse_nan(has_nan)
    ends = []
    for log_ps, lasts in zip(log_p_BW.tolist(), last_BW.tolist(), strict=True):
        of_sentence = [
            End(normalised(log_p, last + 1, length_penalty), log_p, last, row)
            for row, (log_p, last) in enumerate(zip(log_ps, lasts, strict=True))
            if math.isfinite(log_p) and last >= 0  # else the step allowed no token, or no end
        ]
        ends.append(sorted(of_sentence, key=lambda end: -end.score))
    return backpointers.hypotheses(ends, max_lengths, least=samples)


def _uniform(seeds: Sequence[int], samples: int, limits: Sequence[int]) -> Tensor:
    """Uniform numbers, float64 (B, W, T): one for each step of a row, from the row's own stream."""
    uniform_BWT = torch.zeros(len(seeds), samples, max(limits) + 1, dtype=torch.float64)
    for sentence, (seed, limit) in enumerate(zip(seeds, limits, strict=True)):
        for row in range(samples):
            stream = torch.Generator().manual_seed(seed_of(seed, row))
            torch.rand(limit + 1, generator=stream, out=uniform_BWT[sentence, row, : limit + 1])
    return uniform_BWT
