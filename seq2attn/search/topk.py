"""The best continuations of a sentence's hypotheses, from the log-probabilities of the whole vocabulary.

With thousands of tokens, reading the vocabulary takes much of a search's time, so it is read as few times as
possible. The shape suffixes are those of `step.py`; K is the number of candidates of a sentence.
"""

import torch
from torch import Tensor

BLOCK = 64  # tokens of a block; only blocks with a large maximum are sorted


def log_softmax(logits_RN: Tensor) -> Tensor:
    """log p of every token, in float32 or wider: half precision cannot tell outputs apart."""
    return logits_RN.to(torch.promote_types(logits_RN.dtype, torch.float32)).log_softmax(1)


def top_candidates(log_p_BWN: Tensor, before_BW: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """The K = `count` most probable continuations of each sentence, the largest first, ties in any order.

    `before` holds log p of each hypothesis, to which log p of its next token is added. The result is three
    tensors (B, K): the sums, the rows of the hypotheses and the tokens; K is smaller than `count` if there
    are fewer. All of them lie in the `count` blocks with the largest maxima, so that only these blocks are
    sorted.
    """
    sentences, width, size = log_p_BWN.shape
    count = min(count, width * size)
    blocks = size // BLOCK
    if width * blocks < 4 * count:
        sums_BK, index_BK = (log_p_BWN + before_BW[:, :, None]).flatten(1).topk(count)
        return sums_BK, index_BK // size, index_BK % size
    whole, rest = log_p_BWN.split((blocks * BLOCK, size % BLOCK), 2)
    whole = whole.unflatten(2, (blocks, BLOCK))
    block_BK = (whole.amax(3) + before_BW[:, :, None]).flatten(1).topk(count).indices
    row_BK = block_BK // blocks
    sentence_B1 = torch.arange(sentences, device=block_BK.device)[:, None]
    best_BKX = whole[sentence_B1, row_BK, block_BK % blocks] + before_BW.gather(1, row_BK)[:, :, None]
    first_BK1 = (row_BK * size + block_BK % blocks * BLOCK)[:, :, None]
    index_BKX = first_BK1 + torch.arange(BLOCK, device=block_BK.device)
    # the tokens after the last whole block
    rest_BX = (rest + before_BW[:, :, None]).flatten(1)
    row_W1 = torch.arange(width, device=block_BK.device)[:, None]
    rest_WX = row_W1 * size + torch.arange(blocks * BLOCK, size, device=block_BK.device)
    rest_index_BX = rest_WX.flatten().expand(sentences, -1)
    sums_BK, order_BK = torch.cat([best_BKX.flatten(1), rest_BX], 1).topk(count)
    index_BK = torch.cat([index_BKX.flatten(1), rest_index_BX], 1).gather(1, order_BK)
    return sums_BK, index_BK // size, index_BK % size
