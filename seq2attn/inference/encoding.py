"""Texts as padded tensors of token ids, with bounds on very long texts. It knows tokenizers, and no model."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from seq2attn.data.tokenizer import EOS, PAD, Tokenizer
from seq2attn.errors import UsageError

Item = TypeVar("Item")
MAX_CHARACTERS = 2**20  # of one text; the rest is not read


def listed(values: Iterable[Item], rule: str) -> list[Item]:
    """The values as a list, also those of a generator, which gives them only once. Raises UsageError, which
    states the rule, for what is not iterable, and for a mapping.
    """
    if isinstance(values, Mapping) or not isinstance(values, Iterable):
        raise UsageError(f"{rule}, and this is a {type(values).__name__}")
    return list(values)


def refuse_no_strings(kind: str, strings: Sequence[object]) -> None:
    """Raise UsageError for the first that is no string; `kind` is its name, such as "a text"."""
    for number, string in enumerate(strings):
        if not isinstance(string, str):
            raise UsageError(f"{kind} is a string, and number {number} is of type {type(string).__name__}")


def truncate_text(text: str) -> str:
    """The text, or its beginning up to a space if it has more than MAX_CHARACTERS.

    No subword reaches over a space, so the beginning is tokenised as in the whole text. A text without a
    space is cut far behind the last subword that is read.
    """
    if len(text) <= MAX_CHARACTERS:
        return text
    space = text.rfind(" ", MAX_CHARACTERS // 2, MAX_CHARACTERS)
    return text[: space if space > 0 else MAX_CHARACTERS]


def encode_texts(
    tokenizer: Tokenizer, texts: Sequence[str], limit: int | None = None, lengths: list[int] | None = None
) -> list[list[int]]:
    """The ids of each text, at most `limit` ids.

    Long texts are encoded one after another, so that memory stays bounded. The number of ids of each text,
    before the limit, is appended to `lengths`.
    """
    results: list[list[int]] = []
    start = size = 0
    for end, text in enumerate(texts, 1):
        size += len(text)
        if size >= MAX_CHARACTERS or end == len(texts):
            for ids in tokenizer.encode_batch([truncate_text(one) for one in texts[start:end]]):
                results.append(ids if limit is None else ids[:limit])
                if lengths is not None:
                    lengths.append(len(ids))
            start, size = end, 0
    return results


def pad(ids: Sequence[Sequence[int]], padding: int) -> Tensor:
    """int64 (B, T): rows of ids, padded to the longest row."""
    longest = max(map(len, ids))
    rows = [[*row, *[padding] * (longest - len(row))] for row in ids]
    return torch.tensor(rows, dtype=torch.long).view(len(ids), longest)


def pad_sources(ids: Sequence[Sequence[int]], multiple: int) -> Tensor:
    """int64 (B, S): sources with EOS, padded to a multiple of `multiple` (see `scheduling.batches.STEP`)."""
    source_BS = pad([[*source, EOS] for source in ids], PAD)
    return torch.nn.functional.pad(source_BS, (0, -source_BS.shape[1] % multiple), value=PAD)
