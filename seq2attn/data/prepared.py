"""A prepared folder: made from a corpus by `prepare`, opened memory-mapped by `Prepared`. Knows no file
format of raw text and no model.

prepared.json                  the report: what was read, kept, dropped and why, lengths, vocabularies, hashes
of the inputs
tokenizer.model                joint vocabulary; or source.model and target.model; of captioned images
target.model alone
train/ valid/ test*/           Arrow as `datasets` saves it: source, target (text as read), source_ids,
target_ids (without BOS and
                               EOS), and alignment where the corpus has gold word alignments; or images and
                               captions, see `captioned_split`
"""

import errno
import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import datasets
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from seq2attn import config, files, strict_json
from seq2attn.data import row_spool, saved
from seq2attn.data.batches import Texts
from seq2attn.data.corpus import Corpus, is_blank, is_split, shown
from seq2attn.data.images import store
from seq2attn.data.images.corpus import ImageCorpus
from seq2attn.data.images.dataset import CaptionedSplit
from seq2attn.data.images.store import Spool
from seq2attn.data.row_spool import Raw
from seq2attn.data.sources import open_corpus
from seq2attn.data.tokenizer import SAMPLE, SPECIALS, UNK, Tokenizer, VocabularyTooLarge, is_changed
from seq2attn.data.workers import each, end_with
from seq2attn.errors import UsageError, UserError
from seq2attn.version import __version__

FORMAT = 2  # 1 where no program before this one would misread it: of texts
REPORT = "prepared.json"
BLOCK = 200_000  # pairs that are encoded between two signs of progress
WORTH_A_WORKER = 5000  # pairs; a process that has fewer takes longer to start than it saves
_NORMALISED = "normalised"  # beside the reasons to drop a pair: how many lines of each side NFC changed
_NOT_NFC = "are not in the normal form NFC of Unicode: they are put in it"
EXAMPLES = 3  # places that are named of each reason to drop a pair

Progress = Callable[[str, int, int | None], None]


class Split(Texts):
    """The pairs of one split, memory-mapped: rows 0 .. len(self) - 1 in the order of the corpus."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            saved.arrow_files(path)
            self._table = datasets.load_from_disk(str(path)).data
            self._table.validate()
            self._source = _Lists(self._table.column("source_ids"), self._damaged)
            self._target = _Lists(self._table.column("target_ids"), self._damaged)
            for name in (
                "source",
                "target",
                *(["alignment"] if "alignment" in self._table.column_names else []),
            ):
                if self._table.column(name).type != pa.string() or self._table.column(name).null_count:
                    raise ValueError(f"{name} is not text in every row")
            if len(self) != len(self._target.lengths) or len(self) != self._table.num_rows:
                raise ValueError("sides of different lengths")
        except UserError as error:
            raise self._damaged(str(error).removesuffix("; save the dataset again")) from None
        except Exception as error:  # noqa: BLE001 - a foreign reader raises anything
            raise self._damaged(str(error)) from None

    def _damaged(self, problem: str) -> UserError:
        line = " ".join(problem.split())[:200]
        return UserError(f"{self.path}: damaged ({line}); run `seq2attn prepare` again")

    def within(self, source_size: int, target_size: int) -> Self:
        """The same split; ids that are not below the sizes of the vocabularies are refused where they are
        read.
        """
        self._source.size, self._target.size = source_size, target_size
        return self

    def __len__(self) -> int:
        return len(self._source.lengths)

    @property
    def source_lengths(self) -> NDArray[np.int32]:
        """(N,) in tokens, without BOS and EOS."""
        return self._source.lengths

    @property
    def target_lengths(self) -> NDArray[np.int32]:
        return self._target.lengths

    def ids(self, rows: NDArray[np.integer]) -> tuple[list[NDArray[np.int32]], list[NDArray[np.int32]]]:
        """Source ids and target ids of those rows: read-only views of the mapped file."""
        return self._source.take(rows), self._target.take(rows)

    def content(self) -> Iterator[NDArray[Any]]:
        """The same bytes as any other pairs of these ids, without a look at each."""
        yield from (self.source_lengths, self.target_lengths)
        yield from self._source.values()
        yield from self._target.values()

    def texts(self, start: int = 0, stop: int | None = None) -> tuple[list[str], list[str]]:
        """Source and target as the corpus has them, of rows start .. stop - 1. Raises UserError where they
        are damaged.
        """
        part = self._table.select(["source", "target"]).slice(
            start, max(0, min(stop if stop is not None else len(self), len(self)) - start)
        )
        return self._strings(part.column("source")), self._strings(part.column("target"))

    def _strings(self, column: pa.ChunkedArray) -> list[str]:
        try:
            column.validate(full=True)
        except pa.ArrowException as error:
            raise self._damaged(str(error)) from None
        strings: list[str] = column.to_pylist()
        return strings

    @property
    def gold(self) -> list[str] | None:
        """Gold word alignments (Pharaoh), one a row, where the corpus has them."""
        return (
            self._strings(self._table.column("alignment"))
            if "alignment" in self._table.column_names
            else None
        )

    @property
    def unknown(self) -> tuple[int, int]:
        """How many unknown tokens the sources and the targets have."""
        return self._source.count(UNK), self._target.count(UNK)


class _Lists:
    """A column of id lists, straight from its Arrow buffers. Ids are looked at when a part of them is first
    read, not when it is opened.
    """

    def __init__(self, column: pa.ChunkedArray, damaged: Callable[[str], UserError]) -> None:
        if column.type != pa.list_(pa.int32()) or column.null_count:
            raise ValueError("not a list of ids in every row")
        self.size = np.iinfo(np.int32).max  # of the vocabulary
        self._damaged = damaged
        chunks = [chunk for chunk in column.chunks if len(chunk)]
        self._offsets = [chunk.offsets.to_numpy() for chunk in chunks]
        self._values = [chunk.values.to_numpy(zero_copy_only=True) for chunk in chunks]
        self._ends = np.cumsum([len(chunk) for chunk in chunks], dtype=np.int64)
        self.lengths: NDArray[np.int32] = np.concatenate(
            [np.diff(offsets) for offsets in self._offsets] or [np.empty(0)]
        ).astype(np.int32)
        inside = all(
            offsets[0] >= 0 and offsets[-1] <= len(values)
            for offsets, values in zip(self._offsets, self._values, strict=True)
        )
        if len(self.lengths) and (self.lengths.min() < 0 or not inside):
            raise ValueError("lists of ids that overlap")
        self._unread = [True] * len(chunks)

    def take(self, rows: NDArray[np.integer]) -> list[NDArray[np.int32]]:
        chunks = np.searchsorted(self._ends, rows, side="right")
        places = rows - np.concatenate(([0], self._ends))[chunks]
        lists = []
        for chunk, place in zip(chunks.tolist(), places.tolist(), strict=True):
            offsets = self._offsets[chunk]
            if self._unread[chunk]:
                self._check(chunk)
            lists.append(self._values[chunk][offsets[place] : offsets[place + 1]])
        return lists

    def values(self) -> Iterator[NDArray[np.int32]]:
        """All ids, row after row, a chunk at a time."""
        for values, offsets in zip(self._values, self._offsets, strict=True):
            yield values[offsets[0] : offsets[-1]]

    def _check(self, chunk: int) -> None:
        """Raise UserError for ids that the vocabulary does not have."""
        ids = self._values[chunk][self._offsets[chunk][0] : self._offsets[chunk][-1]]
        if len(ids) and not (ids.min() >= 0 and ids.max() < self.size):
            raise self._damaged(f"ids that its vocabulary of {self.size:,} does not have")
        self._unread[chunk] = False

    def count(self, token: int) -> int:
        return sum(
            int(np.count_nonzero(values[o[0] : o[-1]] == token))
            for values, o in zip(self._values, self._offsets, strict=True)
        )


def _checked(report: object) -> dict[str, Any]:
    """The report of a prepared folder. Raises ValueError or TypeError for what is none."""
    if not isinstance(report, dict):
        raise TypeError("not an object")
    kinds = {"format": int, "seq2attn": str, "languages": list, "splits": dict, "options": dict}
    for name, kind in kinds.items():
        if not isinstance(report.get(name), kind):
            raise TypeError(f"no {name}" if name not in report else f"{name} is of the wrong kind")
    if len(report["languages"]) != 2 or not all(
        one is None or isinstance(one, str) for one in report["languages"]
    ):
        raise ValueError("languages are not two names")
    flags = {
        "images": report.get("images", False),
        "clips": report.get("clips", False),
        "joint": report["options"].get("joint"),
    }
    for name, flag in flags.items():
        if not isinstance(flag, bool):
            raise TypeError(f"{name} is neither true nor false")
    for name, facts in report["splits"].items():
        if not is_split(name):
            raise ValueError(
                f"a split may not be called {shown(repr(name)[:60])}: it is a folder of that name in this one"
            )
        if not isinstance(facts, dict):
            raise TypeError(f"the facts of {name} are of the wrong kind")
    return report


class Prepared:
    """What `prepare` made. Raises UserError when the folder is none, unfinished, damaged or from a newer
    version.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        file = self.path / REPORT
        if not file.is_file():
            problem = (
                "not a prepared folder (it has no prepared.json)" if self.path.exists() else "no such folder"
            )
            raise UserError(f"{self.path}: {problem}; make one with `seq2attn prepare CORPUS {self.path}`")
        try:
            self.report: dict[str, Any] = _checked(
                strict_json.parse(file.read_text(encoding="utf-8"), constants=True)
            )
        except OSError as error:
            raise UserError(f"{file}: {error.strerror}") from None
        except (ValueError, TypeError) as error:
            raise UserError(f"{file}: damaged ({str(error)[:200]}); run `seq2attn prepare` again") from None
        version, made_by = self.report["format"], self.report["seq2attn"]
        source, target = self.report["languages"]
        self.languages: tuple[str | None, str | None] = (source, target)
        self.splits: list[str] = list(self.report["splits"])
        self.images: bool = self.report.get("images", False)  # whether sources are images, not texts
        self.clips: bool = self.report.get("clips", False)
        self.joint: bool = self.report["options"]["joint"] and not self.images
        if version > FORMAT:
            raise UserError(
                f"{self.path}: prepared by seq2attn {made_by}, which is newer than this one ({__version__}): upgrade, or prepare it again"
            )

    @cached_property
    def source_tokenizer(self) -> Tokenizer:
        """Raises UserError where sources are images: those have none."""
        if self.images:
            raise UserError(
                f"{self.path}: holds captioned images, where text is wanted: prepare a corpus of text, or use a model that reads images"
            )
        return Tokenizer.load(self.path / ("tokenizer.model" if self.joint else "source.model"))

    @cached_property
    def target_tokenizer(self) -> Tokenizer:
        return self.source_tokenizer if self.joint else Tokenizer.load(self.path / "target.model")

    @property
    def source_size(self) -> int:
        """Pieces of the source's vocabulary; 0 where sources are images."""
        return 0 if self.images else self.source_tokenizer.size

    @property
    def tokenizers(self) -> tuple[str, ...]:
        """The files of its tokenizers."""
        return (
            ("tokenizer.model",)
            if self.joint
            else ("target.model",)
            if self.images
            else ("source.model", "target.model")
        )

    def split(self, name: str) -> Split:
        """Of texts. Raises UserError where the folder holds images, or has no such split."""
        if self.images:
            raise UserError(
                f"{self.path}: holds captioned images, where text is wanted: prepare a corpus of text, or use a model that reads images"
            )
        split = Split(self._folder(name))
        kept = self.report["splits"][name].get("kept")
        if isinstance(kept, int) and kept != len(split):
            problem = f"{name} has {len(split):,} pairs, and {REPORT} says {kept:,}"
            raise UserError(f"{self.path}: damaged ({problem}); run `seq2attn prepare` again")
        return split.within(self.source_tokenizer.size, self.target_tokenizer.size)

    def captioned_split(self, name: str) -> CaptionedSplit:
        """Of captioned images, likewise."""
        if not self.images:
            raise UserError(
                f"{self.path}: holds text, where captioned images are wanted: prepare a corpus of images, or use a model that reads text"
            )
        return CaptionedSplit(self._folder(name), self.target_tokenizer.size)

    def _folder(self, name: str) -> Path:
        if name not in self.splits:
            raise UserError(f"{self.path}: no split {name}; there are {', '.join(self.splits)}")
        return self.path / name


def default_tokenizer(opened: Corpus | ImageCorpus) -> Literal["unigram", "word"]:
    """The kind of tokenizer of a corpus for which none is asked: captions are read word by word."""
    return "word" if isinstance(opened, ImageCorpus) else "unigram"


def prepare(
    corpus: str,
    out: Path,
    options: config.DataConfig,
    *,
    valid: int | None = None,
    test: int | None = None,
    workers: int = 1,
    force: bool = False,
    seed: int = 1,
    shrink: bool = False,
    progress: Progress = lambda stage, done, total: None,
) -> dict[str, Any]:
    """Make the prepared folder `out` from a corpus and return its report. `out` is complete or, whatever
    happens, untouched.

    `valid` and `test` pairs are set aside from a corpus that has no such split (None: a twentieth, 1,000 at
    most, when it has no split
    at all). Training pairs that are empty on a side, too long or too unequal are dropped and counted; the
    other splits keep every pair. With `shrink`, a text
    that does not hold `options.vocab_size` pieces gets half of those that it holds, which the report says;
    without, it is refused.
    """
    if shown(out) != str(out):
        raise UserError(f"{shown(out)}: a path that is not UTF-8; choose another name")
    with _put_in_place(Path(out), force) as folder, _quiet_datasets():
        opened = open_corpus(corpus, options.source, options.target, options.max_bad, options.follow_links)
        work = folder / "work"
        work.mkdir()
        if options.tokenizer is None:
            options = options.model_copy(update={"tokenizer": default_tokenizer(opened)})
        if isinstance(opened, ImageCorpus):
            report = _prepare_images(
                opened, folder, options, valid, test, workers, seed, shrink, work, progress
            )
            _finish(folder, report, opened.inputs)
            return report
        splits = _split(
            opened,
            row_spool.write(opened.rows(), work, progress),
            work,
            valid,
            test,
            seed,
            row_spool.hold_out,
        )
        progress("training the tokenizer", 0, None)
        source, target = _tokenizers(splits["train"], options, seed, shrink)
        _note_size(opened.notes, min(source.size, target.size), options)
        if options.joint:
            source.save(folder / "tokenizer.model")
        else:
            source.save(folder / "source.model")
            target.save(folder / "target.model")
        report = _report(
            opened.name, opened.languages, options, seed, (source.size, target.size), opened.notes
        )
        train_keys = splits["train"].keys
        for name, part in splits.items():
            limits = options if name == "train" else None
            dropped, normalised = _encode(
                part, folder / name, name, source, target, limits, workers, work, progress
            )
            report["splits"][name] = {"read": len(part.keys), **_described(Split(folder / name), dropped)}
            for side, count in normalised.items():
                report["splits"][name][side]["normalised"] = count
            if any(normalised.values()):
                sides = " and ".join(f"{count:,} {side}" for side, count in normalised.items() if count)
                opened.notes.append(f"{name}: {sides} lines {_NOT_NFC}")
            if name != "train":
                report["splits"][name]["sources_in_train"] = int(np.isin(part.keys, train_keys).sum())
            part.path.unlink()
        _finish(folder, report, opened.inputs)
    return report


def _prepare_images(
    corpus: ImageCorpus,
    folder: Path,
    options: config.DataConfig,
    valid: int | None,
    test: int | None,
    workers: int,
    seed: int,
    shrink: bool,
    work: Path,
    progress: Progress,
) -> dict[str, Any]:
    read, missing = store.read(corpus, work, options.max_missing, workers, progress)
    splits = _split(corpus, read, work, valid, test, seed, store.hold_out, "image", "equal images")
    progress("training the tokenizer", 0, None)
    target = _trained(
        lambda: (caption for written in splits["train"].written for caption in written.captions),
        options,
        seed,
        shrink,
    )
    _note_size(corpus.notes, target.size, options)
    if missing.count:
        are = "image is" if missing.count == 1 else "images are"
        corpus.notes.append(f"{missing.count:,} {are} missing or damaged, and left out: {missing}")
    target.save(folder / "target.model")
    report = _report(corpus.name, (None, corpus.language), options, seed, (0, target.size), corpus.notes)
    report |= {
        "images": True,
        "clips": corpus.clips,
        "missing": {"images": missing.count, "examples": missing.examples},
    }
    train_keys = set(splits["train"].keys)
    for name, spool in splits.items():
        dropped = store.encode(spool, folder / name, target, options if name == "train" else None, progress)
        split = CaptionedSplit(folder / name)
        unknown = sum(int(np.count_nonzero(ids == UNK)) for ids in split.target_ids)
        shared = None if name == "train" else sum(key in train_keys for key in spool.keys)
        report["splits"][name] = store.described(
            split.target_lengths, unknown, len(split.names), dropped, shared
        )
        normalised = sum(is_changed(caption) for written in spool.written for caption in written.captions)
        report["splits"][name]["target"]["normalised"] = normalised
        if normalised:
            corpus.notes.append(f"{name}: {normalised:,} captions {_NOT_NFC}")
    return report


def _report(
    name: str,
    languages: tuple[str | None, str | None],
    options: config.DataConfig,
    seed: int,
    sizes: tuple[int, int],
    notes: list[str],
) -> dict[str, Any]:
    return {
        "seq2attn": __version__,
        "format": 1 if sizes[0] else FORMAT,
        "corpus": name,
        "languages": list(languages),
        "options": options.model_dump(mode="json"),
        "seed": seed,
        "vocabulary": {"source": sizes[0], "target": sizes[1]},
        "notes": notes,
        "splits": {},
        "inputs": [],
    }


def _finish(folder: Path, report: dict[str, Any], inputs: list[Path]) -> None:
    report["inputs"] = [_fingerprint(path) for path in inputs]
    shutil.rmtree(folder / "work")
    files.write(folder / REPORT, (json.dumps(report, ensure_ascii=False, indent=2) + "\n").encode())


def _note_size(notes: list[str], size: int, options: config.DataConfig) -> None:
    if size < options.vocab_size and options.tokenizer in ("unigram", "bpe"):
        notes.append(
            f"the text does not hold {options.vocab_size:,} different pieces: the vocabulary is smaller, {size:,}"
        )


Part = TypeVar("Part", Raw, Spool)


def _split(
    corpus: Corpus | ImageCorpus,
    read: dict[str, Part],
    work: Path,
    valid: int | None,
    test: int | None,
    seed: int,
    hold_out: Callable[[Part, Path, int, int, int], dict[str, Part]],
    unit: str = "pair",
    together: str = "pairs of one source",
) -> dict[str, Part]:
    """Train first, then valid and the tests; set aside from train what is asked for and not there."""
    undivided = read.pop(row_spool.UNDIVIDED, None)
    for option, asked, there in (
        ("--valid", valid, "valid" in read),
        ("--test", test, any(name.startswith("test") for name in read)),
    ):
        if asked and there:
            raise UsageError(
                f"{corpus.name} has its own {option.removeprefix('--')} split: leave {option} out"
            )
    if undivided is not None and "train" in read:
        raise UserError(f"{corpus.name}: some rows name their split and others do not")
    train = undivided or read.pop("train", None)
    if train is None or not len(train.keys):
        found = ", ".join(read)
        raise UserError(
            f"{corpus.name}: empty: there is no {unit} in it"
            if not found
            else f"{corpus.name}: no {unit} to train on; its splits are: {found}"
        )
    if not read:
        usual = min(1000, int(np.count_nonzero(train.keys)) // 20)
        valid, test = usual if valid is None else valid, usual if test is None else test
    if valid or test:
        read |= hold_out(train, work, valid or 0, test or 0, seed)
        for name, asked in (("valid", valid), ("test", test)):
            got = len(read[name].keys) if name in read else 0
            if asked and got < asked:  # equal sentences stay together, and those left are too many
                corpus.notes.append(
                    f"{name}: {got:,} {unit}s are set aside, not {asked:,}: {together} stay together"
                )
    else:
        read["train"] = train
    return {name: read[name] for name in sorted(read, key=lambda name: ("train", "valid", name).index(name))}


def _trained(
    texts: Callable[[], Iterable[str]], options: config.DataConfig, seed: int, shrink: bool
) -> Tokenizer:
    """A tokenizer of as many pieces as the options wish for or, with `shrink`, as the texts have use for."""

    def of_size(size: int) -> Tokenizer:
        return Tokenizer.train(texts(), size, options.tokenizer or "unigram", options.lowercase, seed)

    try:
        return of_size(options.vocab_size)
    except VocabularyTooLarge as error:
        if not shrink:
            raise
        largest = error.largest
    try:
        # all that the text holds would be a piece for every word that it has twice
        return of_size(max(largest // 2, len(SPECIALS) + 1))
    except UserError:
        return of_size(largest)  # half is not enough for the characters


def _tokenizers(
    train: Raw, options: config.DataConfig, seed: int, shrink: bool
) -> tuple[Tokenizer, Tokenizer]:
    def trained(*columns: str) -> Tokenizer:
        return _trained(lambda: train.texts(columns, SAMPLE // len(columns), seed), options, seed, shrink)

    if options.joint:
        joint = trained("source", "target")
        return joint, joint
    return trained("source"), trained("target")


def _encode(
    part: Raw,
    out: Path,
    name: str,
    source: Tokenizer,
    target: Tokenizer,
    limits: config.DataConfig | None,
    workers: int,
    work: Path,
    progress: Progress,
) -> tuple[dict[str, dict[str, Any]], Counter[str]]:
    """Encode one split into `out`; what was dropped, by reason, and how many lines of each side NFC changed."""
    rows = datasets.Dataset.from_file(str(part.path))
    gold = next(
        (True for batch in part.batches() if batch.column("alignment").null_count < batch.num_rows), False
    )
    ids = datasets.List(datasets.Value("int32"))
    text = datasets.Value("string")
    features = datasets.Features(
        {"source": text, "target": text, "source_ids": ids, "target_ids": ids}
        | ({"alignment": text} if gold else {})
    )
    counts: Counter[str] = Counter()
    normalised = Counter({"source": 0, "target": 0})
    examples: dict[str, list[str]] = {}
    blocks = []
    for first in range(0, len(rows), BLOCK):
        progress(f"encoding {name}", first, len(rows))
        block = rows.select(range(first, min(first + BLOCK, len(rows)))).with_format("arrow")
        drops = work / f"{name}-{first}"
        drops.mkdir()
        processes = min(workers, -(-len(block) // WORTH_A_WORKER)) or 1
        options = {
            "source": source,
            "target": target,
            "limits": limits,
            "gold": gold,
            "drops": drops,
            "parent": os.getpid(),
        }
        share = partial(
            _encode_share,
            shares=processes,
            block=block,
            features=features,
            fingerprint=f"{name}-{first}",
            options=options,
        )
        if processes > 1:
            each(share, processes)
        # from the files of the processes, if there were any
        blocks += [share(rank) for rank in range(processes)]
        for file in sorted(drops.glob("*.jsonl")):
            with file.open(encoding="utf-8") as lines:
                for line in lines:
                    reason, place = json.loads(line)
                    if reason == _NORMALISED:
                        normalised += Counter(place)
                        continue
                    counts[reason] += 1
                    if len(examples.setdefault(reason, [])) < EXAMPLES:
                        examples[reason].append(place)
    dropped = {reason: {"pairs": counts[reason], "examples": examples[reason]} for reason in sorted(counts)}
    if sum(counts.values()) == len(rows):
        raise UserError(f"no training pair is left: {_reasons(dropped)}")
    datasets.concatenate_datasets(blocks).save_to_disk(str(out))
    progress(f"encoding {name}", len(rows), len(rows))
    for first in range(0, len(rows), BLOCK):
        shutil.rmtree(work / f"{name}-{first}")
    return dropped, Counter({side: normalised[side] for side in ("source", "target")})


def _encode_share(
    rank: int,
    *,
    shares: int,
    block: datasets.Dataset,
    features: datasets.Features,
    fingerprint: str,
    options: dict[str, Any],
) -> datasets.Dataset:
    """One of equal shares of a block with its ids, from its file if that is made already."""
    share = block.shard(num_shards=shares, index=rank, contiguous=True) if shares > 1 else block
    encoded = share.map(
        _encode_table,
        batched=True,
        batch_size=1000,
        remove_columns=block.column_names,
        features=features,
        fn_kwargs=options | {"rank": rank},
        load_from_cache_file=True,
        cache_file_name=str(options["drops"] / f"encoded-{rank:05d}.arrow"),
        new_fingerprint=f"{fingerprint}-{rank}",
        writer_batch_size=10_000,
    )
    return encoded.with_format(None)


def _encode_table(
    table: pa.Table,
    *,
    source: Tokenizer,
    target: Tokenizer,
    limits: config.DataConfig | None,
    gold: bool,
    drops: Path,
    parent: int,
    rank: int,
) -> pa.Table:
    """One batch of raw rows with its ids; runs in a worker. What it drops goes to a file of its own."""
    end_with(parent)
    texts = {side: table[side].to_pylist() for side in ("source", "target")}
    source_ids, target_ids = source.encode_batch(texts["source"]), target.encode_batch(texts["target"])
    notes: list[tuple[str, object]] = []
    if any(changed := {side: sum(map(is_changed, texts[side])) for side in texts}.values()):
        notes.append((_NORMALISED, dict(zip(texts, changed, strict=True))))
    columns = {"source": table["source"], "target": table["target"]}
    columns |= {
        "source_ids": pa.array(source_ids, pa.list_(pa.int32())),
        "target_ids": pa.array(target_ids, pa.list_(pa.int32())),
    }
    if gold:
        columns["alignment"] = table["alignment"].fill_null("")
    encoded = pa.table(columns)
    if limits is not None:
        rows = zip(*texts.values(), source_ids, target_ids, strict=True)
        reasons = [_reason(s, t, len(i), len(j), limits) for s, t, i, j in rows]
        if any(reasons):
            notes += [
                (reason, place)
                for reason, place in zip(reasons, table["place"].to_pylist(), strict=True)
                if reason
            ]
            encoded = encoded.filter(pa.array([reason is None for reason in reasons]))
    if notes:
        with (drops / f"{rank:05d}.jsonl").open("a", encoding="utf-8") as file:
            file.writelines(f"{json.dumps(note)}\n" for note in notes)
    return encoded


def _reason(
    source: str, target: str, source_length: int, target_length: int, limits: config.DataConfig
) -> str | None:
    if is_blank(source) or is_blank(target):
        return "empty"
    shorter, longer = sorted((source_length, target_length))
    if longer > limits.max_length:
        return "too long"
    if longer > limits.max_ratio * shorter:
        return "lengths too unequal"
    return None


def _described(split: Split, dropped: dict[str, dict[str, Any]]) -> dict[str, Any]:
    described: dict[str, Any] = {"kept": len(split), "dropped": dropped}
    for side, lengths, unknown in (
        ("source", split.source_lengths, split.unknown[0]),
        ("target", split.target_lengths, split.unknown[1]),
    ):
        tokens = int(lengths.sum(dtype=np.int64))
        quantiles = (
            dict(
                zip(
                    ("50%", "90%", "99%", "100%"),
                    np.quantile(lengths, (0.5, 0.9, 0.99, 1), method="inverted_cdf").tolist(),
                    strict=True,
                )
            )
            if len(lengths)
            else {}
        )
        described[side] = {
            "tokens": tokens,
            "unknown": unknown,
            "unknown_rate": unknown / max(tokens, 1),
            "length": quantiles,
        }
    return described


def _reasons(dropped: dict[str, dict[str, Any]]) -> str:
    return "; ".join(
        f"{facts['pairs']:,} {reason} ({', '.join(facts['examples'])}{', ...' if facts['pairs'] > len(facts['examples']) else ''})"
        for reason, facts in dropped.items()
    )


def _fingerprint(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {
            "file": shown(path),
            "bytes": path.stat().st_size,
            "sha256": hashlib.file_digest(file, "sha256").hexdigest(),
        }


@contextmanager
def _put_in_place(out: Path, force: bool) -> Iterator[Path]:
    """A new folder that takes the place of `out` when the body ends well, and is gone otherwise."""
    folder: Path | None = None
    try:
        with files.replace_folder(out, lambda: _refuse_existing(out, force)) as folder:
            yield folder
    except OSError as error:  # of the body: of what it reads, or of what it writes
        raise _worded(error, out, folder) from error
    except UserError as error:  # of a file in the new folder, whose name means nothing to the user
        if folder is None or str(folder) not in str(error) or not isinstance(error.__cause__, OSError):
            raise
        raise _worded(error.__cause__, out, folder) from error


def _worded(error: OSError, out: Path, folder: Path | None) -> UserError:
    if files.number_of(error) in (errno.ENOSPC, errno.EDQUOT):
        return UserError(
            f"{out.parent}: no space left on the disk; preparing takes about four times the room of the text: make room, or write elsewhere"
        )
    refused = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else out
    if folder is None or refused == out or folder in (refused, *refused.parents):
        return files.refusal(out, error)
    return UserError(f"{refused}: {os.strerror(error.errno) if error.errno else str(error).splitlines()[0]}")


def _refuse_existing(out: Path, force: bool) -> None:
    if os.path.lexists(out) and not (out.is_dir() and not any(out.iterdir())):
        if not force:
            raise UserError(f"{out} exists: choose another name, or replace it with --force")
        if not (out / REPORT).is_file():
            raise UserError(
                f"{out} is not a prepared folder, so --force does not replace it: choose another name, or remove it yourself"
            )


@contextmanager
def _quiet_datasets() -> Iterator[None]:
    """No bars and no notes of `datasets` (they would go between ours), and the caller's settings afterwards."""
    level, bars = datasets.logging.get_verbosity(), datasets.are_progress_bars_disabled()
    datasets.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        datasets.logging.set_verbosity(level)
        if not bars:
            datasets.enable_progress_bars()
