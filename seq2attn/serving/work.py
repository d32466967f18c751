"""What the thread computes: functions of items, which are equal if they compute alike.

`cost` says how many places of a batch an item fills: one for a sentence of usual length.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from seq2attn.errors import UserError
from seq2attn.inference.results import Caption, Translation
from seq2attn.serving.detection import Guess, detect
from seq2attn.serving.errors import Refusal, refusal_of
from seq2attn.serving.runs import ServedRun

CHARACTERS = 80  # of a sentence that fills one place of a batch
PIXELS = 1_000_000  # the same for a picture: to decode it takes about as long as to caption it


class Picture(NamedTuple):
    """An encoded picture or clip."""

    content: bytes
    pixels: int  # of all frames together


@dataclass(frozen=True)
class Translate:
    """Sentences to their `count` best translations."""

    run: ServedRun
    count: int

    def cost(self, sentence: str) -> float:
        return max(1.0, len(sentence) / CHARACTERS)

    def __call__(self, sentences: Sequence[str]) -> Sequence[list[Translation]]:
        beam = max(self.run.trained_beam, self.count)
        results: Sequence[list[Translation]] = self.run.predictor.translate(
            sentences, beam=beam, n_best=self.count, attention=False
        )
        return results


@dataclass(frozen=True)
class Describe:
    """Encoded pictures or clips to their best caption. `attention` is an AttentionOption."""

    run: ServedRun
    beam: int
    attention: bool | str

    def cost(self, picture: Picture) -> float:
        return max(1.0, picture.pixels / PIXELS)

    def __call__(self, pictures: Sequence[Picture]) -> Sequence[Caption | Refusal]:
        pixels: list[Any] = []
        for picture in pictures:
            try:
                pixels.append(self.run.predictor.load_pixels(picture.content, "picture"))
            except UserError as error:  # of this picture alone
                pixels.append(refusal_of(error, 400))
        good = [each for each in pixels if not isinstance(each, Refusal)]
        ranked = iter(self.run.predictor.caption(good, beam=self.beam, attention=self.attention))
        return [each if isinstance(each, Refusal) else next(ranked)[0] for each in pixels]


@dataclass(frozen=True)
class Detect:
    """Texts to the languages that they may be in."""

    runs: tuple[ServedRun, ...]

    def cost(self, text: str) -> float:
        return 4.0  # each text is computed alone, in up to two passes of each model

    def __call__(self, texts: Sequence[str]) -> Sequence[list[Guess]]:
        return [detect(text, self.runs) for text in texts]


@dataclass(frozen=True)
class Explain:
    """Requests of `explaining.explanation.explain` to its answers as JSON.

    An item is the source, and the keyword arguments.
    """

    run: ServedRun

    def cost(self, request: object) -> float:
        return math.inf  # each is computed alone: together none would be there sooner

    def __call__(
        self, requests: Sequence[tuple[str | bytes, Mapping[str, Any]]]
    ) -> Sequence[dict[str, Any] | Exception]:
        from seq2attn.explaining.explanation import explain

        results: list[dict[str, Any] | Exception] = []
        for source, request in requests:
            try:
                explanation = explain(self.run.predictor, source, run=self.run.name, **request)
                results.append(explanation.to_dict())
            except Exception as error:  # noqa: BLE001 (of this request alone)
                results.append(error)
        return results
