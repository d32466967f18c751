"""What a search may emit: banned tokens, minimum and maximum length, prefixes, no repeated n-gram.

It changes log-probabilities in place, of all rows at once. Shape suffixes as in `step`; P tokens of a prefix.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from seq2attn.search.no_repeat_ngram import NoRepeatNgram


class Limits(NamedTuple):
    """Which outputs a search may return, for B sentences."""

    max_length_B: Tensor  # int64 (B,), on the device of the search: tokens before EOS
    bos: int  # the first input, not part of an output
    eos: int
    banned: Sequence[int]
    min_length: int = 0
    prefix_BP: Tensor | None = (
        None  # int64 (B, P): what each output begins with; -1 after the end of a prefix
    )
    no_repeat_ngram: int = 0  # n: no output holds an n-gram twice; 0: it may


class Constraints:
    """The limits, at work; `apply` sets every token that breaks one to -inf.

    A prefix takes precedence over the rest: it may hold banned tokens and repeat itself, and a maximum
    shorter than the prefix becomes its length. A minimum above a sentence's maximum becomes that maximum.
    EOS is exempt from `no_repeat_ngram`, so only an output below its minimum length can be left without any
    allowed token.
    """

    def __init__(self, limits: Limits) -> None:
        maximum_B, prefix_BP, device = limits.max_length_B, limits.prefix_BP, limits.max_length_B.device
        self.prefix_BP = maximum_B.new_empty(len(maximum_B), 0) if prefix_BP is None else prefix_BP.to(device)
        # int64 (B,): maximum and minimum number of tokens before EOS
        self.limit_B = torch.maximum(maximum_B, (self.prefix_BP >= 0).sum(1))
        self.minimum_B = self.limit_B.clamp(max=limits.min_length)
        self.eos = limits.eos
        self.banned = torch.tensor(list(limits.banned), dtype=torch.long, device=device)
        self.no_repeat = NoRepeatNgram(limits.no_repeat_ngram, self.eos) if limits.no_repeat_ngram else None
        self._update_bounds()

    def _update_bounds(self) -> None:
        # Read from the device once, so that no step has to wait for it.
        self.longest = int(self.limit_B.max()) if len(self.limit_B) else 0
        self._first_limit = int(self.limit_B.min()) if len(self.limit_B) else 0
        self._last_minimum = int(self.minimum_B.max()) if len(self.minimum_B) else 0

    def select_sentences(self, sentence_B: Tensor) -> None:
        """Continue with these sentences only."""
        self.prefix_BP, self.limit_B, self.minimum_B = (
            self.prefix_BP[sentence_B],
            self.limit_B[sentence_B],
            self.minimum_B[sentence_B],
        )
        if self.no_repeat is not None:
            self.no_repeat.select_sentences(sentence_B)
        self._update_bounds()

    def advance(self, parent_BW: Tensor, token_BW: Tensor) -> None:
        """Each row is now row `parent` of its sentence, extended by one token."""
        if self.no_repeat is not None:
            self.no_repeat.advance(parent_BW, token_BW)

    def apply(self, log_p_BWN: Tensor, length: int) -> Tensor:
        """For hypotheses of `length` tokens; changes log_p_BWN in place and returns it."""
        forced_BW1 = forced_log_p_BW1 = None
        if length < self.prefix_BP.shape[1] or length >= self._first_limit:
            forced_B = (
                self.prefix_BP[:, length]
                if length < self.prefix_BP.shape[1]
                else torch.full_like(self.limit_B, -1)
            )
            forced_B = forced_B.masked_fill(length >= self.limit_B, self.eos)
            forced_BW1 = forced_B[:, None, None].expand(-1, log_p_BWN.shape[1], 1)
            forced_log_p_BW1 = log_p_BWN.gather(2, forced_BW1.clamp(min=0))
        log_p_BWN.index_fill_(2, self.banned, -torch.inf)
        if self.no_repeat is not None:
            self.no_repeat.apply(log_p_BWN)
        if length < self._last_minimum:
            log_p_BWN[:, :, self.eos].masked_fill_((length < self.minimum_B)[:, None], -torch.inf)
        if forced_BW1 is not None and forced_log_p_BW1 is not None:
            is_forced_BW1 = forced_BW1 >= 0
            log_p_BWN.masked_fill_(is_forced_BW1, -torch.inf)
            index_BW1 = forced_BW1.clamp(min=0)
            log_p_BWN.scatter_(
                2, index_BW1, torch.where(is_forced_BW1, forced_log_p_BW1, log_p_BWN.gather(2, index_BW1))
            )
        return log_p_BWN
