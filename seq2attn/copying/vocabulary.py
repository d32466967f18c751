"""Which token of the target vocabulary a token of the source vocabulary is: the one of the same text."""

from collections.abc import Sequence

import torch
from torch import Tensor


def tokens_of_the_same_text(source: Sequence[str], target: Sequence[str], unknown: int) -> Tensor:
    """The number in the target vocabulary of each token of the source vocabulary, int64 (N,).

    Vocabularies are texts of tokens, by number. A token that the target vocabulary does not have is its
    unknown token.
    """
    numbers = {text: number for number, text in enumerate(target)}
    return torch.tensor([numbers.get(text, unknown) for text in source])
