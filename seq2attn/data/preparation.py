"""What the preparation of text and of images has in common.

That is the request, the division into splits, the tokenizer, and the facts about a split in the report.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from seq2attn.config import DataConfig, Modality
from seq2attn.data.more_subwords import with_more_subwords
from seq2attn.data.spool import UNDIVIDED, Spool, hold_out
from seq2attn.data.tokenizer import SPECIALS, Tokenizer, VocabularyTooLarge
from seq2attn.errors import UsageError, UserError
from seq2attn.progress import Progress

if TYPE_CHECKING:
    from seq2attn.data.linking import Linker

NOT_NFC = "are not in the normal form NFC of Unicode: they are put in it"
T = TypeVar("T")


@dataclass(frozen=True)
class GivenVocabulary:
    """The tokenizers of a run, for data on which it goes on: none is learned from the corpus."""

    source: Tokenizer | None  # None if sources are no text
    target: Tokenizer  # the same object as `source`, or its `of_target`, for a joint vocabulary
    origin: str  # the run, for people
    more: int = 0  # subwords that each gets, learned from the corpus

    @property
    def joint(self) -> bool:
        return self.source is not None and (
            self.target is self.source or self.target is self.source.of_target
        )

    def tokenizer(self, column: str, texts: Callable[[], Iterable[str]], seed: int) -> Tokenizer:
        """The tokenizer for a column of the corpus, "source" or "target". `texts` are those to learn from."""
        own = self.source if column == "source" and self.source is not None else self.target
        return with_more_subwords(own, texts(), self.more, seed) if self.more else own

    @property
    def fingerprint(self) -> str:
        """A hash of the tokenizers and of how many subwords they get."""
        digest = hashlib.sha256(f"{self.more}".encode())
        for tokenizer in (self.source, self.target):
            digest.update(b"" if tokenizer is None else tokenizer.model)
        return digest.hexdigest()[:32]

    def note(self, sizes: Mapping[str, int]) -> str:
        """A line for people on vocabularies of these sizes, by side."""
        before = {"source": self.source.size if self.source is not None else 0, "target": self.target.size}
        more = {side: size - before[side] for side, size in sizes.items() if size > before[side]}
        if self.joint:
            more.pop("source", None)
        added = " and ".join(f"{count:,} more {side} subwords" for side, count in more.items())
        if self.joint:
            added = added.replace("more target", "more")
        return f"the vocabulary is that of {self.origin}" + (f", with {added}" if added else "")


@dataclass(frozen=True)
class Preparation:
    """How a corpus becomes a prepared folder."""

    folder: Path  # to be filled
    work: Path  # a folder in it for temporary files
    options: DataConfig
    valid: int | None  # rows to hold out; None: a twentieth, at most 1,000, if the corpus has no such split
    test: int | None
    workers: int
    seed: int
    shrink: bool  # whether a vocabulary that is too large for the text is made smaller
    stage: Callable[[str], Progress]  # the progress callback of a stage with this name
    linker: "Linker | None" = None  # links the words of training pairs; None: the corpus alone
    vocabulary: GivenVocabulary | None = None  # None: it is learned from the corpus
    clean_table: Path | None = None  # the table to write of the pairs after cleaning

    def limits(self, split: str) -> DataConfig | None:
        """The options that drop pairs of a split; None for other splits than train, which keep all pairs."""
        return self.options if split == "train" else None


class AnyCorpus(Protocol):
    """A corpus of any modality."""

    modality: ClassVar[Modality]
    default_tokenizer: ClassVar[str]  # of the targets
    format: ClassVar[int]  # version of the format of its prepared splits

    @property
    def name(self) -> str: ...
    @property
    def languages(self) -> tuple[str | None, str | None]:
        """Of the sources and of the targets."""

    @property
    def inputs(self) -> list[Path]:
        """The files that are read."""

    @property
    def notes(self) -> list[str]:
        """Decisions that the user is told of."""

    def prepare(self, request: Preparation) -> dict[str, Any]:
        """Write the tokenizers and the splits into `request.folder`.

        Returns what is particular to the modality in the report: the sizes of the vocabularies, the facts of
        each split (at least `kept` and `dropped`) and, but for text, a flag with the name of the modality.
        """


def divide(
    corpus: AnyCorpus, spools: dict[str, Spool[T]], request: Preparation, unit: str, together: str
) -> dict[str, Spool[T]]:
    """Train first, then valid and the test splits.

    `request.valid` and `request.test` rows are held out of train.

    `unit` names a row for people, and `together` the rows that stay in one split. Raises UsageError if the
    corpus has a split that is to be held out, UserError if there is nothing to train on.
    """
    spools = dict(spools)
    undivided = spools.pop(UNDIVIDED, None)
    for setting, number, exists in (
        ("valid", request.valid, "valid" in spools),
        ("test", request.test, any(name.startswith("test") for name in spools)),
    ):
        if number and exists:
            problem = f"{corpus.name} has its own {setting} split: leave `{setting}` out"
            raise UsageError(problem, setting=setting)
    if undivided is not None and "train" in spools:
        raise UserError(f"{corpus.name}: some rows name their split and others do not")
    train = undivided or spools.pop("train", None)
    if train is None or not len(train.keys):
        if not spools:
            raise UserError(f"{corpus.name}: empty: there is no {unit} in it")
        raise UserError(f"{corpus.name}: no {unit} to train on; its splits are: {', '.join(spools)}")
    valid, test = request.valid, request.test
    if not spools:
        usual = min(1000, int(np.count_nonzero(train.keys)) // 20)
        valid, test = usual if valid is None else valid, usual if test is None else test
    if valid or test:
        spools |= hold_out(train, request.work, valid or 0, test or 0, request.seed, unit)
        for name, number in (("valid", valid), ("test", test)):
            rows = len(spools[name].keys) if name in spools else 0
            if number and rows < number:  # rows of one key stay together, and the groups left are too large
                fact = f"{name}: {rows:,} {unit}s are set aside, not {number:,}"
                corpus.notes.append(f"{fact}: {together} stay together")
    else:
        spools["train"] = train
    order = sorted(spools, key=lambda name: ("train", "valid", name).index(name))
    return {name: spools[name] for name in order}


def train_tokenizer(
    texts: Callable[[], Iterable[str]], request: Preparation, column: str = "target", markers: str = ""
) -> Tokenizer:
    """A tokenizer with `vocab_size` tokens or, with `shrink`, with fewer if the texts do not hold so many.

    `column`, source or target, says which of a given vocabulary is meant. Each character of `markers` is one
    of the tokens.
    """
    options = request.options
    if request.vocabulary is not None:
        return request.vocabulary.tokenizer(column, texts, request.seed)

    def of_size(size: int) -> Tokenizer:
        kind = options.tokenizer or "unigram"
        return Tokenizer.train(texts(), size, kind, options.lowercase, request.seed, markers)

    try:
        return of_size(options.most_tokens)
    except VocabularyTooLarge as error:
        if not request.shrink:
            raise
        largest = error.largest
    try:
        # The largest vocabulary would have a token for every word that the texts have twice.
        return of_size(max(largest // 2, len(SPECIALS) + 1))
    except UserError:
        return of_size(largest)  # half is not enough for the characters


def note_small_vocabulary(notes: list[str], size: int, request: Preparation) -> None:
    options = request.options
    if request.vocabulary is not None:
        return
    if size < options.most_tokens and options.tokenizer in ("unigram", "bpe"):
        fact = f"the text does not hold {options.most_tokens:,} different subwords"
        notes.append(f"{fact}: the vocabulary is smaller, {size:,}")


class Drops:
    """Rows that are dropped: their number and a few examples for each reason."""

    EXAMPLES = 3  # places that are named for each reason, at most

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, list[str]] = {}

    def add(self, reason: str, place: str) -> None:
        self._counts[reason] += 1
        if len(examples := self._examples.setdefault(reason, [])) < self.EXAMPLES:
            examples.append(place)

    def add_all(self, reason: str, count: int, places: list[str]) -> None:
        """Add `count` rows, of which `places` are the first ones."""
        self._counts[reason] += count
        examples = self._examples.setdefault(reason, [])
        examples += places[: self.EXAMPLES - len(examples)]

    def add_other(self, other: "Drops") -> None:
        for reason, count in other._counts.items():
            self.add_all(reason, count, other._examples[reason])

    @property
    def total(self) -> int:
        return self._counts.total()

    def report(self) -> dict[str, dict[str, Any]]:
        return {
            reason: {"pairs": self._counts[reason], "examples": self._examples[reason]}
            for reason in sorted(self._counts)
        }

    def __str__(self) -> str:
        parts = []
        for reason, count in sorted(self._counts.items()):
            examples = self._examples[reason]
            more = ", ..." if count > len(examples) else ""
            parts.append(f"{count:,} {reason} ({', '.join(examples)}{more})")
        return "; ".join(parts)


def token_statistics(lengths: NDArray[np.integer], unknown: int) -> dict[str, Any]:
    """The report's facts about one side of a split, from the tokens (N,) of each text."""
    tokens = int(lengths.sum(dtype=np.int64))
    names, shares = ("50%", "90%", "99%", "100%"), (0.5, 0.9, 0.99, 1)
    quantiles = np.quantile(lengths, shares, method="inverted_cdf").tolist() if len(lengths) else []
    return {
        "tokens": tokens,
        "unknown": unknown,
        "unknown_rate": unknown / max(tokens, 1),
        "length": dict(zip(names, quantiles, strict=False)),
    }
