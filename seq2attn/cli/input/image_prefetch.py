"""Images decoded by threads while those before them are described, block by block, in bounded memory.

An image that cannot be read is handed on with the reason: it stops nothing. Knows a captioner by what it sees
of an image, and prints nothing.
"""

import queue
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from seq2attn.cli.input.image_paths import Paths, Wanted, advised, modality_warning
from seq2attn.cli.input.line_reader import next_of
from seq2attn.data.images.files import content_of
from seq2attn.data.images.transforms import THREADS
from seq2attn.errors import UserError
from seq2attn.inference.captioner import Captioner, Seen

FIRST, MOST = 64, 512  # images of a block: few at first, for an early answer
BYTES = 1 << 26  # of pixels in one block; three are held at once


class Ready(NamedTuple):
    path: str
    seen: list[Seen] | None  # as the models are given it; None: there is nothing to describe
    problem: str | None = None  # why
    warning: str | None = None
    note: str | None = None


class Ahead:
    def __init__(self, paths: Paths, captioner: Captioner) -> None:
        self._paths, self._captioner = paths, captioner
        self._most = max(1, BYTES // sum(view.side**2 * 3 * view.frames for view in captioner.views))
        self._blocks: queue.Queue[list[Ready] | BaseException | None] = queue.Queue(1)
        self._decoding = threading.Lock()
        self._ended = False

    def __enter__(self) -> Self:
        # a daemon: it may wait for a line while the program ends
        threading.Thread(target=self._run, name="images", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended = True
        while not self._blocks.empty():  # what waits to be put there finds its place
            self._blocks.get_nowait()

    def blocks(self) -> Iterator[list[Ready]]:
        while (block := next_of(self._blocks)) is not None:
            if isinstance(block, BaseException):
                raise block
            yield block

    def paused(self) -> AbstractContextManager[object]:
        """Around a call of the captioner: nothing is decoded inside where it may fork, for what a thread
        holds locked then would stay so in the process.
        """
        return self._decoding if self._captioner.may_fork else nullcontext()

    def _run(self) -> None:
        try:
            with ThreadPoolExecutor(THREADS, thread_name_prefix="decode") as pool:
                size = FIRST
                while not self._ended and (some := self._paths.take(min(size, self._most))):
                    with self._decoding:
                        block = list(pool.map(self._read, some))
                    self._blocks.put(block)
                    size = min(2 * size, MOST)
            self._blocks.put(None)
        except BaseException as error:  # noqa: BLE001 - raised where the block is taken
            self._blocks.put(error)

    def _read(self, wanted: Wanted) -> Ready:
        path, problem, note = wanted
        if problem is not None or not path:
            return Ready(path, None, problem)
        try:
            content = content_of(Path(path), self._captioner.clips)
            seen = self._captioner.seen(content, path)
            warning = modality_warning(content, path, self._captioner.clips)
        except UserError as error:
            return Ready(path, None, advised(path, str(error)), note=note)
        except (OSError, ValueError) as error:  # a name that the system takes for none
            return Ready(path, None, f"{path}: {getattr(error, 'strerror', None) or error}", note=note)
        return Ready(path, seen, None, warning, note)
