"""Batches of few shapes: rows and lengths are rounded up, and what is added counts nothing.

A CUDA graph holds the kernels of one shape, so that batches of ever new shapes could not be replayed. The
added rows have a source of one token, because every source needs one, and no real target token. A batch of
images keeps its images: the norms of a backbone read all images of a batch.

It knows batches, and neither models nor graphs.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from seq2attn.data.batches import Batch
from seq2attn.data.tokenizer import EOS, PAD

ROWS = 16  # rows become a multiple of this, of targets and of sources of text
LENGTHS = 8  # and positions of this


def round_up(batch: Batch) -> Batch:
    """The batch with its rows and lengths rounded up; the mask of the targets is False at what was added."""
    source, source_mask, source_of_B = batch.source, batch.source_mask, batch.source_of_B
    is_text = source.dtype == torch.int64
    rows = len(batch.inputs_BT)
    # Without `source_of_B` each image has one target.
    added = -rows % ROWS if is_text or source_of_B is not None else 0
    if is_text:
        positions = -source.size(1) % LENGTHS
        source, source_mask = _pad(source, added, positions, PAD), _pad(source_mask, added, positions, False)
        source[rows:, 0], source_mask[rows:, 0] = EOS, True
    if source_of_B is not None:
        source_of_B = F.pad(source_of_B, (0, added))
    steps, guide_BTS = -batch.inputs_BT.size(1) % LENGTHS, batch.guide_BTS
    if guide_BTS is not None:
        guide_BTS = F.pad(guide_BTS, (0, source_mask.size(1) - guide_BTS.size(2), 0, steps, 0, added))
    return batch._replace(
        source=source,
        source_mask=source_mask,
        inputs_BT=_pad(batch.inputs_BT, added, steps, PAD),
        targets_BT=_pad(batch.targets_BT, added, steps, PAD),
        target_mask_BT=_pad(batch.target_mask_BT, added, steps, False),
        source_of_B=source_of_B,
        guide_BTS=guide_BTS,
    )


def _pad(x_BT: Tensor, rows: int, positions: int, value: int | bool) -> Tensor:
    return F.pad(x_BT, (0, positions, 0, rows), value=value)
