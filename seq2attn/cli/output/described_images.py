"""Images as lines with their captions: blocks that are decoded and described together, with warnings."""

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from seq2attn.cli import console
from seq2attn.cli.input.image_paths import ImagePath, ImagePaths
from seq2attn.cli.input.image_prefetch import DecodedImage, ImagePrefetcher, Paths
from seq2attn.cli.output import formats, overlays, result_files
from seq2attn.data.images.files import content_of
from seq2attn.inference import Captioner
from seq2attn.inference.options import SearchOptions
from seq2attn.inference.results import Caption
from seq2attn.tasks import chunks
from seq2attn.tasks.chunks import Chunks
from seq2attn.training.distributed import World


class ImageList:
    """Images that are known already, to be taken like those of `ImagePaths`."""

    def __init__(self, images: Sequence[ImagePath]) -> None:
        self._images = deque(images)

    def take(self, most: int) -> list[ImagePath]:
        return [self._images.popleft() for _ in range(min(most, len(self._images)))]


@dataclass
class DescribedImages:
    """What `seq2attn caption` writes for the images that it reads."""

    captioner: Captioner
    search: SearchOptions
    folder: overlays.OverlayFolder | None
    format: str
    scores: bool
    colour: bool = False  # of doubtful words, in text
    done: int = 0  # images so far
    failures: int = 0  # of them, those that could not be read

    def blocks(self, paths: Paths, first: int = 0) -> Iterator[str]:
        """The output for the images, in blocks. `first` is the number of the first, as in `Captioner`."""
        with ImagePrefetcher(paths, self.captioner) as prefetcher:
            for block in prefetcher.blocks():
                # An image that cannot be read has a number too: the samples of others do not depend on it.
                numbers = [first + i for i, image in enumerate(block) if image.pixels is not None]
                pixels = [image.pixels for image in block if image.pixels is not None]
                with prefetcher.paused():
                    outputs = iter(self.captioner.caption(pixels, self.search, numbers=numbers))
                first += len(block)
                for image in block:
                    part = self._line(image, [] if image.pixels is None else next(outputs))
                    self.done += 1
                    yield part

    def write_to(
        self,
        output: Path | None,
        images: Sequence[str],
        key: Callable[[Sequence[str]], str] | None,
        world: World,
    ) -> None:
        """Write the output for images and folders; in chunks where there is a `key` of their names."""
        paths = ImagePaths(images, self.captioner.clips)
        with ExitStack() as stack:
            progress = result_files.shows_progress(list(images), output)
            live = stack.enter_context(console.progress()) if progress else None
            started = time.monotonic()

            def show() -> None:
                if live is not None:
                    speed = self.done / max(time.monotonic() - started, 1e-9)
                    live("describing", self.done, None, f"{speed:,.0f} images/s")

            if output is not None and key is not None:
                known = list(itertools.chain.from_iterable(iter(lambda: paths.take(chunks.IMAGES), [])))
                of_output = Chunks(output, lambda: key([image.path for image in known]), world)
                stack.enter_context(chunks.told_to_continue(of_output))
                self._in_chunks(known, of_output, show)
            else:
                write = result_files.writer(stack, output)
                for part in self.blocks(paths):
                    write(part)
                    show()

    def _in_chunks(self, images: Sequence[ImagePath], of_output: Chunks, show: Callable[[], None]) -> None:
        starts = range(0, len(images), chunks.IMAGES)
        for number, start in enumerate(starts):
            own = images[start : start + chunks.IMAGES]
            if of_output.is_own(number):
                before, parts = self.failures, []
                for part in self.blocks(ImageList(own), start):
                    parts.append(part)
                    show()
                of_output.write(number, "".join(parts), self.failures - before)
        self.done, self.failures = len(images), of_output.put_together(len(starts))

    def _line(self, image: DecodedImage, captions: Sequence[Caption]) -> str:
        if image.note is not None:
            console.note(image.note)
        for warning in filter(None, (image.warning, image.problem)):
            console.warn(warning)
        paths = [] if self.folder is None or not captions else self.folder.paths(image.path, len(captions))
        if self.folder is not None and paths:
            content = content_of(Path(image.path), self.captioner.clips)
            part = overlays.visible_part(content, image.path, self.captioner)
            self.folder.draw(part.pixels_FYX3, captions, paths)
        self.failures += image.problem is not None
        n_best = self.search.n_best
        if self.format == "jsonl":
            return formats.captions_as_json(image.path, captions, n_best, paths, image.problem)
        return formats.captions_as_text(image.path, captions, n_best, self.scores, self.colour)
