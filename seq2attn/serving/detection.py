"""Which of the languages that are served a text is in, by the runs' own subwords and models.

First each vocabulary of sources writes the text in its subwords. The language whose vocabulary writes it in
the fewest nats is the most probable: this is identification by compression, as in Teahan (2000), "Text
classification and segmentation using minimum cross-entropy". The odds of two languages are e to the
difference of their lengths, over DOUBT, because neighbouring subwords are not independent.

Runs of both directions often share one vocabulary, which then says nothing. Where the lengths are close,
models are asked, too, for two mean log-probabilities of a token. One is that of the translation by a run that
reads the language: it is sure of itself where it knows the words. The other is that of the text itself, as
the output of a run that writes the language: a decoder is a language model. Their sum counts as that of
TOKENS independent tokens.

It is a choice between the languages that are served. A text in none of them gets one of them, too.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from seq2attn.data.text.sentences import split_sentences
from seq2attn.inference.translator import Translator
from seq2attn.serving.runs import ServedRun

CHARACTERS = 2000  # that are read of a text
DOUBT = 2.0  # by which a difference of nats is divided
CLOSE = 1.05  # a length that is this many times the least, or less, is close to it
SENTENCES = 3  # that models read where lengths are close
LONGEST = 300  # characters of such a sentence that models read: a search takes time with the length
TOKENS = 2.0
FAR = 50.0  # odds of a language are e to minus this, at least


class Guess(NamedTuple):
    """A language and its probability among those that are served."""

    language: str
    probability: float


def detect(text: str, runs: Sequence[ServedRun]) -> list[Guess]:
    """The languages of the runs' sources, the most probable first. Models compute where lengths are close."""
    text = text[:CHARACTERS]
    readers: dict[str, Translator] = {}
    writers: dict[str, Translator] = {}
    nats: dict[str, float] = {}
    for run in runs:
        readers.setdefault(run.source, run.predictor)
        writers.setdefault(run.target, run.predictor)
        length = run.predictor.source_tokenizer.description_length(text)
        nats[run.source] = min(length, nats.get(run.source, math.inf))
    least = min(nats.values())
    weights = {language: (least - length) / DOUBT for language, length in nats.items()}
    close = [language for language in nats if nats[language] <= CLOSE * least]
    if len(close) > 1 and (sentences := _sentences(text)):
        means = {language: _mean_of_output(readers[language], sentences) for language in close}
        if all(language in writers for language in close):
            means = {
                language: mean + _mean_of_text(writers[language], sentences)
                for language, mean in means.items()
            }
        best = max(means.values())
        weights |= {language: weights[language] + (mean - best) * TOKENS for language, mean in means.items()}
    odds = {language: math.exp(max(weight, -FAR)) for language, weight in weights.items()}
    total = sum(odds.values())
    return sorted(
        (Guess(language, of_one / total) for language, of_one in odds.items()),
        key=lambda guess: -guess.probability,
    )


def _sentences(text: str) -> list[str]:
    lines = [line.strip() for line in text.splitlines() if any(map(str.isalnum, line))]
    sentences = [sentence.text for line in lines for sentence in split_sentences(line)]
    return [sentence[:LONGEST] for sentence in sentences[:SENTENCES]]


def _mean_of_output(reader: Translator, sentences: Sequence[str]) -> float:
    outputs = reader.translate(sentences, beam=1, length_penalty=1.0, attention=False)
    return _mean([(ranked[0].log_probability, len(ranked[0].tokens)) for ranked in outputs])


def _mean_of_text(writer: Translator, sentences: Sequence[str]) -> float:
    outputs = writer.score_targets(sentences, sentences, attention=False)
    return _mean([(output.log_probability, len(output.tokens)) for output in outputs])


def _mean(outputs: Sequence[tuple[float, int]]) -> float:
    """The mean log-probability of all tokens, with those of the ends."""
    return sum(log_probability for log_probability, _ in outputs) / sum(count + 1 for _, count in outputs)
