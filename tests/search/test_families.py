"""Search with models of every family of encoder and decoder: scores held to teacher forcing, outputs to
enumeration and to plain loops, and bits to the batch.

The models are random, over vocabularies of numbers, so that a text is its tokens and forcing a text forces
them.
"""

import copy
import itertools
import math
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from models.families import DECODERS, ENCODERS, pair_tree
from pairwise import pairwise_first
from search.plain import plain_beam
from search.test_no_repeat_ngram import again
from torch import Tensor

from seq2attn import config
from seq2attn.data.tokenizer import BOS, EOS, PAD, UNK
from seq2attn.inference import Translation, Translator
from seq2attn.inference.predictor import BANNED
from seq2attn.inference.translator import Member
from seq2attn.models.seq2seq import Seq2Seq, build
from seq2attn.runs.half_weights import computes_in_half, to_half

both = pytest.mark.parametrize(("encoder", "decoder"), list(itertools.product(ENCODERS, DECODERS)))
each_once = pytest.mark.parametrize(  # the mixed ones are slow, but those of one circle
    ("encoder", "decoder"),
    [
        pytest.param(encoder, decoder, marks=() if (j - i) % 3 == 1 else pytest.mark.slow)
        for (i, encoder), (j, decoder) in itertools.product(enumerate(ENCODERS), enumerate(DECODERS))
    ],
)

LENGTHS = (1, 5, 2, 9, 3, 17)  # of the sources, in tokens
KINDS = ("rnn", "conv", "transformer")
ATTENTIONS = ("additive", "heads", "sparse", "window", "hard")


@torch.no_grad()
def a_model(settings: config.Config, vocabulary: int, seed: int, sharpness: float, ends: float) -> Seq2Seq:
    """Random weights. The end token is as likely everywhere, and the likeliest of all at a share `ends` of
    the steps of random outputs: some end sooner, some later.
    """
    torch.manual_seed(seed)
    model = build(settings.model, vocabulary, vocabulary).eval()
    for parameter in model.parameters():
        parameter.copy_(torch.randn_like(parameter) * sharpness / max(parameter.shape[-1], 9) ** 0.5)
    source, inputs = (torch.randint(4, vocabulary, (8, length)) for length in (6, 9))
    best_BT = model(source, torch.ones_like(source, dtype=torch.bool), inputs).logits[:, :, 4:].amax(2)
    model.decoder.output.weight[EOS] = 0
    model.decoder.output.bias[EOS] = best_BT.flatten().quantile(ends)
    return model


def translator_of(
    encoder: str,
    decoder: str,
    vocabulary: int = 40,
    attention: str = "heads",
    members: int = 1,
    sharpness: float = 2.0,
    ends: float = 0.2,
) -> Translator:
    settings = config.validate(
        {"data": {"joint": False}, "model": pair_tree(encoder, decoder, attention)}, "tests"
    )
    numbers: Any = tiny.Numbers(vocabulary)
    first, *others = (a_model(settings, vocabulary, seed, sharpness, ends) for seed in range(1, members + 1))
    return Translator(first, numbers, numbers, settings, others=[Member(other, numbers) for other in others])


def texts_of(vocabulary: int, lengths: Sequence[int] = LENGTHS, seed: int = 0) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(str(draw.randrange(4, vocabulary)) for _ in range(length)) for length in lengths]


@torch.no_grad()
def following(translator: Translator, text: str, outputs: Sequence[Sequence[int]]) -> Tensor:
    """log of the members' mean probability of every token behind each beginning, all of one length (rows, T,
    N): whole sequences at once, the source alone and unpadded.
    """
    log_ps = []
    for member in translator.members:
        source = torch.tensor([[*member.source_tokenizer.encode(text), EOS]] * len(outputs))
        inputs = torch.tensor([[BOS, *output] for output in outputs])
        log_ps.append(
            member.model.eval()(source, torch.ones_like(source, dtype=torch.bool), inputs).logits.log_softmax(
                -1
            )
        )
    return torch.stack(log_ps).logsumexp(0) - math.log(len(log_ps))


def forced(translator: Translator, translation: Translation) -> float:
    """log p of the translation's tokens and end token."""
    tokens = [*translation.tokens, EOS]
    return float(
        following(translator, translation.source, [translation.tokens])[0]
        .gather(1, torch.tensor(tokens)[:, None])
        .sum()
    )


def same(found: Sequence[tuple[float, list[int]]], expected: Sequence[tuple[float, list[int]]]) -> None:
    """Each with its score, and the best first: the search adds in float32, so what is nearer than that may
    stand either way.
    """
    scores = {tuple(tokens): score for score, tokens in expected}
    assert {tuple(tokens) for _, tokens in found} == set(scores)
    assert len(found) == len(expected)
    assert [score for score, _ in found] == pytest.approx(
        [scores[tuple(tokens)] for _, tokens in found], rel=1e-6, abs=1e-5
    )
    assert [score for score, _ in found] == pytest.approx(
        [score for score, _ in expected], rel=1e-6, abs=1e-5
    )


def pairs(translations: Sequence[Translation]) -> list[tuple[float, list[int]]]:
    return [(translation.score, translation.tokens) for translation in translations]


# Scores


PREFIXES = ["", "7", "8 8 8 8", "1 9", "", "5 6 7"]  # which may repeat, and hold the unknown piece
SEARCHES: dict[str, tuple[int, dict[str, Any]]] = {  # members of the ensemble, and options
    "beam": (2, {"beam": 4, "n_best": 4, "min_length": 4}),
    "greedy": (1, {"beam": 1}),
    "samples": (2, {"sample": True, "n_best": 4, "temperature": 1.3, "top_k": 30, "top_p": 0.97}),
    "prefix": (1, {"beam": 3, "n_best": 3, "prefixes": PREFIXES, "min_length": 3}),
    "no-repeat": (2, {"beam": 3, "n_best": 3, "no_repeat_ngram": 2, "min_length": 8, "prefixes": PREFIXES}),
    "samples-no-repeat": (1, {"sample": True, "n_best": 3, "no_repeat_ngram": 1, "prefixes": PREFIXES}),
    "risk": (
        1,
        {"utility": lambda output, reference: -abs(len(output) - len(reference)), "samples": 6, "n_best": 2},
    ),
}


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("encoder", "decoder", "kind"), pairwise_first(ENCODERS, DECODERS, SEARCHES))
def test_scores_equal_teacher_forcing(encoder: str, decoder: str, kind: str) -> None:
    members, options = SEARCHES[kind]
    translator, texts = translator_of(encoder, decoder, members=members), texts_of(40)
    penalty = {} if kind == "risk" else {"length_penalty": 0.7}
    found = translator.translate(texts, max_length=10, attention=False, **penalty, **options)
    every = [translation for translations in found for translation in translations]
    assert len(every) >= (len(texts) if kind == "risk" else len(texts) * options.get("n_best", 1))
    assert any(len(translation.tokens) > 3 for translation in every)
    for translation in every:
        log_p = forced(translator, translation)
        assert translation.log_probability == pytest.approx(log_p, rel=1e-6, abs=1e-5)
        if kind != "risk":
            assert translation.score == pytest.approx(
                log_p / (len(translation.tokens) + 1) ** 0.7, rel=1e-6, abs=1e-5
            )
    for i, translations in enumerate(found):
        for translation in translations:
            begins = [int(token) for token in options["prefixes"][i].split()] if "prefixes" in options else []
            assert translation.tokens[: len(begins)] == begins
            assert not {PAD, UNK, BOS, EOS} & set(translation.tokens[len(begins) :])
            if "no_repeat_ngram" in options:
                assert not again(translation.tokens, options["no_repeat_ngram"], len(begins))
    again_forced = translator.score_targets(
        [translation.source for translation in every], [translation.text for translation in every]
    )
    assert [t.log_probability for t in again_forced] == pytest.approx(
        [t.log_probability for t in every], rel=1e-6, abs=1e-5
    )


@pytest.mark.usefixtures("float64")
def test_no_repeat_ngram_changes_the_outputs() -> None:
    """Without the rule the outputs repeat n-grams, so that a test of the rule can fail."""
    for encoder, decoder in zip(KINDS, KINDS, strict=True):
        translator, texts = translator_of(encoder, decoder, 9, ends=0.0), texts_of(9)
        free = [t.tokens for ts in translator.translate(texts, beam=3, n_best=3, attention=False) for t in ts]
        assert any(again(tokens, 2) for tokens in free)
        assert not any(
            again(t.tokens, 2)
            for ts in translator.translate(texts, beam=3, n_best=3, no_repeat_ngram=2, attention=False)
            for t in ts
        )


# What is found


@pytest.mark.usefixtures("float64")
@each_once
def test_beam_search_equals_enumeration_if_wide(encoder: str, decoder: str) -> None:
    vocabulary, longest = 9, 3
    translator = translator_of(encoder, decoder, vocabulary)
    words = range(4, vocabulary)
    outputs = [
        [list(output) for output in itertools.product(words, repeat=length)] for length in range(longest + 1)
    ]
    for text in texts_of(vocabulary)[:3]:
        every = []
        for length, some in enumerate(outputs):
            ends = torch.tensor([[*output, EOS] for output in some])
            log_p = following(translator, text, some).gather(2, ends[:, :, None])[:, :, 0].sum(1)
            every += [
                (float(total) / (length + 1), output) for total, output in zip(log_p, some, strict=True)
            ]
        every.sort(key=lambda pair: -pair[0])
        assert len(every) == 1 + 5 + 25 + 125
        same(
            pairs(translator.translate([text], beam=160, n_best=156, max_length=longest, attention=False)[0]),
            every,
        )


@pytest.mark.usefixtures("float64")
@each_once
def test_greedy_search_takes_the_likeliest_token_until_the_end(encoder: str, decoder: str) -> None:
    translator, texts = translator_of(encoder, decoder), texts_of(40)
    # by which it would pay to go on
    found = translator.translate(texts, beam=1, max_length=12, length_penalty=2.0, attention=False)
    for text, (translation,) in zip(texts, found, strict=True):
        tokens: list[int] = []
        while len(tokens) < 12:
            log_p = following(translator, text, [tokens])[0, -1]
            log_p[list(BANNED)] = -math.inf
            if (token := int(log_p.argmax())) == EOS:
                break
            tokens.append(token)
        assert translation.tokens == tokens
        assert translation.finished == (len(tokens) < 12)


@pytest.mark.slow
@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("ngram", [0, 1])
@both
def test_beam_search_equals_a_search_without_early_stops(encoder: str, decoder: str, ngram: int) -> None:
    translator, texts = translator_of(encoder, decoder, 12), texts_of(12)[:4]
    for length_penalty in (0.0, 1.0, 1.6):
        found = translator.translate(
            texts,
            beam=4,
            n_best=4,
            length_penalty=length_penalty,
            max_length=9,
            no_repeat_ngram=ngram,
            attention=False,
        )
        for text, translations in zip(texts, found, strict=True):

            def more(outputs: list[list[int]], text: str = text) -> list[list[float]]:
                steps: list[list[float]] = following(translator, text, [tokens[1:] for tokens in outputs])[
                    :, -1
                ].tolist()
                return steps

            same(
                pairs(translations),
                plain_beam(more, 9, 4, length_penalty, bos=BOS, eos=EOS, banned=BANNED, ngram=ngram),
            )


@pytest.mark.usefixtures("float64")
@each_once
def test_utility_chooses_among_the_samples(encoder: str, decoder: str) -> None:
    translator, texts = translator_of(encoder, decoder, 9), texts_of(9)

    def utility(output: str, reference: str) -> float:
        return len(set(output.split()) & set(reference.split())) / (1 + len(output.split()))

    by_risk = translator.translate(texts, utility=utility, samples=9, n_best=2, seed=4, attention=False)
    draws = translator.translate(texts, sample=True, n_best=9, seed=4, attention=False)
    for best, samples in zip(by_risk, draws, strict=True):
        means = {s.text: sum(utility(s.text, other.text) for other in samples) / 9 for s in samples}
        assert [t.score for t in best] == pytest.approx(sorted(means.values(), reverse=True)[:2])
        assert all(means[t.text] == pytest.approx(t.score) for t in best)
        assert all(
            any((t.tokens, t.log_probability) == (s.tokens, s.log_probability) for s in samples) for t in best
        )
    for order in (range(5, -1, -1), (3, 0, 4, 1, 5, 2)):  # each text with its number: its stream is its own
        for i in order:
            alone = translator.translate(
                [texts[i]], utility=utility, samples=9, n_best=2, seed=4, attention=False, first=i
            )[0]
            assert [(t.tokens, t.score) for t in alone] == [(t.tokens, t.score) for t in by_risk[i]]


# Half precision


@pytest.mark.slow
@pytest.mark.parametrize(
    ("encoder", "decoder", "attention"),
    [
        (*kinds, ATTENTIONS[(i + shift) % len(ATTENTIONS)])
        for i, kinds in enumerate(itertools.product(KINDS, KINDS))
        for shift in (0, 2)
    ],
)
def test_half_precision_gives_nearly_equal_outputs(encoder: str, decoder: str, attention: str) -> None:
    exact, texts = translator_of(encoder, decoder, attention=attention, sharpness=0.5), texts_of(40)
    model = copy.deepcopy(exact.members[0].model)
    to_half([model], torch.bfloat16)
    assert computes_in_half([model]) == ("rnn" not in (encoder, decoder))
    assert all(weight.dtype == torch.bfloat16 for weight in model.parameters() if weight.dim() > 1)
    numbers: Any = exact.source_tokenizer
    half = Translator(model, numbers, numbers, exact.config, precision="bf16")
    for options in (
        {"beam": 3, "n_best": 2},
        {"beam": 1, "attention": False},
        {"sample": True},
        {"beam": 2, "attention": False, "no_repeat_ngram": 2},
    ):
        assert len(half.translate(texts, **options)) == len(texts)  # type: ignore[arg-type]
    for with_weights in (False, True):
        targets = exact.score_targets(texts, texts[::-1], attention=with_weights)
        for got, want in zip(
            half.score_targets(texts, texts[::-1], attention=with_weights), targets, strict=True
        ):
            assert got.log_probability == pytest.approx(want.log_probability, rel=0.05, abs=0.2)


# Bits


REAL = 1000  # pieces: output layers choose their kernels by the size, too
SIDE: dict[str, dict[str, Any]] = {
    "rnn": {"size": 64},
    "conv": {"kind": "conv", "size": 64, "layers": 2},
    "transformer": {"kind": "transformer", "size": 64, "heads": 2, "feedforward": 128, "layers": 2},
}
OF_REAL_SIZE: dict[str, dict[str, Any]] = {
    "additive": {"score": "additive", "size": 64},
    "heads": {"score": "scaled-dot", "heads": 2, "size": 64},
}


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("encoder", "decoder", "attention", "count"),
    [  # a Latin square: each kind of either side meets each attention and each count of threads
        pytest.param(
            *(KINDS[i], KINDS[j], *(("additive", 1), ("heads", 1), ("heads", 2))[(i + j) % 3]),
            marks=() if i == j else pytest.mark.slow,
        )
        for i, j in itertools.product(range(3), range(3))
    ],
)
def test_translate_gives_the_same_bits_in_any_batch_and_order(
    encoder: str, decoder: str, attention: str, count: int, threads: Callable[[int], None]
) -> None:
    """In float32, with every token twice in the output layer: each hypothesis has others of its very
    probability, and one bit would turn them.

    Sources are of all lengths around the multiples of 8, from one a batch to all in one.
    """
    threads(count)
    sides = {"encoder": SIDE[encoder] | ({"size": 32} if encoder == "rnn" else {}), "decoder": SIDE[decoder]}
    settings = config.validate(
        {
            "model": copy.deepcopy(
                {"embedding": 64, "dropout": 0.0, **sides, "attention": OF_REAL_SIZE[attention]}
            )
        },
        "tests",
    )
    model = a_model(settings, REAL, 1, 1.2, ends=0.2)
    with torch.no_grad():
        for part in (model.decoder.output.weight, model.decoder.output.bias):
            part[5::2] = part[4::2]
    numbers: Any = tiny.Numbers(REAL)
    translator = Translator(model, numbers, numbers, settings)
    texts = texts_of(REAL, [1, 6, 7, 8, 9, 15, 16, 17, 23, 31, 40, 3])
    lengths: set[int] = set()
    shuffled = random.Random(5).sample(range(len(texts)), len(texts))
    searches: list[tuple[bool, dict[str, Any]]] = [
        (False, {"beam": 1}),
        (True, {"beam": 4, "n_best": 4, "no_repeat_ngram": 2}),
    ]
    for with_weights, options in [*searches, (False, {"sample": True, "n_best": 3})]:
        found: list[list[list[Translation]]] = []
        for batch_tokens, order in ((10**6, range(len(texts))), (1, range(len(texts))), (150, shuffled)):
            # a stream goes with the number of a line, not with its text
            lines = list(range(len(texts)) if "sample" in options else order)
            results = translator.translate(
                [texts[i] for i in lines],
                max_length=8,
                batch_tokens=batch_tokens,
                attention=with_weights,
                **options,
            )
            found.append([results[lines.index(i)] for i in range(len(texts))])
        together, *others = found
        for a, b in (pair for other in others for pair in zip(together, other, strict=True)):
            assert [(t.tokens, t.log_probability, t.score) for t in a] == [
                (t.tokens, t.log_probability, t.score) for t in b
            ]
            assert not with_weights or all(
                np.array_equal(one.subword_attention, other.subword_attention)
                for one, other in zip(a, b, strict=True)
            )
        lengths |= {len(t.tokens) for ts in together for t in ts}
    assert len(lengths) > 1  # some left their batches before others
