"""No repeated n-gram: the search bans each token that would complete an n-gram which the hypothesis already
holds (Paulus 2018, section 2.5, with n = 3).

The n-grams are of target tokens, not of words. All rows are handled at once, without a wait for the device.
"""

import torch
from torch import Tensor


class NoRepeatNgram:
    """The tokens of each row so far, and the tokens that they forbid. G is the number of n-grams of a row."""

    def __init__(self, ngram: int, eos: int) -> None:
        """`ngram` is n, at least 1."""
        self.ngram, self.eos = ngram, eos
        self.tokens_BWT: Tensor | None = None  # int64

    def apply(self, log_p_BWN: Tensor) -> Tensor:
        """Change the log-probabilities (B, W, N) in place and return them. EOS is never banned."""
        if self.tokens_BWT is None or self.tokens_BWT.shape[2] < self.ngram:
            return log_p_BWN
        before = self.ngram - 1
        ngram_BWGn = self.tokens_BWT.unfold(2, self.ngram, 1)
        last_BW1n = self.tokens_BWT[:, :, None, self.tokens_BWT.shape[2] - before :]
        repeats_BWG = (ngram_BWGn[..., :before] == last_BW1n).all(-1)
        # scatter needs a token for each n-gram: one that bans no token bans EOS, which is restored below
        banned_BWG = ngram_BWGn[..., before].where(repeats_BWG, self.eos)
        eos_BW = log_p_BWN[:, :, self.eos].clone()
        log_p_BWN.scatter_(2, banned_BWG, -torch.inf)
        log_p_BWN[:, :, self.eos] = eos_BW
        return log_p_BWN

    def advance(self, parent_BW: Tensor, token_BW: Tensor) -> None:
        """Each row is now what row `parent` of its sentence was, with one more token."""
        token_BW1 = token_BW[:, :, None]
        if self.tokens_BWT is None:
            self.tokens_BWT = token_BW1
        else:
            index_BWT = parent_BW[:, :, None].expand(-1, -1, self.tokens_BWT.shape[2])
            self.tokens_BWT = torch.cat([self.tokens_BWT.gather(1, index_BWT), token_BW1], dim=2)

    def select_sentences(self, sentence_B: Tensor) -> None:
        """Continue with these sentences only."""
        if self.tokens_BWT is not None:
            self.tokens_BWT = self.tokens_BWT[sentence_B]
