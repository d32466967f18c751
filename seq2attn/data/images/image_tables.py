"""Tables with an image in each row: metadata files of image folders, and tables with an image column.

The former are metadata.jsonl, .csv or .parquet, as `datasets` has them. The latter are .parquet, .jsonl or
.csv. The cell of an image is a path below the table's folder, the encoded bytes, `{"bytes", "path"}`, or a
list of these, the frames of a clip. Its captions are a list, several columns, or several rows. Columns are
recognised by their names. It knows no image format and no data set library.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from seq2attn import strict_json
from seq2attn.data.corpus import LANGUAGE, NESTED, SPLIT, split_name
from seq2attn.data.formats.records import read_records
from seq2attn.data.formats.text import one_line
from seq2attn.data.images.captioned import with_captions
from seq2attn.data.images.corpus import FARTHEST, Box, CaptionedImage, ImageCorpus
from seq2attn.data.images.files import ENDINGS
from seq2attn.data.images.lookup import Files
from seq2attn.errors import UsageError, UserError

CLIP, BOXES = "clip", "boxes"
_IMAGES = ("image", CLIP, "file_name", "img", "image_path", "filename", "image_name")
# in order of preference
_CAPTIONS = (r"captions", r"caption(_?\d+)?", r"text(_?\d+)?", r"sentences", r"raw", r"comment")
# From the path in a cell and its place: a name, unique in the corpus, and the function that reads the image.
Locate = Callable[[str, str], tuple[str, Callable[[], list[bytes]]]]


class ImageColumns(NamedTuple):
    """The columns of a table that are read."""

    image: str
    captions: tuple[str, ...]
    language: str | None = None


class ImageRow(NamedTuple):
    """A row of a table, how to read it, and its place for people."""

    record: Mapping[str, object]
    columns: ImageColumns
    locate: Locate
    place: str
    split: str | None


def choose(
    first: Mapping[str, object], source: str | None, target: str | None, where: str
) -> ImageColumns | None:
    """The columns of a table with that first row; None if it is no table of images.

    `source` is the column of the images, `target` that of the captions, NAME or NAME:LANG, if they have other
    names than usual. Raises UsageError if the user must name the captions, and UserError if there is no such
    column.
    """
    if source is not None:
        if source not in first or not (source in _IMAGES or _is_image(first[source])):
            return None
        image = source
    else:
        codes = [
            name
            for name in first
            if LANGUAGE.fullmatch(name) and name not in ("id", "img_id", "raw", *_IMAGES)
        ]
        if (target is None and (len(codes) == 2 or {"source", "target"} <= set(first))) or NESTED in first:
            return None  # text, beside an image
        usual = next((name for name in _IMAGES if name in first), None)
        if usual is None:
            return None
        image = usual
    names = ", ".join(first)
    if target is not None:
        column, _, language = (target, "", "") if target in first else target.rpartition(":")
        if column not in first:
            raise UserError(f"{where}: no column {column or target} for `target`; there are: {names}")
        return ImageColumns(image, (column,), language or None)
    for pattern in _CAPTIONS:
        columns = [name for name in first if re.fullmatch(pattern, name)]
        if columns:
            return ImageColumns(image, tuple(sorted(columns, key=lambda name: (len(name), name))))
    raise UsageError(f"{where}: say which column has the captions with `target` NAME; there are: {names}")


def open_tables(
    where: str,
    root: Path,
    tables: Sequence[tuple[Path, str | None]],
    source: str | None,
    target: str | None,
    follow_links: bool = False,
) -> ImageCorpus | None:
    """A corpus of tables below `root`, each with the split of its rows or None.

    The result is None if the first table is no table of images.
    """
    first = next((record for table, _ in tables for _, record in read_records(table)), None)
    columns = choose(first, source, target, where) if first is not None else None
    if columns is None:
        return None
    files, notes = Files(root, follow_links), list[str]()

    def rows() -> Iterator[ImageRow]:
        for table, split in tables:
            columns = None
            below = table.parent.relative_to(root).as_posix()
            for number, record in read_records(table):
                columns = columns or choose(record, source, target, str(table))
                if columns is None:
                    usual = f"no column of images ({', '.join(_IMAGES[:3])})"
                    raise UserError(f"{table}: {usual}; there are: {', '.join(record)}")
                yield ImageRow(
                    record, columns, partial(locate, below), f"{table.relative_to(root)}:{number}", split
                )

    def locate(below: str, name: str, place: str) -> tuple[str, Callable[[], list[bytes]]]:
        path = PurePosixPath(below, files.checked(name, place)).as_posix()
        return path, partial(files.content, path, place, anywhere=True)

    return corpus_of(where, rows, columns, [table for table, _ in tables], notes)


def corpus_of(
    where: str,
    rows: Callable[[], Iterable[ImageRow]],
    columns: ImageColumns,
    inputs: list[Path],
    notes: list[str],
) -> ImageCorpus:
    """The corpus of rows with images, whatever they were read from."""
    return ImageCorpus(
        where,
        columns.language,
        lambda: with_captions(_images(rows()), where, notes),
        columns.image == CLIP,
        inputs,
        notes,
    )


class _Collected:
    """An image whose captions may be in several rows."""

    def __init__(self, name: str, content: Callable[[], list[bytes]], place: str, split: str | None) -> None:
        self.name, self.content, self.place, self.split = name, content, place, split
        self.captions: list[str] = []
        self.boxes: list[tuple[Box, ...]] = []

    def add(self, captions: list[str], boxes: list[tuple[Box, ...]]) -> None:
        self.captions += captions
        self.boxes += boxes

    def image(self) -> CaptionedImage:
        boxes = tuple(self.boxes) if any(self.boxes) else ()
        return CaptionedImage(self.name, self.content, tuple(self.captions), self.place, self.split, boxes)


def _images(rows: Iterable[ImageRow]) -> Iterator[CaptionedImage]:
    """The images of the rows, with the captions of all their rows.

    An image whose bytes are in the row is yielded as soon as another row has another image. Images with a
    path are yielded when all rows are read, because any row may have another caption.
    """
    by_path: dict[tuple[str, str | None], _Collected] = {}
    last: tuple[str | None, list[bytes], _Collected] | None = None
    for row in rows:
        split = _split(row)
        captions, boxes = _captions_and_boxes(row)
        path, data = _cell(row.record.get(row.columns.image), row)
        if data is None:
            name, content = row.locate(path, row.place) if path else (row.place, partial(_missing, row.place))
            by_path.setdefault((name, split), _Collected(name, content, row.place, split)).add(
                captions, boxes
            )
            continue
        if last is None or last[2].split != split or last[:2] != (path, data):
            if last is not None:
                yield last[2].image()
            last = (path, data, _Collected(path or row.place, partial(list, data), row.place, split))
        last[2].add(captions, boxes)
    if last is not None:
        yield last[2].image()
    for collected in by_path.values():
        yield collected.image()


def _is_image(value: object) -> bool:
    if isinstance(value, list):  # the frames of a clip
        value = next(iter(value), None)
    if isinstance(value, Mapping):
        return "bytes" in value
    return isinstance(value, bytes) or (isinstance(value, str) and Path(value).suffix.lower() in ENDINGS)


def _cell(value: object, row: ImageRow) -> tuple[str | None, list[bytes] | None]:
    """(path, encoded frames) of an image's cell; None if the cell does not have one of them."""
    if isinstance(value, list):
        if any(isinstance(part, list) for part in value):
            problem = f"a list of lists in {row.columns.image}"
            raise UserError(f"{row.place}: {problem}; the frames of a clip are one list")
        parts = [_cell(part, row) for part in value]
        paths = [path for path, data in parts if data is None and path]
        if paths:
            problem = f"a list of paths in {row.columns.image}"
            raise UserError(f"{row.place}: {problem}; put the frames of a clip in a folder and name that")
        return None, [frame for _, data in parts for frame in data or []] or None
    if isinstance(value, Mapping):
        path, data = value.get("path"), value.get("bytes")
        return (path if isinstance(path, str) and path else None), (
            [data] if isinstance(data, bytes) else None
        )
    if isinstance(value, bytes):
        return None, [value]
    if value is None or isinstance(value, str):
        return value or None, None
    raise UserError(f"{row.place}: {row.columns.image} is no image but {type(value).__name__}")


def _missing(place: str) -> list[bytes]:
    raise UserError(f"{place}: no image in this row")


def _split(row: ImageRow) -> str | None:
    cell = row.record.get(SPLIT)
    if row.split is not None or not isinstance(cell, str) or not cell:
        return row.split
    split = "train" if cell == "restval" else split_name(cell)
    if split is None:
        raise UserError(
            f'{row.place}: the split is "{cell[:40]}"; it can be train, valid (or val, dev) and test*'
        )
    return split


def _captions_and_boxes(row: ImageRow) -> tuple[list[str], list[tuple[Box, ...]]]:
    """The captions that are not empty, and a tuple of boxes for each."""
    captions = [
        caption
        for column in row.columns.captions
        for caption in _texts(row.record.get(column), column, row.place)
    ]
    cell = _listed(row.record.get(BOXES), row.place)
    if cell and len(captions) == 1 and not _is_nested(cell):
        cell = [cell]  # the boxes of the only caption, without a list around them
    if cell and len(cell) != len(captions):
        raise UserError(f"{row.place}: {BOXES} for {len(cell)} captions where there are {len(captions)}")
    boxes = [tuple(_box(box, row.place) for box in _listed(part, row.place)) for part in cell]
    boxes = boxes or [()] * len(captions)
    for caption, caption_boxes in zip(captions, boxes, strict=True):
        words = len(caption.split())
        if caption and (beyond := [box.word for box in caption_boxes if box.word >= words]):
            problem = f"a box names word {beyond[0]}, counted from 0, and its caption has {words}"
            raise UserError(f"{row.place}: {problem}: {caption[:80]!r}")
    numbers = [number for number, caption in enumerate(captions) if caption]
    return [captions[number] for number in numbers], [boxes[number] for number in numbers]


def _texts(value: object, column: str, place: str) -> Iterator[str]:
    if isinstance(value, str):
        if column.startswith(("captions", "sentences", "raw")) and value.startswith("["):
            yield from (text for part in _listed(value, place) for text in _texts(part, "", place))
        else:
            yield one_line(value.strip(), place)
    elif isinstance(value, list) and column:  # a list inside a list is refused
        for part in value:
            yield from _texts(part, "", place)
    elif isinstance(value, Mapping) and isinstance(value.get("raw"), str):
        yield one_line(value["raw"].strip(), place)
    elif value is not None:
        raise UserError(f"{place}: {column or 'a caption'} is no text but {type(value).__name__}")


def _is_nested(boxes: list[object]) -> bool:
    first = boxes[0]
    return first is None or (isinstance(first, list) and (not first or isinstance(first[0], (list, Mapping))))


def _listed(value: object, place: str) -> list[object]:
    """The list in a cell. In a table that holds only text, it is written as JSON."""
    if isinstance(value, str) and value:
        try:
            value = strict_json.parse(value)
        except ValueError as error:
            raise UserError(f"{place}: not a list of JSON: {error}") from None
    if value is None or value == "":
        return []
    if not isinstance(value, list):
        raise UserError(f"{place}: {BOXES} or captions are no list but {type(value).__name__}")
    return value


def _box(value: object, place: str) -> Box:
    cells = [value.get(name) for name in Box._fields] if isinstance(value, Mapping) else value
    if isinstance(cells, list) and len(cells) == 5 and all(map(_is_coordinate, cells)):
        word, left, top, right, bottom = cells
        if word == int(word) >= 0 and left < right and top < bottom:
            return Box(int(word), float(left), float(top), float(right), float(bottom))
    raise UserError(f"{place}: a box is [word, left, top, right, bottom], in pixels, not {str(value)[:80]}")


def _is_coordinate(cell: object) -> bool:
    # NaN fails the comparison
    return isinstance(cell, int | float) and not isinstance(cell, bool) and abs(cell) <= FARTHEST
