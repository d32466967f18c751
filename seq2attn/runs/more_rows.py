"""The weights of a run for a vocabulary with more subwords, so that the outputs stay what they were.

A new subword stands for the old ones that its text was cut into. Its row in an embedding and in the output
layer is the mean of their rows, and so is its bias, less MARGIN + ln N for N new subwords. A mean of logits
is at most the largest of them. So a new subword is at first never the most probable token, and all of them
together have less than 2^-24 of the probability of the best old token. That is below the last bit of a
float32: greedy and beam search write what they wrote, for every source that is cut into the same subwords.
A step on a target that has the new subwords raises them at once: the gradient of a logit is the probability
less 1.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from seq2attn.data.tokenizer import SPECIALS, Tokenizer
from seq2attn.errors import UserError

MARGIN = 24 * math.log(2)  # nats: a share of 2^-24
SOURCE, TARGET = "encoder.embedding.weight", "decoder.target_embedding.weight"
OUTPUT, BIAS = "decoder.output.weight", "decoder.output.bias"


def old_subwords(old: Tokenizer, new: Tokenizer, where: str) -> list[list[int]]:
    """For each subword that `new` has more than `old`, the ids of the fewest old ones with its text.

    If there are none, as for a character that was unknown, they are all that the old vocabulary has. Raises
    UserError, which names `where`, if the old subwords are not the first ones of `new`.
    """
    if new.vocabulary[: old.size] != old.vocabulary or (new.kind, new.lowercase) != (old.kind, old.lowercase):
        raise UserError(f"{where}: its vocabulary is not that of the run with more subwords")
    numbers = {text: number for number, text in enumerate(old.vocabulary) if number >= len(SPECIALS)}
    every = list(numbers.values())
    return [_fewest(text, numbers) or every for text in new.vocabulary[old.size :]]


def _fewest(text: str, numbers: Mapping[str, int]) -> list[int]:
    """The ids of the fewest texts of `numbers` that make up `text`; none if it cannot be made up."""
    best: list[list[int] | None] = [[]]
    for end in range(1, len(text) + 1):
        ways = [
            [*before, numbers[text[start:end]]]
            for start, before in enumerate(best)
            if before is not None and text[start:end] in numbers
        ]
        best.append(min(ways, key=len, default=None))
    return best[-1] or []


def with_more_rows(
    tensors: Mapping[str, Tensor], source: list[list[int]], target: list[list[int]]
) -> dict[str, Tensor]:
    """The weights, by name, with a row for each new subword of the source's and the target's vocabulary.

    `source` and `target` hold the ids of the old subwords of each, as `old_subwords` gives them. A joint
    matrix is there under the first of its names alone.
    """
    larger = dict(tensors)
    for name, parts in ((SOURCE, source), (TARGET, target), (OUTPUT, target), (BIAS, target)):
        if name in larger and parts:
            old = larger[name]
            rows = torch.stack([old[torch.tensor(ids)].mean(0) for ids in parts])
            larger[name] = torch.cat([old, rows - _margin(len(parts)) if name == BIAS else rows])
    return larger


def _margin(count: int) -> float:
    return MARGIN + math.log(count)
