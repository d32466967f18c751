"""A model that describes images: files or pixels in, captions in their order out, each with where its words
looked.

It prints nothing. What comes out for an image depends neither on the other images nor on the batch size.
"""

import os
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from seq2attn.config import Config
from seq2attn.data.images.files import content_of
from seq2attn.data.images.transforms import ImageTransform, stacked
from seq2attn.data.tokenizer import Tokenizer
from seq2attn.errors import UsageError, UserError
from seq2attn.inference.batching import STEP
from seq2attn.inference.forks import at_work
from seq2attn.inference.results import Caption
from seq2attn.inference.searcher import Predictor
from seq2attn.inference.words import between_words, word_numbers
from seq2attn.models.encoders.image import ImageEncoder
from seq2attn.models.memory import Memory
from seq2attn.models.seq2seq import Seq2Seq
from seq2attn.models.vision import backbones
from seq2attn.runs.loading import load_runs
from seq2attn.search.mbr import Utility
from seq2attn.search.step import Hypothesis

LONGEST = 50  # tokens of a caption, where neither the run nor the caller says

# an image as a model is given it: bytes (F, side, side, 3), or features made of them before, (C, h, w) or
# (F, C, h, w)
Seen = NDArray[Any]
# an image as it comes: a file, a folder of frames, or what stands in a file
File = str | os.PathLike[str] | bytes


class Captioner(Predictor[Seen, Caption]):
    """Models and a tokenizer, ready to describe images: loaded from runs, or made around a model in
    training.
    """

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
        """`others` are averaged with the model, each with its own view of an image. Computes where the model
        is; precision and `processes` as `Translator` has them.
        """
        assert config.model.encoder.kind == "image"
        self.views = (ImageTransform.of(config.model.encoder), *(view for _, view in others))
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
        settings: Iterable[str] = (),
        processes: bool = False,
        allow_code: bool = False,
    ) -> Self:
        """A run, or several joined by commas as an ensemble of the first one's search settings. Errors as of
        `Translator.load`.

        `allow_code` lets a run whose backbone is a function of some package import and call it.
        """
        code = backbones.allow_code() if allow_code else nullcontext()
        with at_work("cpu" if device == "cpu" else "cuda"), code:
            found = load_runs(run, device, precision, settings, images=True)
        views = [
            ImageTransform.of(encoder)
            for run in found.runs
            if (encoder := run.config.model.encoder).kind == "image"
        ]
        first = found.runs[0]
        for view, other in zip(views[1:], found.runs[1:], strict=True):
            if (view.frames > 1) != (views[0].frames > 1):
                raise UserError(
                    f"{other.path}: of {first.path} and this, one reads clips and the other stills; an ensemble sees one kind of image"
                )
        others = list(zip(found.models[1:], views[1:], strict=True))
        return cls(
            found.models[0],
            found.target_tokenizer,
            first.config,
            languages=first.languages,
            precision=precision,
            others=others,
            processes=processes,
        )

    def caption(
        self,
        images: Sequence[File | Sequence[Seen]],
        beam: int | None = None,
        n_best: int = 1,
        length_penalty: float | None = None,
        max_length: int | None = None,
        min_length: int | None = None,
        sample: bool = False,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 1,
        batch_tokens: int | None = None,
        prefixes: Sequence[str] | None = None,
        attention: bool = True,
        first: int = 0,
        no_repeat_ngram: int | None = None,
        utility: Utility | None = None,
        samples: int | None = None,
    ) -> list[list[Caption]]:
        """The `n_best` captions of each image, best first: a path, the bytes of a file, or what `see` made
        of one.

        Options are those of `Translator.translate`; a caption has at most LONGEST tokens where nothing else
        is said. Raises UserError for what is no image, naming it.
        """
        if isinstance(images, str | bytes | os.PathLike):
            raise UsageError("caption takes a list of images: put a single one in brackets")
        options = self._options(
            beam,
            n_best,
            length_penalty,
            max_length,
            min_length,
            sample,
            temperature,
            top_k,
            top_p,
            no_repeat_ngram,
            utility,
            samples,
            attention,
        )
        options.check(["" for _ in images], prefixes)
        sources = self._sources(images)
        results: list[list[Caption]] = [[] for _ in images]
        limits = [
            max(LONGEST, options.min_length) if options.max_length is None else options.max_length
        ] * len(results)
        rows = range(len(results))
        forced, _ = self._prefixes(prefixes, limits)
        for i, ranked in self._share_out(
            [None] * len(results),
            sources,
            self._positions(sources),
            limits,
            rows,
            forced,
            options,
            seed,
            first,
            batch_tokens,
        ):
            results[i] = ranked
        return results

    def force(
        self,
        images: Sequence[File | Sequence[Seen]],
        captions: Sequence[str],
        batch_tokens: int | None = None,
        attention: bool = True,
        seed: int = 1,
        first: int = 0,
    ) -> list[Caption]:
        """Each image with the caption it is given: the score and the attention that teacher forcing gives."""
        if len(images) != len(captions):
            raise UsageError(
                f"there are {len(images)} images and {len(captions)} captions: each image needs its own"
            )
        sources = self._sources(images)
        ids = self.target_tokenizer.encode_batch(captions)
        found = self._forced_on(
            captions, sources, self._positions(sources), ids, attention, seed, first, batch_tokens
        )
        return [
            self._caption(source, hypothesis, caption)
            for source, hypothesis, caption in zip(sources[0], found, captions, strict=True)
        ]

    def see(self, image: File, where: str | None = None) -> list[Seen]:
        """The pixels that each member is given of an image. Raises UserError, naming it, where it is none."""
        content, name = (
            ([image], "image")
            if isinstance(image, bytes)
            else (content_of(Path(image), self.clips), os.fspath(image))
        )
        return self.seen(content, where or name)

    def seen(self, content: Sequence[bytes], where: str) -> list[Seen]:
        """The same of what stands in a file, or in those of a clip's frames."""
        views = {view: view.pixels(content, where) for view in set(self.views)}
        return [views[view] for view in self.views]

    @property
    def attends(self) -> bool:
        encoder = self.config.model.encoder
        return super().attends and not (
            self.clips and encoder.kind == "image" and encoder.temporal == "mean"
        )  # where the mean of all frames stands, no frame was looked at

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the positions of an image."""
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
        return self.views[0].frames > 1

    def _sources(self, images: Sequence[File | Sequence[Seen]]) -> list[list[Seen]]:
        """What each member is given of each image."""
        seen = [
            self.see(image) if isinstance(image, str | bytes | os.PathLike) else image for image in images
        ]
        if any(isinstance(one, np.ndarray) or len(one) != len(self.models) for one in seen):
            raise UsageError(
                f"an image is a path, the bytes of a file, or what `see` made of one: a list of {len(self.models)}, one a model"
            )
        return [[one[member] for one in seen] for member in range(len(self.models))]

    def _positions(self, sources: Sequence[Sequence[Seen]]) -> list[int]:
        """How much reading each image takes."""
        return [self.cells * (len(seen) if self.clips else 1) for seen in sources[0]]

    def _read(self, member: int, sources: Sequence[Seen]) -> tuple[Tensor, Tensor]:
        if not self.clips:
            return (
                stacked(sources, False)
                if sources[0].dtype == np.uint8
                else (torch.from_numpy(np.stack(sources)), torch.ones(len(sources), 1, dtype=torch.bool))
            )
        if sources[0].dtype == np.uint8:
            source, mask = stacked(sources, True)
        else:
            longest = max(map(len, sources))
            mask = torch.tensor([[frame < len(source) for frame in range(longest)] for source in sources])
            source = torch.from_numpy(
                np.stack(
                    [
                        np.concatenate([some, np.zeros((longest - len(some), *some.shape[1:]), some.dtype)])
                        for some in sources
                    ]
                )
            )
        # The company of a longer clip must not change how sums over the frames are taken: see
        # `batching.padded_sources`.
        filling = -mask.size(1) % STEP
        return torch.cat([source, source.new_zeros(len(source), filling, *source.shape[2:])], 1), F.pad(
            mask, (0, filling)
        )

    def _memory(self, member: int, sources: Sequence[Seen]) -> Memory:
        """An image that stands there several times, with other captions, is read once."""
        places: dict[int, int] = {}
        of = [places.setdefault(id(source), len(places)) for source in sources]
        if len(places) == len(of):
            return super()._memory(member, sources)
        made = super()._memory(member, [sources[of.index(place)] for place in range(len(places))])
        return made.of(torch.tensor(of, device=self.device))

    def _filling(self, sources: Sequence[Seen]) -> Seen:
        return sources[0]

    def _alike(self, member: int) -> bool:
        return self.views[member] == self.views[0] and self._grids[member] == self.grid

    def _result(self, input: None, source: Seen, hypothesis: Hypothesis) -> Caption:
        return self._caption(source, hypothesis)

    def _caption(self, source: Seen, hypothesis: Hypothesis, text: str | None = None) -> Caption:
        tokens, tokenizer = list(hypothesis.tokens), self.target_tokenizer
        numbers = tokenizer.word_index(tokens) if text is None else word_numbers(text, tokens, tokenizer)
        text = tokenizer.decode(tokens) if text is None else text
        words = text.split()
        pieces = between = None
        if hypothesis.weights is not None:
            pieces = hypothesis.weights.numpy()
            if self.clips:  # of a frame all its cells together; not those of frames that other clips have
                pieces = pieces.reshape(len(pieces), -1, self.cells).sum(2)[:, : len(source)]
            positions = pieces.shape[1]
            between = between_words(pieces[:-1], numbers, range(positions), len(words), positions)
        return Caption(
            text,
            hypothesis.score,
            hypothesis.log_probability,
            tokens,
            tokenizer.pieces(tokens),
            pieces,
            words,
            between,
            None if pieces is None or self.clips else self.grid,
            hypothesis.finished,
        )
