"""The captioned images of one split of a prepared folder, memory-mapped: captions and encoded files.

    SPLIT/images.arrow      name, width, height, count (of frames), frames (one encoded file, or one a frame)
    SPLIT/captions.arrow    image (its row there), target (as read), target_ids (without BOS and EOS), and
                            boxes, if the corpus has them

This module knows no model, and decodes nothing.
"""

import copy
import itertools
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from seq2attn.data.images.corpus import FARTHEST, Box
from seq2attn.errors import UserError

T = TypeVar("T")
MOST_READ = 2**30  # bytes of images that are read for a fingerprint, which takes a second or two

IMAGES = pa.schema(
    [
        ("name", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("count", pa.int32()),
        ("frames", pa.list_(pa.large_binary())),
    ]
)
CAPTIONS = pa.schema(
    [
        ("image", pa.int32()),
        ("target", pa.string()),
        ("target_ids", pa.list_(pa.int32())),
        ("boxes", pa.list_(pa.list_(pa.float32(), 5))),
    ]
)


class CaptionedSplit:
    """Images 0 .. len(split.names) - 1 and captions 0 .. len(split) - 1 in the order of the corpus.

    The captions of an image are consecutive.
    """

    def __init__(self, path: Path, vocabulary: int | None = None) -> None:
        """`vocabulary`: the size of the target's. Raises UserError for damaged tables and ids outside it."""
        self.path = path
        try:
            self._images, self._captions = (
                _table(path / f"{name}.arrow", schema)
                for name, schema in (("images", IMAGES), ("captions", CAPTIONS))
            )
            self.image_of: NDArray[np.int32] = self._captions.column("image").to_numpy()
            if len(self.image_of) and not (
                self.image_of.min() >= 0
                and self.image_of.max() < len(self._images)
                and (np.diff(self.image_of) >= 0).all()
            ):
                raise ValueError("captions of missing images")
            if len(np.unique(self.image_of)) != len(self._images):
                raise ValueError("images without a caption")
            self._check_ids(vocabulary)
            self._check_numbers()
        except (OSError, ValueError, LookupError, TypeError, OverflowError, pa.ArrowException) as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise self._damaged(reason) from None

    def _damaged(self, reason: str) -> UserError:
        return UserError(f"{self.path}: damaged ({reason[:200]}); run `seq2attn prepare` again")

    def _check_ids(self, vocabulary: int | None) -> None:
        for chunk in self._captions.column("target_ids").chunks:
            ids = chunk.flatten().to_numpy()
            if len(ids) and not (ids.min() >= 0 and (vocabulary is None or ids.max() < vocabulary)):
                raise ValueError("ids that are not in the vocabulary")

    def _check_numbers(self) -> None:
        for name in ("width", "height", "count"):
            numbers = self._images.column(name).to_numpy()
            if len(numbers) and numbers.min() < 1:
                raise ValueError(f"a {name} below 1")
        for chunk in self._captions.column("boxes").chunks:
            cells = chunk.flatten().flatten()
            # NaN fails the comparison too
            if cells.null_count or not (np.abs(cells.to_numpy(zero_copy_only=False)) <= FARTHEST).all():
                raise ValueError("boxes outside of any image")

    def __len__(self) -> int:
        return len(self.image_of)

    @cached_property
    def target_ids(self) -> list[NDArray[np.int32]]:
        """The ids of each caption, without BOS and EOS."""
        lists = self._captions.column("target_ids").combine_chunks()
        offsets = lists.offsets.to_numpy()
        return np.split(lists.values.to_numpy(), offsets[1:-1]) if len(lists) else []

    @cached_property
    def target_lengths(self) -> NDArray[np.int32]:
        return np.array([len(ids) for ids in self.target_ids], dtype=np.int32)

    def with_targets(self, ids: list[NDArray[np.int32]]) -> Self:
        """The same images, with other ids of each caption."""
        other = copy.copy(self)
        other.target_ids, other.target_lengths = ids, np.array([len(row) for row in ids], np.int32)
        return other

    @cached_property
    def first(self) -> NDArray[np.int64]:
        """The first caption of each image, and the end of the last image's: (images + 1,)."""
        return np.searchsorted(self.image_of, np.arange(len(self._images) + 1))

    @cached_property
    def names(self) -> list[str]:
        names: list[str] = self._images.column("name").to_pylist()
        return names

    @cached_property
    def sizes(self) -> list[tuple[int, int]]:
        """Width and height of each image, in pixels."""
        return list(
            zip(
                self._images.column("width").to_pylist(),
                self._images.column("height").to_pylist(),
                strict=True,
            )
        )

    @cached_property
    def captions(self) -> list[list[str]]:
        """The captions of each image, as read."""
        return self._by_image(self._captions.column("target").to_pylist())

    @cached_property
    def boxes(self) -> list[list[list[Box]]] | None:
        """The boxes of each caption of each image; None if the corpus has none.

        They are in pixels of the image as a person sees it.
        """
        column = self._captions.column("boxes")
        if column.null_count == len(column):
            return None
        boxes = [[Box(int(box[0]), *box[1:]) for box in boxes or ()] for boxes in column.to_pylist()]
        words = (len(caption.split()) for captions in self.captions for caption in captions)
        for caption_boxes, count in zip(boxes, words, strict=True):
            if any(not 0 <= box.word < count for box in caption_boxes):
                raise self._damaged("a box of a word that its caption does not have")
        return self._by_image(boxes)

    def content(self, image: int) -> list[bytes]:
        """The encoded file of an image, or of each frame."""
        frames: list[bytes] = self._images.column("frames")[int(image)].as_py()
        return frames

    def frames_content(self) -> Iterator[NDArray[Any] | memoryview]:
        """The lengths and the encoded files of all images.

        If the files have more than about MOST_READ bytes together, only the first and the last bytes of each.
        """
        column = self._images.column("frames")
        total = sum(chunk.flatten().nbytes for chunk in column.chunks)
        share = None if total <= MOST_READ else max(MOST_READ // max(len(self._images), 1) // 2, 256)
        for chunk in column.chunks:
            files = chunk.flatten()
            _, offsets, content = files.buffers()
            yield np.asarray(chunk.value_lengths().to_numpy(zero_copy_only=False), "<i4")
            if not len(files):
                continue
            ends = np.frombuffer(offsets, np.int64)[files.offset : files.offset + len(files) + 1]
            yield np.diff(ends)
            whole = memoryview(content)
            if share is None:
                yield whole[ends[0] : ends[-1]]
                continue
            for start, end in itertools.pairwise(ends.tolist()):
                if end - start <= 2 * share:
                    yield whole[start:end]
                else:
                    yield from (whole[start : start + share], whole[end - share : end])

    def _by_image(self, rows: Sequence[T]) -> list[list[T]]:
        return [list(rows[start:end]) for start, end in zip(self.first[:-1], self.first[1:], strict=True)]


def _table(path: Path, schema: pa.Schema) -> pa.Table:
    with pa.memory_map(str(path)) as file:
        table = pa.ipc.open_stream(file).read_all()
    table = table.select(schema.names)
    table.validate(full=True)  # checks also that offsets lie inside
    table = table.cast(schema)
    for name in schema.names:
        column = table.column(name)
        if name != "boxes" and (column.null_count or _holds_null(column)):
            raise ValueError(f"an empty cell in {name}")
    return table


def _holds_null(column: pa.ChunkedArray) -> bool:
    """Whether a list of the column has a null in it."""
    return pa.types.is_list(column.type) and any(chunk.flatten().null_count for chunk in column.chunks)
