"""Captioning: images or clips to captions, in the order of the images, with the attention of each word.

This module prints nothing. On a CPU, in float32, the result of an image depends neither on the other images
nor on the batch size.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, Unpack, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from seq2attn.config import IMAGES, Changes, Config, ImageEncoderConfig
from seq2attn.data.images.files import content_of
from seq2attn.data.images.transforms import ImageTransform, stack_images
from seq2attn.data.images.visible import View
from seq2attn.data.tokenizer import Tokenizer
from seq2attn.errors import UsageError, UserError
from seq2attn.inference import forced
from seq2attn.inference.attention_weights import as_arrays
from seq2attn.inference.encoding import listed
from seq2attn.inference.options import AttentionOption, SearchOptions, Shortcuts
from seq2attn.inference.predictor import Predictor
from seq2attn.inference.results import Caption, Weights
from seq2attn.inference.scheduling.batches import STEP
from seq2attn.inference.scheduling.fork_safety import at_work
from seq2attn.inference.self_attention import SelfAttention, self_attention
from seq2attn.inference.words import between_words, word_numbers
from seq2attn.models.encoders.image import ImageEncoder
from seq2attn.models.memory import Memory
from seq2attn.models.seq2seq import Seq2Seq
from seq2attn.own_code import allow_code as code_allowed
from seq2attn.runs.loading import load_runs
from seq2attn.search.step import Hypothesis

MAX_LENGTH = 50  # tokens of a caption, if neither the run nor the caller has a maximum

# An image as a model reads it: bytes (F, side, side, 3), or features that were computed before, (C, h, w) or
# (F, C, h, w). As a tensor, on any device, it is a row of what the encoder takes: (C, h, w) or (F, C, h, w).
Pixels = NDArray[Any] | Tensor
# An image as a caller has it: a file, a folder of frames, or the content of a file.
File = str | os.PathLike[str] | bytes


class Captioner(Predictor[Pixels, Caption]):
    """Models and a tokenizer, ready to caption images.

    They are loaded from runs, or built around a model in training.
    """

    unit = "image"

    def __init__(
        self,
        model: Seq2Seq,
        target_tokenizer: Tokenizer,
        config: Config,
        *,
        languages: tuple[str | None, str | None] = (None, None),
        precision: str = "fp32",
        others: Sequence[tuple[Seq2Seq, ImageTransform]] = (),
        processes: bool = False,
    ) -> None:
        """An ensemble of the model and `others`, each with its own transform of an image.

        All run on the device of the model. `precision` and `processes`: see `Translator`.
        """
        own = ImageTransform.of(cast(ImageEncoderConfig, config.model.encoder))
        self.transforms = (own, *(transform for _, transform in others))
        super().__init__(
            [model, *(other for other, _ in others)],
            target_tokenizer,
            config,
            languages,
            precision,
            processes,
        )

    @classmethod
    def load(
        cls,
        run: str | os.PathLike[str],
        device: str = "auto",
        precision: str = "auto",
        settings: Changes = (),
        processes: bool = False,
        allow_code: bool = False,
    ) -> Self:
        """The captioner of a run, or of several joined by commas.

        An ensemble has the search settings of the first run. `allow_code` lets a run import and call the
        code of yours that its settings name. Errors: see `Translator.load`.
        """
        with at_work("cpu" if device == "cpu" else "cuda"), code_allowed(allow_code):
            loaded = load_runs(run, device, precision, settings, IMAGES)
        transforms = [
            ImageTransform.of(cast(ImageEncoderConfig, run.config.model.encoder)) for run in loaded.runs
        ]
        first = loaded.runs[0]
        for transform, other in zip(transforms[1:], loaded.runs[1:], strict=True):
            if (transform.frames > 1) != (transforms[0].frames > 1):
                raise UserError(
                    f"{other.path}: one of this and {first.path} reads clips and the other stills; "
                    "an ensemble needs runs of one kind"
                )
        others = list(zip(loaded.models[1:], transforms[1:], strict=True))
        return cls(
            loaded.models[0],
            loaded.target_tokenizer,
            first.config,
            languages=first.languages,
            precision=precision,
            others=others,
            processes=processes,
        )

    def caption(
        self,
        images: Sequence[File | Sequence[Pixels]],
        options: SearchOptions | None = None,
        *,
        prefixes: Sequence[str] | None = None,
        first: int = 0,
        numbers: Sequence[int] | None = None,
        **shortcuts: Unpack[Shortcuts],
    ) -> list[list[Caption]]:
        """The `n_best` captions of each image, best first.

        An image is a path, the bytes of a file, or the result of `load_pixels`. Arguments and errors: see
        `Translator.translate`; the default maximum length is MAX_LENGTH. `numbers` are those of the images,
        where they do not follow one another from `first` on. Raises UserError, which names the file, if it is
        no image.
        """
        if isinstance(images, str | bytes | os.PathLike):
            raise UsageError("caption takes a list of images: put a single one in brackets")
        images = listed(images, "caption takes a list of images")
        numbers = range(first, first + len(images)) if numbers is None else numbers
        if len(numbers) != len(images):
            raise UsageError(f"there are {len(images)} images and {len(numbers)} numbers: each image has one")
        resolved = self._resolve(options, shortcuts, images, prefixes)
        sources = self._sources(images)
        results: list[list[Caption]] = [[] for _ in images]
        limits = [
            max(MAX_LENGTH, resolved.min_length) if resolved.max_length is None else resolved.max_length
        ] * len(results)
        rows = range(len(results))
        prefix_ids, _ = self._encode_prefixes(prefixes, limits)
        for i, captions in self._decode_batches(
            [_path(image) for image in images],
            sources,
            self._positions(sources),
            limits,
            rows,
            prefix_ids,
            resolved,
            numbers,
        ):
            results[i] = captions
        return results

    def score_targets(
        self,
        images: Sequence[File | Sequence[Pixels]],
        captions: Sequence[str],
        batch_tokens: int | None = None,
        attention: AttentionOption = True,
        seed: int = 1,
        first: int = 0,
    ) -> list[Caption]:
        """Forced decoding: the score and the attention of the given caption of each image.

        Options: see `SearchOptions`. Raises UsageError if images and captions differ in number.
        """
        if len(images) != len(captions):
            raise UsageError(
                f"there are {len(images)} images and {len(captions)} captions: each image needs its own"
            )
        sources = self._sources(images)
        ids = self.target_tokenizer.encode_batch(captions)
        hypotheses = forced.score_targets(
            self, sources, self._positions(sources), ids, attention, seed, first, batch_tokens
        )
        return [
            self._caption(_path(image), source, hypothesis, attention, caption)
            for image, source, hypothesis, caption in zip(
                images, sources[0], hypotheses, captions, strict=True
            )
        ]

    def self_attention(self, image: File | Sequence[Pixels], caption: str | None = None) -> SelfAttention:
        """Self-attention between the cells of an image's feature map, or between the frames of a clip.

        With a caption, also that of the decoder which reads it. See `Translator.self_attention`.
        """
        source = self._sources([image])[0][0]
        target_ids = None if caption is None else self.target_tokenizer.encode(caption)
        return self_attention(self, source, len(source) if self.clips else None, target_ids, [])

    def load_pixels(self, image: File, where: str | None = None) -> list[Pixels]:
        """The pixels of an image for each member. Raises UserError, which names the file, if it is none."""
        content, name = (
            ([image], "image")
            if isinstance(image, bytes)
            else (content_of(Path(image), self.clips), os.fspath(image))
        )
        return self.decode_pixels(content, where or name)

    def decode_pixels(self, content: Sequence[bytes], where: str) -> list[Pixels]:
        """The pixels for each member, from the content of a file, or of the files of a clip's frames.

        Raises UserError, which names `where`, if it is no image.
        """
        pixels = {transform: transform.pixels(content, where) for transform in set(self.transforms)}
        return [pixels[transform] for transform in self.transforms]

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the source positions of an image, or of each frame."""
        return self._grids[0]

    @property
    def _grids(self) -> list[tuple[int, int]]:
        return [cast(ImageEncoder, model.encoder).grid for model in self.models]

    @property
    def cells(self) -> int:
        rows, columns = self.grid
        return rows * columns

    @property
    def clips(self) -> bool:
        return self.transforms[0].frames > 1

    @property
    def view(self) -> View:
        """How the (first) model sees an image, for drawings."""
        return View(self.transforms[0].fit, self.transforms[0].frames)

    def _sources(self, images: Sequence[File | Sequence[Pixels]]) -> list[list[Pixels]]:
        """The pixels of each image, by member."""
        pixels = [
            self.load_pixels(image) if isinstance(image, str | bytes | os.PathLike) else image
            for image in images
        ]
        if any(
            isinstance(one, np.ndarray) or not isinstance(one, Sequence) or len(one) != len(self.models)
            for one in pixels
        ):
            raise UsageError(
                "an image is a path, the bytes of a file, or a result of load_pixels: "
                f"a list of {len(self.models)}, one for each model"
            )
        return [[one[member] for one in pixels] for member in range(len(self.models))]

    def _positions(self, sources: Sequence[Sequence[Pixels]]) -> list[int]:
        """The number of source positions of each image."""
        return [self.cells * (len(pixels) if self.clips else 1) for pixels in sources[0]]

    def _read(self, member: int, sources: Sequence[Pixels]) -> tuple[Tensor, Tensor]:
        if isinstance(sources[0], Tensor):
            source, mask = _stack(cast(Sequence[Tensor], sources), self.clips)
            return self._pad_frames(source, mask) if self.clips else (source, mask)
        return self._read_arrays(cast(Sequence[NDArray[Any]], sources))

    def _read_arrays(self, sources: Sequence[NDArray[Any]]) -> tuple[Tensor, Tensor]:
        if not self.clips:
            return (
                stack_images(sources, False)
                if sources[0].dtype == np.uint8
                else (torch.from_numpy(np.stack(sources)), torch.ones(len(sources), 1, dtype=torch.bool))
            )
        if sources[0].dtype == np.uint8:
            source, mask = stack_images(sources, True)
        else:
            longest = max(map(len, sources))
            mask = torch.tensor([[frame < len(source) for frame in range(longest)] for source in sources])
            source = torch.from_numpy(
                np.stack(
                    [
                        np.concatenate([clip, np.zeros((longest - len(clip), *clip.shape[1:]), clip.dtype)])
                        for clip in sources
                    ]
                )
            )
        return self._pad_frames(source, mask)

    def _pad_frames(self, source: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        # A longer clip in the batch must not change how sums over the frames are computed: see
        # `scheduling.batches.STEP`.
        padding = -mask.size(1) % STEP
        frames = source.new_zeros(len(source), padding, *source.shape[2:])
        return torch.cat([source, frames], 1), F.pad(mask, (0, padding))

    def _encode(self, member: int, sources: Sequence[Pixels]) -> Memory:
        """The memory of a member.

        An image that occurs several times, with different captions, is encoded once.
        """
        distinct: dict[int, int] = {}
        index = [distinct.setdefault(id(source), len(distinct)) for source in sources]
        if len(distinct) == len(index):
            return super()._encode(member, sources)
        encoded = super()._encode(member, [sources[index.index(number)] for number in range(len(distinct))])
        return encoded.repeat_for(torch.tensor(index, device=self.device))

    def _padding_source(self, sources: Sequence[Pixels]) -> Pixels:
        return sources[0]

    def _same_positions(self, member: int) -> bool:
        return self.transforms[member] == self.transforms[0] and self._grids[member] == self.grid

    def _result(
        self, input: str | None, source: Pixels, hypothesis: Hypothesis, attention: AttentionOption
    ) -> Caption:
        return self._caption(input, source, hypothesis, attention)

    def _caption(
        self,
        path: str | None,
        source: Pixels,
        hypothesis: Hypothesis,
        attention: AttentionOption,
        text: str | None = None,
    ) -> Caption:
        tokens, tokenizer = list(hypothesis.tokens), self.target_tokenizer
        numbers = tokenizer.word_index(tokens) if text is None else word_numbers(text, tokens, tokenizer)
        text = tokenizer.decode(tokens) if text is None else text
        caption = Caption(
            text,
            hypothesis.score,
            hypothesis.log_probability,
            tokens,
            tokenizer.subwords(tokens),
            words=text.split(),
            finished=hypothesis.finished,
            image=path,
            view=self.view,
        )
        if hypothesis.weights is None:
            return caption
        mean, heads = (
            None if weights is None else self._by_frame(weights, len(source))
            for weights in as_arrays(hypothesis.weights, attention)
        )
        assert mean is not None
        positions = mean.shape[1]
        words, word_heads = (
            None
            if weights is None
            else between_words(weights[..., :-1, :], numbers, range(positions), len(caption.words), positions)
            for weights in (mean, heads)
        )
        return replace(
            caption,
            subword_attention=mean,
            attention=words,
            grid=None if self.clips else self.grid,
            subword_attention_heads=heads,
            attention_heads=word_heads,
        )

    def _by_frame(self, weights: Weights, frames: int) -> Weights:
        """The weights (..., T, S) of a clip, summed over the cells of each frame, without padding frames."""
        if not self.clips:
            return weights
        by_frame: Weights = weights.reshape(*weights.shape[:-1], -1, self.cells).sum(-1)[..., :frames]
        return by_frame


def _stack(images: Sequence[Tensor], clips: bool) -> tuple[Tensor, Tensor]:
    """The source and the mask of tensors on one device, without a copy to the host. Pixels lie in memory as
    those of `stack_images`, so that a convolution gives the same bits.
    """
    are_pixels = images[0].dtype == torch.uint8
    rows = [image.movedim(-3, -1) if are_pixels else image for image in images]
    stacked = pad_sequence(rows, batch_first=True) if clips else torch.stack(rows)
    source = stacked.movedim(-1, -3) if are_pixels else stacked
    if not clips:
        return source, torch.ones(len(images), 1, dtype=torch.bool, device=source.device)
    ones = [torch.ones(len(image), dtype=torch.bool, device=source.device) for image in images]
    return source, pad_sequence(ones, batch_first=True)


def _path(image: File | Sequence[Pixels]) -> str | None:
    """The absolute path of an image that is given by its path. A caption remembers it, and no pixels."""
    if isinstance(image, bytes) or not isinstance(image, str | os.PathLike):
        return None
    return os.path.abspath(os.fsdecode(image))
