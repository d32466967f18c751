"""The splits of a prepared folder from a corpus of captioned images.

Each image file stays as it is. Each caption is encoded.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from seq2attn.config import DataConfig
from seq2attn.data.formats.text import one_line
from seq2attn.data.images.corpus import Box, ImageCorpus
from seq2attn.data.images.dataset import CAPTIONS, IMAGES, CaptionedSplit
from seq2attn.data.images.reading import Missing, ReadImage, read_images
from seq2attn.data.preparation import (
    NOT_NFC,
    Drops,
    Preparation,
    divide,
    note_small_vocabulary,
    token_statistics,
    train_tokenizer,
)
from seq2attn.data.spool import Entry, Format, Spool, write_spools
from seq2attn.data.tokenizer import UNK, Tokenizer, is_changed
from seq2attn.data.vocabulary_size import with_number
from seq2attn.errors import UserError
from seq2attn.progress import Progress
from seq2attn.strict_json import whole_text

_BATCH = 1024  # images of one batch
_SPOOL = Format(IMAGES, max_rows=_BATCH, max_size=1 << 24)  # the size is in bytes of encoded files


class Captions(NamedTuple):
    """The captions of one image with their boxes, and its place for people."""

    texts: tuple[str, ...]
    boxes: tuple[tuple[Box, ...], ...]
    place: str


def prepare_images(corpus: ImageCorpus, request: Preparation) -> dict[str, Any]:
    """Write the tokenizer and splits into `request.folder`. Returns the part of the report about images."""
    missing = Missing()
    images = read_images(
        corpus, missing, request.options.max_missing, request.workers, request.stage("reading images")
    )
    spools = write_spools(map(_entry, images), request.work, _SPOOL)
    spools = divide(corpus, spools, request, "image", "equal images")
    request.stage("training the tokenizer")(0, None)
    train = spools["train"]
    captions = sum(len(captions.texts) for captions in train.records)

    def texts() -> Iterator[str]:
        return (text for captions in train.records for text in captions.texts)

    request = with_number(request, captions, texts)
    tokenizer = train_tokenizer(texts, request)
    note_small_vocabulary(corpus.notes, tokenizer.size, request)
    if missing.count:
        are = "image is" if missing.count == 1 else "images are"
        corpus.notes.append(f"{missing.count:,} {are} missing or damaged, and left out: {missing}")
    tokenizer.save(request.folder / "target.model")
    report = {}
    for name, spool in spools.items():
        out = request.folder / name
        drops = _encode(spool, out, tokenizer, request.limits(name), request.stage(f"encoding {name}"))
        report[name] = _describe(CaptionedSplit(out)) | {"dropped": drops.report()}
        if name != "train":
            report[name]["images_in_train"] = int(np.isin(spool.keys, train.keys).sum())
        normalised = sum(is_changed(text) for captions in spool.records for text in captions.texts)
        report[name]["target"]["normalised"] = normalised
        if normalised:
            corpus.notes.append(f"{name}: {normalised:,} captions {NOT_NFC}")
    return {
        "options": request.options.model_dump(mode="json"),  # with a number for the size of the vocabulary
        "vocabulary": {"source": 0, "target": tokenizer.size},
        "splits": report,
        "images": True,
        "clips": corpus.clips,
        "missing": {"images": missing.count, "examples": missing.examples},
    }


def _entry(read: ReadImage) -> Entry[Captions]:
    image, (frames, width, height) = read.image, read.shape
    texts = tuple(whole_text(one_line(caption, image.place)) for caption in image.captions)
    digest = hashlib.blake2b(digest_size=8)
    for frame in read.content:
        digest.update(frame)
    key = int.from_bytes(digest.digest(), "little") or 1
    cells = (whole_text(image.name), width, height, frames, read.content)
    size = sum(map(len, read.content))
    return Entry(image.split, cells, key, size, Captions(texts, image.boxes, image.place))


def _encode(
    spool: Spool[Captions], out: Path, tokenizer: Tokenizer, limits: DataConfig | None, progress: Progress
) -> Drops:
    """Write a split to its folder, with encoded captions. Returns the captions that are dropped.

    Images without a caption are dropped and, with `limits`, captions that are too long. Raises UserError if
    no caption is left.
    """
    out.mkdir()
    drops = Drops()
    has_boxes = any(captions.boxes for captions in spool.records)
    has_captions: list[bool] = []
    image = 0  # the row of the next image that is kept
    with pa.ipc.new_stream(str(out / "captions.arrow"), CAPTIONS) as stream:
        for start in range(0, len(spool.records), _BATCH):
            progress(start, len(spool.records))
            rows: list[tuple[int, str, list[int], list[list[float]] | None]] = []
            for captions in spool.records[start : start + _BATCH]:
                before = len(rows)
                for text, ids, boxes in _encoded(captions, tokenizer, limits, drops):
                    cells = [list(map(float, box)) for box in boxes] if has_boxes else None
                    rows.append((image, text, ids, cells))
                has_captions.append(len(rows) > before)
                image += has_captions[-1]
            columns = zip(list(zip(*rows, strict=True)) or [()] * 4, CAPTIONS.types, strict=True)
            arrays = [pa.array(column, kind) for column, kind in columns]
            stream.write_batch(pa.RecordBatch.from_arrays(arrays, schema=CAPTIONS))
    if not any(has_captions):
        raise UserError(f"{out.name}: no caption is left: {drops}")
    if all(has_captions):
        spool.path.rename(out / "images.arrow")
    else:
        spool.select(np.array(has_captions), out / "images.arrow")
        spool.path.unlink()
    progress(len(spool.records), len(spool.records))
    return drops


def _encoded(
    captions: Captions, tokenizer: Tokenizer, limits: DataConfig | None, drops: Drops
) -> Iterator[tuple[str, list[int], Sequence[Box]]]:
    """Text, ids and boxes of each caption of an image that is kept. The others are added to `drops`."""
    if not captions.texts:
        drops.add("without a caption", captions.place)
    all_ids = tokenizer.encode_batch(captions.texts)
    all_boxes: Sequence[Sequence[Box]] = captions.boxes or [()] * len(all_ids)
    for text, ids, boxes in zip(captions.texts, all_ids, all_boxes, strict=True):
        if not ids:
            drops.add("empty", captions.place)
        elif limits is not None and len(ids) > limits.max_length:
            drops.add("too long", captions.place)
        else:
            yield text, ids, boxes


def _describe(split: CaptionedSplit) -> dict[str, Any]:
    unknown = sum(int(np.count_nonzero(ids == UNK)) for ids in split.target_ids)
    return {
        "images": len(split.names),
        "kept": len(split),
        "target": token_statistics(split.target_lengths, unknown),
    }
