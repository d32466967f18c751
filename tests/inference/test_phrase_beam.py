"""The search for outputs with phrases, against the list of every output of a Markov chain."""

import math

import pytest
import torch
from search.markov import BOS, EOS, Chain, random_chain, select

from seq2attn.inference.phrase_beam import Edges, Phrase, Way, phrase_beam_search
from seq2attn.search.beam import beam_search
from seq2attn.search.constraints import Limits
from seq2attn.search.step import Hypothesis

SIZE, LIMIT, BEAM = 5, 3, 400


def phrase(*tokens: int, positions: tuple[int, ...] = ()) -> Phrase:
    return Phrase((Way(tokens),), positions)


def search(
    chain: Chain, phrases: list[list[Phrase]], edges: Edges | None = None, beam: int = BEAM, **more: object
) -> list[list[Hypothesis]]:
    limits = Limits(torch.full((len(phrases),), LIMIT), BOS, EOS, (BOS,), **more)  # type: ignore[arg-type]
    none = torch.zeros(chain.size, dtype=torch.bool)

    def step(
        token_R: torch.Tensor, state_RT: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        logits_RN, state_RT, weights_RS = chain.step(token_R, state_RT)
        return logits_RN, state_RT, weights_RS[:, None, None]

    return phrase_beam_search(
        *(step, chain.start(len(phrases) * beam), limits, phrases, edges or Edges(none, none)),
        select=select,
        beam=beam,
        n_best=1,
        length_penalty=0.0,
    )


def holds(tokens: list[int], part: tuple[int, ...]) -> bool:
    return any(tuple(tokens[i : i + len(part)]) == part for i in range(len(tokens)))


@pytest.mark.parametrize("parts", [((2,),), ((3, 2),), ((4,), (2, 3)), ((3,), (2,))])
@pytest.mark.parametrize("seed", range(4))
def test_phrase_beam_finds_the_best_of_all_outputs_with_the_phrases(
    seed: int, parts: tuple[tuple[int, ...], ...]
) -> None:
    chain = random_chain(seed, SIZE, 2.0)
    room = sum(map(len, parts))
    best, *_ = (
        tokens for _, tokens in chain.every(LIMIT + room, 0.0) if all(holds(tokens, part) for part in parts)
    )
    [[hypothesis]] = search(chain, [[phrase(*part) for part in parts]])
    assert hypothesis.tokens == best
    assert hypothesis.log_probability == pytest.approx(chain.log_probability(best), abs=1e-5)


def test_phrase_beam_without_phrases_is_beam_search() -> None:
    for seed in range(5):
        chain = random_chain(seed, SIZE, 2.0)
        limits = Limits(torch.tensor([LIMIT]), BOS, EOS, (BOS,))
        options = {"select": select, "beam": 3, "n_best": 1, "length_penalty": 0.0}
        [[expected]] = beam_search(chain.step, chain.start(3), limits, **options)  # type: ignore[arg-type]
        [[hypothesis]] = search(chain, [[]], beam=3)
        assert hypothesis.tokens == expected.tokens
        assert hypothesis.weights is not None
        # the "attention" of a chain is on the token that was read
        assert hypothesis.weights[:, 0, 0].argmax(1).tolist() == [BOS, *hypothesis.tokens]


def test_phrase_beam_holds_improbable_phrases_of_several_sentences_with_a_small_beam() -> None:
    table = torch.full((SIZE, SIZE), 1e-6, dtype=torch.float64)
    table[:, 2], table[:, EOS] = 0.6, 0.4  # tokens 3 and 4 come never
    chain = Chain(table / table.sum(1, keepdim=True))
    results = search(chain, [[phrase(3, 4)], [], [phrase(4), phrase(3)]], beam=8)
    assert holds(results[0][0].tokens, (3, 4))
    assert {3, 4} <= set(results[2][0].tokens)
    assert not {3, 4} & set(results[1][0].tokens)


def test_phrase_beam_ends_a_word_with_the_phrase_and_keeps_to_places() -> None:
    table = torch.full((SIZE, SIZE), 0.05, dtype=torch.float64)
    table[3, 4] = 0.8  # after 3 the model writes 4
    chain = Chain(table / table.sum(1, keepdim=True))
    none = torch.zeros(SIZE, dtype=torch.bool)
    continues = none.clone()
    continues[4] = True
    [[freely]] = search(chain, [[phrase(3)]])
    assert holds(freely.tokens, (3, 4))
    [[ended]] = search(chain, [[phrase(3)]], Edges(continues, none))
    assert 3 in ended.tokens
    assert not holds(ended.tokens, (3, 4))
    [[first]] = search(chain, [[Phrase((Way((2, 2)), Way((4,), "start"), Way((3,), "boundary")))]])
    tokens = first.tokens
    assert holds(tokens, (2, 2)) or tokens[0] == 4 or tokens[0] == 3  # BOS lets a word begin


def test_phrase_beam_begins_with_the_prefix() -> None:
    chain = random_chain(1, SIZE, 2.0)
    [[hypothesis]] = search(chain, [[phrase(3)]], prefix_BP=torch.tensor([[4, 2]]))
    assert hypothesis.tokens[:2] == [4, 2]
    assert 3 in hypothesis.tokens[2:]


def test_phrase_beam_places_a_phrase_where_the_attention_is() -> None:
    table = torch.full((SIZE, SIZE), 0.2, dtype=torch.float64)
    chain = Chain(table)
    [[hypothesis]] = search(chain, [[phrase(3, positions=(4,))]], beam=50)
    place = hypothesis.tokens.index(3)
    assert [BOS, *hypothesis.tokens][place] == 4  # whose attention is on position 4


def test_phrase_beam_refuses_a_beam_without_room() -> None:
    chain = random_chain(1, SIZE)
    with pytest.raises(ValueError, match="phrases of 3 tokens"):
        search(chain, [[phrase(2, 3, 4)]], beam=3)
    assert math.isfinite(search(chain, [[phrase(2, 3, 4)]], beam=4)[0][0].score)
