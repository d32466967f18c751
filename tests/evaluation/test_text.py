"""Text scores: sacreBLEU's own numbers and signatures, the tokenizer of each language, silence, and clear
refusals.
"""

import itertools
import logging

import pytest
import sacrebleu

from seq2attn.errors import UsageError, UserError
from seq2attn.evaluation import text

HYPOTHESES = ["the dog bit the man .", "it was not surprising .", "the man had just bitten him ."]
FIRST = ["the dog bit the man .", "it was not unexpected .", "the man bit him first ."]
SECOND = ["the dog had bit the man .", "no one was surprised .", "the man had bitten the dog ."]


def test_scores_equal_sacrebleu():
    bleu, chrf, ter = text.scores(HYPOTHESES, [FIRST, SECOND], "en")
    assert bleu.value == pytest.approx(sacrebleu.corpus_bleu(HYPOTHESES, [FIRST, SECOND]).score)
    assert chrf.value == pytest.approx(sacrebleu.corpus_chrf(HYPOTHESES, [FIRST, SECOND]).score)
    assert ter.value == pytest.approx(sacrebleu.corpus_ter(HYPOTHESES, [FIRST, SECOND]).score)
    assert [score.name for score in (bleu, chrf, ter)] == list(text.METRICS)
    assert bleu == text.bleu(HYPOTHESES, [FIRST, SECOND], "en")


def test_signature_names_the_tokenizer_and_the_number_of_references():
    assert (
        text.bleu(HYPOTHESES, [FIRST, SECOND], "de").signature
        == f"nrefs:2|case:mixed|eff:no|tok:13a|smooth:exp|version:{sacrebleu.__version__}"
    )
    assert "tok:zh" in text.bleu(["我喜欢猫。"], [["我很喜欢猫。"]], "zh").signature


def test_score_prints_its_signature():
    assert str(text.Score("BLEU", 34.567, "nrefs:1")) == "BLEU 34.57  nrefs:1"


@pytest.mark.parametrize(
    ("language", "tokenizer"),
    [
        ("en", "13a"),
        ("de", "13a"),
        (None, "13a"),
        ("zh", "zh"),
        ("zh-Hant", "zh"),
        ("zh_CN", "zh"),
        ("cmn", "zh"),
        ("Chinese", "zh"),
        ("th", "char"),
        ("lao", "char"),
        ("target", "13a"),
    ],
)
def test_tokenizer_for_depends_on_the_target_language(language, tokenizer):
    assert text.tokenizer_for(language) == tokenizer


@pytest.mark.parametrize(("language", "mecab"), [("ja", "ja-mecab"), ("jpn", "ja-mecab"), ("ko", "ko-mecab")])
def test_tokenizer_for_japanese_and_korean_is_mecab_if_installed(monkeypatch, language, mecab):
    monkeypatch.setattr(text.importlib.util, "find_spec", lambda name: object())
    assert text.tokenizer_for(language) == mecab
    monkeypatch.setattr(text.importlib.util, "find_spec", lambda name: None)
    assert text.tokenizer_for(language) == "char"


@pytest.mark.parametrize("column", [None, "target", "column 2", "tgt"])
@pytest.mark.parametrize(
    ("line", "language"),
    [
        ("他昨天去了北京。", "zh"),
        ("彼は昨日北京に行った", "ja"),
        ("ฉันรักแมว", "th"),
        ("Er fuhr nach 北京", "en"),
        ("12 + 3 = 15", "en"),
    ],
)
def test_tokenizer_for_an_unnamed_language_follows_its_script(column, line, language):
    assert text.tokenizer_for(column, [line] * 3) == text.tokenizer_for(language)


def test_ter_of_chinese_counts_characters():
    assert text.ter(["我喜欢猫"], [["我喜欢狗"]], "zh").value == pytest.approx(25)


def test_scores_print_and_log_nothing(capsys, caplog):
    with caplog.at_level(logging.WARNING):
        text.scores(HYPOTHESES * 50, [FIRST * 50], "ja")
    assert capsys.readouterr() == ("", "")
    assert caplog.records == []


def test_bleu_counts_empty_lines():
    assert text.bleu(["", "a b c d e"], [["x", "a b c d e"]], "en").value > 50
    assert text.bleu([""], [["x"]], "en").value == 0


@pytest.mark.parametrize(
    ("hypotheses", "references", "words"),
    [
        (["a"], [["a", "b"]], "1 lines to score, but the reference has 2"),
        (["a"], [["a"], []], "reference 2 has 0"),
        ([], [[]], "not one line"),
        (["a"], [], "at least one reference"),
    ],
)
def test_bleu_refuses_bad_input(hypotheses, references, words):
    with pytest.raises(UserError, match=words):
        text.bleu(hypotheses, references, "en")


def test_looks_tokenized_notices_tokenized_text():
    assert text.looks_tokenized(["a b ."] * 10)
    assert not text.looks_tokenized(["a b."] * 100)


def test_by_length_scores_every_sentence_in_one_bucket():
    sources = [" ".join(["w"] * length) for length in (1, 3, 9, 10, 11, 20, 39, 40, 200)]
    hypotheses = [f"one two three four {number}" for number in range(9)]
    references = [[*hypotheses[:8], "nothing alike in here at all"]]
    buckets = text.by_length(sources, hypotheses, references, "en", buckets=4)
    assert sum(bucket.sentences for bucket in buckets) == 9
    assert [bucket.bleu for bucket in buckets[:-1]] == [pytest.approx(100)] * (len(buckets) - 1)
    assert buckets[-1].bleu < 1
    assert all(before.high < after.low for before, after in itertools.pairwise(buckets))
    assert (buckets[0].low, buckets[-1].high) == (1, 200)


@pytest.mark.parametrize(
    ("hypotheses", "references", "language", "words"),
    [
        (["a b c d"] * 2, ["a b c d", "x"], "en", None),
        (["a b c"], ["a b c d"], "en", "no output has four words"),
        (["a b c d e"], ["a b c"], "en", "no reference has four words"),
        ([""], [""], "en", "no reference has four words"),
        (["我喜欢"], ["我喜欢猫"], "zh", "no output has four characters"),
        (["我喜欢猫"], ["我喜欢猫"], "zh", None),
        (["one, two."], ["one, two."], "en", None),  # punctuation counts
    ],
)
def test_without_four_names_lines_too_short_for_bleu(hypotheses, references, language, words):
    reason = text.without_four(hypotheses, [references], language)
    assert (reason is None) if words is None else words in reason


def test_by_length_says_where_bleu_is_meaningless():
    sources = ["w"] * 12 + ["w w w w w"] * 12 + ["w w w w w w w w w"] * 9
    lines = ["one two"] * 12 + ["one two three four five"] * 21
    short, middle, few = text.by_length(sources, lines, [lines], "en")
    assert (short.bleu, short.telling, middle.bleu, middle.telling, few.telling) == (
        0,
        False,
        pytest.approx(100),
        True,
        False,
    )
    assert [bucket.chrf for bucket in (short, middle, few)] == [100, 100, 100]


def test_by_length_counts_characters_of_unspaced_scripts():
    buckets = text.by_length(
        ["一二三四", "一二三四五六七八九十"], ["a b c d", "a b c d"], [["a b c d", "a b c d"]], "en", "zh"
    )
    assert [(bucket.low, bucket.high, bucket.sentences) for bucket in buckets] == [(3, 4, 1), (9, 10, 1)]


def test_by_length_needs_a_source_for_each_line():
    with pytest.raises(UserError, match="1 source lines"):
        text.by_length(["a"], ["a", "b"], [["a", "b"]])


# Of one sentence


@pytest.mark.parametrize(
    ("name", "scorer"),
    [("chrf", sacrebleu.metrics.CHRF()), ("bleu", sacrebleu.metrics.BLEU(effective_order=True))],
)
def test_utility_equals_sacrebleus_sentence_score(name, scorer):
    utility = text.utility(name, "en")
    for hypothesis, reference in itertools.product([*HYPOTHESES, "the dog", ""], FIRST):
        assert utility(hypothesis, reference) == pytest.approx(
            scorer.sentence_score(hypothesis, [reference]).score
        )
    assert utility("a dog", "a dog") == pytest.approx(100)


def test_utility_uses_the_tokenizer_of_its_language_or_reference():
    assert (
        text.utility("bleu", "zh")("我喜欢猫", "我喜欢狗") == text.utility("bleu")("我喜欢猫", "我喜欢狗") > 0
    )
    assert text.utility("bleu", "en")("我喜欢猫", "我喜欢狗") == 0


def test_utility_refuses_another_name():
    with pytest.raises(UsageError, match="utility ter: choose chrf or bleu"):
        text.utility("ter")
