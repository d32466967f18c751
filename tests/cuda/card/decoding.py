"""Decoding: sentences a second, greedy and with a beam of 5, many at once and a few, with CUDA graphs and
without. Models are random, and outputs as long as the sources.
"""

import time
from collections.abc import Callable, Iterator

import torch
from tiny import Numbers

from seq2attn.config import Config
from seq2attn.devices import FLOATS, find_format
from seq2attn.inference import Translator
from seq2attn.models.seq2seq import Seq2Seq, build
from seq2attn.runs.half_weights import to_half

from .session import Row, Session
from .speed import PRESETS, random_pairs, speed_settings, vocabulary_of

BEAMS = (1, 5)
LENGTH = 25  # tokens of every source and output
COUNT = 1024  # sentences of one measurement
SIZES = (1024, 16)  # sentences of one call


def measure(session: Session) -> Iterator[Row]:
    for preset in session.while_time(PRESETS):
        settings = speed_settings(preset, [], session)
        vocabulary = vocabulary_of(settings, session)
        torch.manual_seed(1)
        model = build(settings.model, vocabulary, vocabulary).to(session.device).eval()
        for size in SIZES:
            for beam in BEAMS:
                for graphs in (False, True) if session.device.type == "cuda" else (False,):
                    name = f"{preset}, {'greedy' if beam == 1 else f'beam {beam}'}"
                    name += f", {size} at once{', graphs' if graphs else ''}"
                    changes = [f"search.cuda_graphs={str(graphs).lower()}"]
                    translator = translator_of(model, speed_settings(preset, changes, session), session)
                    yield one(name, translate(translator, vocabulary, beam, size, session), session)


def one(name: str, search: Callable[[], int], session: Session) -> Row:
    try:
        session.forget_peak()
        speed = sentences_a_second(search, session)
        value = f"{speed:,.0f} sentences/s, {session.peak_gigabytes():.1f} GB"
        return Row(name, value, None, {"sentences/s": speed})
    except Exception as error:  # noqa: BLE001 - one that fails is a row
        return Row(name, f"{type(error).__name__}: {error}".splitlines()[0], False)


def translator_of(model: Seq2Seq, settings: Config, session: Session) -> Translator:
    """The translator that a loaded run would have in the precision that `auto` trains in."""
    format = find_format("auto", session.device)
    if format != "fp32":
        to_half([model], FLOATS[format])
    tokenizer = Numbers(vocabulary_of(settings, session))
    return Translator(model, tokenizer, tokenizer, settings, precision=format)  # type: ignore[arg-type]


def translate(
    translator: Translator, vocabulary: int, beam: int, size: int, session: Session
) -> Callable[[], int]:
    """A function that translates so many sentences as it returns, `size` of them in each call."""
    count, size = (4, min(size, 2)) if session.quick else (min(COUNT, 8 * size), size)
    rows = random_pairs(count, vocabulary).sources
    texts = [" ".join(map(str, (row.tolist() * LENGTH)[: LENGTH - 1])) for row in rows]
    length = 3 if session.quick else LENGTH

    def search() -> int:
        for first in range(0, len(texts), size):
            translator.translate(
                texts[first : first + size], beam=beam, min_length=length, max_length=length, attention=False
            )
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
