"""Images that threads decode while the images before them are described: in blocks, and in bounded memory.

An image that cannot be read is passed on with the reason, and the others are described.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from seq2attn.cli.input.image_paths import ImagePath, advised, modality_warning
from seq2attn.data.images.files import content_of
from seq2attn.data.images.transforms import THREADS
from seq2attn.errors import UserError
from seq2attn.inference.captioner import Captioner, Pixels
from seq2attn.prefetch import Prefetch

FIRST, MOST = 64, 512  # images of a block: few at first, for an early answer, then more
BYTES = 1 << 26  # bytes of the pixels of one block; three blocks are in memory at once


class DecodedImage(NamedTuple):
    path: str
    pixels: list[Pixels] | None  # the input of each model; None if there is nothing to describe
    problem: str | None = None  # why there is nothing to describe
    warning: str | None = None
    note: str | None = None


class Paths(Protocol):
    """Images to describe, such as `ImagePaths`."""

    def take(self, most: int) -> list[ImagePath]: ...


class ImagePrefetcher:
    """A context manager. `blocks` yields the images in the order of their paths."""

    def __init__(self, paths: Paths, captioner: Captioner) -> None:
        self._paths, self._captioner = paths, captioner
        self._most = max(1, BYTES // sum(view.side**2 * 3 * view.frames for view in captioner.transforms))
        self._decoding = threading.Lock()

    def __enter__(self) -> Self:
        self._blocks = Prefetch(self._decode(), 1, "images")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._blocks.close(wait=False)  # the thread may be waiting for input

    def blocks(self) -> Iterator[list[DecodedImage]]:
        return self._blocks

    def paused(self) -> AbstractContextManager[object]:
        """A context for a call of the captioner.

        If the captioner may fork, nothing is decoded meanwhile: a lock that a thread holds would stay locked
        in the child process.
        """
        return self._decoding if self._captioner.may_fork else nullcontext()

    def _decode(self) -> Iterator[list[DecodedImage]]:
        with ThreadPoolExecutor(THREADS, thread_name_prefix="decode") as pool:
            size = FIRST
            while paths := self._paths.take(min(size, self._most)):
                with self._decoding:
                    block = list(pool.map(self._read, paths))
                yield block
                size = min(2 * size, MOST)

    def _read(self, image: ImagePath) -> DecodedImage:
        path, problem, note = image
        if problem is not None or not path:
            return DecodedImage(path, None, problem)
        try:
            content = content_of(Path(path), self._captioner.clips)
            pixels = self._captioner.decode_pixels(content, path)
            warning = modality_warning(content, path, self._captioner.clips)
        except UserError as error:
            return DecodedImage(path, None, advised(path, str(error)), note=note)
        except (OSError, ValueError) as error:  # such as a name that is no valid path
            return DecodedImage(path, None, f"{path}: {getattr(error, 'strerror', None) or error}", note=note)
        return DecodedImage(path, pixels, None, warning, note)
