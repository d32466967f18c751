"""Decoding: sentences a second, greedy and with a beam of 5. Models are random, and outputs as long as the
sources.
"""

import time
from collections.abc import Callable, Iterator

import torch
from tiny import Numbers

from seq2attn.config import Config
from seq2attn.devices import find_format
from seq2attn.inference import Translator
from seq2attn.models.seq2seq import Seq2Seq, build

from .session import Row, Session
from .speed import PRESETS, random_pairs, speed_settings, vocabulary_of

BEAMS = (1, 5)
LENGTH = 25  # tokens of every source and output
COUNT = 1024  # sentences of one call


def measure(session: Session) -> Iterator[Row]:
    cases = {
        f"{preset}, {'greedy' if beam == 1 else f'beam {beam}'}": (preset, beam)
        for preset in PRESETS
        for beam in BEAMS
    }
    for name in session.while_time(cases):
        preset, beam = cases[name]
        try:
            settings = speed_settings(preset, [], session)
            vocabulary = vocabulary_of(settings, session)
            torch.manual_seed(1)
            model = build(settings.model, vocabulary, vocabulary).to(session.device).eval()
            translator = translator_of(model, settings, vocabulary, session)
            session.forget_peak()
            speed = sentences_a_second(translate(translator, vocabulary, beam, session), session)
            value = f"{speed:,.0f} sentences/s, {session.peak_gigabytes():.1f} GB"
            yield Row(name, value, None, {"sentences/s": speed})
        except Exception as error:  # noqa: BLE001 - one that fails is a row
            yield Row(name, f"{type(error).__name__}: {error}".splitlines()[0], False)


def translator_of(model: Seq2Seq, settings: Config, vocabulary: int, session: Session) -> Translator:
    """The translator that a loaded run would have in the precision that `auto` trains in."""
    format = find_format("auto", session.device)
    tokenizer = Numbers(vocabulary)
    return Translator(model, tokenizer, tokenizer, settings, precision=format)  # type: ignore[arg-type]


def translate(translator: Translator, vocabulary: int, beam: int, session: Session) -> Callable[[], int]:
    """A function that translates so many sentences as it returns."""
    count = 4 if session.quick else COUNT
    rows = random_pairs(count, vocabulary).sources
    texts = [" ".join(map(str, (row.tolist() * LENGTH)[: LENGTH - 1])) for row in rows]
    length = 3 if session.quick else LENGTH

    def search() -> int:
        translator.translate(texts, beam=beam, min_length=length, max_length=length, attention=False)
        return len(texts)

    return search


def sentences_a_second(search: Callable[[], int], session: Session) -> float:
    """After one call that warms up."""
    search()
    session.synchronize()
    began = time.monotonic()
    count = search()
    session.synchronize()
    return count / (time.monotonic() - began)
