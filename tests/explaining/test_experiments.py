"""Experiments on attention: what the decoder reads is what a plain loop over steps reads, with positions
taken out of the memory, in every family, in every batch and in every search.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import explained_models
import numpy as np
import pytest
import reference
import tiny
import torch
from explained_models import FAMILIES, SOURCES, TARGETS

from seq2attn.attention.attention import ProjectedMemory
from seq2attn.data.tokenizer import BOS, EOS, PAD
from seq2attn.errors import UsageError, UserError
from seq2attn.explaining.changed_translator import ChangedTranslator, changed_translator
from seq2attn.explaining.changed_weights import shared
from seq2attn.explaining.comparison import Comparison, compare
from seq2attn.explaining.experiment import Experiment
from seq2attn.inference import Translation, Translator, forced
from seq2attn.inference.translator import Member
from seq2attn.inference.words import word_numbers

# kinds of attention that families do not have by themselves
ATTENTIONS: dict[str, dict[str, Any]] = {
    "sparse": {"normaliser": "sparsemax"},
    "coverage": {"history": "coverage"},
    "hard": {"normaliser": "hard-topk"},
    "drawn": {"normaliser": "hard-sample", "at_inference": "sample"},
    "local-m": {"window": "local-m", "half_width": 2},
    "local-p": {"window": "local-p", "half_width": 2},
    "sigmoid": {"normaliser": "sigmoid"},
}
WHOLE = [*FAMILIES, "sparse", "coverage", "hard"]  # no window, and weights that add up to 1
ALL = [*FAMILIES, *ATTENTIONS]
WORDS = 6  # the second source has so many or more


def translator(name: str, seed: int = 1, sharpness: float = 1.5) -> Translator:
    if name in FAMILIES:
        return explained_models.translator(name, seed, sharpness)
    return tiny.translator(seed, sharpness, attention=ATTENTIONS[name])


def with_slow(quick: list[str], names: list[str]) -> list[Any]:
    """The names; those that are not quick are slow."""
    return [name if name in quick else pytest.param(name, marks=pytest.mark.slow) for name in names]


def positions_of(model: Translator, text: str, word: int) -> list[int]:
    ids = model.source_tokenizer.encode(text)
    return [s for s, of in enumerate(word_numbers(text, ids, model.source_tokenizer)) if of == word - 1]


def changed(model: Translator, texts: Sequence[str], *experiments: Experiment) -> ChangedTranslator:
    own = experiments if len(experiments) > 1 else experiments * len(texts)
    return changed_translator(model, texts, own, [""] * len(texts))


def at_positions(memory: ProjectedMemory, open_: list[int]) -> ProjectedMemory:
    keys, values, past, mask = memory
    return ProjectedMemory(
        keys[..., open_, :],
        values[..., open_, :],
        None if past is None else past[..., open_, :],
        mask[:, open_],
    )


def map_memories(source: Any, change: Callable[[ProjectedMemory, int], ProjectedMemory]) -> Any:
    """The source of a decoder with other memories of its attentions."""
    if hasattr(source, "memories"):
        return source._replace(memories=tuple(change(one, i) for i, one in enumerate(source.memories)))
    return source._replace(projected=change(source.projected, 0))


def steps_of(
    model: Translator,
    text: str,
    target: list[int],
    open_at: Callable[[int, int], list[int]],
    change: Callable[[ProjectedMemory, int], ProjectedMemory] = lambda memory, layer: memory,
) -> float:
    """log p of a target, step by step: at step t (from 0) there are no positions but `open_at(t, S)`."""
    net = model.models[0].eval()
    ids = torch.tensor([[*model.source_tokenizer.encode(text), EOS]])
    log_p = 0.0
    with torch.no_grad():
        memory = net.encoder(ids, ids != PAD)
        size = ids.size(1)
        source = map_memories(net.decoder.project_memory(memory), change)
        state: Any = net.decoder.initial_state(memory)
        for step, (token, following) in enumerate(zip([BOS, *target], [*target, EOS], strict=True)):
            open_ = open_at(step, size)
            cut = map_memories(source, lambda one, _, open_=open_: at_positions(one, open_))
            history = state.history
            if history is not None and history.previous is not None:
                narrow = history._replace(
                    previous=history.previous[..., open_], cumulative=history.cumulative[..., open_]
                )
                output, state = net.decoder.step(torch.tensor([token]), state._replace(history=narrow), cut)
                weights = torch.zeros_like(history.previous).index_copy(
                    -1, torch.tensor(open_), output.weights[:, 0]
                )
                wide = history._replace(
                    step=history.step + 1, previous=weights, cumulative=history.cumulative + weights
                )
                state = state._replace(history=wide)
            else:
                output, state = net.decoder.step(torch.tensor([token]), state, cut)
            log_p += float(output.logits.log_softmax(-1)[0, following])
    return log_p


def forced_log_p(model: Translator, text: str, target: list[int], number: int = 0) -> float:
    sources, _ = model.encode_sources([SOURCES[i] if i != number else text for i in range(number + 1)])
    targets = [target] * (number + 1)
    lengths = [len(ids) + 1 for ids in sources[0]]
    return forced.score_targets(model, sources, lengths, targets, False, 1, 0, None)[number].log_probability


@pytest.mark.parametrize("name", WHOLE)
def test_mask_takes_positions_out_of_the_memory(name: str) -> None:
    model, text = translator(name), SOURCES[1]
    target = model.target_tokenizer.encode(TARGETS[1])
    for words in ([2], [1, 6]):
        hidden = [s for word in words for s in positions_of(model, text, word)]

        def others(step: int, size: int, hidden: list[int] = hidden) -> list[int]:
            return [s for s in range(size) if s not in hidden]

        expected = steps_of(model, text, target, others)
        other = changed(model, [text], Experiment(mask=words))
        assert forced_log_p(other, text, target) == pytest.approx(expected, abs=1e-4)
        assert expected != pytest.approx(forced_log_p(model, text, target), abs=1e-3)


@pytest.mark.parametrize("name", ALL)
def test_mask_leaves_no_weight(name: str) -> None:
    model = translator(name)
    results = changed(model, SOURCES, Experiment(mask=[2, 5])).translate(
        SOURCES, beam=3, max_length=12, attention="all"
    )
    for [result] in results:
        assert result.attention_heads is not None
        assert (result.attention_heads[..., [1, 4]] == 0).all()


@pytest.mark.parametrize("name", WHOLE)
def test_attend_with_weight_1_is_a_source_of_that_word_alone(name: str) -> None:
    model, text, step = translator(name), SOURCES[1], 3
    target = model.target_tokenizer.encode(TARGETS[1])
    # sparse and hard weights of two subwords in another softmax are not in the same proportion
    word = next(w for w in range(1, WORDS) if len(positions_of(model, text, w)) == 1)
    own = positions_of(model, text, word)
    expected = steps_of(model, text, target, lambda t, size: own if t == step - 1 else [*range(size)])
    other = changed(model, [text], Experiment(attend={(step, word): 1}))
    assert forced_log_p(other, text, target) == pytest.approx(expected, abs=1e-4)
    assert expected != pytest.approx(forced_log_p(model, text, target), abs=1e-3)


@pytest.mark.parametrize("name", ["hard", "drawn"])
def test_attend_with_weight_0_makes_hard_attention_read_the_next_best(name: str) -> None:
    model, text = translator(name), SOURCES[1]
    [before] = model.score_targets([text], [TARGETS[1]], attention=True)
    assert before.subword_attention is not None
    reads = before.subword_attention.argmax(1).tolist()
    ids = model.source_tokenizer.encode(text)
    word_of = word_numbers(text, ids, model.source_tokenizer)
    step, word = next((t, word_of[s] + 1) for t, s in enumerate(reads) if s < len(ids))  # not the end token
    other = changed(model, [text], Experiment(attend={(step + 1, word): 0}))
    [after] = other.score_targets([text], [TARGETS[1]], attention=True)
    assert after.subword_attention is not None
    assert after.subword_attention[step].sum() == 1
    assert after.subword_attention[step][positions_of(model, text, word)].sum() == 0


@pytest.mark.parametrize("name", [*FAMILIES, "sparse", "hard"])
def test_uniform_head_reads_the_mean_of_the_values(name: str) -> None:
    model, text = translator(name), SOURCES[1]
    target = model.target_tokenizer.encode(TARGETS[1])
    layers, heads = model.config.model.attention_layers, model.config.model.attention.heads
    wishes: list[Any] = [
        "all",
        *([(layer, head)] for layer in range(1, layers + 1) for head in range(1, heads + 1)),
    ]
    for wish in wishes:

        def mean(memory: ProjectedMemory, layer: int, wish: Any = wish) -> ProjectedMemory:
            values = memory.values.clone()
            for head in range(values.size(1)):
                if wish == "all" or (layer + 1, head + 1) in wish:
                    values[:, head] = values[:, head].mean(1, keepdim=True)
            return memory._replace(values=values)

        expected = steps_of(model, text, target, lambda t, size: [*range(size)], mean)
        # in a batch with a longer and a shorter source: padding has no share
        other = changed(model, [*SOURCES[:3], text], Experiment(uniform=wish))
        assert forced_log_p(other, text, target, 3) == pytest.approx(expected, abs=1e-4)


def rows(result: Translation) -> dict[int, Any]:
    """The weights of a result, as an experiment takes them."""
    assert result.subword_attention_heads is not None
    return {
        t + 1: result.subword_attention_heads[:, :, t] for t in range(result.subword_attention_heads.shape[2])
    }


@pytest.mark.parametrize("name", with_slow(["transformer", "local-p", "sigmoid"], ALL))
def test_weights_that_the_model_has_change_nothing(name: str) -> None:
    model = translator(name)
    results = [best for [best] in model.translate(SOURCES, beam=1, max_length=12, attention="all")]
    same = changed(model, SOURCES, *(Experiment(weights=rows(result)) for result in results))
    for [after], before in zip(
        same.translate(SOURCES, beam=1, max_length=12, attention="all"), results, strict=True
    ):
        assert after.tokens == before.tokens
        assert after.log_probability == pytest.approx(before.log_probability, abs=1e-5)
        assert after.subword_attention_heads == pytest.approx(before.subword_attention_heads, abs=1e-6)


@pytest.mark.parametrize(
    "name", ["rnn", "luong", *(name for name in ATTENTIONS if name not in ("hard", "drawn"))]
)
def test_attend_with_the_weight_that_a_word_has_changes_nothing(name: str) -> None:
    model = translator(name)
    for before in model.score_targets(SOURCES, TARGETS):
        assert before.subword_attention is not None
        own = {}
        for step in (1, 3):
            # the weights of a sigmoid may add up to more than 1
            word = next(w for w in range(1, WORDS) if len(positions_of(model, before.source, w)) == 1)
            [position] = positions_of(model, before.source, word)
            own[step, word] = min(float(before.subword_attention[step - 1, position]), 1.0)
        other = changed(model, [before.source], Experiment(attend=own))
        [after] = other.score_targets([before.source], [before.text])
        assert after.log_probability == pytest.approx(before.log_probability, abs=1e-5)
        assert after.subword_attention == pytest.approx(before.subword_attention, abs=1e-6)


@pytest.mark.parametrize("name", with_slow(["rnn", "drawn"], ALL))
def test_step_that_is_never_reached_changes_nothing(name: str) -> None:
    """Not even the draws of attention that samples, though the number of a text travels with their stream."""
    model = translator(name)
    for done in compare(model, SOURCES, Experiment(attend={(1000, 1): 1}), beam=3, max_length=12):
        assert done.changed.tokens == done.normal.tokens
        assert done.changed.log_probability == pytest.approx(done.normal.log_probability, abs=1e-5)
        assert done.unreached == [1000]
        assert (done.steps, done.differences) == ([], [])


EXPERIMENTS = [
    Experiment(mask=[1]),
    Experiment(attend={(2, 4): 1, (3, 1): 0.25, (3, 3): 0.5}),
    Experiment(),
    Experiment(uniform="all"),
    Experiment(mask=[3], attend={(1, 2): 1}, uniform=[(1, 1)]),
]


@pytest.mark.parametrize(
    "name", with_slow(["luong", "transformer"], [*FAMILIES, "coverage", "drawn", "local-m"])
)
def test_experiments_depend_neither_on_the_batch_nor_on_the_order(name: str) -> None:
    model = translator(name)
    own = EXPERIMENTS
    if name == "drawn":  # its weights are 0 and 1
        own = [Experiment(mask=[1]), Experiment(attend={(2, 4): 1}), *own[2:]]

    def facts(results: Sequence[Comparison]) -> list[Any]:
        return [(one.normal, one.changed, one.normal_with_change, one.changed_without) for one in results]

    together = facts(compare(model, SOURCES, own, beam=3, max_length=12))
    assert together == facts(compare(model, SOURCES, own, beam=3, max_length=12, batch_tokens=1))
    alone = [
        facts(compare(model, [text], [experiment], beam=3, max_length=12, first=number))[0]
        for number, (text, experiment) in enumerate(zip(SOURCES, own, strict=True))
    ]
    assert together == alone
    if name != "drawn":  # a draw depends on the number of its text
        assert together == facts(compare(model, SOURCES[::-1], own[::-1], beam=3, max_length=12))[::-1]
    assert len({one[1].log_probability == one[0].log_probability for one in together}) == 2


@pytest.mark.parametrize("name", with_slow(["rnn", "transformer", "local-m"], ALL))
@pytest.mark.parametrize("beam", [1, 4])
def test_search_finds_what_is_then_forced(name: str, beam: int) -> None:
    """In a beam, rows change places and sentences leave: each hypothesis still has its own changes."""
    model = translator(name)
    own = [
        one if name not in ("hard", "drawn") or 0.5 not in one.attend.values() else Experiment()
        for one in EXPERIMENTS
    ]
    other = changed(model, SOURCES, *own)
    outputs = other.translate(SOURCES, beam=beam, n_best=beam, max_length=12)
    sources, _ = other.encode_sources(SOURCES)
    lengths = [len(ids) + 1 for ids in sources[0]]
    for rank in range(beam):
        ranked = [those[min(rank, len(those) - 1)] for those in outputs]
        again = forced.score_targets(
            other, sources, lengths, [one.tokens for one in ranked], False, 1, 0, None
        )
        for one, hypothesis in zip(ranked, again, strict=True):
            assert one.log_probability == pytest.approx(hypothesis.log_probability, abs=1e-3)


def test_weights_of_a_text_do_not_depend_on_the_experiments_of_others() -> None:
    """Here another text gives a weight to more words at the same step."""
    model = translator("rnn")
    several = [Experiment(attend={(1, 1): 0.2, (1, 2): 0.2}), Experiment(attend={(1, 1): 0.5})]
    _, together = compare(model, SOURCES[:2], several, beam=1)
    [alone] = compare(model, SOURCES[1:2], several[1], beam=1, first=1)
    assert together.changed.log_probability == pytest.approx(alone.changed.log_probability, abs=1e-4)


def test_weights_of_hidden_words_are_refused() -> None:
    model = translator("rnn")
    weights = [1.0] + [0.0] * len(model.source_tokenizer.encode(SOURCES[0]))
    with pytest.raises(UsageError, match="`mask` hides a word that has a weight"):
        compare(model, SOURCES[:1], Experiment(mask=[1], weights={1: weights}))


def test_compare_refuses_confidence() -> None:
    with pytest.raises(UsageError, match="confidence is learned on the model as it is"):
        compare(translator("rnn"), SOURCES[:1], Experiment(mask=[1]), confidence=True)


def test_compare_gives_both_outputs_with_their_figures() -> None:
    model, experiment = translator("luong"), Experiment(mask=[2])
    before = [one.log_probability for one in model.score_targets(SOURCES, TARGETS)]
    results = compare(model, SOURCES, experiment, beam=3, max_length=12)
    assert [one.normal for one in results] == [
        best for best, *_ in model.translate(SOURCES, beam=3, max_length=12)
    ]
    other = changed(model, SOURCES, experiment)
    assert [one.changed for one in results] == [
        best for best, *_ in other.translate(SOURCES, beam=3, max_length=12)
    ]
    for number, one in enumerate(results):
        args = (SOURCES[number], one.normal.tokens, number)
        assert one.normal_with_change == pytest.approx(forced_log_p(other, *args), abs=1e-3)
        args = (SOURCES[number], one.changed.tokens, number)
        assert one.changed_without == pytest.approx(forced_log_p(model, *args), abs=1e-3)
        first = next(
            (
                s
                for s, pair in enumerate(zip(one.normal.tokens, one.changed.tokens, strict=False))
                if pair[0] != pair[1]
            ),
            None,
        )
        assert first is None or one.steps[0] == first + 1
    assert [one.log_probability for one in model.score_targets(SOURCES, TARGETS)] == before


def test_compare_names_the_words_that_differ() -> None:
    def of(words: str) -> Translation:
        return Translation("a b", words, 0.0, 0.0, [*map(ord, words)], target_words=words.split())

    one = Comparison(Experiment(), of("a b c d"), of("a x y d e"), 0.0, 0.0)
    assert [tuple(part) for part in one.differences] == [(["b", "c"], ["x", "y"], 2, 2), ([], ["e"], 5, 5)]
    late = Experiment(attend={(2, 1): 1, (3, 1): 1})
    assert Comparison(late, of("a"), of("a"), 0.0, 0.0).unreached == [3]  # step 2 writes the end
    assert Comparison(Experiment(), of("a"), of("a"), 0.0, 0.0).steps == []
    assert Comparison(Experiment(), of("ab"), of("acd"), 0.0, 0.0).steps == [2, 3]


def test_compare_of_an_ensemble_changes_every_member() -> None:
    first, second = translator("rnn"), translator("luong", seed=2)
    both = Translator(
        first.models[0],
        first.source_tokenizer,
        first.target_tokenizer,
        first.config,
        others=[Member(second.models[0], second.source_tokenizer)],
    )
    text, target = SOURCES[1], list[int]()  # one step: the end token, of which the probability is a mean
    experiment = Experiment(mask=[2])
    by_token = []
    for model in (first, second):
        whole = forced_log_p(changed(model, [text], experiment), text, target)
        end = steps_of(
            model,
            text,
            target,
            lambda t, size, model=model: [s for s in range(size) if s not in positions_of(model, text, 2)],
        )
        assert whole == pytest.approx(end, abs=1e-4)
        by_token.append(whole)
    together = forced_log_p(changed(both, [text], experiment), text, target)
    assert math.exp(together) == pytest.approx(np.mean(np.exp(by_token)), rel=1e-4)
    assert math.exp(together) != pytest.approx(math.exp(forced_log_p(both, text, target)), rel=1e-3)


def test_compare_of_blank_texts_is_empty() -> None:
    results = compare(translator("rnn"), ["", SOURCES[0], "  "], Experiment(mask=[2]))
    assert [one.normal.text == one.changed.text == "" for one in results] == [True, False, True]
    assert results[0].normal_with_change == 0


@pytest.mark.parametrize("seed", range(3))
def test_shared_weights_are_those_of_a_plain_loop(seed: int) -> None:
    torch.manual_seed(seed)
    batch, heads, steps, size = 3, 2, 4, 7
    real = torch.arange(size) < torch.tensor([7, 5, 2])[:, None]
    mask = real[:, None, None]
    weights = torch.rand(batch, heads, steps, size).masked_fill(~mask, 0.0)
    weights[:, :, 1] = 0
    weights[:, :, 2, :2] = 0
    weights = weights / weights.sum(-1, keepdim=True).clamp_min(1e-9)
    weights[:, :, 3] *= 2.5  # as a sigmoid has them
    group = torch.tensor([[0, 1, 1, 2, 0, 0, 0], [2, 0, 0, 0, 1, 0, 0], [1, 0, 0, 0, 0, 0, 0]])
    share = torch.tensor([[-1, 0.5, 0.25], [-1, 0.0, 1.0], [-1, 1.0, 0.0]])
    got = shared(weights, mask, group, share)
    for b in range(batch):
        own = {g: float(share[b, g]) for g in (1, 2) if (group[b] == g).any()}
        for h in range(heads):
            for t in range(steps):
                expected = reference.shared_weights(
                    weights[b, h, t].tolist(), real[b].tolist(), group[b].tolist(), own
                )
                assert got[b, h, t].tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("experiment", "message"),
    [
        (Experiment(mask=[99]), r"^mask 99: the source has 7 words$"),
        (Experiment(attend={(1, 8): 1}), r"^attend 1:8=1: the source has 7 words$"),
        (Experiment(mask=range(1, 8)), "^mask 1,2,3,4,5,6,7: no word of the source would be left to read$"),
        (Experiment(mask=[0]), "^mask 0: a whole number from 1"),
        (Experiment(attend={(0, 1): 1}), "^attend 0:1=1: a whole number from 1"),
        (Experiment(attend={(1, 1): 1.5}), "^attend 1:1=1.5: a weight is from 0 to 1"),
        (Experiment(attend={(1, 1): float("nan")}), "^attend 1:1=nan: a weight is from 0 to 1"),
        (Experiment(attend={(1, 1): 0.7, (1, 2): 0.7}), "step 1 add up to 1.4, more than 1"),
        (Experiment(attend={(1, 1): 1}, mask=[1]), "`mask` hides word 1"),
        (Experiment(uniform=[(2, 1)]), "^uniform 2.1: the attention has one layer"),
        (Experiment(uniform=[(1, 3)]), "^uniform 1.3: the attention has one head"),
        (Experiment(uniform="every"), "^uniform 'every'"),  # type: ignore[arg-type]
        (Experiment(weights={1: [1.0, 0.0]}), r"^weights of step 1: an array \(2,\), where"),
    ],
)
def test_compare_refuses_what_makes_no_sense(experiment: Experiment, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        compare(translator("rnn"), [SOURCES[0]], experiment)


def test_compare_refuses_weights_that_are_none() -> None:
    model = translator("rnn")
    count = len(model.source_tokenizer.encode(SOURCES[0])) + 1
    for weight, message in ((0.9, "add up to"), (-0.5, "from 0 to 1"), (float("nan"), "from 0 to 1")):
        with pytest.raises(UsageError, match=f"^weights of step 2: .*{message}"):
            compare(model, [SOURCES[0]], Experiment(weights={2: [weight] * count}))
    for weights in ([[0.5], [0.5, 0.5]], ["much"], [None]):
        with pytest.raises(UsageError, match=r"^weights of step 2: .*"):
            compare(model, [SOURCES[0]], Experiment(weights={2: weights}))


def test_compare_refuses_a_part_of_hard_attention() -> None:
    with pytest.raises(UsageError, match=r"^attend 1:1=0\.5: the attention is hard"):
        compare(translator("hard"), [SOURCES[0]], Experiment(attend={(1, 1): 0.5}))


def test_compare_names_the_text_that_an_experiment_does_not_fit() -> None:
    with pytest.raises(UsageError, match=r"^mask 3: the source has 2 words \(text 2\)"):
        compare(translator("rnn"), [SOURCES[0], "two words"], Experiment(mask=[3]))


def test_compare_refuses_a_model_without_attention() -> None:
    model = tiny.translator(context_source="summary")
    with pytest.raises(UserError, match="no attention"):
        compare(model, [SOURCES[0]], Experiment(mask=[1]))


def test_compare_compares_the_best_alone() -> None:
    with pytest.raises(UsageError, match="n_best 2"):
        compare(translator("rnn"), [SOURCES[0]], Experiment(mask=[1]), beam=2, n_best=2)
    with pytest.raises(UsageError, match="each text needs its own"):
        compare(translator("rnn"), SOURCES, [Experiment(mask=[1])])
