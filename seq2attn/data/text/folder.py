"""A folder of line-aligned text: files SPLIT.LANG or SPLIT*.LANG, plain or packed.

SPLIT*.align has gold word alignments.
"""

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import NoReturn

from seq2attn.data.corpus import SPLIT_NAMES, Row, is_split, split_name
from seq2attn.data.corpus_files import is_own
from seq2attn.data.formats.lines import read_lines
from seq2attn.data.formats.packed import bare
from seq2attn.data.formats.text import printable
from seq2attn.data.text.corpus import Corpus
from seq2attn.errors import UsageError, UserError

ALIGNMENT = "align"
# endings that are no languages
_NOT_LANGUAGES = frozenset(
    f"{ALIGNMENT} txt md json jsonl tsv csv parquet arrow zip tar tgz py toml yaml yml model vocab "
    "bak orig old tmp swp new part partial log xlsx xls ods pdf docx "
    "token jpg jpeg png gif webp bmp tif tiff ppm".split()
)


def languages(folder: Path) -> list[str]:
    """The endings of files that are named after a split, in alphabetical order."""
    return sorted({language for _, language, _ in _files(folder)} - _NOT_LANGUAGES)


def open_folder(folder: Path, source: str | None, target: str | None) -> Corpus:
    """A folder of parallel text as a corpus.

    Raises UserError if files are missing or have no counterpart, and UsageError if `source` and `target` must
    say which language is which.
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

    paths = (path for stem in stems for path in (files[source][stem], files[target][stem], gold.get(stem)))
    inputs = [path for path in paths if path]
    return Corpus(str(folder), (source, target), rows, inputs)


def _files(folder: Path) -> Iterator[tuple[str, str, Path]]:
    for path in sorted(folder.iterdir()):
        stem, dot, language = bare(path.name).rpartition(".")
        if dot and split_name(stem) and is_own(path.name) and path.is_file():
            yield stem, language, path


def _refuse_names(folder: Path, source: str, target: str) -> None:
    """Raise UserError for a file of a split that cannot be the name of a folder."""
    for path in sorted(folder.iterdir()):
        stem, _, language = bare(path.name).rpartition(".")
        if language in (source, target) and stem.lower().startswith("test") and not is_split(stem):
            problem = f"no folder may be called as the split of {printable(repr(path.name))}"
            raise UserError(f"{folder}: {problem}: {SPLIT_NAMES}; rename the file")


def _direction(folder: Path, endings: list[str], source: str | None, target: str | None) -> tuple[str, str]:
    """The languages of source and target among the endings of the files."""
    for setting, language in (("source", source), ("target", target)):
        if language is not None and language not in endings:
            problem = f"no train.{language} or the like for `{setting}` {language}"
            raise UserError(
                f"{folder}: {problem}; its endings are: {', '.join(endings) or 'none'}", setting=setting
            )
    if source and target:
        if source == target:
            raise UsageError(f"`source` and `target` are both {source}", setting="source")
        return source, target
    others = [language for language in endings if language not in (source, target)]
    if len(others) == 1 and (source or target):
        return source or others[0], target or others[0]
    example = f"`source` {endings[0]} `target` {endings[1] if len(endings) > 1 else 'LANG'}"
    names = ", ".join(endings)
    raise UsageError(
        f"{folder}: say which way to translate, as in {example}; its endings are: {names}", setting="source"
    )


def _pairs(source: Path, target: Path, gold: Path | None, split: str | None) -> Iterator[Row]:
    sides = [read_lines(path) for path in (source, target, gold) if path]
    number, name = 0, printable(source.name)
    for number, cells in enumerate(zip_longest(*sides), 1):
        if None in cells:
            _refuse_lengths([path for path in (source, target, gold) if path], sides, cells, number)
        yield Row(cells[0], cells[1], f"{name}:{number}", split, cells[2] if gold else None)


def _refuse_lengths(
    paths: list[Path], sides: list[Iterator[str]], cells: tuple[str | None, ...], number: int
) -> NoReturn:
    """Raise UserError for files of different lengths; `cells` are those of the first line that one lacks."""
    counts = [
        number - 1 if cell is None else number + sum(1 for _ in side)
        for side, cell in zip(sides, cells, strict=True)
    ]
    shorter = paths[counts.index(min(counts))]
    longer = next(path for path, cell in zip(paths, cells, strict=True) if cell is not None)
    facts = ", ".join(f"{path.name} has {count:,} lines" for path, count in zip(paths, counts, strict=True))
    partner = f"line {number:,} of {longer.name} has no partner in {shorter.name}"
    raise UserError(f"{shorter.parent}: not line-aligned: {facts}; {partner}")
