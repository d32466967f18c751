"""A corpus of pairs of texts, which yields its rows one by one. This module knows no format of files."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from seq2attn.config import TEXT, Modality
from seq2attn.data.corpus import Row
from seq2attn.data.preparation import Preparation


@dataclass(frozen=True)
class Corpus:
    """Pairs of texts. `rows()` reads all of them once, in order, and holds one row at a time."""

    modality: ClassVar[Modality] = TEXT
    default_tokenizer: ClassVar[str] = "unigram"
    format: ClassVar[int] = 1

    name: str
    languages: tuple[str | None, str | None]
    rows: Callable[[], Iterator[Row]]
    inputs: list[Path] = field(default_factory=list)  # the files that are read
    notes: list[str] = field(default_factory=list)  # decisions that the user is told of
    top_weight: float = 1.0  # the largest of its rows
    has_weights: bool = False  # whether a weight is not 1

    def prepare(self, request: Preparation) -> dict[str, Any]:
        from seq2attn.data.text.prepare import prepare_text

        return prepare_text(self, request)
