"""The encoding of one split of text as token ids, in several processes and block by block.

Training pairs that do not fit the limits are dropped.
"""

import json
import os
import shutil
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa

from seq2attn.config import DataConfig
from seq2attn.data.linking import LINKS
from seq2attn.data.marks import is_plain
from seq2attn.data.preparation import Drops, Preparation
from seq2attn.data.text.protection import mark_pair
from seq2attn.data.text.token_links import token_links
from seq2attn.data.tokenizer import Tokenizer, is_changed
from seq2attn.data.worker_processes import exit_without, run_in_processes
from seq2attn.errors import UserError

BLOCK = 200_000  # pairs that are encoded between two reports of progress
MIN_PAIRS_PER_PROCESS = 5000  # with fewer, a process takes longer to start than it saves
MARKED = "marked"  # how many pairs have a marker
WEIGHT = "weight"  # a column of the spool and of train
# Notes, not on dropped pairs, but on how many lines of each side were changed
NORMALISED = "normalised"  # by NFC
PLAIN_MARKS = "plain_marks"  # by plain dashes, quotes and spaces
_CHANGED = "changed"


def encode_split(
    spool: Path, out: Path, source: Tokenizer, target: Tokenizer, request: Preparation, before: Drops
) -> tuple[Drops, Counter[str]]:
    """Write the pairs of an Arrow file, with their ids, to the folder `out`.

    Training pairs whose words are linked get the links of their tokens, too, for guided attention. They come
    from the column "links" or, without it, from the corpus. Returns the pairs that were dropped, how many
    lines of each side were changed, by "NORMALISED source" and the like, and how many pairs are MARKED.
    Raises UserError if no pair is left; it names the pairs that were dropped `before`, too.
    """
    name, progress = out.name, request.stage(f"encoding {out.name}")
    rows = datasets.Dataset.from_file(str(spool))
    gold = _has_alignments(spool)
    ids, text = datasets.List(datasets.Value("int32")), datasets.Value("string")
    columns = {"source": text, "target": text, "source_ids": ids, "target_ids": ids}
    columns |= {"alignment": text} if gold else {}
    guides = None
    if request.limits(name) is not None:
        guides = LINKS if LINKS in rows.column_names else "alignment" if gold else None
    has_weights = request.limits(name) is not None and _has_weights(spool)
    columns |= {WEIGHT: datasets.Value("float64")} if has_weights else {}
    features = datasets.Features(columns | ({} if guides is None else {LINKS: ids}))
    drops, changed = Drops(), Counter[str]()
    blocks = []
    for first in range(0, len(rows), BLOCK):
        progress(first, len(rows))
        block = rows.select(range(first, min(first + BLOCK, len(rows)))).with_format("arrow")
        notes = request.work / f"{name}-{first}"
        notes.mkdir()
        processes = min(request.workers, -(-len(block) // MIN_PAIRS_PER_PROCESS)) or 1
        share = partial(
            _encode_share,
            shares=processes,
            block=block,
            features=features,
            fingerprint=f"{name}-{first}",
            options={
                "source": source,
                "target": target,
                "limits": request.limits(name),
                "protect": request.options.protect,
                "gold": gold,
                "has_weights": has_weights,
                "guides": guides,
                "notes": notes,
                "parent": os.getpid(),
            },
        )
        if processes > 1:
            run_in_processes(share, processes)
        # from the files of the processes, if there were any
        blocks += [share(rank) for rank in range(processes)]
        _collect(notes, drops, changed)
    if drops.total == len(rows):
        drops.add_other(before)
        raise UserError(f"no training pair is left: {drops}")
    datasets.concatenate_datasets(blocks).save_to_disk(str(out))
    progress(len(rows), len(rows))
    for first in range(0, len(rows), BLOCK):
        shutil.rmtree(request.work / f"{name}-{first}")
    return drops, changed


def _has_alignments(spool: Path) -> bool:
    with pa.memory_map(str(spool)) as file:
        return any(
            batch.column("alignment").null_count < batch.num_rows for batch in pa.ipc.open_stream(file)
        )


def _has_weights(spool: Path) -> bool:
    with pa.memory_map(str(spool)) as file:
        return any((batch.column(WEIGHT).to_numpy() != 1).any() for batch in pa.ipc.open_stream(file))


def _collect(notes: Path, drops: Drops, changed: Counter[str]) -> None:
    """Add up the notes that the processes wrote, in the order of the rows."""
    for file in sorted(notes.glob("*.jsonl")):
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                reason, fact = json.loads(line)
                if reason == _CHANGED:
                    changed.update(fact)
                else:
                    drops.add(reason, fact)


def _encode_share(
    rank: int,
    *,
    shares: int,
    block: datasets.Dataset,
    features: datasets.Features,
    fingerprint: str,
    options: dict[str, Any],
) -> datasets.Dataset:
    """One of equal shares of a block with its ids; read from its file if that exists already."""
    share = block.shard(num_shards=shares, index=rank, contiguous=True) if shares > 1 else block
    encoded = share.map(
        _encode_table,
        batched=True,
        batch_size=1000,
        remove_columns=block.column_names,
        features=features,
        fn_kwargs=options | {"rank": rank},
        load_from_cache_file=True,
        cache_file_name=str(options["notes"] / f"encoded-{rank:05d}.arrow"),
        new_fingerprint=f"{fingerprint}-{rank}",
        writer_batch_size=10_000,
    )
    return encoded.with_format(None)


def _encode_table(
    table: pa.Table,
    *,
    source: Tokenizer,
    target: Tokenizer,
    limits: DataConfig | None,
    protect: bool,
    gold: bool,
    has_weights: bool,
    guides: str | None,
    notes: Path,
    parent: int,
    rank: int,
) -> pa.Table:
    """One batch of rows with its ids; runs in a worker. Notes on dropped rows go into the worker's file."""
    exit_without(parent)
    texts = {side: table[side].to_pylist() for side in ("source", "target")}
    changed = {f"{NORMALISED} {side}": sum(map(is_changed, texts[side])) for side in texts}
    for side, tokenizer in (("source", source), ("target", target)):
        if tokenizer.plain_marks != "none":
            changed[f"{PLAIN_MARKS} {side}"] = sum(not is_plain(text) for text in texts[side])
    if protect:
        pairs = zip(texts["source"], texts["target"], strict=True)
        marked = [mark_pair(s or "", t or "", whole=not gold and guides is None) for s, t in pairs]
        texts = {side: [pair[n].text for pair in marked] for n, side in enumerate(("source", "target"))}
        changed[MARKED] = sum(bool(pair[0].items) for pair in marked)
    source_ids, target_ids = source.encode_batch(texts["source"]), target.encode_batch(texts["target"])
    mine: list[tuple[str, object]] = []
    if any(changed.values()):
        mine.append((_CHANGED, changed))
    columns = {"source": table["source"], "target": table["target"]}
    columns |= {
        "source_ids": pa.array(source_ids, pa.list_(pa.int32())),
        "target_ids": pa.array(target_ids, pa.list_(pa.int32())),
    }
    if gold:
        columns["alignment"] = table["alignment"].fill_null("")
    if has_weights:
        columns[WEIGHT] = table[WEIGHT]
    if guides is not None:
        sides = zip(*texts.values(), strict=True), zip(source_ids, target_ids, strict=True)
        lines, places = table[guides].fill_null("").to_pylist(), table["place"].to_pylist()
        links = [
            token_links(line, pair, ids, (source, target), place)
            for line, place, pair, ids in zip(lines, places, *sides, strict=True)
        ]
        columns[LINKS] = pa.array(links, pa.list_(pa.int32()))
    encoded = pa.table(columns)
    if limits is not None:
        reasons = [_drop_reason(len(i), len(j), limits) for i, j in zip(source_ids, target_ids, strict=True)]
        if any(reasons):
            places = zip(reasons, table["place"].to_pylist(), strict=True)
            mine += [(reason, place) for reason, place in places if reason]
            encoded = encoded.filter(pa.array([reason is None for reason in reasons]))
    if mine:
        with (notes / f"{rank:05d}.jsonl").open("a", encoding="utf-8") as file:
            file.writelines(f"{json.dumps(note)}\n" for note in mine)
    return encoded


def _drop_reason(source_length: int, target_length: int, limits: DataConfig) -> str | None:
    """Why a training pair is dropped; None if it is kept."""
    shorter, longer = sorted((source_length, target_length))
    if longer > limits.max_length:
        return "too long"
    if longer > limits.max_ratio * shorter:
        return "lengths too unequal"
    return None
