"""The pairs of one split of a prepared folder, memory-mapped. It knows no model.

SPLIT/    Arrow as `datasets` saves it: source and target (as read), source_ids and target_ids (without BOS
          and EOS), alignment if the corpus has gold word alignments, weight if corpora are mixed (see
          `weights`), and links if words of training pairs are linked (see `token_links`)
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import datasets
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from seq2attn.data.batches import Texts, plan
from seq2attn.data.corpus_weights import LEAST, MOST
from seq2attn.data.formats.saved_datasets import arrow_files
from seq2attn.data.text.weights import rows_of_epoch
from seq2attn.data.tokenizer import UNK
from seq2attn.errors import UserError, is_out_of_threads


class TextSplit(Texts):
    """The pairs of one split, memory-mapped: rows 0 .. len(self) - 1 in the order of the corpus."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            arrow_files(path)
            self._table = datasets.load_from_disk(str(path)).data
            self._table.validate()
            self._source = _IdLists(self._table.column("source_ids"), self._damaged)
            self._target = _IdLists(self._table.column("target_ids"), self._damaged)
            self._links = _IdLists(self._table.column("links"), self._damaged) if self.has_links else None
            texts = ["source", "target"] + ["alignment"] * self._has_alignments
            for name in texts:
                if self._table.column(name).type != pa.string() or self._table.column(name).null_count:
                    raise ValueError(f"{name} is not text in every row")
            self.weights = self._weights()
            if self._links is not None and len(self._links.lengths) != len(self):
                raise ValueError("links for another number of pairs")
            if len(self) != len(self._target.lengths) or len(self) != self._table.num_rows:
                raise ValueError("sides of different lengths")
        except UserError as error:
            raise self._damaged(str(error).removesuffix("; save the dataset again")) from None
        except Exception as error:  # a foreign reader raises anything
            if is_out_of_threads(error):
                raise
            raise self._damaged(str(error)) from None

    def _damaged(self, problem: str) -> UserError:
        line = " ".join(problem.split())[:200]
        return UserError(f"{self.path}: damaged ({line}); run `seq2attn prepare` again")

    def within(self, source_vocabulary: int, target_vocabulary: int) -> Self:
        """The same split; ids outside vocabularies of these sizes raise UserError when they are read."""
        self._source.vocabulary, self._target.vocabulary = source_vocabulary, target_vocabulary
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
        """Source ids and target ids of `rows`: read-only views of the mapped file."""
        return self._source.take(rows), self._target.take(rows)

    def content(self) -> Iterator[NDArray[Any]]:
        """The same bytes as `Texts.content`, without a step for each pair."""
        yield from (self.source_lengths, self.target_lengths)
        yield from self._source.values()
        yield from self._target.values()
        if self.weights is not None:
            yield self.weights

    def plan(self, batch_tokens: int, seed: int, epoch: int) -> list[NDArray[np.int64]]:
        if self.weights is None:
            return super().plan(batch_tokens, seed, epoch)
        rows = rows_of_epoch(self.weights, seed, epoch)
        lengths = self.source_lengths[rows], self.target_lengths[rows]
        return [rows[batch] for batch in plan(*lengths, batch_tokens, seed, epoch)]

    def _weights(self) -> NDArray[np.float64] | None:
        """(N,): how often an epoch has each row; None: once."""
        if "weight" not in self._table.column_names:
            return None
        column = self._table.column("weight")
        if column.type != pa.float64() or column.null_count:
            raise ValueError("weight is no number in every row")
        weights: NDArray[np.float64] = column.to_numpy()
        if not ((weights >= LEAST) & (weights <= MOST)).all():
            raise ValueError("weights that are out of bounds")
        return weights

    def texts(self, start: int = 0, stop: int | None = None) -> tuple[list[str], list[str]]:
        """Sources and targets of rows start .. stop - 1, as read. Raises UserError if they are damaged."""
        stop = len(self) if stop is None else min(stop, len(self))
        part = self._table.select(["source", "target"]).slice(start, max(0, stop - start))
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
        """Gold word alignments (Pharaoh), one a row; None if the corpus has none."""
        return self._strings(self._table.column("alignment")) if self._has_alignments else None

    @property
    def _has_alignments(self) -> bool:
        return "alignment" in self._table.column_names

    @property
    def has_links(self) -> bool:
        """Whether the tokens of its pairs are linked, for guided attention."""
        return "links" in self._table.column_names

    def links(self, rows: NDArray[np.integer]) -> list[NDArray[np.int32]]:
        """The links of the tokens of each of `rows`, (links, 3), as `token_links` describes them.

        Raises UserError if they are damaged.
        """
        assert self._links is not None
        triples = []
        for numbers, row in zip(self._links.take(rows), rows.tolist(), strict=True):
            ends = self.target_lengths[row], self.source_lengths[row]
            if len(numbers) % 3:
                raise self._damaged("links that are no triples")
            of_row = numbers.reshape(-1, 3)
            if len(of_row) and ((of_row[:, :2] >= ends).any() or (of_row[:, 2] < 1).any()):
                raise self._damaged("links of tokens that are not there")
            triples.append(of_row)
        return triples

    @property
    def unknown(self) -> tuple[int, int]:
        """The number of unknown tokens in the sources and in the targets."""
        return self._source.count(UNK), self._target.count(UNK)


class _IdLists:
    """A column of id lists, as views of its Arrow buffers.

    The ids of a chunk are checked when it is first read, not when the column is opened.
    """

    def __init__(self, column: pa.ChunkedArray, damaged: Callable[[str], UserError]) -> None:
        if column.type != pa.list_(pa.int32()) or column.null_count:
            raise ValueError("not a list of ids in every row")
        self.vocabulary = np.iinfo(np.int32).max  # its size
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
        offsets_in_chunk = rows - np.concatenate(([0], self._ends))[chunks]
        lists = []
        for chunk, row in zip(chunks.tolist(), offsets_in_chunk.tolist(), strict=True):
            offsets = self._offsets[chunk]
            if self._unread[chunk]:
                self._check(chunk)
            lists.append(self._values[chunk][offsets[row] : offsets[row + 1]])
        return lists

    def values(self) -> Iterator[NDArray[np.int32]]:
        """All ids, row after row, a chunk at a time."""
        for values, offsets in zip(self._values, self._offsets, strict=True):
            yield values[offsets[0] : offsets[-1]]

    def _check(self, chunk: int) -> None:
        """Raise UserError for ids outside the vocabulary."""
        ids = self._values[chunk][self._offsets[chunk][0] : self._offsets[chunk][-1]]
        if len(ids) and not (ids.min() >= 0 and ids.max() < self.vocabulary):
            raise self._damaged(f"ids that its vocabulary of {self.vocabulary:,} does not have")
        self._unread[chunk] = False

    def count(self, token: int) -> int:
        return sum(
            int(np.count_nonzero(values[o[0] : o[-1]] == token))
            for values, o in zip(self._values, self._offsets, strict=True)
        )
