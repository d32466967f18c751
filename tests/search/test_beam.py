"""Beam search against Markov chains: by hand, by enumeration, and against a second beam search in plain loops
that never stops early.
"""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from search.markov import BOS, EOS, Chain, random_chain, select
from search.plain import plain_beam
from torch import Tensor

from seq2attn.search.beam import beam_search
from seq2attn.search.constraints import Limits
from seq2attn.search.step import Hypothesis


def search(
    chain: Chain,
    limits: list[int],
    *,
    beam: int,
    n_best: int = 1,
    length_penalty: float = 1.0,
    **more: object,
) -> list[list[Hypothesis]]:
    batch_multiple = more.pop("batch_multiple", 1)
    return beam_search(
        chain.step,
        chain.start(len(limits) * beam),
        Limits(torch.tensor(limits, dtype=torch.long), BOS, EOS, **{"banned": (BOS,)} | more),  # type: ignore[arg-type]
        select=select,
        beam=beam,
        n_best=n_best,
        length_penalty=length_penalty,
        batch_multiple=batch_multiple,  # type: ignore[arg-type]
    )


def pairs(hypotheses: list[Hypothesis]) -> list[tuple[float, list[int]]]:
    return [(hypothesis.score, hypothesis.tokens) for hypothesis in hypotheses]


def assert_same(results: list[tuple[float, list[int]]], expected: list[tuple[float, list[int]]]) -> None:
    assert [tokens for _, tokens in results] == [tokens for _, tokens in expected]
    assert [score for score, _ in results] == pytest.approx([score for score, _ in expected], abs=1e-6)


#                       BOS  EOS  a    b    c
GARDEN_PATH = Chain(torch.tensor([[0.0, 0.0, 0.6, 0.4, 0.0],   # a first looks better
                                  [0.0, 1.0, 0.0, 0.0, 0.0],
                                  [0.0, 0.4, 0.3, 0.0, 0.3],   # but after a nothing is sure,
                                  [0.0, 0.0, 0.0, 0.0, 1.0],   # and after b all is
                                  [0.0, 1.0, 0.0, 0.0, 0.0]], dtype=torch.float64))  # fmt: skip
A, B, C = 2, 3, 4


def test_beam_of_two_avoids_the_garden_path_of_greedy_search() -> None:
    greedy = search(GARDEN_PATH, [5], beam=1, length_penalty=0.0)[0][0]
    assert greedy.tokens == [A]
    assert greedy.log_probability == pytest.approx(math.log(0.6 * 0.4))
    wide = search(GARDEN_PATH, [5], beam=2, length_penalty=0.0)[0][0]
    assert wide.tokens == [B, C]
    assert wide.log_probability == pytest.approx(math.log(0.4))


def test_length_penalty_divides_by_the_length_with_the_end_token() -> None:
    #                             BOS  EOS  a
    chain = Chain(torch.tensor([[0.0, 0.3, 0.7], [0.0, 1.0, 0.0], [0.0, 0.4, 0.6]], dtype=torch.float64))
    assert search(chain, [1], beam=3, length_penalty=0.0)[0][0].tokens == []  # 0.3 against 0.7 * 0.4 = 0.28
    best = search(chain, [1], beam=3, length_penalty=1.0)[0][0]
    assert best.tokens == [A]
    assert best.score == pytest.approx(math.log(0.28) / 2)
    assert best.log_probability == pytest.approx(math.log(0.28))


def test_greedy_takes_the_likeliest_token_and_stops_at_its_first_end() -> None:
    for seed in range(20):
        chain = random_chain(seed, 6)
        tokens, last = [], BOS
        for length in range(9):
            log_p = chain.after(length)[last].clone()
            log_p[BOS] = -math.inf
            last = int(log_p.argmax()) if length < 8 else EOS
            if last == EOS:
                break
            tokens.append(last)
        results = search(chain, [8], beam=1)[0][0]
        assert results.tokens == tokens
        assert results.log_probability == pytest.approx(chain.log_probability(tokens))
        assert results.finished == (len(tokens) < 8)


@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 1.0, 2.0])
def test_beam_search_equals_enumeration_if_wide(length_penalty: float) -> None:
    for seed in range(5):
        chain = random_chain(seed, 5)
        expected = chain.every(4, length_penalty)
        assert len(expected) == 1 + 3 + 9 + 27 + 81
        assert_same(
            pairs(search(chain, [4], beam=130, n_best=121, length_penalty=length_penalty)[0]), expected
        )


@pytest.mark.slow
@settings(max_examples=120, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    size=st.integers(3, 8),
    beam=st.integers(2, 6),
    limits=st.lists(st.integers(0, 9), min_size=1, max_size=6),
    length_penalty=st.sampled_from([0.0, 0.5, 1.0, 1.7]),
    sharpness=st.sampled_from([0.5, 1.0, 3.0]),
    ngram=st.sampled_from([0, 0, 1, 2, 3]),
    shortest=st.sampled_from([0, 0, 2, 5]),
    data=st.data(),
)
def test_beam_search_equals_a_search_without_early_stops(
    seed: int,
    size: int,
    beam: int,
    limits: list[int],
    length_penalty: float,
    sharpness: float,
    ngram: int,
    shortest: int,
    data: st.DataObject,
) -> None:
    n_best = data.draw(st.integers(1, beam))
    chain = random_chain(seed, size, sharpness)
    begins = [tuple(data.draw(st.lists(st.integers(2, size - 1), max_size=3))) for _ in limits]
    prefix_BP = (
        torch.tensor([[*tokens, *[-1] * (3 - len(tokens))] for tokens in begins]) if any(begins) else None
    )
    batched = search(
        chain,
        limits,
        beam=beam,
        n_best=n_best,
        length_penalty=length_penalty,
        no_repeat_ngram=ngram,
        min_length=shortest,
        prefix_BP=prefix_BP,
    )
    for limit, forced, hypotheses in zip(limits, begins, batched, strict=True):
        rules = {
            "bos": BOS,
            "eos": EOS,
            "banned": (BOS,),
            "ngram": ngram,
            "begins": forced,
            "shortest": shortest,
        }
        expected = plain_beam(
            lambda some: [chain.after(len(t) - 1)[t[-1]].tolist() for t in some],
            limit,
            beam,
            length_penalty,
            **rules,
        )[:n_best]
        assert_same(pairs(hypotheses), expected or [(-math.inf, [])])
        for hypothesis in hypotheses if expected else ():
            assert hypothesis.log_probability == pytest.approx(
                chain.log_probability(hypothesis.tokens), abs=1e-6
            )


def test_beam_search_of_a_batch_equals_one_by_one() -> None:
    limits = [0, 12, 3, 7, 1, 12, 9, 2]
    for beam in (1, 4):
        chain = random_chain(3, 7, 2.0)
        batched = search(chain, limits, beam=beam, n_best=beam)
        for limit, hypotheses in zip(limits, batched, strict=True):
            alone = search(chain, [limit], beam=beam, n_best=beam)[0]
            assert [h._replace(weights=None) for h in hypotheses] == [h._replace(weights=None) for h in alone]


def test_beam_search_drops_finished_sentences_from_the_batch() -> None:
    sure = Chain(torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0, 0.999, 0.001]], dtype=torch.float64))
    assert search(sure, [1000], beam=2, length_penalty=0.0)[0][0].tokens == [A]
    assert sure.steps < 5
    endless = Chain(
        torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0, 1e-30, 1.0 - 1e-30]], dtype=torch.float64)
    )
    search(endless, [30, 2, 2, 2], beam=2)
    assert endless.rows[0] == 8
    assert endless.rows[-1] == 2
    assert endless.steps == 31


@pytest.mark.parametrize(("group", "rows"), [(1, 2), (4, 8)])
def test_beam_search_keeps_the_batch_multiple(group: int, rows: int) -> None:
    limits = [30, 9, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2]
    chain = random_chain(5, 5)
    results = search(chain, limits, beam=2, min_length=30, batch_multiple=group)
    assert chain.rows[0] == 24
    assert chain.rows[-1] == rows
    assert all(count % (2 * group) == 0 for count in chain.rows)
    for limit, (hypothesis,) in zip(limits, results, strict=True):
        assert hypothesis._replace(weights=None) == search(chain, [limit], beam=2, min_length=30)[0][
            0
        ]._replace(weights=None)


def test_beam_search_respects_length_limits() -> None:
    for seed in range(10):
        chain = random_chain(seed, 5)
        for shortest, longest in ((0, 0), (0, 3), (2, 4), (3, 3), (9, 2)):
            results = search(chain, [longest], beam=130, n_best=125, min_length=shortest)[0]
            expected = chain.every(longest, 1.0, shortest=min(shortest, longest))
            assert_same(pairs(results), expected[:125])


def test_finished_says_whether_the_limit_cut_the_output() -> None:
    chain = Chain(torch.tensor([[0.0, 0.1, 0.9], [0.0, 1.0, 0.0], [0.0, 0.1, 0.9]], dtype=torch.float64))
    by_length = {len(h.tokens): h.finished for h in search(chain, [3], beam=4, n_best=4)[0]}
    assert by_length == {0: True, 1: True, 2: True, 3: False}


def test_beam_search_never_writes_banned_tokens() -> None:
    for seed in range(10):
        chain = random_chain(seed, 6)
        results = search(chain, [4], beam=40, n_best=31, banned=(BOS, 2, 5))[0]
        assert_same(pairs(results), chain.every(4, 1.0, banned=(BOS, 2, 5)))


def test_prefix_begins_every_output() -> None:
    prefix_BP = torch.tensor([[3, 4, 2], [2, -1, -1], [-1, -1, -1], [4, 4, -1]])
    for seed in range(5):
        chain = random_chain(seed, 5)
        results = search(chain, [4, 3, 2, 1], beam=60, n_best=40, prefix_BP=prefix_BP)
        for begins, limit, hypotheses in zip(
            [(3, 4, 2), (2,), (), (4, 4)], [4, 3, 2, 2], results, strict=True
        ):
            assert_same(pairs(hypotheses), chain.every(limit, 1.0, begins=begins)[:40])


def test_prefix_may_hold_banned_tokens() -> None:
    chain = random_chain(1, 5)
    results = search(chain, [3], beam=20, n_best=7, banned=(BOS, 2), prefix_BP=torch.tensor([[2]]))[0]
    assert [h.tokens[:1] for h in results] == [[2]] * 7
    assert all(2 not in h.tokens[1:] for h in results)


@pytest.mark.parametrize("beam", [1, 5])
def test_attention_belongs_to_its_hypothesis(beam: int) -> None:
    chain = random_chain(4, 8, 2.0)
    for hypotheses in search(chain, [9, 1, 5, 0, 9], beam=beam, n_best=beam):
        for hypothesis in hypotheses:
            assert hypothesis.weights is not None
            # the chain attends to what it read
            assert hypothesis.weights.argmax(1).tolist() == [BOS, *hypothesis.tokens]


def test_attention_is_none_if_the_step_has_no_weights() -> None:
    chain = random_chain(4, 8)

    def step(token_R: Tensor, state: Tensor) -> tuple[Tensor, Tensor, None]:
        log_p, state, _ = chain.step(token_R, state)
        return log_p, state, None

    limits = Limits(torch.tensor([4]), BOS, EOS, banned=())
    results = beam_search(step, chain.start(2), limits, select=select, beam=2, n_best=2, length_penalty=1.0)
    assert [h.weights for h in results[0]] == [None, None]


def test_beam_search_returns_fewer_outputs_if_fewer_exist() -> None:
    chain = Chain(torch.tensor([[0.0, 0.5, 0.5], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]], dtype=torch.float64))
    assert [h.tokens for h in search(chain, [7], beam=5, n_best=5, length_penalty=0.0)[0]] in (
        [[], [2]],
        [[2], []],
    )


def test_beam_search_of_a_step_that_never_ends_returns_one_empty_output() -> None:
    chain = Chain(torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64))
    (hypothesis,) = search(chain, [4], beam=2)[0]
    assert hypothesis == Hypothesis([], -math.inf, -math.inf, None, finished=False)


@pytest.mark.parametrize("beam", [1, 3])
def test_beam_search_refuses_nan(beam: int) -> None:
    chain = random_chain(0, 5)
    chain.log_p_LNN[:, 3] = math.nan
    chain.log_p_LNN[:, BOS, 3] = -1e-9
    with pytest.raises(ArithmeticError, match="NaN"):
        search(chain, [6], beam=beam)


def test_beam_search_refuses_contradictory_options() -> None:
    chain = random_chain(0, 5)
    assert search(chain, [], beam=3) == []
    assert chain.steps == 0
    with pytest.raises(ValueError, match="n_best is 4"):
        search(chain, [5], beam=3, n_best=4)
    with pytest.raises(ValueError, match="length_penalty"):
        search(chain, [5], beam=3, length_penalty=-0.1)


def test_half_precision_log_probabilities_are_summed_in_float32() -> None:
    chain = random_chain(0, 5)
    chain.log_p_LNN = chain.log_p_LNN.bfloat16()
    best = search(chain, [12], beam=2, min_length=12)[0][0]
    # rounded, a row sums to one no more: what the search makes good
    chain.log_p_LNN = chain.log_p_LNN.float().log_softmax(-1)
    assert best.log_probability == pytest.approx(chain.log_probability(best.tokens), abs=1e-4)
