"""A prepared folder, opened memory-mapped. It knows no file format of raw text and no model.

prepared.json       the report: rows read, kept and dropped, lengths, vocabularies, hashes of the inputs
tokenizer.model     the joint vocabulary; or source.model and target.model; for images target.model alone
train/ valid/ test*/    the splits: see `text.dataset` and `images.dataset`
"""

from functools import cached_property
from pathlib import Path
from typing import Any

from seq2attn import strict_json
from seq2attn.config import BEFORE_CLEANING, IMAGES, MODALITIES, TEXT, Modality, of_report
from seq2attn.data.corpus import is_split
from seq2attn.data.formats.text import printable
from seq2attn.data.images.dataset import CaptionedSplit
from seq2attn.data.text.dataset import TextSplit
from seq2attn.data.tokenizer import Tokenizer
from seq2attn.errors import UserError
from seq2attn.version import __version__

FORMAT = 3  # the newest; text is written in format 1, which every version reads
REPORT = "prepared.json"


def _check_report(report: object) -> dict[str, Any]:
    """The report of a prepared folder. Raises ValueError or TypeError if it is invalid."""
    if not isinstance(report, dict):
        raise TypeError("not an object")
    kinds = {"format": int, "seq2attn": str, "languages": list, "splits": dict, "options": dict}
    for name, kind in kinds.items():
        if not isinstance(report.get(name), kind):
            raise TypeError(f"no {name}" if name not in report else f"{name} is of the wrong kind")
    languages = report["languages"]
    if len(languages) != 2 or not all(isinstance(name, str | None) for name in languages):
        raise ValueError("languages are not two names")
    flags = {name: report.get(name, False) for name in ("clips", *(one.name for one in MODALITIES))}
    for name, flag in (flags | {"joint": report["options"].get("joint")}).items():
        if not isinstance(flag, bool):
            raise TypeError(f"{name} is neither true nor false")
    report["options"] = {**BEFORE_CLEANING, **report["options"]}
    for name, facts in report["splits"].items():
        if not is_split(name):
            problem = f"a split may not be called {printable(repr(name)[:60])}"
            raise ValueError(f"{problem}: it is a folder of that name in this one")
        if not isinstance(facts, dict):
            raise TypeError(f"the facts of {name} are of the wrong kind")
    return report


class Prepared:
    """A folder that `prepare` has written. Functions that take its path take the folder itself, too.

    `report` holds what was read, kept and dropped, `splits` the names of the splits. Raises
    UserError if it is missing, unfinished, damaged or of another version.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        file = self.path / REPORT
        if not file.is_file():
            exists = self.path.exists()
            problem = f"not a prepared folder (it has no {REPORT})" if exists else "no such folder"
            raise UserError(f"{self.path}: {problem}; make one with `seq2attn prepare CORPUS {self.path}`")
        try:
            report = strict_json.parse(file.read_text(encoding="utf-8"), constants=True)
            self.report: dict[str, Any] = _check_report(report)
        except OSError as error:
            raise UserError(f"{file}: {error.strerror}") from None
        except (ValueError, TypeError) as error:
            raise UserError(f"{file}: damaged ({str(error)[:200]}); run `seq2attn prepare` again") from None
        self._check_version()
        source, target = self.report["languages"]
        self.languages: tuple[str | None, str | None] = (source, target)
        self.splits: list[str] = list(self.report["splits"])
        self.modality: Modality = of_report(self.report)
        self.clips: bool = self.report.get("clips", False)
        # one vocabulary may have a tokenizer for each side: that of an imported run
        single = self.modality.has_vocabulary and not (self.path / "target.model").is_file()
        self.joint: bool = self.report["options"]["joint"] and single

    def __fspath__(self) -> str:
        """Its path, so that it stands for its folder, as in `seq2attn.train(data=prepared)`."""
        return str(self.path)

    def __repr__(self) -> str:
        return f"Prepared({str(self.path)!r}, splits={self.splits})"

    def _check_version(self) -> None:
        version, program = self.report["format"], f"seq2attn {self.report['seq2attn']}"
        if version == 2:
            way_out = "run `seq2attn prepare` again"
            raise UserError(f"{self.path}: prepared by {program}, in an older format: {way_out}")
        if version > FORMAT:
            newer = f"prepared by {program}, which is newer than this one ({__version__})"
            raise UserError(f"{self.path}: {newer}: upgrade, or prepare it again")

    @cached_property
    def source_tokenizer(self) -> Tokenizer:
        """The tokenizer of the source. Raises UserError if sources are no text."""
        self._require(TEXT)
        return Tokenizer.load(self.path / ("tokenizer.model" if self.joint else "source.model"))

    @cached_property
    def target_tokenizer(self) -> Tokenizer:
        tokenizer = self.source_tokenizer if self.joint else Tokenizer.load(self.path / "target.model")
        return tokenizer.of_target

    @property
    def source_size(self) -> int:
        """The number of tokens of the source's vocabulary; 0 if sources have none."""
        return self.source_tokenizer.size if self.modality.has_vocabulary else 0

    @property
    def tokenizers(self) -> tuple[str, ...]:
        """The files of the folder's tokenizers."""
        if self.joint:
            return ("tokenizer.model",)
        return ("source.model", "target.model") if self.modality.has_vocabulary else ("target.model",)

    def split(self, name: str) -> TextSplit:
        """A split of text. Raises UserError if the folder holds images, or has no such split."""
        split = TextSplit(self.folder(name, TEXT))
        count = self.report["splits"][name].get("kept")
        if isinstance(count, int) and count != len(split):
            problem = f"{name} has {len(split):,} pairs, and {REPORT} says {count:,}"
            raise UserError(f"{self.path}: damaged ({problem}); run `seq2attn prepare` again")
        return split.within(self.source_tokenizer.size, self.target_tokenizer.size)

    def captioned_split(self, name: str) -> CaptionedSplit:
        """A split of captioned images. Raises UserError if the folder holds text, or has no such split."""
        return CaptionedSplit(self.folder(name, IMAGES), self.target_tokenizer.size)

    def folder(self, name: str, modality: Modality) -> Path:
        """The folder of a split. Raises UserError if this folder is of another modality, or has no such
        split.
        """
        self._require(modality)
        if name not in self.splits:
            raise UserError(f"{self.path}: no split {name}; there are {', '.join(self.splits)}")
        return self.path / name

    def _require(self, modality: Modality) -> None:
        own = self.modality
        if own != modality:
            way_out = f"prepare a corpus of {modality.name}, or use a model that reads {own.name}"
            raise UserError(f"{self.path}: holds {own.data}, not {modality.data}: {way_out}")
