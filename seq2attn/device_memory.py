"""The memory of a CUDA device: how it is allocated, how much a batch may take, and what to say when there is
too little.

It knows no model.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from seq2attn.errors import UserError

TOKENS_PER_MEBIBYTE = 2  # of decoding: the caches, keys and values of large models take less than half of it
LEAST, MOST = 1 << 12, 1 << 18  # tokens of a batch that is decoded


def allocate_in_segments_that_grow() -> None:
    """Batches of ever new shapes leave gaps in memory, unless torch's allocator makes its segments larger
    instead of making new ones. It reads this setting at the first tensor on a device; the user's own stays.
    """
    if "PYTORCH_CUDA_ALLOC_CONF" not in os.environ:  # the older name
        os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")


def decoding_tokens(device: torch.device) -> int:
    """How many source tokens a batch of a search may have on this CUDA device, by its free memory: a power of
    two, so that what other programs take seldom changes it.
    """
    free, _ = torch.cuda.mem_get_info(device)
    free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    tokens = (free >> 20) * TOKENS_PER_MEBIBYTE
    return min(max(1 << max(tokens, 1).bit_length() - 1, LEAST), MOST)


def is_too_little(error: BaseException) -> bool:
    """Whether it is torch's error for too little memory on a device, or a library's within torch."""
    texts = ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")
    own = isinstance(error, RuntimeError) and any(text in str(error) for text in texts)
    return own or isinstance(error, torch.OutOfMemoryError)


@contextmanager
def too_little_memory(setting: str, text: str) -> Iterator[None]:
    """In this context, an error for too little memory on a device becomes a UserError: `text` names the
    setting and the way out.
    """
    try:
        yield
    except RuntimeError as error:
        if not is_too_little(error):
            raise
        reason = str(error).partition(". ")[0]
        raise UserError(f"{text} ({reason})", setting=setting) from None
