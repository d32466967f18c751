"""Which language a text is in: by vocabularies, and by models where they share one."""

from collections.abc import Sequence
from typing import Any

import pytest
import tiny

from seq2attn.data.tokenizer import Tokenizer
from seq2attn.inference.results import Translation
from seq2attn.serving.detection import detect
from seq2attn.serving.runs import ServedRun

LINES = {"en": tiny.ENGLISH, "fr": tiny.FRENCH}


class Known:
    """A translator which is sure of the words of its languages, and of no others."""

    def __init__(self, source: str, target: str, tokenizer: Tokenizer) -> None:
        self.languages, self.source_tokenizer = (source, target), tokenizer
        self.words = [
            {word for line in LINES.get(side, ()) for word in line.split()} for side in (source, target)
        ]
        self.calls = 0

    def _scored(self, texts: Sequence[str], side: int) -> list[Translation]:
        self.calls += 1
        words = [text.split() for text in texts]
        share = [sum(word in self.words[side] for word in of_text) / len(of_text) for of_text in words]
        return [
            Translation(text, text, 0.0, 3 * (each - 1) * 11, list(range(10)))
            for text, each in zip(texts, share, strict=True)
        ]

    def translate(self, texts: Sequence[str], **options: Any) -> list[list[Translation]]:
        return [[each] for each in self._scored(texts, 0)]

    def score_targets(
        self, texts: Sequence[str], targets: Sequence[str], **options: Any
    ) -> list[Translation]:
        return self._scored(targets, 1)


def guess(text: str, *runs: Any) -> tuple[str, float]:
    guesses = detect(text, [ServedRun(str(number), run) for number, run in enumerate(runs)])
    assert sum(each.probability for each in guesses) == pytest.approx(1)
    assert [each.probability for each in guesses] == sorted(
        (each.probability for each in guesses), reverse=True
    )
    return guesses[0]


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_detect_tells_languages_by_their_vocabularies(kind: str) -> None:
    runs = [Known(code, "xx", Tokenizer.train(LINES[code], 60, kind)) for code in LINES]
    for code, lines in LINES.items():
        for line in lines[:7]:
            assert guess(line, *runs)[0] == code
    assert not any(run.calls for run in runs)  # no model was needed


def test_detect_asks_the_models_where_runs_share_a_vocabulary() -> None:
    joint = Tokenizer.train([*tiny.ENGLISH, *tiny.FRENCH], 100)
    forth, back = Known("en", "fr", joint), Known("fr", "en", joint)
    for code, lines in LINES.items():
        for line in lines[:7]:
            language, probability = guess(line, forth, back)
            assert (language, probability > 0.9) == (code, True)
    assert forth.calls == back.calls == 2 * 14  # each reads and writes each line once


def test_detect_without_a_writer_of_each_language_asks_the_readers() -> None:
    joint = Tokenizer.train([*tiny.ENGLISH, *tiny.FRENCH], 100)
    runs = [Known("en", "xx", joint), Known("fr", "xx", joint)]
    assert guess("où est la gare", *runs)[0] == "fr"
    assert [run.calls for run in runs] == [1, 1]


def test_detect_of_no_letters_computes_nothing() -> None:
    joint = tiny.tokenizer()
    runs = [Known("en", "fr", joint), Known("fr", "en", joint)]
    assert guess("?!", *runs)[1] == pytest.approx(0.5)
    assert not any(run.calls for run in runs)
