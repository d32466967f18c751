"""No n-gram twice: what is banned by definition, in loops, and searches held to enumeration under that
rule.
"""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from search.markov import BOS, EOS, Chain, random_chain
from search.test_beam import assert_same, pairs, search
from search.test_sampling import draw

from seq2attn.search.constraints import Constraints, Limits
from seq2attn.search.no_repeat_ngram import NoRepeatNgram


def again(tokens: list[int], ngram: int, forced: int = 0) -> bool:
    """Whether an n-gram whose last token was not forced stands in the output before."""
    ngrams: list[list[int]] = []
    for end in range(ngram, len(tokens) + 1):
        if end > forced and tokens[end - ngram : end] in ngrams:
            return True
        ngrams.append(tokens[end - ngram : end])
    return False


def allowed(
    chain: Chain, longest: int, ngram: int, begins: tuple[int, ...] = (), **more: int
) -> list[tuple[float, list[int]]]:
    return [
        (score, tokens)
        for score, tokens in chain.every(longest, 1.0, begins=begins, **more)
        if not again(tokens, ngram, len(begins))
    ]


@settings(max_examples=200, deadline=None)
@given(
    ngram=st.integers(1, 4),
    rows=st.lists(st.lists(st.integers(0, 4), min_size=8, max_size=8), min_size=6, max_size=6),
    length=st.integers(0, 8),
)
def test_apply_bans_tokens_that_would_repeat_an_ngram(ngram: int, rows: list[list[int]], length: int) -> None:
    """Six rows, two sentences of three; the end token is number 4."""
    repeats = NoRepeatNgram(ngram, 4)
    written = torch.tensor(rows).view(2, 3, 8)
    here = torch.arange(3).expand(2, -1)
    for step in range(length):
        repeats.advance(here, written[:, :, step])
    before = torch.randn(2, 3, 6)
    log_p = repeats.apply(before.clone())
    for sentence in range(2):
        for row in range(3):
            tokens = written[sentence, row, :length].tolist()
            for token in range(6):
                grams = [tokens[i : i + ngram] for i in range(length - ngram + 1)]
                banned = (
                    token != 4
                    and [*tokens[length - ngram + 1 :], token][-ngram:] in grams
                    and length >= ngram
                )
                assert log_p[sentence, row, token] == (-math.inf if banned else before[sentence, row, token])


def test_advance_reorders_the_tokens_of_rows() -> None:
    repeats = NoRepeatNgram(1, 9)
    repeats.advance(torch.tensor([[0, 0], [0, 0]]), torch.tensor([[2, 3], [4, 5]]))
    repeats.advance(torch.tensor([[1, 0], [1, 1]]), torch.tensor([[6, 6], [7, 8]]))
    repeats.select_sentences(torch.tensor([1]))
    assert repeats.tokens_BWT is not None
    assert repeats.tokens_BWT.tolist() == [[[5, 7], [5, 8]]]


@pytest.mark.parametrize("ngram", [1, 2, 3])
def test_beam_search_equals_enumeration_of_allowed_outputs(ngram: int) -> None:
    for seed in range(4):
        chain = random_chain(seed, 5)
        expected = allowed(chain, 5, ngram)
        assert 0 < len(expected) < 1 + 3 + 9 + 27 + 81 + 243
        assert_same(pairs(search(chain, [5], beam=370, n_best=370, no_repeat_ngram=ngram)[0]), expected)


@pytest.mark.parametrize("ngram", [1, 2])
def test_prefix_may_hold_repeats_but_comes_once(ngram: int) -> None:
    begins = [(2, 2, 2, 3), (), (3, 4, 3, 4)]
    prefix_BP = torch.tensor([[2, 2, 2, 3], [-1, -1, -1, -1], [3, 4, 3, 4]])
    for seed in range(4):
        chain = random_chain(seed, 5)
        results = search(chain, [6, 3, 6], beam=60, n_best=40, no_repeat_ngram=ngram, prefix_BP=prefix_BP)
        for prefix, limit, hypotheses in zip(begins, [6, 3, 6], results, strict=True):
            expected = allowed(chain, limit, ngram, prefix)
            assert_same(pairs(hypotheses), expected[:40])
            assert hypotheses[0].tokens[: len(prefix)] == list(prefix)


def test_beam_search_leaves_a_loop_or_ends() -> None:
    #                             BOS  EOS   a     b
    chain = Chain(
        torch.tensor(
            [[0.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.01, 0.9, 0.09], [0.0, 0.01, 0.9, 0.09]],
            dtype=torch.float64,
        )
    )
    A, B = 2, 3
    assert search(chain, [8], beam=1)[0][0].tokens == [A] * 8
    assert search(chain, [8], beam=1, no_repeat_ngram=1)[0][0].tokens == [A, B]
    # behind a there was a, and b
    assert search(chain, [8], beam=1, no_repeat_ngram=2)[0][0].tokens == [A, A, B, A]
    assert search(chain, [8], beam=1, no_repeat_ngram=3)[0][0].tokens == [A, A, A, B, A, A]


@pytest.mark.parametrize("ngram", [1, 2])
def test_apply_never_bans_the_end_token(ngram: int) -> None:
    chain = random_chain(0, 5)
    for hypothesis in (
        search(chain, [40], beam=1, no_repeat_ngram=ngram)[0]
        + draw(chain, [1], 40, limit=40, no_repeat_ngram=ngram)[0]
    ):
        assert hypothesis.finished
        assert not again(hypothesis.tokens, ngram, 0)


def test_search_of_an_output_without_a_way_on_gives_an_empty_one() -> None:
    (hypothesis,) = search(random_chain(0, 5), [9], beam=2, no_repeat_ngram=1, min_length=4)[0]
    assert (hypothesis.tokens, hypothesis.score, hypothesis.finished) == ([], -math.inf, False)
    assert [
        h.score for h in draw(random_chain(0, 5), [1], 2, limit=9, no_repeat_ngram=1, min_length=4)[0]
    ] == [-math.inf] * 2
    assert len(search(random_chain(0, 5), [9], beam=2, no_repeat_ngram=1, min_length=3)[0][0].tokens) == 3


@pytest.mark.parametrize("ngram", [1, 2, 3])
def test_samples_hold_no_repeats_and_have_the_probability_of_the_model(ngram: int) -> None:
    chain = random_chain(3, 6)
    prefix_BP = torch.tensor([[2, 2, 2], [-1, -1, -1]])
    plain = draw(chain, [1, 2], 60, limit=12, prefix_BP=prefix_BP)
    outputs = set()
    for forced, hypotheses, free in zip(
        (3, 0),
        draw(chain, [1, 2], 60, limit=12, no_repeat_ngram=ngram, prefix_BP=prefix_BP),
        plain,
        strict=True,
    ):
        assert any(again(h.tokens, ngram, forced) for h in free)
        for hypothesis in hypotheses:
            assert not again(hypothesis.tokens, ngram, forced)
            assert hypothesis.tokens[:forced] == [2] * forced
            assert hypothesis.log_probability == pytest.approx(chain.log_probability(hypothesis.tokens))
            outputs.add(tuple(hypothesis.tokens))
    assert len(outputs) > 20


def test_samples_have_the_frequencies_of_the_allowed_tokens() -> None:
    chain = Chain(
        torch.tensor(
            [[0.0, 0.0, 0.5, 0.5], [0.0, 1.0, 0.0, 0.0], [0.0, 0.2, 0.6, 0.2], [0.0, 0.2, 0.2, 0.6]],
            dtype=torch.float64,
        )
    )
    results = [tuple(h.tokens) for h in draw(chain, [7], 4000, limit=5, no_repeat_ngram=1)[0]]
    assert set(results) == {(2,), (3,), (2, 3), (3, 2)}
    for tokens, p in (((2,), 0.25), ((2, 3), 0.25)):  # 0.2 to 0.2 once the same again is out
        assert abs(results.count(tokens) / 4000 - p) < 4 * math.sqrt(p * (1 - p) / 4000)


@pytest.mark.parametrize("beam", [1, 3])
@pytest.mark.parametrize("group", [1, 4])
def test_search_of_a_batch_equals_one_by_one(beam: int, group: int) -> None:
    chain, limits = random_chain(4, 6, 2.0), [0, 12, 3, 20, 1, 12, 9, 2]
    batched = search(chain, limits, beam=beam, n_best=beam, no_repeat_ngram=2, batch_multiple=group)
    sampled = draw(chain, list(range(8)), 3, limits=limits, no_repeat_ngram=2, batch_multiple=group)
    for seed, (limit, hypotheses, samples) in enumerate(zip(limits, batched, sampled, strict=True)):
        alone = search(chain, [limit], beam=beam, n_best=beam, no_repeat_ngram=2)[0]
        assert [h._replace(weights=None) for h in hypotheses] == [h._replace(weights=None) for h in alone]
        assert [h.tokens for h in draw(chain, [seed], 3, limits=[limit], no_repeat_ngram=2)[0]] == [
            h.tokens for h in samples
        ]
        assert not any(again(h.tokens, 2) for h in [*hypotheses, *samples])


def test_constraints_keep_nothing_without_no_repeat_ngram() -> None:
    constraints = Constraints(Limits(torch.tensor([3]), BOS, EOS, banned=(BOS,)))
    constraints.advance(torch.zeros(1, 1, dtype=torch.long), torch.zeros(1, 1, dtype=torch.long))
    assert constraints.no_repeat is None
