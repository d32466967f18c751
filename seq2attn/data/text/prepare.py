"""The splits of a prepared folder from a corpus of text: spooled, divided and encoded."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from seq2attn.data import marks, splits
from seq2attn.data.corpus import Row
from seq2attn.data.formats.text import is_blank
from seq2attn.data.linking import with_links
from seq2attn.data.preparation import (
    NOT_NFC,
    Drops,
    Preparation,
    divide,
    note_small_vocabulary,
    token_statistics,
    train_tokenizer,
)
from seq2attn.data.spool import UNDIVIDED, Entry, Format, Spool, write_spools
from seq2attn.data.text import clean_pairs
from seq2attn.data.text.cleaner import DUPLICATES, TEST_SENTENCES, Cleaner
from seq2attn.data.text.corpus import Corpus
from seq2attn.data.text.dataset import TextSplit
from seq2attn.data.text.encoding import MARKED, NORMALISED, PLAIN_MARKS, WEIGHT, encode_split
from seq2attn.data.text.link_direction import from_source
from seq2attn.data.text.protection import MARKERS, mark_pair
from seq2attn.data.text.repeats import (
    SOURCE_KEY,
    TARGET_KEY,
    keys_of,
    without_duplicates,
    without_sentences_of,
)
from seq2attn.data.text.tags import missing_tags, tags_of, with_tags, without_tag
from seq2attn.data.tokenizer import SAMPLE, Tokenizer
from seq2attn.data.vocabulary_size import with_number
from seq2attn.errors import UsageError, UserError
from seq2attn.progress import Progress

SIDES = ("source", "target")
NO_ITEMS = (
    "protect: no pair of train has a placeholder, URL, e-mail address, number or tag on both sides, so the "
    "model would learn no marker; leave it out"
)
_WAY_OUT = "; `keep` leaves faults as they are"
_NOT_PLAIN = "have other dashes, quotes or spaces than plain ones: they are read as plain ones"
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("source", "target", "place", "alignment")),
        *((name, pa.uint64()) for name in (SOURCE_KEY, TARGET_KEY)),
        (WEIGHT, pa.float64()),
    ]
)
_SPOOL = Format(SCHEMA, max_rows=8192, max_size=1 << 23)  # size: characters


def prepare_text(corpus: Corpus, request: Preparation) -> dict[str, Any]:
    """Tokenizers and splits into `request.folder`; what is particular to text in the report."""
    cleaner = Cleaner(request.options, corpus.languages)
    rows = cleaner.rows(from_source(corpus.rows(), corpus.notes))
    spools = write_spools(_entries(rows, corpus.top_weight, request.stage("reading")), request.work, _SPOOL)
    spools = _divide(corpus, spools, cleaner, request)
    if request.clean_table is not None:
        clean_pairs.write(request.clean_table, spools, corpus.languages)
    if request.linker is not None:
        progress = request.stage("linking words")
        spools["train"] = with_links(spools["train"], request.linker, request.work, progress)
    request.stage("training the tokenizer")(0, None)
    train = spools["train"]
    texts = partial(train.sample, ("source", "target"), SAMPLE // 2, request.seed)
    request = with_number(request, len(train.keys), texts)
    source, target = _train_tokenizers(train, request, corpus.notes)
    note_small_vocabulary(corpus.notes, min(source.size, target.size), request)
    if target is source.of_target:
        source.save(request.folder / "tokenizer.model")
    else:
        source.save(request.folder / "source.model")
        target.save(request.folder / "target.model")
    report: dict[str, Any] = {}
    train_keys = keys_of(train, SOURCE_KEY)
    for name, spool in spools.items():
        out = request.folder / name
        before = cleaner.drops if name == "train" else Drops()
        drops, changed = encode_split(spool.path, out, source, target, request, before)
        read = len(spool.keys) + before.total
        if name == "train":
            corpus.notes.extend(cleaner.warnings(read))
            drops.add_other(before)
        report[name] = {"read": read, **_describe(TextSplit(out)), "dropped": drops.report()}
        if request.options.protect:
            report[name][MARKED] = changed[MARKED]
            corpus.notes.append(f"{name}: {changed[MARKED]:,} pairs have markers of what both sides have")
            if name == "train" and not changed[MARKED]:
                raise UsageError(NO_ITEMS, setting="protect")
        if name == "train" and cleaner.mends.total:
            report[name]["mended"] = cleaner.mends.report()
        for kind, text in ((NORMALISED, NOT_NFC), (PLAIN_MARKS, _NOT_PLAIN)):
            counts = {side: changed[f"{kind} {side}"] for side in ("source", "target")}
            for side, count in counts.items():
                report[name][side] |= {kind: count} if count or kind == NORMALISED else {}
            if any(counts.values()):
                sides = " and ".join(f"{count:,} {side}" for side, count in counts.items() if count)
                corpus.notes.append(f"{name}: {sides} lines {text}")
        if name != "train":
            report[name]["sources_in_train"] = int(np.isin(keys_of(spool, SOURCE_KEY), train_keys).sum())
        spool.path.unlink()
    return {
        "options": request.options.model_dump(mode="json"),  # with a number for the size of the vocabulary
        "vocabulary": {"source": source.size, "target": target.size},
        "splits": report,
    }


def _divide(
    corpus: Corpus, spools: dict[str, Spool[None]], cleaner: Cleaner, request: Preparation
) -> dict[str, Spool[None]]:
    """The splits, without pairs that come twice and without sentences of the others in train."""
    undivided = UNDIVIDED if UNDIVIDED in spools else "train"
    if cleaner.drops.total and undivided not in spools:
        raise UserError(f"no training pair is left: {cleaner.drops}{_WAY_OUT}")
    if DUPLICATES not in cleaner.keep and undivided in spools:
        spools[undivided] = without_duplicates(spools[undivided], cleaner.drops, DUPLICATES)
    spools = divide(corpus, spools, request, "pair", "pairs of one source")
    if TEST_SENTENCES not in cleaner.keep:
        others = [spool for name, spool in spools.items() if name != "train"]
        spools["train"] = without_sentences_of(others, spools["train"], cleaner.drops, TEST_SENTENCES)
        if not len(spools["train"].keys):
            raise UserError(f"no training pair is left: {cleaner.drops}{_WAY_OUT}")
    return spools


def _entries(rows: Iterator[Row], top_weight: float, progress: Progress) -> Iterator[Entry[None]]:
    number = 0
    for number, row in enumerate(rows, 1):
        blank = is_blank(row.source) or is_blank(row.target)
        keys = [splits.NEVER if blank else splits.key(text) for text in (row.source, row.target)]
        key = keys[0] if row.weight == top_weight else splits.NEVER
        cells = (row.source, row.target, row.place, row.alignment, *keys, row.weight)
        yield Entry(row.split, cells, key, len(row.source) + len(row.target), None)
        if number % 20_000 == 0:
            progress(number, None)
    progress(number, number)


def _train_tokenizers(
    train: Spool[None], request: Preparation, notes: list[str]
) -> tuple[Tokenizer, Tokenizer]:
    """The tokenizers of source and target. Each tag of a source is a token of the source's vocabulary."""
    markers = MARKERS if request.options.protect else ""

    def texts(columns: Sequence[str]) -> Iterator[str]:
        most = SAMPLE // len(columns)
        plain = {side: marks.plain for side in columns if side in _plain_sides(request)}
        if not markers:
            yield from train.sample(tuple(columns), most, request.seed, plain)
            return
        sides = (train.sample((side,), most, request.seed, plain) for side in SIDES)
        for pair in zip(*sides, strict=True):
            marked = dict(zip(SIDES, mark_pair(*pair), strict=True))
            yield from (marked[column].text for column in columns)

    def of(request: Preparation, *columns: str) -> Tokenizer:
        return train_tokenizer(lambda: map(without_tag, texts(columns)), request, columns[0], markers)

    tags = tags_of(train.sample(("source",), SAMPLE, request.seed))
    with_room = request
    if tags:
        with_room, tags = _with_room(request, tags, notes)
    given = request.vocabulary
    normalise = None if given is not None else request.options.normalise
    if request.options.joint if given is None else given.joint:
        joint = with_tags(of(with_room, "source", "target"), tags)
        joint.plain_marks = normalise or joint.plain_marks
        return joint, joint.of_target
    source, target = with_tags(of(with_room, "source"), tags), of(request, "target")
    if normalise is not None:
        source.plain_marks, target.plain_marks = normalise, "both" if normalise == "both" else "none"
    return source, target


def _with_room(request: Preparation, tags: list[str], notes: list[str]) -> tuple[Preparation, list[str]]:
    """A request for as many fewer subwords as there are tags that need a token, and these tags."""
    given, options = request.vocabulary, request.options
    if given is None:
        notes.append(f"sources begin with {', '.join(tags)}: each of these tags is a token")
        size = max(options.most_tokens - len(tags), 1)
        return replace(request, options=options.model_copy(update={"vocab_size": size})), tags
    tags = [] if given.source is None else missing_tags(given.source, tags)
    if tags and not given.more:
        notes.append(f"the vocabulary has no token for {', '.join(tags)}, with which sources begin")
        return request, []
    tags = tags[: given.more]
    return replace(request, vocabulary=replace(given, more=given.more - len(tags))), tags


def _plain_sides(request: Preparation) -> tuple[str, ...]:
    sides = {"source": ("source",), "both": ("source", "target"), "none": ()}
    return sides[request.options.normalise]


def _describe(split: TextSplit) -> dict[str, Any]:
    source_unknown, target_unknown = split.unknown
    return {
        "kept": len(split),
        "source": token_statistics(split.source_lengths, source_unknown),
        "target": token_statistics(split.target_lengths, target_unknown),
    }
