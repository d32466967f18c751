"""A folder of tables as a corpus, of text or of captioned images.

The name of a table, or of a folder on the way to it, says in which split its rows are.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from seq2attn.data.corpus import ReadingOptions, Row, split_name
from seq2attn.data.corpus_files import arrow_in, tables_in
from seq2attn.data.formats.bad_rows import BadRow, without_bad
from seq2attn.data.formats.records import BadRowError
from seq2attn.data.formats.text import printable
from seq2attn.data.images import image_tables, layouts
from seq2attn.data.images.corpus import ImageCorpus
from seq2attn.data.text.corpus import Corpus
from seq2attn.data.text.tables import read_pairs
from seq2attn.errors import UsageError, UserError

ENDINGS = (".parquet", ".jsonl", ".json", ".csv", ".tsv")
_METADATA = re.compile(r"metadata\.(jsonl|csv|parquet)")  # of an image folder as `datasets` knows it
_MOST_NAMES = 5  # files that a note names

Tables = list[
    tuple[Path, str | None]
]  # each with the split of its rows; None: the rows say it, or nothing does


def has_metadata(path: Path, follow_links: bool = False) -> bool:
    """Whether the folder has a table that describes its images."""
    return any(_METADATA.fullmatch(table.name) for table in tables_in(path, ENDINGS, follow_links)[0])


def open_tables(path: Path, options: ReadingOptions, holds_images: bool = False) -> Corpus | ImageCorpus:
    """The tables of a folder as a corpus.

    If the folder `holds_images`, too, the tables are text only if the user or the names of their columns say
    so. Raises UserError or UsageError if they are no corpus.
    """
    files, notes = tables_in(path, ENDINGS, options.follow_links)
    if loose := arrow_in(path, options.follow_links):
        if files:
            both = f"tables, as {files[0].name}, beside Arrow files, as {loose}"
            raise UserError(f"{path}: {both}: name the one that is meant")
        raise UserError(f"{path}: Arrow files, as {loose}, alone: save them as Parquet or JSONL")
    metadata = [file for file in files if _METADATA.fullmatch(file.name)]
    tables: Tables = [(file, _split_of(file.relative_to(path))) for file in metadata or files]
    tables = [table for table in tables if table[1]] or tables
    if not tables:
        raise UserError(f"{path}: no tables in this folder; it takes files {' '.join(ENDINGS)}")
    others = sorted(printable(file.relative_to(path)) for file in {*files} - {file for file, _ in tables})
    if others:
        more = " ..." if len(others) > _MOST_NAMES else ""
        notes.append(f"tables left out: {', '.join(others[:_MOST_NAMES])}{more}")
    images = open_images(path, path, tables, options)
    if images is not None:
        images.notes.extend(notes)
        return images
    if metadata:
        problem = "no column file_name, image or clip; `source` NAME says which one has the images"
        raise UserError(f"{metadata[0]}: {problem}")
    if not holds_images or options.source or options.target:
        return _open_texts(path, tables, options, notes)
    try:
        texts = _open_texts(path, tables, options, notes)
    except UsageError:
        raise layouts.refusal(path) from None
    if not all(texts.languages):
        raise layouts.refusal(path)
    return texts


def open_images(where: Path, root: Path, tables: Tables, options: ReadingOptions) -> ImageCorpus | None:
    """Tables of images below `root`; None if they are of text, or if the first row does not tell."""
    try:
        source, target = options.source, options.target
        return image_tables.open_tables(str(where), root, tables, source, target, options.follow_links)
    except BadRowError:
        return None


def _open_texts(path: Path, tables: Tables, options: ReadingOptions, notes: list[str]) -> Corpus:
    """Tables of text, those of one split one after another."""
    in_order = sorted(tables, key=lambda table: (str(table[1]), table[0]))
    parts = [(read_pairs(file, options.source, options.target), split) for file, split in in_order]
    columns = [part.columns for part, _ in parts if part.columns]
    languages = columns[0].languages if columns else (None, None)
    for part, _ in parts:
        if part.columns and part.columns.languages != languages:
            others = f"where those of {parts[0][0].path.name} are {_sides(languages)}"
            raise UserError(f"{part.path}: its sides are {_sides(part.columns.languages)}, {others}")
        notes += part.notes
    names = [printable(part.path.relative_to(path).as_posix()) for part, _ in parts]
    more = f" and {len(names) - _MOST_NAMES:,} more files" if len(names) > _MOST_NAMES else ""
    notes.append(f"from {', '.join(names[:_MOST_NAMES])}{more} in {path}")

    def rows() -> Iterator[Row | BadRow]:
        for part, split in parts:
            yield from part.rows(split)

    inputs = [part.path for part, _ in parts]
    return Corpus(str(path), languages, lambda: without_bad(rows(), options.max_bad, notes), inputs, notes)


def _sides(languages: tuple[str | None, str | None]) -> str:
    return " and ".join(language or "without a name" for language in languages)


def _split_of(table: Path) -> str | None:
    # without the numbers that the hub gives to parts of a split
    stem = re.sub(r"-\d{5}-of-\d{5}.*", "", table.name.partition(".")[0])
    return next(filter(None, map(split_name, (stem, *reversed(table.parts[:-1])))), None)
