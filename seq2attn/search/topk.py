"""The likeliest continuations of a sentence's hypotheses: what a search reads of a vocabulary at every step.

The numbers of a vocabulary are gone over as few times as can be: with thousands of tokens that is a good part
of a search's time.
"""

import torch
from torch import Tensor

BLOCK = 64  # tokens whose largest number is found first


def log_softmax(logits_RN: Tensor) -> Tensor:
    """log p of every token, in float32 at least: sums of half precision would lose what tells outputs apart."""
    return logits_RN.to(torch.promote_types(logits_RN.dtype, torch.float32)).log_softmax(1)


def top_candidates(log_p_BWN: Tensor, before_BW: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """The `count` largest sums of `before`, a hypothesis's own log p, and the log p of its next token,
    largest first (equal ones in any order).

    Three tensors (B, K): the sums, the hypotheses and the tokens; fewer than `count` where there are not so
    many. They all lie in the `count` blocks
    of tokens with the largest first numbers: only those are sorted.
    """
    sentences, width, size = log_p_BWN.shape
    count = min(count, width * size)
    blocks = size // BLOCK
    if width * blocks < 4 * count:
        sums_BK, place_BK = (log_p_BWN + before_BW[:, :, None]).flatten(1).topk(count)
        return sums_BK, place_BK // size, place_BK % size
    whole = log_p_BWN[:, :, : blocks * BLOCK].unflatten(2, (blocks, BLOCK))
    block_BK = (whole.amax(3) + before_BW[:, :, None]).flatten(1).topk(count).indices
    row_BK = block_BK // blocks
    sentence_B1 = torch.arange(sentences, device=block_BK.device)[:, None]
    sums_BX = (
        whole[sentence_B1, row_BK, block_BK % blocks] + before_BW.gather(1, row_BK)[:, :, None]
    ).flatten(1)
    place_BX = (row_BK * size + block_BK % blocks * BLOCK)[:, :, None] + torch.arange(
        BLOCK, device=block_BK.device
    )
    place_BX = place_BX.flatten(1)
    if size % BLOCK:  # the tokens of no block
        rest_W = torch.arange(width, device=block_BK.device)[:, None] * size + torch.arange(
            blocks * BLOCK, size, device=block_BK.device
        )
        sums_BX = torch.cat(
            [sums_BX, (log_p_BWN[:, :, blocks * BLOCK :] + before_BW[:, :, None]).flatten(1)], 1
        )
        place_BX = torch.cat([place_BX, rest_W.flatten().expand(sentences, -1)], 1)
    sums_BK, among_BK = sums_BX.topk(count)
    place_BK = place_BX.gather(1, among_BK)
    return sums_BK, place_BK // size, place_BK % size
