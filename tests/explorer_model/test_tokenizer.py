"""The tokenizer in JavaScript against SentencePiece and Python, on real texts and on strange ones."""

import random
from pathlib import Path

import javascript
import pytest
import tiny

from seq2attn.data.formats.text import is_blank
from seq2attn.data.text.words import word_numbers
from seq2attn.data.tokenizer import KINDS, Tokenizer
from seq2attn.export import page_run

pytestmark = javascript.needs_node

SIZES = {"unigram": 100, "bpe": 110, "char": 100, "word": 60}
# spaces of many kinds, final sigma, letters of two code points, marks, invisible ones, and what HTML reads
ALPHABET = (
    "abcdefghé ôÀÉĞİIßΣςσ  ▁\u00a0\u3000\x1c\x85\ufeff\u200b\u0301日本語テスト😀🎉.,!?'<>&\n\t\ufdd0\u2800"
    "\u2019\u201c\u2013\u2009"
)
STRANGE = [
    "",
    " ",
    " a",
    "a  b",
    "   ",
    "ΑΣ ΑΣΑ Σ",
    "\ufdd0 x",
    "aaaaaaa",
    "\ud800x",
    "</script>",
    "a\u0308 ä",
]


def check(count: int, folder: Path) -> None:
    draw = random.Random(1)
    texts = [*tiny.ENGLISH[:7], *tiny.FRENCH[:7], *STRANGE]
    texts += ["".join(draw.choices(ALPHABET, k=draw.randrange(40))) for _ in range(count)]
    corpus = [*tiny.ENGLISH, *tiny.FRENCH, "日本語 テスト ▁ x"]
    tokenizers = [
        Tokenizer.train(corpus, SIZES[kind], kind, lower) for kind in KINDS for lower in (False, True)
    ]
    for one in tokenizers[1::2]:
        one.plain_marks = "source"
    facts = [page_run.tokenizer(one) for one in tokenizers]
    # the same for targets, whose marks stay as they are
    facts += [one | one["asTarget"] for one in facts[1::2]]
    tokenizers += [one.of_target for one in tokenizers[1::2]]
    data = {"tokenizers": facts, "texts": texts}
    results = javascript.run("tokens.mjs", data, folder)
    for tokenizer, of_texts in zip(tokenizers, results, strict=True):
        for text, result in zip(texts, of_texts, strict=True):
            ids = tokenizer.encode(text)
            assert result == {
                "ids": ids,
                "text": tokenizer.decode(ids),
                "subwords": tokenizer.subwords(ids),
                "word_index": tokenizer.word_index(ids),
                "word_numbers": word_numbers(text, ids, tokenizer),
                "blank": is_blank(text),
                "words": text.split(),
            }, (tokenizer.kind, text)


def test_tokenizer_cuts_texts_as_sentencepiece_does(tmp_path: Path) -> None:
    check(100, tmp_path)


@pytest.mark.slow
def test_tokenizer_cuts_many_texts_as_sentencepiece_does(tmp_path: Path) -> None:
    check(5000, tmp_path)
