"""Sources of explanations, a text or an image: how each is read, and what of it the answer holds."""

import abc
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from torch import Tensor

from seq2attn.data.formats.text import is_blank
from seq2attn.data.images.data_uris import data_uris
from seq2attn.data.images.files import content_of
from seq2attn.data.images.visible import visible_part
from seq2attn.data.tokenizer import EOS
from seq2attn.errors import UsageError
from seq2attn.explaining.changed_captioner import changed_captioner
from seq2attn.explaining.changed_translator import changed_translator
from seq2attn.explaining.experiment import Experiment
from seq2attn.explaining.explain_request import MOST_OUTPUT, MOST_SOURCE
from seq2attn.explaining.output_attribution import with_attribution
from seq2attn.inference import Captioner, Translation, Translator
from seq2attn.inference.captioner import MAX_LENGTH
from seq2attn.inference.predictor import Predictor
from seq2attn.inference.results import Weights
from seq2attn.inference.words import word_numbers
from seq2attn.models.seq2seq import Seq2Seq

Own = TypeVar("Own", bound=Predictor[Any, Any])


@dataclass(frozen=True)
class ExplainedSource:
    """The source of an explanation. An image has no text and no words: its positions are cells or frames."""

    text: str = ""
    words: Sequence[str] = ()
    subwords: Sequence[str] = ()  # with the end token
    word_of: Sequence[int] = ()  # of each subword, from 0; -1: none
    grid: tuple[int, int] | None = None  # rows and columns of the positions of an image, row by row
    frames: int | None = None  # the positions of a clip
    fit: str | None = None  # how the image is brought to a square: "stretch", "crop" or "pad"
    pictures: Sequence[str] | None = None  # what the model sees of the image or of each frame, as data URIs

    def to_dict(self) -> dict[str, Any]:
        tree: dict[str, Any] = {
            "text": self.text,
            "words": list(self.words),
            "subwords": list(self.subwords),
            "word_of": list(self.word_of),
        }
        if self.fit is None:
            return tree
        return tree | {
            "grid": None if self.grid is None else list(self.grid),
            "frames": self.frames,
            "fit": self.fit,
            "pictures": self.pictures,
        }


class SourceReader(abc.ABC, Generic[Own]):
    """A source as a predictor of one run reads it."""

    source: ExplainedSource
    limit: int  # tokens of the output, at most

    def __init__(self, predictor: Own) -> None:
        self.predictor = predictor

    @abc.abstractmethod
    def read(self, predictor: Any) -> Any:
        """The source as the model of a predictor reads it: of this one, or of one that it was changed to."""

    @abc.abstractmethod
    def with_model(self, model: Seq2Seq) -> Own:
        """A predictor with another model."""

    @abc.abstractmethod
    def with_experiment(self, predictor: Own, experiment: Experiment) -> Own:
        """A predictor with the changes of an experiment. Raises UsageError for one that does not fit."""

    @abc.abstractmethod
    def of_positions(self, weights: Tensor) -> Tensor:
        """Weights (..., S) of the positions in the answer, from those of the padded positions of a batch."""

    def with_pictures(self) -> ExplainedSource:
        """The source with what the model sees of it, for a page. A text stays as it is."""
        return self.source

    @abc.abstractmethod
    def attribution(self, predictor: Own, tokens: list[int], text: str) -> Weights | None:
        """How much each source word adds to log p of each target word, in nats (T, S)."""


class TextReader(SourceReader[Translator]):
    def __init__(self, predictor: Translator, text: str) -> None:
        """Raises UsageError for a text that is blank, or too long."""
        super().__init__(predictor)
        if not isinstance(text, str):
            raise UsageError(f"text is of type {type(text).__name__}: give a string", setting="text")
        self.text = text
        sources, lengths = predictor.encode_sources([text])
        if is_blank(text) or not sources[0][0]:
            raise UsageError("text: it is blank, so that there is nothing to explain", setting="text")
        if lengths[0] > MOST_SOURCE:
            bound = f"an explanation takes at most {MOST_SOURCE}"
            raise UsageError(f"text: it has {lengths[0]:,} subwords, and {bound}", setting="text")
        ids, tokenizer = sources[0][0], predictor.source_tokenizer
        words = text.split()
        numbers = [word if word < len(words) else -1 for word in word_numbers(text, ids, tokenizer)]
        self.source = ExplainedSource(text, words, tokenizer.subwords([*ids, EOS]), [*numbers, -1])
        most = predictor.config.search.max_length
        self.limit = min(2 * len(ids) + 10 if most is None else most, MOST_OUTPUT)

    def read(self, predictor: Translator) -> list[int]:
        return predictor.encode_sources([self.text])[0][0][0]

    def with_model(self, model: Seq2Seq) -> Translator:
        own = self.predictor
        other = Translator(
            model,
            own.source_tokenizer,
            own.target_tokenizer,
            own.config,
            languages=own.languages,
            precision=own.format,
        )
        other.choice = own.choice
        return other

    def with_experiment(self, predictor: Translator, experiment: Experiment) -> Translator:
        return changed_translator(predictor, [self.text], [experiment], [""])

    def of_positions(self, weights: Tensor) -> Tensor:
        return weights[..., : len(self.source.subwords)]

    def attribution(self, predictor: Translator, tokens: list[int], text: str) -> Weights | None:
        if not text.split():
            return np.zeros((0, len(self.source.words)), np.float32)
        translation = Translation(self.text, text, 0.0, 0.0, tokens)
        translation = replace(translation, source_words=list(self.source.words), target_words=text.split())
        return with_attribution(predictor, translation, "integrated").attention


class ImageReader(SourceReader[Captioner]):
    def __init__(self, predictor: Captioner, image: Any) -> None:
        """The image is a path, the bytes of a file, or the result of `Captioner.load_pixels`.

        Raises UserError for what is no image.
        """
        super().__init__(predictor)
        self.image = image
        if not isinstance(image, list):
            image = predictor.load_pixels(image, "image" if isinstance(image, bytes) else None)
        (self.pixels,) = image
        frames, fit = (len(self.pixels) if predictor.clips else None), predictor.view.fit
        grid = None if predictor.clips else predictor.grid
        self.source = ExplainedSource(grid=grid, frames=frames, fit=fit)
        most = predictor.config.search.max_length
        self.limit = min(MAX_LENGTH if most is None else most, MOST_OUTPUT)

    def read(self, predictor: Captioner) -> Any:
        return self.pixels

    def with_pictures(self) -> ExplainedSource:
        if isinstance(self.image, list):
            raise UsageError("parts picture: the image was given as pixels: give its file", setting="parts")
        is_file = isinstance(self.image, bytes)
        content = [self.image] if is_file else content_of(Path(self.image), self.predictor.clips)
        part = visible_part(content, "image" if is_file else str(self.image), self.predictor.view)
        return replace(self.source, pictures=data_uris(part.pixels_FYX3))

    def with_model(self, model: Seq2Seq) -> Captioner:
        own = self.predictor
        other = Captioner(
            model, own.target_tokenizer, own.config, languages=own.languages, precision=own.format
        )
        other.choice = own.choice
        return other

    def with_experiment(self, predictor: Captioner, experiment: Experiment) -> Captioner:
        cells = predictor.cells
        if self.source.frames is None:
            return changed_captioner(predictor, experiment, range(1, cells + 1), "cell")
        frames = [frame for frame in range(1, self.source.frames + 1) for _ in range(cells)]
        return changed_captioner(predictor, experiment, frames, "frame")

    def of_positions(self, weights: Tensor) -> Tensor:
        if self.source.frames is None:
            return weights
        by_frame: Tensor = weights.unflatten(-1, (-1, self.predictor.cells)).sum(-1)
        return by_frame[..., : self.source.frames]

    def attribution(self, predictor: Captioner, tokens: list[int], text: str) -> Weights | None:
        return None


def reader_of(predictor: Any, source: Any) -> SourceReader[Any]:
    """The reader of a text or an image, by what the predictor reads."""
    text = predictor.config.model.modality.has_vocabulary
    return TextReader(predictor, source) if text else ImageReader(predictor, source)
