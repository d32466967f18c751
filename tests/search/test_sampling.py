"""Sampling: the right distribution, the cuts by definition, one stream of random numbers per sentence
whatever the batch.
"""

import math
from collections import Counter

import pytest
import torch
from search.markov import BOS, EOS, Chain, random_chain, select

from seq2attn.search.constraints import Limits
from seq2attn.search.sampling import sample, seed_of, top_k_top_p
from seq2attn.search.step import Hypothesis


def draw(
    chain: Chain,
    seeds: list[int],
    samples: int = 1,
    *,
    limit: int = 6,
    limits: list[int] | None = None,
    **more: object,
) -> list[list[Hypothesis]]:
    settings: dict[str, object] = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "length_penalty": 1.0}
    settings |= {name: more.pop(name) for name in (*settings, "batch_multiple") if name in more}
    lengths = torch.tensor(limits or [limit] * len(seeds))
    return sample(
        chain.step,
        chain.start(len(seeds) * samples),
        Limits(lengths, BOS, EOS, **{"banned": (BOS,)} | more),  # type: ignore[arg-type]
        select=select,
        seeds=seeds,
        samples=samples,
        **settings,  # type: ignore[arg-type]
    )


def test_sample_frequencies_match_the_probabilities() -> None:
    chain = random_chain(0, 4)
    for table in chain.log_p_LNN:
        table[:, BOS] = -math.inf
    chain.log_p_LNN = chain.log_p_LNN.log_softmax(-1)
    chain.log_p_LNN[2:, :, 2:] = -math.inf  # the third token is the end
    chain.log_p_LNN = chain.log_p_LNN.log_softmax(-1)
    counts = Counter(tuple(h.tokens) for h in draw(chain, [7], 5000, limit=2)[0])
    expected = chain.every(2, 0.0)
    assert sum(math.exp(score) for score, _ in expected) == pytest.approx(1)
    for log_p, tokens in expected:
        p = math.exp(log_p)
        assert abs(counts[tuple(tokens)] / 5000 - p) < 4 * math.sqrt(p * (1 - p) / 5000), tokens
    assert not set(counts) - {tuple(tokens) for _, tokens in expected}


def test_sample_scores_are_log_probabilities_of_the_model() -> None:
    chain = random_chain(2, 6)
    for hypothesis in draw(chain, [1], 50, temperature=0.5, top_k=3, top_p=0.9)[0]:
        assert hypothesis.log_probability == pytest.approx(chain.log_probability(hypothesis.tokens))
        assert hypothesis.score == pytest.approx(hypothesis.log_probability / (len(hypothesis.tokens) + 1))
        assert hypothesis.weights is not None
        assert hypothesis.weights.argmax(1).tolist() == [BOS, *hypothesis.tokens]
        assert hypothesis.finished == (len(hypothesis.tokens) < 6)


def test_samples_are_in_order_of_score() -> None:
    scores = [h.score for h in draw(random_chain(2, 6), [1], 30)[0]]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) > 5


P = torch.tensor([[0.4, 0.3, 0.2, 0.06, 0.04]]).log()


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p", "expected"),
    [
        (1.0, 0, 1.0, [0.4, 0.3, 0.2, 0.06, 0.04]),
        (1.0, 2, 1.0, [4 / 7, 3 / 7, 0, 0, 0]),
        (1.0, 99, 1.0, [0.4, 0.3, 0.2, 0.06, 0.04]),
        (1.0, 0, 0.71, [4 / 9, 3 / 9, 2 / 9, 0, 0]),
        (1.0, 0, 0.69, [4 / 7, 3 / 7, 0, 0, 0]),
        (1.0, 0, 0.01, [1, 0, 0, 0, 0]),
        (1.0, 2, 0.5, [1, 0, 0, 0, 0]),  # of what top_k leaves, the first holds 4/7
        (
            0.5,
            0,
            1.0,
            [x * x / sum(y * y for y in (0.4, 0.3, 0.2, 0.06, 0.04)) for x in (0.4, 0.3, 0.2, 0.06, 0.04)],
        ),
    ],
)
def test_top_k_top_p_and_temperature_equal_hand_computation(
    temperature: float, top_k: int, top_p: float, expected: list[float]
) -> None:
    for order in ([0, 1, 2, 3, 4], [3, 0, 4, 2, 1]):
        results = top_k_top_p(P[:, order], temperature, top_k, top_p)[0].tolist()
        assert results == pytest.approx([expected[place] for place in order], abs=1e-6)


def test_top_k_of_one_and_a_cold_sample_are_greedy() -> None:
    for seed in range(10):
        chain = random_chain(seed, 6)
        (first,), (second,) = draw(chain, [seed], top_k=1)[0], draw(chain, [seed + 1], temperature=1e-4)[0]
        assert first == first._replace(tokens=second.tokens, weights=first.weights)


def test_sample_does_not_depend_on_the_batch() -> None:
    chain = random_chain(1, 9)
    limits = [3, 20, 7, 0, 20, 1]
    batched = draw(chain, [10, 11, 12, 13, 14, 15], 3, limits=limits)
    for seed, limit, hypotheses in zip(range(10, 16), limits, batched, strict=True):
        assert [h.tokens for h in draw(chain, [seed], 3, limit=limit, limits=[limit])[0]] == [
            h.tokens for h in hypotheses
        ]
    assert [h.tokens for h in draw(chain, [11], 5, limit=20)[0]] != [
        h.tokens for h in draw(chain, [14], 5, limit=20)[0]
    ]


@pytest.mark.parametrize("group", [1, 4])
def test_sample_keeps_the_batch_multiple(group: int) -> None:
    chain, limits = random_chain(5, 5), [30, 9, 2, 2, 2, 2, 2, 2]
    results = draw(chain, list(range(8)), 2, limits=limits, min_length=30, batch_multiple=group)
    assert chain.rows[0] == 16
    assert chain.rows[-1] == 2 * group
    assert [[len(h.tokens) for h in hypotheses] for hypotheses in results] == [
        [limit] * 2 for limit in limits
    ]
    assert [h.tokens for h in results[1]] == [
        h.tokens for h in draw(chain, [1], 2, limit=9, min_length=30)[0]
    ]


def test_samples_of_a_sentence_differ_and_repeat_with_the_seed() -> None:
    chain = random_chain(1, 9)
    tokens = [tuple(h.tokens) for h in draw(chain, [5], 20, limit=20)[0]]
    assert len(set(tokens)) > 10
    assert tokens == [tuple(h.tokens) for h in draw(chain, [5], 20, limit=20)[0]]
    assert len({seed_of(seed, line) for seed in range(50) for line in range(50)}) == 2500


def test_sample_respects_limits_bans_and_prefixes() -> None:
    chain = random_chain(6, 6)
    results = draw(
        chain,
        [1, 2, 3],
        40,
        limits=[4, 4, 1],
        min_length=3,
        banned=(BOS, 2),
        prefix_BP=torch.tensor([[2, 3], [5, -1], [-1, -1]]),
    )
    for hypotheses, lengths, begins in zip(results, [{3, 4}, {3, 4}, {1}], [[2, 3], [5], []], strict=True):
        assert {len(h.tokens) for h in hypotheses} == lengths
        assert all(h.tokens[: len(begins)] == begins for h in hypotheses)
        assert not any(2 in h.tokens[len(begins) :] or BOS in h.tokens for h in hypotheses)


def test_sample_of_a_step_that_allows_nothing_is_empty() -> None:
    chain = Chain(torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64))
    assert draw(chain, [1], 2)[0] == [Hypothesis([], -math.inf, -math.inf, None, finished=False)] * 2


def test_sample_refuses_nan() -> None:
    chain = random_chain(0, 5)
    chain.log_p_LNN[:] = math.nan
    with pytest.raises(ArithmeticError, match="NaN"):
        draw(chain, [1])


def test_sample_refuses_contradictory_options() -> None:
    chain = random_chain(0, 5)
    assert draw(chain, [], limits=[]) == []
    for wrong in (
        {"temperature": 0.0},
        {"top_p": 0.0},
        {"top_p": 1.5},
        {"top_k": -1},
        {"length_penalty": -1.0},
    ):
        with pytest.raises(ValueError, match="out of range"):
            draw(chain, [1], **wrong)
