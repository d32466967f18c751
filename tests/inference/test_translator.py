"""Translating with small random models: scores held to teacher forcing, order and batches, words, ensembles,
runs on disk, absurd text.
"""

import itertools
import math
import random
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import seq2attn
from seq2attn import config
from seq2attn.data.tokenizer import BOS, EOS, PAD, UNK, Tokenizer, normalise
from seq2attn.errors import UsageError, UserError
from seq2attn.inference import MAX_SOURCE, Translation, Translator
from seq2attn.inference.ensemble import Ensemble
from seq2attn.inference.options import SAMPLES
from seq2attn.inference.predictor import WIDTH
from seq2attn.inference.scheduling.batches import GROUP, STEP, batches
from seq2attn.inference.words import between_words, word_numbers
from seq2attn.models.memory import mean_attention

RECIPES = {
    "bahdanau": {},
    "luong": {"query_state": "current", "context_to": ["readout"], "input_feeding": True},
    "plain": {"query_state": "current", "context_to": ["readout"]},
    "stack": {
        "query_state": "previous",
        "context_to": ["input", "layer", "readout"],
        "layers": 2,
        "cell": "gru",
    },
    "summary": {"context_source": "summary", "context_to": ["input"]},
    "nothing": {"context_source": "none", "context_to": []},
}
TEXTS = [
    "the small dog",
    "rain",
    "she sings, and they listen to her songs in the old house of the town",
    "we do not eat red apples today",
    "",
    "a b",
    "where?",
]


def flat(results: list[list[Translation]]) -> list[tuple[str, object]]:
    """Texts and scores; a score equals another up to what float32 sums in another order differ by."""
    return [(t.text, pytest.approx(t.score, abs=1e-5)) for translations in results for t in translations]


@torch.no_grad()
def teacher(translator: Translator, translation: Translation) -> tuple[float, torch.Tensor | None]:
    """log p of the translation's tokens and end token, and the weights, by one pass over the whole target,
    one sentence, no padding.
    """
    model = translator.members[0].model.eval()
    source = torch.tensor([[*translator.source_tokenizer.encode(translation.source), EOS]])
    output = model(
        source,
        torch.ones_like(source, dtype=torch.bool),
        torch.tensor([[BOS, *translation.tokens]]),
        weights=True,
    )
    log_p = output.logits.log_softmax(-1)[0]
    total = sum(float(log_p[i, token]) for i, token in enumerate([*translation.tokens, EOS]))
    return total, None if output.weights is None else mean_attention(output.weights)[0]


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("beam", [pytest.param(1, marks=pytest.mark.slow), 4])
def test_translate_scores_equal_teacher_forcing(recipe: str, beam: int) -> None:
    translator = tiny.translator(**RECIPES[recipe])
    seen = 0
    for translations in translator.translate(TEXTS, beam=beam, n_best=beam, length_penalty=0.7):
        for translation in translations:
            if not translation.source:
                continue
            log_p, weights = teacher(translator, translation)
            assert translation.log_probability == pytest.approx(log_p, abs=2e-4)
            assert translation.score == pytest.approx(log_p / (len(translation.tokens) + 1) ** 0.7, abs=2e-4)
            assert (translation.subword_attention is None) == (weights is None) == (not translator.attends)
            if weights is not None:
                np.testing.assert_allclose(translation.subword_attention, weights, atol=1e-5)
            seen += 1
    assert seen == 6 * beam


def test_sources_need_no_group_to_be_translated() -> None:
    grouped, alone = tiny.translator(sharpness=1.5), tiny.translator(sharpness=1.5)
    alone.group = 1
    for one, other in zip(
        grouped.translate(tiny.ENGLISH[:3], beam=3, n_best=3),
        alone.translate(tiny.ENGLISH[:3], beam=3, n_best=3),
        strict=True,
    ):
        assert [best.text for best in one] == [best.text for best in other]
        for mine, yours in zip(one, other, strict=True):
            assert mine.log_probability == pytest.approx(yours.log_probability, abs=1e-4)


def test_sample_scores_equal_teacher_forcing() -> None:
    translator = tiny.translator()
    for translations in translator.translate(TEXTS[:4], sample=True, n_best=3, top_k=20, temperature=1.3):
        assert len(translations) == 3
        for translation in translations:
            assert translation.log_probability == pytest.approx(teacher(translator, translation)[0], abs=2e-4)


@pytest.mark.parametrize("recipe", ["bahdanau", pytest.param("luong", marks=pytest.mark.slow)])
def test_translate_is_independent_of_batches_and_order(recipe: str) -> None:
    translator = tiny.translator(**RECIPES[recipe])
    texts = TEXTS + [
        " ".join(random.Random(seed).choices(" ".join(tiny.ENGLISH).split(), k=1 + seed % 17))
        for seed in range(24)
    ]
    order = random.Random(0).sample(range(len(texts)), len(texts))
    for options in ({"beam": 1, "max_length": 30}, {"beam": 3, "n_best": 3, "max_length": 20}):
        together = [flat([one]) for one in translator.translate(texts, batch_tokens=600, **options)]
        assert [flat([one]) for one in translator.translate(texts, batch_tokens=1, **options)] == together
        shuffled = [
            flat([one]) for one in translator.translate([texts[i] for i in order], batch_tokens=97, **options)
        ]
        assert shuffled == [together[i] for i in order]
    assert len({one[0][0] for one in together}) > 20


@pytest.mark.parametrize("cores", [1, 2, 3])
def test_batches_are_bounded_filled_and_even(cores: int) -> None:
    chance = random.Random(cores)
    lengths = [1 + int(chance.gammavariate(4, 4)) for _ in range(1000)]
    rows = [row for row in range(1000) if row % 7]
    planned = batches(rows, lengths, 500, cores)
    assert sorted(row for batch in planned for row in batch) == rows
    padded = [max(lengths[row] for row in batch) * len(batch) for batch in planned]
    assert max(padded) <= 500
    assert [len(batch) % GROUP for batch in planned[:-1]] == [0] * (len(planned) - 1)
    assert all(
        max(lengths[row] for row in one) <= min(lengths[row] for row in other)
        for one, other in itertools.pairwise(planned)
    )
    assert min(padded) > max(padded) / 2
    assert len(planned) % cores == 0
    # One that is too long stands alone; few texts are not torn apart, more are shared out.
    assert batches([0, 1], [900, 2], 500, cores) == [[1], [0]]
    assert batches(range(7), [1] * 6 + [9], 10, 1) == [[0, 1, 2, 3, 4, 5], [6]]
    assert len(batches(range(8), [30] * 8, 500, cores)) == 1
    assert len(batches(range(40), [30] * 40, 5000, cores)) == cores
    assert batches([], [], 500, cores) == []


def test_batches_have_even_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    translator = tiny.translator()
    encoder = translator.members[0].model.encoder
    shapes, encode = [], encoder.forward
    monkeypatch.setattr(
        encoder, "forward", lambda source, mask: shapes.append(source.shape) or encode(source, mask)
    )
    for options in ({}, {"sample": True}):
        for count in range(1, 8):
            assert len(translator.translate(TEXTS[:4][:count] * 2, **options)) == 2 * min(count, 4)
    assert {(sentences % GROUP, positions % STEP) for sentences, positions in shapes} == {(0, 0)}


def test_samples_depend_on_line_number_and_seed_alone() -> None:
    translator = tiny.translator(sharpness=1.5)
    texts = ["the small dog"] * 12
    together = flat(translator.translate(texts, sample=True, seed=3))
    assert flat(translator.translate(texts, sample=True, seed=3, batch_tokens=1)) == together
    assert flat(translator.translate(texts[5:], sample=True, seed=3, first=5)) == together[5:]
    assert flat(translator.translate(texts, sample=True, seed=4)) != together
    assert len({text for text, _ in together}) > 6


def test_attention_false_changes_nothing_else() -> None:
    translator = tiny.translator()
    without = translator.translate(TEXTS, attention=False)
    assert flat(without) == flat(translator.translate(TEXTS))
    assert all(
        t.attention is None and t.subword_attention is None and t.alignment() == []
        for ts in without
        for t in ts
    )


@pytest.mark.parametrize("text", ["", " ", "\t \u3000", "\n", "\u2028\u0085", "\x1c"])
def test_translate_skips_empty_and_blank_texts(text: str) -> None:
    translator = tiny.translator()
    translator.members[0].model.encoder.forward = None  # type: ignore[assignment]
    assert translator.translate([text, text], n_best=2)[1] == translator.translate([text])[0]
    (translation,) = translator.translate([text])[0]
    assert (translation.text, translation.score, translation.tokens, translation.alignment()) == (
        "",
        0.0,
        [],
        [],
    )
    assert translator.translate([]) == []


def test_translate_restores_the_training_mode() -> None:
    of = tiny.settings()
    model = tiny.model(of)
    model.encoder.eval()
    translator = Translator(model, tiny.tokenizer("source"), tiny.tokenizer("target"), of)
    first = flat(translator.translate(TEXTS))
    assert model.training
    assert model.decoder.training
    assert not model.encoder.training
    assert flat(translator.translate(TEXTS)) == first  # no dropout, though the model is in training
    assert all(parameter.grad is None and not parameter.is_inference() for parameter in model.parameters())


def test_translate_cuts_a_very_long_text() -> None:
    translator = tiny.translator()
    long, other = "the small dog " * 3600, "the small dog " * 3000
    found, short, blank, same = translator.translate([long, "rain", "", other], beam=2, max_length=20)
    assert found[0].truncated_tokens == len(translator.source_tokenizer.encode(long)) - MAX_SOURCE > 0
    assert len(found[0].source_subwords) == MAX_SOURCE
    assert found[0].source_words == long.split()
    assert found[0].attention is not None
    assert found[0].attention.shape == (len(found[0].target_words), 3 * 3600)
    assert short[0].truncated_tokens == blank[0].truncated_tokens == 0
    assert found[0].text == same[0].text  # what is not read makes no difference


def test_translate_passes_limits_prefixes_and_bans_to_the_search() -> None:
    translator = tiny.translator()
    for translation in itertools.chain(
        *translator.translate(TEXTS[:4], n_best=5, max_length=6, min_length=4)
    ):
        assert 4 <= len(translation.tokens) <= 6
        assert not {PAD, UNK, BOS, EOS} & set(translation.tokens)
        assert translation.finished == (len(translation.tokens) < 6)
    prefixes = ["le petit", "", "une", "où est"]
    for prefix, (translation, *_) in zip(
        prefixes, translator.translate(TEXTS[:4], prefixes=prefixes), strict=True
    ):
        begins = translator.target_tokenizer.encode(prefix)
        assert translation.tokens[: len(begins)] == begins
    unlimited = translator.translate(["rain"], beam=1, min_length=4096)[0][0]
    assert len(unlimited.tokens) == 2 * len(translator.source_tokenizer.encode("rain")) + 10


def holds_twice(tokens: list[int], ngram: int) -> bool:
    grams = [tuple(tokens[i : i + ngram]) for i in range(len(tokens) - ngram + 1)]
    return len(set(grams)) < len(grams)


@pytest.mark.parametrize(
    "ngram", [pytest.param(1, marks=pytest.mark.slow), 2, pytest.param(3, marks=pytest.mark.slow)]
)
def test_no_repeat_ngram_holds_for_pieces(ngram: int) -> None:
    translator = tiny.translator(sharpness=1.5)
    for options in ({"beam": 1}, {"beam": 4, "n_best": 4}, {"sample": True, "n_best": 3}):
        free = [
            t.tokens
            for ts in translator.translate(TEXTS[:4], min_length=20, max_length=25, **options)
            for t in ts
        ]
        bound = translator.translate(
            TEXTS[:4], min_length=20, max_length=25, no_repeat_ngram=ngram, **options
        )
        assert any(holds_twice(tokens, ngram) for tokens in free) or ngram == 3
        assert not any(holds_twice(t.tokens, ngram) for ts in bound for t in ts)
    begun = translator.translate(["rain"], prefixes=["le le le"], no_repeat_ngram=1)[0][0]
    assert begun.text.startswith("le le le")
    stored = Translator(
        translator.members[0].model,
        translator.source_tokenizer,
        translator.target_tokenizer,
        tiny_search(no_repeat_ngram=ngram),
    )
    assert flat(stored.translate(TEXTS)) == flat(translator.translate(TEXTS, no_repeat_ngram=ngram))
    assert flat(stored.translate(TEXTS, no_repeat_ngram=0)) == flat(translator.translate(TEXTS))


def tiny_search(**search: int) -> config.Config:
    return config.validate(tiny.settings().model_dump() | {"search": search}, "tests")


def letters(output: str, reference: str) -> float:
    return len(set(output) & set(reference)) / max(len(set(output + reference)), 1)


def test_utility_chooses_among_the_samples_of_sampling() -> None:
    translator = tiny.translator(sharpness=1.5)
    options = {"seed": 3, "top_k": 30, "temperature": 1.2, "max_length": 12}
    chosen = translator.translate(TEXTS, utility=letters, samples=8, n_best=3, **options)
    drawn = translator.translate(TEXTS, sample=True, n_best=8, length_penalty=0.3, **options)
    assert [len(best) for best in chosen] == [min(3, len({s.text for s in samples})) for samples in drawn]
    for text, best, samples in zip(TEXTS, chosen, drawn, strict=True):
        if not text:
            assert best == samples
            continue
        means = {s.text: sum(letters(s.text, other.text) for other in samples) / 8 for s in samples}
        assert [t.score for t in best] == pytest.approx(sorted(means.values(), reverse=True)[:3])
        for translation in best:
            assert translation.score == pytest.approx(means[translation.text])
            assert translation.log_probability == pytest.approx(teacher(translator, translation)[0], abs=2e-4)
            assert translation.attention is not None
    alone = [
        translator.translate([text], utility=letters, samples=8, n_best=3, first=i, **options)[0]
        for i, text in enumerate(TEXTS)
    ]
    assert flat(alone) == flat(chosen)
    assert flat(
        translator.translate(TEXTS, utility=letters, samples=8, n_best=3, batch_tokens=40, **options)
    ) == flat(chosen)


def test_utility_draws_the_default_number_of_samples() -> None:
    translator, seen = tiny.translator(), set()
    translator.translate(
        ["the small dog"], utility=lambda output, reference: seen.add(output) or 0.0, temperature=3.0
    )
    assert 8 < len(seen) <= SAMPLES


def test_translate_with_a_wide_search_takes_fewer_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    translator = tiny.translator()
    rows: list[int] = []
    step = Ensemble.step
    monkeypatch.setattr(
        Ensemble, "step", lambda self, token_R, *more: rows.append(len(token_R)) or step(self, token_R, *more)
    )
    batch_tokens = 64 * (len(translator.source_tokenizer.encode("rain")) + 1)
    for width in (WIDTH, 4 * WIDTH, 32 * WIDTH):
        rows.clear()
        translator.translate(
            ["rain"] * 64, sample=True, n_best=width, max_length=1, batch_tokens=batch_tokens
        )
        assert max(rows) == max(64 * WIDTH, GROUP * width)


def test_score_targets_equals_the_scores_of_translate() -> None:
    translator = tiny.translator()
    texts = [text for text in TEXTS if text] * 2
    found = [translations[0] for translations in translator.translate(texts, beam=3)]
    texts_found = [translation.text for translation in found]
    # Texts, not tokens, are forced: where the search cut a text in another way than the tokenizer, the score
    # is another.
    forced = translator.score_targets(texts, texts_found, batch_tokens=40)
    alike = 0
    for again, translation in zip(forced, found, strict=True):
        assert again.text == translation.text
        assert again.log_probability == pytest.approx(teacher(translator, again)[0], abs=2e-4)
        if again.tokens == translation.tokens:
            alike += 1
            assert again.score == pytest.approx(translation.score, abs=1e-4)
            np.testing.assert_allclose(again.attention, translation.attention, atol=1e-5)
    references = translator.score_targets(["the small dog", "", "rain"], ["le petit  chien", "la pluie", ""])
    assert [r.target_words for r in references] == [["le", "petit", "chien"], ["la", "pluie"], []]
    assert [r.attention.shape for r in references if r.attention is not None] == [(3, 3), (2, 0), (0, 1)]
    assert all(math.isfinite(r.score) for r in references)


def test_score_targets_in_blocks_equals_one_block(monkeypatch: pytest.MonkeyPatch) -> None:
    translator = tiny.translator()
    whole = translator.score_targets(tiny.ENGLISH[:7], tiny.FRENCH[:7])
    monkeypatch.setattr("seq2attn.inference.ensemble.LOGITS", 1)
    for a, b in zip(whole, translator.score_targets(tiny.ENGLISH[:7], tiny.FRENCH[:7]), strict=True):
        assert a.log_probability == pytest.approx(b.log_probability, abs=1e-4)


# Words


TEXT = st.text(st.sampled_from("thecatdogsm ,.'?! \t\u00a0\u3000é▁\u2028中🙂\u0301\ufdd0"), max_size=30)


@settings(max_examples=300, deadline=None)
@given(text=TEXT, kind=st.sampled_from(["bpe", "char", "word", "unigram"]))
def test_word_numbers_are_those_of_the_raw_text(text: str, kind: str) -> None:
    tokenizer = tiny.tokenizer("source", kind, 40)
    ids = tokenizer.encode(text)
    numbers = word_numbers(text, ids, tokenizer)
    words = text.split()
    assert len(numbers) == len(ids)
    assert all(-1 <= number < len(words) for number in numbers)
    real = [number for number in numbers if number >= 0]
    assert real == sorted(real)
    assert word_numbers(text, ids[:5], tokenizer)[:4] == numbers[:5][:4]
    if UNK not in ids:
        assert numbers == tokenizer.word_index(ids)
    for token, number in zip(ids, numbers, strict=True):
        if token != UNK and number >= 0:
            assert tokenizer.decode([token]).split()[0] in normalise(words[number])
    if UNK not in ids and kind == "char":
        assert set(real) == set(range(len(words)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the dog", {0, 1}),
        ("  the   dog ", {0, 1}),
        ("\u4e2d the \u6587\u6587 dog", {0, 1, 2, 3}),
        ("the\tdog", {0, 1}),
        ("the\u3000\u3000dog\u2028cat", {0, 1, 2}),
    ],
)
def test_word_numbers_are_not_shifted_by_unknown_characters(text: str, expected: set[int]) -> None:
    tokenizer = tiny.tokenizer("source", "char", 40)
    ids = tokenizer.encode(text)
    numbers = word_numbers(text, ids, tokenizer)
    assert set(numbers) - {-1} == expected
    last = [
        number
        for token, number in zip(ids, numbers, strict=True)
        if tokenizer.decode([token]) in tuple("dog")
    ][-1]
    assert text.split()[last] in ("dog", "the", "cat")


def test_between_words_sums_over_sources_and_averages_over_targets() -> None:
    pieces = np.array([[0.1, 0.2, 0.3, 0.4], [0.5, 0.1, 0.1, 0.3], [0.7, 0.1, 0.1, 0.1]], np.float32)
    words = between_words(pieces, [0, 0, 1], [0, 1, 1, -1], 3, 2)
    np.testing.assert_allclose(words, [[0.3, 0.35], [0.7, 0.2], [0, 0]], atol=1e-6)
    translation = Translation("a b", "x y z", 0.0, 0.0, attention=words)
    assert translation.alignment() == [(1, 0), (0, 1)]


def test_word_attention_keeps_what_falls_on_words() -> None:
    translator = tiny.translator()
    for translation, *_ in translator.translate(["  the   small dog", "where is\tthe station?"]):
        pieces, words = translation.subword_attention, translation.attention
        assert pieces is not None
        assert words is not None
        assert words.shape == (len(translation.text.split()), len(translation.source.split()))
        assert len(translation.target_subwords) + 1 == len(pieces)
        assert len(translation.source_subwords) + 1 == pieces.shape[1]
        np.testing.assert_allclose(pieces.sum(1), 1, atol=1e-5)
        numbers = translator.target_tokenizer.word_index(translation.tokens)
        rows = [
            pieces[:-1][[i for i, n in enumerate(numbers) if n == word]][:, :-1].sum(1).mean()
            for word in range(len(words))
        ]
        assert (words.sum(1) <= np.array(rows) + 1e-5).all()
        for source, target in translation.alignment():
            assert words[target, source] == words[target].max()


# Ensembles and runs on disk


def test_load_gives_a_translator_equal_to_the_saved_model(tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    path = tiny.save_run(tmp_path / "run")
    torch.random.set_rng_state(before)
    loaded = seq2attn.load(path, device="cpu")
    assert torch.equal(torch.random.get_rng_state(), before)
    assert flat(loaded.translate(TEXTS)) == flat(tiny.translator().translate(TEXTS))
    assert loaded.languages == ("en", "fr")
    assert loaded.format == "fp32"
    assert not loaded.members[0].model.training


def test_ensemble_averages_probabilities(tmp_path: Path) -> None:
    one, two = tiny.save_run(tmp_path / "one", 1), tiny.save_run(tmp_path / "two", 2)
    both = Translator.load(f"{one},{two}", device="cpu")
    assert len(both.members) == 2
    for translation in both.translate(["the small dog", "rain"], n_best=3)[0]:
        tokens = torch.tensor([[BOS, *translation.tokens]])
        source = torch.tensor([[*both.source_tokenizer.encode(translation.source), EOS]])
        with torch.no_grad():
            outputs = [member.model(source, source >= 0, tokens, weights=True) for member in both.members]
        p = sum(output.logits.softmax(-1)[0] for output in outputs) / 2
        expected = sum(math.log(p[i, token]) for i, token in enumerate([*translation.tokens, EOS]))
        assert translation.log_probability == pytest.approx(expected, abs=2e-4)
        np.testing.assert_allclose(
            translation.subword_attention,
            sum(mean_attention(output.weights)[0] for output in outputs) / 2,
            atol=1e-5,
        )
        assert both.score_targets([translation.source], [translation.text])[0].score == pytest.approx(
            translation.score, abs=1e-3
        ) or (both.target_tokenizer.encode(translation.text) != translation.tokens)
    twins = Translator.load(f"{one},{one}", device="cpu")
    assert flat(twins.translate(TEXTS)) == flat(Translator.load(one, device="cpu").translate(TEXTS))


def test_ensemble_shows_attention_of_members_that_have_it(tmp_path: Path) -> None:
    one, two = (
        tiny.save_run(tmp_path / "one"),
        tiny.save_run(tmp_path / "two", 2, context_source="summary", context_to=["input"]),
    )
    for translation in Translator.load(f"{one}, {two}", device="cpu").translate(["the small dog"])[0]:
        assert translation.attention is not None


# A run read with settings changed


def test_load_changes_settings_without_weights(tmp_path: Path) -> None:
    path = tiny.save_run(tmp_path / "run")
    wild = ["model.attention.temperature=5", "search.length_penalty=0"]
    changed = seq2attn.load(path, "cpu", settings=wild)
    of = tiny.settings(attention={"temperature": 5.0})
    expected = Translator(tiny.model(of), tiny.tokenizer("source"), tiny.tokenizer("target"), of).translate(
        TEXTS, length_penalty=0
    )
    assert flat(changed.translate(TEXTS)) == flat(expected)
    assert (changed.config.search.length_penalty, changed.config.model.attention.temperature) == (0, 5)
    assert flat(changed.translate(TEXTS)) != flat(
        seq2attn.load(path, "cpu").translate(TEXTS, length_penalty=0)
    )
    assert seq2attn.load(path, "cpu", settings=[]).config == tiny.settings()


@pytest.mark.slow
def test_load_changes_what_a_hard_model_reads(tmp_path: Path) -> None:
    path = tiny.save_run(tmp_path / "run", attention={"normaliser": "hard-sample"})
    texts = [*TEXTS[:4], *tiny.ENGLISH[:2]]
    found = {}
    for decoding in ("argmax", "expected", "sample"):
        translator = seq2attn.load(path, "cpu", settings=iter([f"model.attention.at_inference={decoding}"]))
        found[decoding] = [translations[0] for translations in translator.translate(texts, beam=2)]
        alone = [
            translator.translate([text], beam=2, batch_tokens=1, first=number)[0][0].text
            for number, text in enumerate(texts)
        ]
        # a draw depends on the seed, the text's number, the step and the position alone
        assert alone == [translation.text for translation in found[decoding]]
        again = {
            seed: [t.text for (t, *_) in translator.translate(texts, beam=2, seed=seed)] for seed in (1, 2)
        }
        assert (again[1] == again[2]) == (decoding != "sample")
        forced = [
            [
                t.subword_attention.tolist()
                for t in translator.score_targets(texts[-1:] * 3, tiny.FRENCH[:1] * 3, seed=seed)
                if t.subword_attention is not None
            ]
            for seed in (1, 2)
        ]
        # equal texts draw apart
        assert (forced[0] == forced[1]) == (forced[0][0] == forced[0][1]) == (decoding != "sample")
        weights = np.concatenate(
            [t.subword_attention.flatten() for t in found[decoding] if t.subword_attention is not None]
        )
        assert set(weights) == {0.0, 1.0} if decoding != "expected" else len(set(weights)) > 10
    texts_found = {decoding: tuple(t.text for t in translations) for decoding, translations in found.items()}
    assert len(set(texts_found.values())) == 3
    assert [t.text for (t, *_) in seq2attn.load(path, "cpu").translate(texts, beam=2)] == list(
        texts_found["argmax"]
    )


@pytest.mark.parametrize(
    ("settings", "culprit"),
    [
        (["model.decoder.size=20"], "model.decoder.size=20"),
        (
            ["search.beam=2", "model.attention.score=general", "model.attention.temperature=2"],
            "model.attention.score=general",
        ),
        (
            [
                "model.attention.temperature=2",
                "model.attention.history=location-aware",
                "model.attention.kernel=3",
            ],
            "model.attention.history=location-aware",
        ),
        (
            ["model.encoder.reverse=true", "model.encoder.bidirectional=false"],
            "model.encoder.bidirectional=false",
        ),
        (["model.attention.heads=2"], "model.attention.heads=2"),
        (["model.tied=none"], "model.tied=none"),
    ],
)
def test_load_refuses_settings_that_need_other_weights(
    tmp_path: Path, settings: list[str], culprit: str
) -> None:
    path = tiny.save_run(tmp_path / "run")
    before = torch.random.get_rng_state()
    with pytest.raises(UsageError) as refusal:
        seq2attn.load(path, "cpu", settings=settings)
    assert (
        str(refusal.value)
        == f"{path} with {culprit}: the setting changes the shape of the model's parameters, "
        "so the trained weights do not fit; leave it out, or train a new model"
    )
    assert torch.equal(torch.random.get_rng_state(), before)


def test_load_refuses_settings_of_training_and_unknown_settings(tmp_path: Path) -> None:
    path = tiny.save_run(tmp_path / "run")
    for changes, words in (
        (["train.lr=1"], r"^settings train\.lr=1: acts before or in training alone"),
        (["search.beam=1", "data.lowercase=true"], r"^settings data\.lowercase=true: acts before"),
        (
            ["model.attention.k=2"],
            r"run with model\.attention\.k=2: model\.attention\.k is for model\.attention\.normaliser",
        ),
        (
            ["search.baem=2"],
            r"run with search\.baem=2: search\.baem: no such setting; did you mean search\.beam",
        ),
        (["search.beam"], r"write KEY=VALUE, as in search\.length_penalty=0\.6"),
    ):
        with pytest.raises(UsageError, match=words):
            seq2attn.load(path, "cpu", settings=changes)
    hard = tiny.save_run(tmp_path / "hard", attention={"normaliser": "hard-topk"})
    with pytest.raises(
        UsageError,
        match=r"hard with model\.attention\.temperature=2: does nothing, "
        r'for model\.attention\.normaliser="hard-topk"',
    ):
        seq2attn.load(hard, "cpu", settings=["search.beam=2", "model.attention.temperature=2"])


def test_load_changes_settings_of_every_run_of_an_ensemble(tmp_path: Path) -> None:
    one = tiny.save_run(tmp_path / "one")
    two = tiny.save_run(tmp_path / "two", 2, attention={"normaliser": "hard-topk", "k": 2})
    both = Translator.load(f"{one},{two}", "cpu", settings=["model.attention.temperature=4"])
    # the best are so at any temperature
    singles = [
        Translator.load(one, "cpu", settings=["model.attention.temperature=4"]),
        Translator.load(two, "cpu"),
    ]
    alone = Translator(
        singles[0].members[0].model,
        both.source_tokenizer,
        both.target_tokenizer,
        both.config,
        others=singles[1].members,
    )
    assert flat(both.translate(TEXTS)) == flat(alone.translate(TEXTS))
    with pytest.raises(UsageError, match=r"one with model\.attention\.k=3: model\.attention\.k"):
        Translator.load(f"{two},{one}", "cpu", settings=["model.attention.k=3"])


# Damage


def test_load_refuses_and_names_runs_of_other_vocabularies(tmp_path: Path) -> None:
    one, two = tiny.save_run(tmp_path / "one"), tiny.save_run(tmp_path / "two")
    Tokenizer.train(tiny.FRENCH, 90, "bpe", lowercase=True).save(two / "target.model")
    with pytest.raises(UserError, match=r"two: its target vocabulary is not that of .*one"):
        Translator.load(f"{one},{two}", device="cpu")


def test_load_reports_damaged_runs_on_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such run"):
        Translator.load(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="no run is named"):
        Translator.load(" , ")
    run = tiny.save_run(tmp_path / "run")
    with pytest.raises(UsageError, match="precision int8"):
        Translator.load(run, precision="int8")
    Tokenizer.train(tiny.FRENCH, 80, "bpe").save(run / "target.model")
    with pytest.raises(UserError, match=r"target.model: has 80 tokens .* says 90"):
        Translator.load(run, device="cpu")
    (run / "target.model").write_bytes(b"nonsense")
    with pytest.raises(UserError, match="not a tokenizer"):
        Translator.load(run, device="cpu")


def test_translate_reports_nan_of_the_model_on_one_line() -> None:
    translator = tiny.translator()
    with torch.no_grad():
        translator.members[0].model.decoder.output.bias.fill_(math.nan)
    for call in (
        lambda: translator.translate(["rain"]),
        lambda: translator.translate(["rain"], sample=True),
        lambda: translator.score_targets(["rain"], ["pluie"]),
    ):
        with pytest.raises(UserError, match="not numbers"):
            call()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_best": 6}, "n_best 6: a beam of 5 gives at most 5 outputs; set `beam` 6 or more"),
        ({"beam": 0}, "beam 0: it must be at least 1"),
        ({"n_best": 0}, "n_best 0"),
        ({"length_penalty": -1.0}, "length_penalty"),
        ({"length_penalty": math.nan}, "length_penalty"),
        ({"max_length": 0}, "max_length 0"),
        ({"max_length": 3, "min_length": 4}, "min_length 4 and `max_length` 3"),
        ({"temperature": 0.0, "sample": True}, "temperature"),
        ({"top_p": 0.0, "sample": True}, "top_p"),
        ({"top_k": -1, "sample": True}, "top_k"),
        ({"batch_tokens": 0}, "batch_tokens"),
        ({"prefixes": ["a", "b"]}, "2 prefixes and 1 texts"),
        ({"no_repeat_ngram": -1}, "no_repeat_ngram -1"),
        ({"samples": 4}, "samples needs `utility`"),
        ({"samples": 4, "sample": True}, "samples needs `utility`"),
        ({"utility": letters, "samples": 1}, "samples 1: it must be at least 2"),
        ({"utility": letters, "samples": 4097}, "samples 4097: it must be at most 4,096"),
        ({"utility": letters, "sample": True}, "leave one out"),
        ({"utility": letters, "n_best": 33}, "n_best 33: `utility` draws only 32 samples"),
        ({"utility": letters, "n_best": 4, "samples": 3}, "n_best 4: `utility` draws only 3 samples"),
    ],
)
def test_translate_refuses_and_names_bad_options(options: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        tiny.translator().translate(["rain"], **options)  # type: ignore[arg-type]


def test_translate_refuses_a_single_string() -> None:
    with pytest.raises(UsageError, match="list of texts"):
        tiny.translator().translate("rain")
    with pytest.raises(UsageError, match="1 texts and 2 targets"):
        tiny.translator().score_targets(["rain"], ["la", "pluie"])


def test_bfloat16_translates_nearly_alike() -> None:
    of = tiny.settings()
    exact = tiny.translator()
    half = Translator(
        tiny.model(of), tiny.tokenizer("source"), tiny.tokenizer("target"), of, precision="bf16"
    )
    a, b = (
        exact.score_targets(tiny.ENGLISH[:4], tiny.FRENCH[:4]),
        half.score_targets(tiny.ENGLISH[:4], tiny.FRENCH[:4]),
    )
    assert [x.score for x in a] == pytest.approx([x.score for x in b], rel=0.1)
    assert [x.score for x in a] != [x.score for x in b]
    assert len(half.translate(TEXTS)) == len(TEXTS)
