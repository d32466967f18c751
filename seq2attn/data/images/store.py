"""Captioned images of a corpus on their way into a prepared folder: each file looked at, counted and kept
as it is, each caption encoded.

Files are decoded once here, so that training meets none that cannot be. It knows no model and no format of a
corpus.
"""

import array
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from seq2attn import config
from seq2attn.data import splits
from seq2attn.data.corpus import one_line
from seq2attn.data.images import decoding
from seq2attn.data.images.corpus import Box, CaptionedImage, ImageCorpus, LinkOut
from seq2attn.data.images.dataset import CAPTIONS, IMAGES
from seq2attn.data.tokenizer import Tokenizer
from seq2attn.errors import UserError
from seq2attn.strict_json import whole_text

Progress = Callable[[str, int, int | None], None]

UNDIVIDED = "undivided"
EXAMPLES = 3  # that are named of each reason to leave something out
_BATCH_BYTES = 1 << 24
_BATCH = 1024  # images
_TOGETHER = 1 << 28  # bytes of the files that wait to be written, about


class Captioned(NamedTuple):
    """What is written of one image."""

    captions: tuple[str, ...]
    boxes: tuple[tuple[Box, ...], ...]
    place: str


@dataclass
class Spool:
    """The images of one split: their files in an Arrow stream, what is written of them here."""

    path: Path
    written: list[Captioned] = field(default_factory=list)
    keys: "array.array[int]" = field(default_factory=lambda: array.array("Q"))  # of their content

    def batches(self) -> Iterator[pa.RecordBatch]:
        with pa.memory_map(str(self.path)) as file:
            yield from pa.ipc.open_stream(file)


@dataclass
class Missing:
    """Images that captions name and that are not there, or are none."""

    count: int = 0
    examples: list[str] = field(default_factory=list)
    links: int = 0  # of them behind links that are not followed
    link: str = ""  # the first of these

    def add(self, problem: str, link: bool = False) -> None:
        self.count += 1
        self.links += link
        self.link = self.link or (problem if link else "")
        if len(self.examples) < EXAMPLES:
            self.examples.append(problem)

    def __str__(self) -> str:
        return "; ".join(self.examples) + ("; ..." if self.count > len(self.examples) else "")


class _Seen(NamedTuple):
    image: CaptionedImage
    content: list[bytes]
    shape: tuple[int, int, int]  # frames, width, height
    problem: str | None = None
    link: bool = False  # whether the problem is a link that is not followed


def read(
    corpus: ImageCorpus, folder: Path, most_missing: float, workers: int, progress: Progress
) -> tuple[dict[str, Spool], Missing]:
    """Every image that can be decoded into the Arrow stream of its split. Raises UserError where a larger
    share than `most_missing` cannot.
    """
    writers: dict[str, _Writer] = {}
    missing, number = Missing(), 0
    for number, seen in enumerate(_looked_at(corpus, workers), 1):
        if seen.problem is not None:
            missing.add(seen.problem, seen.link)
        else:
            split = seen.image.split or UNDIVIDED
            if split not in writers:
                writers[split] = _Writer(folder / f"{len(writers)}.arrow")
            writers[split].write(seen)
        if number % 500 == 0:
            progress("reading images", number, None)
    progress("reading images", number, number)
    spools = {split: writer.close() for split, writer in writers.items()}
    if missing.count > most_missing * number:
        if missing.links:
            count = f"{missing.links:,} of {number:,} images are reached by links alone"
            raise UserError(f"{corpus.name}: {count}: {missing.link}")
        raise UserError(
            f"{corpus.name}: {missing.count:,} of {number:,} images are missing or damaged: {missing}; "
            f"{most_missing:.0%} are left out at most: mend them, or allow more with --max-missing"
        )
    return spools, missing


def _looked_at(corpus: ImageCorpus, workers: int) -> Iterator[_Seen]:
    """Each image decoded once, in order; Pillow works outside Python's lock."""

    def look(image: CaptionedImage) -> _Seen:
        try:
            content = image.content()
            shape = decoding.check(content, image.name, clip=corpus.clips)
            return _Seen(image._replace(boxes=_upright(image, content, shape[1:])), content, shape)
        except UserError as error:
            return _Seen(image, [], (0, 0, 0), str(error), isinstance(error, LinkOut))

    images = corpus.images()
    with ThreadPoolExecutor(workers) as pool:
        ahead, largest = workers, 1.0
        waiting = [pool.submit(look, image) for image in islice(images, ahead)]
        while waiting:
            seen = waiting.pop(0).result()
            # of the last ones: files of one corpus are much alike
            largest = max(0.9 * largest, sum(map(len, seen.content)))
            ahead = int(min(4 * workers, max(1, _TOGETHER // largest)))
            waiting += [pool.submit(look, image) for image in islice(images, max(0, ahead - len(waiting)))]
            yield seen


def _upright(
    image: CaptionedImage, content: list[bytes], size: tuple[int, int]
) -> tuple[tuple[Box, ...], ...]:
    """Its boxes, which come as the image lies on the disk, where a person sees them: all that follows has
    the image so.
    """
    if not any(image.boxes):
        return image.boxes
    return tuple(
        tuple(
            Box(box.word, *sides)
            for box, sides in zip(
                of_one, decoding.turned(content, image.name, [box[1:] for box in of_one], size), strict=True
            )
        )
        for of_one in image.boxes
    )


class _Writer:
    def __init__(self, path: Path) -> None:
        self.spool = Spool(path)
        self._rows: list[tuple[str, int, int, int, list[bytes]]] = []
        self._bytes = 0
        self._stream = pa.ipc.new_stream(str(path), IMAGES)

    def write(self, seen: _Seen) -> None:
        image, (count, width, height) = seen.image, seen.shape
        captions = tuple(whole_text(one_line(caption, image.place)) for caption in image.captions)
        self.spool.written.append(Captioned(captions, image.boxes, image.place))
        digest = hashlib.blake2b(digest_size=8)
        for frame in seen.content:
            digest.update(frame)
        self.spool.keys.append(int.from_bytes(digest.digest(), "little") or 1)
        self._rows.append((whole_text(image.name), width, height, count, seen.content))
        self._bytes += sum(map(len, seen.content))
        if len(self._rows) >= _BATCH or self._bytes >= _BATCH_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            columns = [
                pa.array(column, kind)
                for column, kind in zip(zip(*self._rows, strict=True), IMAGES.types, strict=True)
            ]
            self._stream.write_batch(pa.RecordBatch.from_arrays(columns, schema=IMAGES))
            self._rows, self._bytes = [], 0

    def close(self) -> Spool:
        self._flush()
        self._stream.close()
        return self.spool


def hold_out(spool: Spool, folder: Path, valid: int, test: int, seed: int) -> dict[str, Spool]:
    """A split divided in train, valid and test (those that get an image), the order kept; equal files are on
    one side.
    """
    sides = splits.assign_splits(np.frombuffer(spool.keys, dtype=np.uint64), valid, test, seed)
    if valid + test and not (sides == splits.TRAIN).any():
        raise UserError(
            f"{valid} images for validation and {test} for test leave nothing to train on: there are {len(sides)}; ask for fewer with --valid and --test"
        )
    divided = {}
    for side, name in ((splits.TRAIN, "train"), (splits.VALID, "valid"), (splits.TEST, "test")):
        chosen = sides == side
        if not chosen.any():
            continue
        path, first = folder / f"divided-{name}.arrow", 0
        with pa.ipc.new_stream(str(path), IMAGES) as stream:
            for batch in spool.batches():
                stream.write_batch(batch.filter(pa.array(chosen[first : first + batch.num_rows])))
                first += batch.num_rows
        rows = chosen.nonzero()[0].tolist()
        divided[name] = Spool(
            path, [spool.written[row] for row in rows], array.array("Q", [spool.keys[row] for row in rows])
        )
    spool.path.unlink()
    return divided


def encode(
    spool: Spool, out: Path, tokenizer: Tokenizer, limits: config.DataConfig | None, progress: Progress
) -> dict[str, dict[str, object]]:
    """Put the split in its place, captions encoded; what was left out, by reason. With `limits`, captions
    that are too long are; images without a caption always.
    """
    out.mkdir()
    reasons: Counter[str] = Counter()
    examples: dict[str, list[str]] = {}
    boxed = any(captioned.boxes for captioned in spool.written)

    def note(reason: str, place: str) -> None:
        reasons[reason] += 1
        if len(examples.setdefault(reason, [])) < EXAMPLES:
            examples[reason].append(place)

    kept: list[bool] = []
    # of those kept: counted, for adding them up again for each caption would grow with the square of the
    # images
    number = 0
    with pa.ipc.new_stream(str(out / "captions.arrow"), CAPTIONS) as stream:
        for start in range(0, len(spool.written), _BATCH):
            progress(f"encoding {out.name}", start, len(spool.written))
            rows: list[tuple[int, str, list[int], list[list[float]] | None]] = []
            for captioned in spool.written[start : start + _BATCH]:
                before = len(rows)
                if not captioned.captions:
                    note("without a caption", captioned.place)
                ids = tokenizer.encode_batch(captioned.captions)
                boxes: Sequence[Sequence[Box] | None] = captioned.boxes or [None] * len(ids)
                for caption, tokens, some in zip(captioned.captions, ids, boxes, strict=True):
                    reason = (
                        "empty"
                        if not tokens
                        else "too long"
                        if limits is not None and len(tokens) > limits.max_length
                        else None
                    )
                    if reason is None:
                        rows.append(
                            (
                                number,
                                caption,
                                tokens,
                                [list(map(float, box)) for box in some or ()] if boxed else None,
                            )
                        )
                        continue
                    note(reason, captioned.place)
                kept.append(len(rows) > before)
                number += kept[-1]
            columns = [
                pa.array(column, kind)
                for column, kind in zip(
                    list(zip(*rows, strict=True)) or [()] * 4, CAPTIONS.types, strict=True
                )
            ]
            stream.write_batch(pa.RecordBatch.from_arrays(columns, schema=CAPTIONS))
    if not any(kept):
        raise UserError(f"{out.name}: no caption is left: {dict(reasons)}")
    _keep(spool, out / "images.arrow", np.array(kept))
    progress(f"encoding {out.name}", len(spool.written), len(spool.written))
    return {reason: {"pairs": reasons[reason], "examples": examples[reason]} for reason in sorted(reasons)}


def _keep(spool: Spool, path: Path, kept: NDArray[np.bool_]) -> None:
    if kept.all():
        spool.path.rename(path)
        return
    first = 0
    with pa.ipc.new_stream(str(path), IMAGES) as stream:
        for batch in spool.batches():
            stream.write_batch(batch.filter(pa.array(kept[first : first + batch.num_rows])))
            first += batch.num_rows
    spool.path.unlink()


def described(
    lengths: NDArray[np.integer], unknown: int, images: int, dropped: Mapping[str, object], shared: int | None
) -> dict[str, object]:
    """One split of the report."""
    tokens = int(lengths.sum(dtype=np.int64))
    quantiles = dict(
        zip(
            ("50%", "90%", "99%", "100%"),
            np.quantile(lengths, (0.5, 0.9, 0.99, 1), method="inverted_cdf").tolist(),
            strict=True,
        )
    )
    facts = {
        "tokens": tokens,
        "unknown": unknown,
        "unknown_rate": unknown / max(tokens, 1),
        "length": quantiles,
    }
    found: dict[str, object] = {"images": images, "kept": len(lengths), "dropped": dropped, "target": facts}
    return found if shared is None else found | {"images_in_train": shared}
