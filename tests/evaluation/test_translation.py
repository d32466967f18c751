"""What a model makes of a test set: references as likely as teacher forcing has them, whatever the batch,
alone and in an ensemble.
"""

import math

import pytest
import tiny
import torch

from seq2attn.data.tokenizer import BOS, EOS
from seq2attn.evaluation import translation
from seq2attn.inference import SearchOptions, Translator
from seq2attn.inference.translator import Member

SOURCES, TARGETS = tiny.ENGLISH[:7], tiny.FRENCH[:7]


def ensemble(members: int) -> Translator:
    of = tiny.settings()
    source, target = tiny.tokenizer("source"), tiny.tokenizer("target")
    return Translator(
        tiny.model(of, 1),
        source,
        target,
        of,
        others=[Member(tiny.model(of, seed), source) for seed in range(2, members + 1)],
    )


@torch.no_grad()
def by_hand(translator: Translator, source: str, target: str) -> tuple[float, int]:
    """Nats of one reference, and its tokens with the end token: a sentence alone, token by token."""
    ids = translator.target_tokenizer.encode(target)
    nats = 0.0
    for i, token in enumerate([*ids, EOS]):
        p = 0.0
        for member in translator.members:
            read = torch.tensor([[*member.source_tokenizer.encode(source), EOS]])
            logits = member.model.eval()(
                read, torch.ones_like(read, dtype=torch.bool), torch.tensor([[BOS, *ids[:i]]])
            ).logits
            p += float(logits[0, -1].softmax(-1)[token]) / len(translator.members)
        nats -= math.log(p)
    return nats, len(ids) + 1


@pytest.mark.parametrize("members", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_force_gives_the_likelihood_of_teacher_forcing(members: int) -> None:
    translator = ensemble(members)
    nats, tokens = (
        sum(parts)
        for parts in zip(
            *(by_hand(translator, *pair) for pair in zip(SOURCES, TARGETS, strict=True)), strict=True
        )
    )
    for batch_tokens in (40, None):
        options = SearchOptions(batch_tokens=batch_tokens)
        scores = translation.force(translator, SOURCES, [TARGETS], options).likelihood
        assert scores.log_probability == pytest.approx(-nats, rel=1e-4)
        assert (scores.tokens, scores.references, scores.left_out) == (tokens, 7, 0)
        assert scores.cross_entropy == pytest.approx(nats / tokens, rel=1e-4)
        assert scores.perplexity == pytest.approx(math.exp(nats / tokens), rel=1e-3)


def test_force_gives_a_uniform_model_the_perplexity_of_its_vocabulary() -> None:
    translator = tiny.translator()
    with torch.no_grad():
        translator.members[0].model.decoder.output.weight.zero_()
        translator.members[0].model.decoder.output.bias.zero_()
    assert translation.force(translator, SOURCES, [TARGETS]).likelihood.perplexity == pytest.approx(
        translator.target_tokenizer.size, rel=1e-5
    )


def test_force_counts_every_reference_in_any_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    translator, second = tiny.translator(), TARGETS[::-1]
    first, other = (translation.force(translator, SOURCES, [some]).likelihood for some in (TARGETS, second))
    steps = []
    both = translation.force(
        translator, SOURCES, [TARGETS, second], progress=lambda done, total: steps.append((done, total))
    ).likelihood
    assert both.log_probability == pytest.approx(first.log_probability + other.log_probability)
    assert (both.tokens, both.references) == (first.tokens + other.tokens, 14)
    assert steps == [(0, 14), (7, 14), (14, 14)]
    monkeypatch.setattr(translation, "BLOCK", 2)
    assert translation.force(
        translator, SOURCES, [TARGETS, second]
    ).likelihood.log_probability == pytest.approx(both.log_probability)


def test_force_leaves_out_and_counts_references_that_are_too_long() -> None:
    translator = tiny.translator()
    sources, targets = [*SOURCES, "rain"], [*TARGETS, "la pluie " * 3000]
    likelihood, expected = (
        translation.force(translator, *sides).likelihood
        for sides in ((sources, [targets]), (SOURCES, [TARGETS]))
    )
    assert (likelihood.left_out, likelihood.references) == (1, 7)
    assert likelihood.log_probability == pytest.approx(expected.log_probability)


def test_force_leaves_out_and_counts_blank_sides() -> None:
    translator = tiny.translator()
    sources, targets = [*SOURCES, "", "rain", " \t"], [*TARGETS, "la pluie", "\u3000", ""]
    scores, expected = (
        translation.force(translator, *sides).likelihood
        for sides in ((sources, [targets]), (SOURCES, [TARGETS]))
    )
    assert scores.left_out == 3
    assert scores.log_probability == pytest.approx(expected.log_probability)
    assert (scores.tokens, scores.references) == (expected.tokens, 7)
    nothing = translation.force(translator, ["", "rain"], [["la pluie", ""]]).likelihood
    assert (nothing.tokens, nothing.left_out) == (0, 2)
    assert math.isnan(nothing.perplexity)
    assert math.isnan(nothing.cross_entropy)


def test_force_scores_unknown_pieces_as_unknown() -> None:
    translator = tiny.translator()
    scores = translation.force(translator, ["rain"], [["pluie 中"]]).likelihood
    nats, tokens = by_hand(translator, "rain", "pluie 中")
    assert scores.tokens == tokens
    assert scores.log_probability == pytest.approx(-nats, abs=1e-3)


def test_perplexity_overflows_to_infinity() -> None:
    assert translation.Likelihood(-1e6, 3, 1, 0).perplexity == math.inf


def test_force_gives_links_in_the_same_pass() -> None:
    translator, second = tiny.translator(), TARGETS[::-1]
    scores = translation.force(translator, SOURCES, [TARGETS, second], align=True)
    assert scores.links == [
        set(translation.alignment()) for translation in translator.score_targets(SOURCES, TARGETS)
    ]
    assert scores.likelihood.log_probability == pytest.approx(
        translation.force(translator, SOURCES, [TARGETS, second]).likelihood.log_probability
    )
    assert translation.force(translator, SOURCES, [TARGETS]).links is None


def test_translate_takes_the_best_by_search_or_among_samples() -> None:
    translator = tiny.translator()
    options = SearchOptions(
        utility=lambda output, reference: -abs(len(output) - len(reference)),
        samples=5,
        seed=2,
        no_repeat_ngram=1,
    )
    expected = [best[0].text for best in translator.translate(SOURCES, options)]
    assert translation.translate(translator, SOURCES, options) == expected
    assert translation.translate(translator, SOURCES) == [
        best[0].text for best in translator.translate(SOURCES)
    ]
