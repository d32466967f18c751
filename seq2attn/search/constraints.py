"""What a search may emit: banned tokens, shortest and longest outputs, forced beginnings, no n-gram twice.

It works on log-probabilities alone, in place, for all rows at once.
"""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor

from seq2attn.search.no_repeat_ngram import Repeats


class Constraints:
    """The rules for B sentences; `apply` makes every token that breaks one impossible (-inf).

    A forced beginning comes before all other rules: it may hold banned tokens and repeat itself, and a limit
    shorter than it grows to its length.
    A minimum beyond a sentence's maximum is that maximum. With `no_repeat_ngram` n above 0 no n-gram of an
    output stands in it before; the end token is free
    of that rule, so an output that may neither go on nor end is one that was too short to end.
    """

    def __init__(
        self,
        *,
        min_length: int,
        max_length_B: Tensor,
        eos: int,
        banned: Sequence[int],
        prefix_BP: Tensor | None,
        device: torch.device,
        no_repeat_ngram: int = 0,
    ) -> None:
        prefix = torch.empty(len(max_length_B), 0, dtype=torch.long) if prefix_BP is None else prefix_BP
        self.prefix_BP = prefix.to(device)  # negative where a sentence's beginning is over
        self.limit_B = torch.maximum(max_length_B.to(device), (self.prefix_BP >= 0).sum(1))
        self.minimum_B = self.limit_B.clamp(max=min_length)
        self.eos = eos
        self.banned = torch.tensor(list(banned), dtype=torch.long, device=device)
        self.repeats = Repeats(no_repeat_ngram, eos) if no_repeat_ngram else None
        self._know()

    def _know(self) -> None:
        # Read once, so that no step has to wait for the device to learn that it has nothing to do.
        self.longest = int(self.limit_B.max()) if len(self.limit_B) else 0
        self._first_limit = int(self.limit_B.min()) if len(self.limit_B) else 0
        self._last_minimum = int(self.minimum_B.max()) if len(self.minimum_B) else 0

    def keep(self, sentence_B: Tensor) -> Self:
        """Only these sentences from now on."""
        self.prefix_BP, self.limit_B, self.minimum_B = (
            self.prefix_BP[sentence_B],
            self.limit_B[sentence_B],
            self.minimum_B[sentence_B],
        )
        if self.repeats is not None:
            self.repeats.keep(sentence_B)
        self._know()
        return self

    def follow(self, parent_BW: Tensor, token_BW: Tensor) -> None:
        """Hear how the hypotheses went on: each is now what row `parent` of its sentence was, and one token
        more.
        """
        if self.repeats is not None:
            self.repeats.follow(parent_BW, token_BW)

    def apply(self, log_p_BWN: Tensor, length: int) -> Tensor:
        """For hypotheses that hold `length` tokens; changes log_p_BWN in place and returns it."""
        forced_BW1 = kept_BW1 = None
        if length < self.prefix_BP.shape[1] or length >= self._first_limit:
            forced_B = (
                self.prefix_BP[:, length]
                if length < self.prefix_BP.shape[1]
                else torch.full_like(self.limit_B, -1)
            )
            forced_B = forced_B.masked_fill(length >= self.limit_B, self.eos)
            forced_BW1 = forced_B[:, None, None].expand(-1, log_p_BWN.shape[1], 1)
            kept_BW1 = log_p_BWN.gather(2, forced_BW1.clamp(min=0))
        log_p_BWN.index_fill_(2, self.banned, -torch.inf)
        if self.repeats is not None:
            self.repeats.ban(log_p_BWN)
        if length < self._last_minimum:
            log_p_BWN[:, :, self.eos].masked_fill_((length < self.minimum_B)[:, None], -torch.inf)
        if forced_BW1 is not None and kept_BW1 is not None:
            some_BW1 = forced_BW1 >= 0
            log_p_BWN.masked_fill_(some_BW1, -torch.inf)
            index_BW1 = forced_BW1.clamp(min=0)
            log_p_BWN.scatter_(2, index_BW1, torch.where(some_BW1, kept_BW1, log_p_BWN.gather(2, index_BW1)))
        return log_p_BWN
