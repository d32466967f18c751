"""No n-gram twice: bans, for each hypothesis, the tokens that would end an n-gram it holds already (Paulus
2018, section 2.5, with n = 3).

It is over target pieces, and knows nothing of what they spell. All rows at once, with no wait for the device;
one that never repeats pays only for the look.
"""

from typing import Self

import torch
from torch import Tensor


class Repeats:
    """What each row has written so far, B sentences of W rows, and the bans that follow from it."""

    def __init__(self, ngram: int, eos: int) -> None:
        """`ngram` is n, at least 1."""
        self.ngram, self.eos = ngram, eos
        self.written_BWT: Tensor | None = None

    def ban(self, log_p_BWN: Tensor) -> Tensor:
        """Changes log_p_BWN in place and returns it. The end token is never banned, whatever was written."""
        if self.written_BWT is None or self.written_BWT.shape[2] < self.ngram:
            return log_p_BWN
        before = self.ngram - 1
        past_BWPn = self.written_BWT.unfold(2, self.ngram, 1)
        last_BW1n = self.written_BWT[:, :, None, self.written_BWT.shape[2] - before :]
        again_BWP = (past_BWPn[..., :before] == last_BW1n).all(-1)
        # what is not banned is written over the end token, which is put back
        banned_BWP = past_BWPn[..., before].where(again_BWP, self.eos)
        end_BW = log_p_BWN[:, :, self.eos].clone()
        log_p_BWN.scatter_(2, banned_BWP, -torch.inf)
        log_p_BWN[:, :, self.eos] = end_BW
        return log_p_BWN

    def follow(self, parent_BW: Tensor, token_BW: Tensor) -> None:
        """Each row is now what row `parent` of its sentence was, and one token more."""
        token_BW1 = token_BW[:, :, None]
        if self.written_BWT is None:
            self.written_BWT = token_BW1
        else:
            index_BWT = parent_BW[:, :, None].expand(-1, -1, self.written_BWT.shape[2])
            self.written_BWT = torch.cat([self.written_BWT.gather(1, index_BWT), token_BW1], dim=2)

    def keep(self, sentence_B: Tensor) -> Self:
        """Only these sentences from now on."""
        if self.written_BWT is not None:
            self.written_BWT = self.written_BWT[sentence_B]
        return self
