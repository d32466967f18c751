"""Which outputs a search may write: banned tokens, minimum and maximum length, prefixes, no repeated n-gram.

The log-probabilities of all rows are changed at once and in place. The shape suffixes are those of `step.py`;
P is the number of tokens of a prefix.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from seq2attn.search.no_repeat_ngram import NoRepeatNgram


class Limits(NamedTuple):
    """Which outputs a search may return, for B sentences."""

    max_length_B: Tensor  # int64 (B,), on the device of the search: tokens before EOS
    bos: int  # the first input, not part of an output
    eos: int
    banned: Sequence[int]
    min_length: int = 0
    # int64 (B, P): what each output begins with; -1 after the end of a prefix
    prefix_BP: Tensor | None = None
    no_repeat_ngram: int = 0  # n: no output holds an n-gram twice; 0: it may


class Constraints:
    """The limits of a search that runs: `apply` sets the log-probability of every forbidden token to -inf.

    A prefix takes precedence over the other limits: it may hold banned tokens and repeat n-grams, and a
    maximum length below that of the prefix is raised to it. A minimum above a sentence's maximum is lowered
    to it. `no_repeat_ngram` never forbids EOS, so that only an output below its minimum length can be left
    without an allowed token.
    """

    def __init__(self, limits: Limits) -> None:
        maximum_B, device = limits.max_length_B, limits.max_length_B.device
        empty_BP = maximum_B.new_empty(len(maximum_B), 0)
        prefix_BP = empty_BP if limits.prefix_BP is None else limits.prefix_BP.to(device)
        # int64 (B,): maximum and minimum number of tokens before EOS
        self.limit_B = torch.maximum(maximum_B, (prefix_BP >= 0).sum(1))
        self.minimum_B = self.limit_B.clamp(max=limits.min_length)
        self.eos = limits.eos
        self.banned = torch.tensor(list(limits.banned), dtype=torch.long, device=device)
        self.no_repeat = NoRepeatNgram(limits.no_repeat_ngram, self.eos) if limits.no_repeat_ngram else None
        self.longest = max(self.limit_B.tolist(), default=0)
        forced_BT = F.pad(prefix_BP, (0, self.longest + 1 - prefix_BP.shape[1]), value=-1)
        is_over_BT = torch.arange(self.longest + 1, device=device) >= self.limit_B[:, None]
        self.forced_BT = forced_BT.masked_fill(is_over_BT, self.eos)  # the only next token; -1: any
        self._update_bounds()

    def _update_bounds(self) -> None:
        # These are copied from the device once, so that no step has to wait for the device. On CUDA they stay
        # those of all sentences, of which the ones that stay in the batch are a part.
        self._is_forced_T: list[bool] = (self.forced_BT >= 0).any(0).tolist()
        self._last_minimum = max(self.minimum_B.tolist(), default=0)

    def select_sentences(self, sentence_B: Tensor) -> None:
        """Continue with these sentences only."""
        self.forced_BT, self.limit_B = self.forced_BT[sentence_B], self.limit_B[sentence_B]
        self.minimum_B = self.minimum_B[sentence_B]
        if self.no_repeat is not None:
            self.no_repeat.select_sentences(sentence_B)
        if not sentence_B.is_cuda:
            self._update_bounds()

    def advance(self, parent_BW: Tensor, token_BW: Tensor) -> None:
        """Each row is now what row `parent` of its sentence was, with one more token."""
        if self.no_repeat is not None:
            self.no_repeat.advance(parent_BW, token_BW)

    def apply(self, log_p_BWN: Tensor, length: int) -> Tensor:
        """Change the log-probabilities (B, W, N) of the next token of hypotheses of `length` tokens, in
        place, and return them.
        """
        if not self._is_forced_T[length]:
            return self._ban(log_p_BWN, length)
        forced_B11 = self.forced_BT[:, length, None, None]
        index_BW1 = forced_B11.clamp(min=0).expand(-1, log_p_BWN.shape[1], 1)
        forced_log_p_BW1 = log_p_BWN.gather(2, index_BW1)
        self._ban(log_p_BWN, length).masked_fill_(forced_B11 >= 0, -torch.inf)
        value_BW1 = torch.where(forced_B11 >= 0, forced_log_p_BW1, log_p_BWN.gather(2, index_BW1))
        return log_p_BWN.scatter_(2, index_BW1, value_BW1)

    def _ban(self, log_p_BWN: Tensor, length: int) -> Tensor:
        """Apply all limits except the prefixes and the maximum length, in place."""
        log_p_BWN.index_fill_(2, self.banned, -torch.inf)
        if self.no_repeat is not None:
            self.no_repeat.apply(log_p_BWN)
        if length < self._last_minimum:
            log_p_BWN[:, :, self.eos].masked_fill_((length < self.minimum_B)[:, None], -torch.inf)
        return log_p_BWN
