"""Unknown tokens in outputs, replaced by the source word with the largest weight."""

from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch

from seq2attn.data.tokenizer import UNK, Tokenizer
from seq2attn.errors import UsageError
from seq2attn.inference import Translator
from seq2attn.inference.results import Translation
from seq2attn.inference.unknown_words import replace_unknown


def translation(
    source: Tokenizer, target: Tokenizer, text: str, tokens: list[int], weights: list[list[float]]
) -> tuple[Translation, list[int]]:
    """An output of these tokens; `weights` are those of each on source subwords, without the ends."""
    ids = source.encode(text)
    matrix = np.zeros((len(tokens) + 1, len(ids) + 1), np.float32)
    matrix[:-1, :-1] = weights
    decoded = target.decode(tokens)
    output = Translation(
        text,
        decoded,
        0.0,
        0.0,
        tokens,
        subword_attention=matrix,
        source_words=text.split(),
        target_words=decoded.split(),
    )
    return output, ids


def words(side: str = "source") -> Tokenizer:
    return tiny.tokenizer(side, "word", 60)


def test_each_unknown_word_becomes_the_word_that_it_reads() -> None:
    source, target = words(), words("target")
    le = target.encode("le")[0]
    output, ids = translation(
        source,
        target,
        "the Xavi\u00e9r sees Zo\u00eb",
        [UNK, le, UNK],
        [[0.1, 0.6, 0.2, 0.1], [0.9, 0.1, 0, 0], [0, 0.3, 0.3, 0.4]],
    )
    assert output.text == "⁇ le ⁇"
    result = replace_unknown(output, ids, source, target)
    assert result.text == "Xavi\u00e9r le Zo\u00eb"
    assert result.target_words == ["Xavi\u00e9r", "le", "Zo\u00eb"]
    assert result.tokens == output.tokens


def test_weights_of_a_word_are_those_of_its_subwords() -> None:
    """Of a word of several subwords the sum counts, not the largest; and the end of the source counts not."""
    source, target = tiny.tokenizer("source"), words("target")
    ids = source.encode("the zebra")
    numbers = [0] * len(source.encode("the"))
    rest = len(ids) - len(numbers)
    assert rest > 1
    row = [0.3] + [0.0] * (len(numbers) - 1) + [0.7 / rest] * rest
    assert max(row) == 0.3
    output, ids = translation(source, target, "the zebra", [UNK], [row])
    output.subword_attention[0, -1] = 5.0
    assert replace_unknown(output, ids, source, target).text == "zebra"


def test_neighbouring_unknown_subwords_are_one_word() -> None:
    source = target = tiny.tokenizer("source")
    the = target.encode("the")
    tokens = [*the, *target.encode("the")[:1], UNK, UNK]
    ids = source.encode("a 猫猫")
    row = [0.0] * (len(ids) - 1) + [1.0]
    weights = [[0.0] * len(ids)] * (len(tokens) - 2) + [row, row]
    output, ids = translation(source, target, "a 猫猫", tokens, weights)
    assert output.text.count("⁇") == 2
    assert replace_unknown(output, ids, source, target).text == output.text.replace("⁇⁇", "猫猫")


def test_unknown_word_without_weights_stays() -> None:
    source, target = words(), words("target")
    output, ids = translation(source, target, "the dog", [UNK, UNK], [[0.0, 0.0], [0.2, 0.8]])
    assert replace_unknown(output, ids, source, target).text == "⁇ dog"
    assert replace_unknown(replace(output, subword_attention=None), ids, source, target).text == "⁇ ⁇"


def test_replacement_is_written_in_lower_case_where_the_target_is() -> None:
    source, lower = words(), Tokenizer.train(tiny.FRENCH, 60, "word", True)
    output, ids = translation(source, lower, "the Dog", [UNK], [[0.0, 1.0]])
    assert replace_unknown(output, ids, source, lower).text == "dog"


def biased(unknown: float) -> Translator:
    translator = tiny.translator()
    with torch.no_grad():
        translator.models[0].decoder.output.bias[UNK] = unknown
    return translator


@pytest.mark.parametrize("attention", [True, False, "all"])
def test_search_writes_source_words_only_if_asked(attention: object) -> None:
    """Even where no attention was asked for, which then is not there."""
    translator = biased(50.0)
    text = "the small dog"
    options = {"beam": 2, "max_length": 3, "attention": attention}
    assert "⁇" not in translator.translate([text], **options)[0][0].text
    output = translator.translate([text], replace_unknown=True, **options)[0][0]
    assert output.text
    assert set(output.text.split()) <= set(text.split())
    assert set(output.tokens) == {UNK}
    assert (output.attention is None) == (not attention)
    assert (output.attention_heads is not None) == (attention == "all")


def test_outputs_without_unknown_tokens_stay_as_they_are() -> None:
    translator = biased(-50.0)
    plain, replaced = (
        translator.translate(tiny.ENGLISH[:5], max_length=8, replace_unknown=one) for one in (False, True)
    )
    assert plain == replaced


def test_model_without_attention_is_refused() -> None:
    translator = tiny.translator(context_source="summary", query_state="current")
    with pytest.raises(UsageError, match=r"replace_unknown .*no attention; leave it out"):
        translator.translate(["the dog"], replace_unknown=True)
