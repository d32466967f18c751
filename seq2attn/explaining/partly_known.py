"""A pointer whose source tokens may be partly known, so that what it copies can be hidden and differentiated.

A pointer copies the token of a source position by its number, which has no gradient. Here each position has a
share m besides: with m = 1 it copies its token, with m = 0 the unknown token, and between them a part of its
attention weight goes to each. Integrated gradients walk along m as they walk along the embedding, and are
complete; a hidden word is never copied.

Shapes: B sources, S positions, T steps.
"""

import torch
from torch import Tensor

from seq2attn.copying.pointer import Pointer, SourceTokens
from seq2attn.data.tokenizer import UNK


class PartlyKnownPointer(Pointer):
    """A pointer with the parameters of another one, that reads what `known_in_part` returns."""

    def __init__(self, own: Pointer) -> None:
        super().__init__(own.gate.in_features, 0, len(own.target_of))
        self.gate, self.target_of = own.gate, own.target_of

    def read(self, source_BS: Tensor) -> SourceTokens:
        ids_BS, share_BS = source_BS.unbind(-1)
        # The unknown token comes first, so that what is hidden and what is unknown anyway share one position.
        source = super().read(torch.cat([ids_BS.new_full((len(ids_BS), 1), UNK), ids_BS], 1).long())
        own_BSS = source.first_BSS[:, 1:] * share_BS[..., None]
        hidden_BS = source.first_BSS[:, :1] * (1 - share_BS[..., None])
        return SourceTokens(source.tokens_BS, own_BSS + hidden_BS)


def known_in_part(ids_BS: Tensor, share_BS: Tensor) -> Tensor:
    """Ids and shares as one tensor (B, S, 2), in place of the ids that a memory holds. Numbers of tokens are
    far below 2^24, so that float32 holds each.
    """
    return torch.stack([ids_BS.to(share_BS.dtype), share_BS], -1)
