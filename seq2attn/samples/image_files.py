"""Captioned images as files: palette PNG and GIF, a Parquet table for each split, or a folder.

This module knows arrays of pixels and rows, and not what they show.
"""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from seq2attn.samples.shapes import Pixels

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])  # as `datasets` writes images
COLUMNS = {
    "image": IMAGE,
    "clip": IMAGE,
    "captions": pa.list_(pa.string()),
    "boxes": pa.list_(pa.list_(pa.list_(pa.int32()))),
}

Row = Mapping[str, Any]  # "image" or "clip": {"bytes", "path"}, "captions" and perhaps "boxes"


def indexed(frames: Sequence[Pixels]) -> list[Image.Image]:
    """Frames (Y, X, 3) as palette images that share one palette of their colours, at most 256."""
    stacked = np.stack(frames)
    codes, places = np.unique(
        stacked.astype(np.uint32) @ np.array([65536, 256, 1], dtype=np.uint32), return_inverse=True
    )
    colours = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1)
    if len(colours) > 256:
        raise ValueError(f"{len(colours)} colours do not fit into a palette")
    images = []
    for indices in places.reshape(stacked.shape[:3]).astype(np.uint8):
        image = Image.frombytes("P", (indices.shape[1], indices.shape[0]), indices.tobytes())
        image.putpalette(colours.astype(np.uint8).tobytes())
        images.append(image)
    return images


def png(pixels: Pixels) -> bytes:
    """A still (Y, X, 3) as a lossless PNG."""
    (image,), file = indexed([pixels]), io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()


def gif(frames: Sequence[Pixels], milliseconds: Sequence[int]) -> bytes:
    """A clip as a lossless, endless GIF. `milliseconds` are the times of its frames (Y, X, 3).

    Two frames in a row must differ, because GIF would merge them.
    """
    (first, *more), file = indexed(frames), io.BytesIO()
    first.save(
        file, "GIF", save_all=True, append_images=more, duration=list(milliseconds), loop=0, optimize=False
    )
    return file.getvalue()


def write_tables(folder: Path, splits: Mapping[str, Sequence[Row]]) -> None:
    """Write SPLIT.parquet for each split."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, rows in splits.items():
        schema = pa.schema([(name, kind) for name, kind in COLUMNS.items() if name in rows[0]])
        pq.write_table(
            pa.Table.from_pylist(list(rows), schema=schema),
            folder / f"{split}.parquet",
            compression="zstd",
            use_dictionary=False,
        )


def write_folders(folder: Path, splits: Mapping[str, Sequence[Row]]) -> None:
    """Write SPLIT/ for each split: the images, and metadata.jsonl with file_name, captions and boxes."""
    for split, rows in splits.items():
        place = folder / split
        place.mkdir(parents=True, exist_ok=True)
        lines = []
        for row in rows:
            image = row["image"] if "image" in row else row["clip"]
            (place / image["path"]).write_bytes(image["bytes"])
            lines.append(
                json.dumps(
                    {
                        "file_name": image["path"],
                        **{key: row[key] for key in ("captions", "boxes") if key in row},
                    }
                )
                + "\n"
            )
        (place / "metadata.jsonl").write_text("".join(lines), encoding="utf-8", newline="\n")
