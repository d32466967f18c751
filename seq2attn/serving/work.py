"""What the thread computes: functions of items, which are equal if they compute alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seq2attn.errors import UserError
from seq2attn.inference.results import Caption, Translation
from seq2attn.serving.detection import Guess, detect
from seq2attn.serving.errors import Refusal, refusal_of
from seq2attn.serving.runs import ServedRun


@dataclass(frozen=True)
class Translate:
    """Sentences to their `count` best translations."""

    run: ServedRun
    count: int

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

    def __call__(self, contents: Sequence[bytes]) -> Sequence[Caption | Refusal]:
        pixels: list[Any] = []
        for content in contents:
            try:
                pixels.append(self.run.predictor.load_pixels(content, "picture"))
            except UserError as error:  # of this picture alone
                pixels.append(refusal_of(error, 400))
        good = [each for each in pixels if not isinstance(each, Refusal)]
        ranked = iter(self.run.predictor.caption(good, beam=self.beam, attention=self.attention))
        return [each if isinstance(each, Refusal) else next(ranked)[0] for each in pixels]


@dataclass(frozen=True)
class Detect:
    """Texts to the languages that they may be in."""

    runs: tuple[ServedRun, ...]

    def __call__(self, texts: Sequence[str]) -> Sequence[list[Guess]]:
        return [detect(text, self.runs) for text in texts]


@dataclass(frozen=True)
class Explain:
    """Requests of `explaining.explanation.explain` to its answers as JSON.

    An item is the source, and the keyword arguments.
    """

    run: ServedRun

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
