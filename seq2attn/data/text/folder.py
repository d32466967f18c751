"""A folder of line-aligned text: SPLIT.LANG or SPLIT*.LANG, plain or packed, and SPLIT*.align with gold word
alignments.
"""

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from seq2attn.data.corpus import SPLIT_NAMES, Corpus, Row, is_split, shown, split_name
from seq2attn.data.folder_files import is_own
from seq2attn.data.formats.lines import read_lines
from seq2attn.data.formats.packed import bare
from seq2attn.errors import UsageError, UserError

ALIGNMENT = "align"
_NOT_LANGUAGES = {
    ALIGNMENT,
    "txt",
    "md",
    "json",
    "jsonl",
    "tsv",
    "csv",
    "parquet",
    "arrow",
    "zip",
    "tar",
    "tgz",
    "py",
    "toml",
    "yaml",
    "yml",
    "model",
    "vocab",
}
_NOT_LANGUAGES |= {
    "bak",
    "orig",
    "old",
    "tmp",
    "swp",
    "new",
    "part",
    "partial",
    "log",
    "xlsx",
    "xls",
    "ods",
    "pdf",
    "docx",
}
_NOT_LANGUAGES |= {"token", "jpg", "jpeg", "png", "gif", "webp", "bmp", "tif", "tiff", "ppm"}


def languages(folder: Path) -> list[str]:
    """The endings that files of a known split have, in alphabetical order."""
    return sorted({language for _, language, _ in _files(folder)} - _NOT_LANGUAGES)


def open_folder(folder: Path, source: str | None, target: str | None) -> Corpus:
    """Raises UserError when files are missing or have no counterpart, UsageError when it is not said which
    language is which.
    """
    files: dict[str, dict[str, Path]] = {}  # language -> SPLIT* -> file
    for stem, language, path in _files(folder):
        if other := files.setdefault(language, {}).get(stem):
            raise UserError(f"{folder}: {other.name} and {path.name} are both there; remove one of them")
        files[language][stem] = path
    source, target = _direction(folder, languages(folder), source, target)
    _refuse_names(folder, source, target)
    for one, counterpart in ((source, target), (target, source)):
        for stem, path in files[one].items():
            if stem not in files[counterpart]:
                raise UserError(f"{path}: there is no {stem}.{counterpart} beside it")
    gold = files.get(ALIGNMENT, {})
    stems = sorted(files[source], key=lambda stem: (str(split_name(stem)), stem))

    def rows() -> Iterator[Row]:
        for stem in stems:
            yield from _pairs(files[source][stem], files[target][stem], gold.get(stem), split_name(stem))

    inputs = [
        path for stem in stems for path in (files[source][stem], files[target][stem], gold.get(stem)) if path
    ]
    return Corpus(str(folder), (source, target), rows, inputs)


def _files(folder: Path) -> Iterator[tuple[str, str, Path]]:
    for path in sorted(folder.iterdir()):
        stem, dot, language = bare(path.name).rpartition(".")
        if dot and split_name(stem) and is_own(path.name) and path.is_file():
            yield stem, language, path


def _refuse_names(folder: Path, source: str, target: str) -> None:
    """Raise UserError for a file that would be that of a split if a folder could be called so."""
    for path in sorted(folder.iterdir()):
        stem, _, language = bare(path.name).rpartition(".")
        if language in (source, target) and stem.lower().startswith("test") and not is_split(stem):
            raise UserError(
                f"{folder}: no folder may be called as the split of {shown(repr(path.name))}: {SPLIT_NAMES}; rename the file"
            )


def _direction(folder: Path, found: list[str], source: str | None, target: str | None) -> tuple[str, str]:
    for option, asked in (("--source", source), ("--target", target)):
        if asked is not None and asked not in found:
            raise UserError(
                f"{folder}: no train.{asked} or the like for {option} {asked}; its endings are: {', '.join(found) or 'none'}"
            )
    if source and target:
        if source == target:
            raise UsageError(f"--source and --target are both {source}")
        return source, target
    others = [language for language in found if language not in (source, target)]
    if len(others) == 1 and (source or target):
        return source or others[0], target or others[0]
    names = ", ".join(found)
    raise UsageError(
        f"{folder}: say which way to translate, as in --source {found[0]} --target {found[1] if len(found) > 1 else 'LANG'}; its endings are: {names}"
    )


def _pairs(source: Path, target: Path, gold: Path | None, split: str | None) -> Iterator[Row]:
    sides = [read_lines(path) for path in (source, target, gold) if path]
    number, name = 0, shown(source.name)
    for number, cells in enumerate(zip_longest(*sides), 1):
        if None in cells:
            _refuse([path for path in (source, target, gold) if path], sides, cells, number)
        yield Row(cells[0], cells[1], f"{name}:{number}", split, cells[2] if gold else None)


def _refuse(
    paths: list[Path], sides: list[Iterator[str]], cells: tuple[str | None, ...], number: int
) -> None:
    counts = [
        number - 1 if cell is None else number + sum(1 for _ in side)
        for side, cell in zip(sides, cells, strict=True)
    ]
    shorter = paths[counts.index(min(counts))]
    longer = next(path for path, cell in zip(paths, cells, strict=True) if cell is not None)
    facts = ", ".join(f"{path.name} has {count:,} lines" for path, count in zip(paths, counts, strict=True))
    raise UserError(
        f"{shorter.parent}: not line-aligned: {facts}; line {number:,} of {longer.name} has no partner in {shorter.name}"
    )
