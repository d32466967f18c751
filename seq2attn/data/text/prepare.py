"""The splits of a prepared folder from a corpus of text: spooled, divided and encoded."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from seq2attn.data import splits
from seq2attn.data.corpus import Row
from seq2attn.data.formats.text import is_blank
from seq2attn.data.linking import with_links
from seq2attn.data.preparation import (
    NOT_NFC,
    Preparation,
    divide,
    note_small_vocabulary,
    token_statistics,
    train_tokenizer,
)
from seq2attn.data.spool import Entry, Format, Spool, write_spools
from seq2attn.data.text.corpus import Corpus
from seq2attn.data.text.dataset import TextSplit
from seq2attn.data.text.encoding import MARKED, encode_split
from seq2attn.data.text.link_direction import from_source
from seq2attn.data.text.protection import MARKERS, mark_pair
from seq2attn.data.text.tags import missing_tags, tags_of, with_tags, without_tag
from seq2attn.data.tokenizer import SAMPLE, Tokenizer
from seq2attn.data.vocabulary_size import with_number
from seq2attn.errors import UsageError
from seq2attn.progress import Progress

SIDES = ("source", "target")
NO_ITEMS = (
    "protect: no pair of train has a placeholder, URL, e-mail address, number or tag on both sides, so the "
    "model would learn no marker; leave it out"
)
SCHEMA = pa.schema([(name, pa.string()) for name in ("source", "target", "place", "alignment")])
_SPOOL = Format(SCHEMA, max_rows=8192, max_size=1 << 23)  # size: characters


def prepare_text(corpus: Corpus, request: Preparation) -> dict[str, Any]:
    """Tokenizers and splits into `request.folder`; what is particular to text in the report."""
    rows = from_source(corpus.rows(), corpus.notes)
    spools = write_spools(_entries(rows, request.stage("reading")), request.work, _SPOOL)
    spools = divide(corpus, spools, request, "pair", "pairs of one source")
    if request.linker is not None:
        progress = request.stage("linking words")
        spools["train"] = with_links(spools["train"], request.linker, request.work, progress)
    request.stage("training the tokenizer")(0, None)
    train = spools["train"]
    texts = partial(train.sample, ("source", "target"), SAMPLE // 2, request.seed)
    request = with_number(request, int(np.count_nonzero(train.keys)), texts)
    source, target = _train_tokenizers(train, request, corpus.notes)
    note_small_vocabulary(corpus.notes, min(source.size, target.size), request)
    if request.options.joint:
        source.save(request.folder / "tokenizer.model")
    else:
        source.save(request.folder / "source.model")
        target.save(request.folder / "target.model")
    report: dict[str, Any] = {}
    for name, spool in spools.items():
        out = request.folder / name
        drops, normalised = encode_split(spool.path, out, source, target, request)
        report[name] = {"read": len(spool.keys), **_describe(TextSplit(out)), "dropped": drops.report()}
        marked = normalised.pop(MARKED)
        if request.options.protect:
            report[name][MARKED] = marked
            corpus.notes.append(f"{name}: {marked:,} pairs have markers of what both sides have")
            if name == "train" and not marked:
                raise UsageError(NO_ITEMS, setting="protect")
        for side, count in normalised.items():
            report[name][side]["normalised"] = count
        if any(normalised.values()):
            sides = " and ".join(f"{count:,} {side}" for side, count in normalised.items() if count)
            corpus.notes.append(f"{name}: {sides} lines {NOT_NFC}")
        if name != "train":
            report[name]["sources_in_train"] = int(np.isin(spool.keys, train.keys).sum())
        spool.path.unlink()
    return {
        "options": request.options.model_dump(mode="json"),  # with a number for the size of the vocabulary
        "vocabulary": {"source": source.size, "target": target.size},
        "splits": report,
    }


def _entries(rows: Iterator[Row], progress: Progress) -> Iterator[Entry[None]]:
    number = 0
    for number, row in enumerate(rows, 1):
        blank = is_blank(row.source) or is_blank(row.target)
        key = splits.NEVER if blank else splits.key(row.source)
        cells = (row.source, row.target, row.place, row.alignment)
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
        if not markers:
            yield from train.sample(tuple(columns), most, request.seed)
            return
        sides = (train.sample((side,), most, request.seed) for side in SIDES)
        for pair in zip(*sides, strict=True):
            marked = dict(zip(SIDES, mark_pair(*pair), strict=True))
            yield from (marked[column].text for column in columns)

    def of(request: Preparation, *columns: str) -> Tokenizer:
        return train_tokenizer(lambda: map(without_tag, texts(columns)), request, columns[0], markers)

    tags = tags_of(train.sample(("source",), SAMPLE, request.seed))
    with_room = request
    if tags:
        with_room, tags = _with_room(request, tags, notes)
    if request.options.joint:
        joint = with_tags(of(with_room, "source", "target"), tags)
        return joint, joint
    return with_tags(of(with_room, "source"), tags), of(request, "target")


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


def _describe(split: TextSplit) -> dict[str, Any]:
    source_unknown, target_unknown = split.unknown
    return {
        "kept": len(split),
        "source": token_statistics(split.source_lengths, source_unknown),
        "target": token_statistics(split.target_lengths, target_unknown),
    }
