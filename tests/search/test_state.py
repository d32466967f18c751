"""The state goes with its hypothesis: searched on a step that remembers every token, so that a state of
another row cannot go unseen.

A Markov chain forgets all but the last token; here each beginning has a distribution of its own.
"""

import itertools
import math

import pytest
import torch
from torch import Tensor

from seq2attn.search.beam import beam_search
from seq2attn.search.constraints import Limits

BOS, EOS, N = 0, 1, 5
LONGEST = 4


def distribution(tokens: tuple[int, ...], seed: int) -> Tensor:
    """log p (N,) after these tokens: unrelated to that after any others."""
    generator = torch.Generator().manual_seed(hash((seed, *tokens)) % 2**31)
    return torch.randn(N, generator=generator, dtype=torch.float64).log_softmax(0)


def select(state_RT: Tensor, index_R: Tensor) -> Tensor:
    return state_RT[index_R]


def search(
    seeds: list[int], limits: list[int], beam: int, n_best: int
) -> list[list[tuple[list[int], float]]]:
    """The state of a row: the seed of its sentence, then all its tokens."""

    def step(token_R: Tensor, state_RT: Tensor) -> tuple[Tensor, Tensor, None]:
        state_RT = torch.cat([state_RT, token_R[:, None]], 1)
        rows: list[list[int]] = state_RT.tolist()
        return torch.stack([distribution(tuple(row[1:]), row[0]) for row in rows]), state_RT, None

    results = beam_search(
        step,
        torch.tensor(seeds).repeat_interleave(beam)[:, None],
        Limits(torch.tensor(limits), BOS, EOS, banned=(BOS,)),
        select=select,
        beam=beam,
        n_best=n_best,
        length_penalty=1.0,
    )
    return [
        [(hypothesis.tokens, hypothesis.log_probability) for hypothesis in hypotheses]
        for hypotheses in results
    ]


def log_probability(tokens: list[int], seed: int) -> float:
    whole = (BOS, *tokens, EOS)
    return sum(float(distribution(whole[:i], seed)[whole[i]]) for i in range(1, len(whole)))


@pytest.mark.parametrize("beam", [1, 2, 3, 8])
def test_beam_search_reorders_the_state_with_its_hypotheses(beam: int) -> None:
    seeds, limits = list(range(12)), [LONGEST - number % 4 for number in range(12)]
    for seed, hypotheses in zip(seeds, search(seeds, limits, beam, n_best=beam), strict=True):
        for tokens, log_p in hypotheses:
            assert log_p == pytest.approx(log_probability(tokens, seed), abs=1e-5)


def test_beam_search_equals_enumeration_if_wide() -> None:
    outputs = [
        list(tokens)
        for length in range(LONGEST + 1)
        for tokens in itertools.product(range(2, N), repeat=length)
    ]
    for seed in range(3):
        ranked = sorted(outputs, key=lambda tokens: -log_probability(tokens, seed) / (len(tokens) + 1))
        results = search([seed], [LONGEST], beam=130, n_best=20)[0]
        assert [tokens for tokens, _ in results] == ranked[:20]
        assert math.isfinite(results[-1][1])
