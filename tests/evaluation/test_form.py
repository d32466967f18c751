"""Texts are compared in the form that the tokenizer writes: a perfect output scores as one, however its
reference writes its characters."""

import unicodedata

import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from seq2attn.data.tokenizer import Tokenizer, normalise
from seq2attn.evaluation import caption_significance, captions, significance, text
from seq2attn.evaluation.cider import CiderD
from seq2attn.evaluation.form import changed, comparable

ODD = {
    "decomposed French": unicodedata.normalize("NFD", "le père élève une très vieille chèvre à côté"),
    "Vietnamese": unicodedata.normalize("NFD", "tiếng Việt được viết bằng chữ Quốc ngữ từ lâu"),
    "marks in another order": "o\u0323\u0302 a\u0301\u0323 e\u0302\u0323 u\u0323\u0302 i\u0301\u0323",
    "Yoruba": unicodedata.normalize("NFD", "ọmọ kékeré náà ń sùn nínú ọgbà wọn"),
    "Hangul letters": unicodedata.normalize("NFD", "작은 개가 정원에서 잠을 자고 있다"),
    "Devanagari, composed where NFC decomposes": (
        "\u0958\u093c \u095b\u0930\u093e \u095e\u0930 \u0961\u0902 \u0959 \u095c\u093e"
    ),
    "Arabic marks": (
        "\u0643\u064e\u0644\u0651\u064e\u0645 \u0644\u0651\u064e\u0647 \u0645\u064f\u0651\u062f "
        "\u0628\u064e\u0651\u0631"
    ),
    "signs that are letters": "\u212bngstr\u00f6m \u2126 \u212a 5 \u2126 und \u212b noch einmal",
    "compatibility forms": "ﬁn ﬂot \uff21\uff22 ½ ① x² eﬃcient",
    "spaces": "deux  mots\u00a0ici et\u3000là\u2000puis un  ",
    "half a pair": "le mot \ud83d est coupé en deux",
    "capital with a dot": "I\u0323\u0307stanbul \u0130\u0323 ve \u0130zmir bir iki üç",
}
LANGUAGES = {"Hangul letters": "ko"}


@pytest.mark.parametrize("lowercase", [False, True])
@pytest.mark.parametrize("name", ODD)
def test_text_scores_of_normalised_text_are_perfect(name: str, lowercase: bool) -> None:
    reference = [ODD[name]] * 3 + ["one two three four five six"]
    output = [normalise(line, lowercase) for line in reference]
    language = LANGUAGES.get(name, "fr")
    bleu, chrf, ter = text.scores(output, [reference], language, lowercase)
    assert (bleu.value, chrf.value, ter.value) == (pytest.approx(100), pytest.approx(100), 0)
    assert ("case:lc" in bleu.signature, "case:lc" in chrf.signature) == (lowercase, lowercase)
    assert text.scores(reference, [output], language, lowercase)[0].value == pytest.approx(100)
    compared = significance.paired_bootstrap(
        [("a", output), ("b", reference)], [reference], language, 20, lowercase
    ).systems
    assert [compared[system]["BLEU"].value for system in "ab"] == [pytest.approx(100)] * 2
    assert compared["b"]["TER"].p_value == 1
    for bucket in text.by_length(["a b"] * 4, output, [reference], language, lowercase=lowercase):
        assert bucket.bleu == pytest.approx(100)
    for utility in text.UTILITIES:
        assert text.utility(utility, language)(output[0], normalise(ODD[name], lowercase)) == pytest.approx(
            100
        )


@pytest.mark.parametrize("name", ODD)
def test_caption_scores_of_normalised_text_are_perfect(name: str) -> None:
    references = [[ODD[name], "un autre mot"], ["two dogs run over the grass", "dogs run"]]
    output = [normalise(ODD[name], lowercase=True), "two dogs run over the grass"]
    assert captions.scores(output, references) == captions.scores([ODD[name], output[1]], references)
    rewarded = CiderD([[unicodedata.normalize("NFD", caption) for caption in some] for some in references])
    assert rewarded.scores(output).tolist() == CiderD(references).scores(output).tolist()
    compared = caption_significance.paired_bootstrap_captions(
        [("a", output), ("b", [ODD[name], output[1]])], references, samples=20
    )
    assert compared.systems["b"]["CIDEr-D"].p_value == 1


def test_bleu_of_composed_text_equals_sacrebleu() -> None:
    import sacrebleu

    output, reference = (
        ["un Été à la mer, dit-il", "où est la gare de la ville ?"],
        ["un été à la mer, dit-il", "où est la gare ?"],
    )
    assert text.bleu(output, [reference], "fr").value == sacrebleu.corpus_bleu(output, [reference]).score
    without = text.bleu(output, [reference], "fr", lowercase=True)
    assert without.value == sacrebleu.corpus_bleu(output, [reference], lowercase=True).score
    assert without.signature == f"nrefs:1|case:lc|eff:no|tok:13a|smooth:exp|version:{sacrebleu.__version__}"


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.text(max_size=20), st.booleans())
def test_comparable_is_idempotent_and_agrees_with_the_tokenizer(line: str, lowercase: bool) -> None:
    once = comparable(line, lowercase)
    assert comparable(once, lowercase) == once
    assert comparable(normalise(line, lowercase), lowercase) == once
    assert len(once.split()) == len(line.split())  # so that gold alignments and boxes count the same words


def test_changed_counts_lines_and_ignores_case() -> None:
    assert changed(["ascii", "Été", "E\u0301te\u0301", "\u212b", "\ud83d", ""]) == 3


@pytest.mark.parametrize("kind", ["unigram", "bpe", "char", "word"])
def test_comparable_equals_the_output_of_a_tokenizer(kind: str) -> None:
    lines = [unicodedata.normalize("NFD", line) for line in tiny.FRENCH]
    tokenizer = Tokenizer.train(lines, 60, kind, lowercase=False)
    written = [tokenizer.decode(tokenizer.encode(line)) for line in lines]
    assert [comparable(line) for line in lines] == written


def test_translator_normalises_prefixes_and_forced_targets() -> None:
    translator = tiny.translator()
    composed = "où est la gare"
    decomposed = unicodedata.normalize("NFD", composed)
    forms = [
        translator.translate(["rain falls"], prefixes=[prefix])[0][0].text
        for prefix in (composed, decomposed)
    ]
    assert forms[0] == forms[1]
    assert forms[0].startswith(composed)
    forced = [translator.score_targets(["rain falls"], [target])[0] for target in (composed, decomposed)]
    assert forced[0].score == forced[1].score
    assert forced[0].alignment() == forced[1].alignment()
    assert (forced[0].attention == forced[1].attention).all()
