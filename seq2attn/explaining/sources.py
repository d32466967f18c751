"""The vectors that an encoder reads of each source position, and a memory from such vectors.

For a text they are the embeddings of its tokens; for an image or a clip the features of each cell. They can
be differentiated and replaced, whatever the family of the encoder. If the decoder copies, the vector of a
token ends with one more number: 1 if its text is known, 0 if it is hidden. Shapes: B pairs, P source
positions, E numbers of a position, F frames.
"""

import abc
from collections.abc import Sequence
from typing import Any, NamedTuple, Self, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from seq2attn.data.tokenizer import EOS, PAD, UNK
from seq2attn.explaining.pairs import ForcedPair
from seq2attn.explaining.partly_known import known_in_part
from seq2attn.inference.encoding import pad
from seq2attn.models.interfaces import TextEncoder
from seq2attn.models.memory import Memory
from seq2attn.models.seq2seq import Seq2Seq


class SourceVectors(NamedTuple):
    """What an encoder reads of B sources."""

    x_BPE: Tensor
    mask: Tensor  # bool: of the P positions (B, P), of frames (B, F), or of images (B, 1)
    blank: Tensor  # (B, P, E): what stands in place of a hidden position
    grid: tuple[int, int] | None = None  # of an image or of each frame
    ids_BP: Tensor | None = None  # of a text, whose vectors end with the share of a token that is known

    def repeat(self, count: int) -> Self:
        """Each source `count` times, as neighbours."""
        ids_BP = None if self.ids_BP is None else self.ids_BP.repeat_interleave(count, 0)
        x_BPE, mask, blank = (part.repeat_interleave(count, 0) for part in self[:3])
        return type(self)(x_BPE, mask, blank, self.grid, ids_BP)


class Sources(abc.ABC):
    """How the sources of one modality become vectors, and these a memory."""

    has_end: bool  # whether the last position is an end token
    hidden_by: str  # what stands in place of a hidden unit, for people

    @abc.abstractmethod
    def vectors(self, model: Seq2Seq, pairs: Sequence[ForcedPair]) -> SourceVectors:
        """The vectors of the sources of some pairs."""

    @abc.abstractmethod
    def memory(self, model: Seq2Seq, x_BPE: Tensor, of: SourceVectors) -> Memory:
        """The memory of vectors in place of those of `of`."""


class TextSources(Sources):
    has_end = True
    hidden_by = "the unknown token <unk>"

    def vectors(self, model: Seq2Seq, pairs: Sequence[ForcedPair]) -> SourceVectors:
        embedding = cast(TextEncoder, model.encoder).embedding
        ids_BP = pad([[*pair.source, EOS] for pair in pairs], PAD).to(embedding.weight.device)
        mask_BP = ids_BP != PAD
        # the end token and padding are never hidden
        blank_BP = torch.where(mask_BP & (ids_BP != EOS), UNK, ids_BP)
        x_BPE, x0_BPE = (embedding(ids).detach() for ids in (ids_BP, blank_BP))
        if model.decoder.pointer is None:
            return SourceVectors(x_BPE, mask_BP, x0_BPE)
        known_BP = (blank_BP == ids_BP).to(x_BPE.dtype)
        x_BPE, x0_BPE = (
            nn.functional.pad(x_BPE, (0, 1), value=1.0),
            torch.cat([x0_BPE, known_BP[..., None]], -1),
        )
        return SourceVectors(x_BPE, mask_BP, x0_BPE, ids_BP=ids_BP)

    def memory(self, model: Seq2Seq, x_BPE: Tensor, of: SourceVectors) -> Memory:
        known_BP = None
        if of.ids_BP is not None:
            x_BPE, known_BP = x_BPE[..., :-1], x_BPE[..., -1]
        rows = torch.arange(x_BPE.shape[0] * x_BPE.shape[1], device=x_BPE.device).view(x_BPE.shape[:2])
        # Each position is a token of its own: its row of this matrix is its vector.
        matrix = {"embedding.weight": x_BPE.flatten(0, 1)}
        memory: Memory = functional_call(model.encoder, matrix, (rows, of.mask))
        if of.ids_BP is None or known_BP is None:
            return memory
        return memory._replace(source_BS=known_in_part(of.ids_BP, known_BP))


class ImageSources(Sources):
    has_end = False
    hidden_by = "the mean of the features of the image"

    def vectors(self, model: Seq2Seq, pairs: Sequence[ForcedPair]) -> SourceVectors:
        clips = pairs[0].source.dim() == 4
        features = [pair.source if clips else pair.source[None] for pair in pairs]
        longest = max(map(len, features))
        frames = [torch.cat([one, one.new_zeros(longest - len(one), *one.shape[1:])]) for one in features]
        x_BFCyx = torch.stack(frames).to(next(model.parameters()).device)
        mask = torch.tensor([[frame < len(one) for frame in range(longest)] for one in features])
        x_BPE = x_BFCyx.flatten(3).mT.flatten(1, 2)
        of_mean = [one.mean((0, 2, 3)) for one in features]
        blank = torch.stack(of_mean).to(x_BPE)[:, None].expand_as(x_BPE)
        return SourceVectors(x_BPE, mask.to(x_BPE.device), blank, (x_BFCyx.size(3), x_BFCyx.size(4)))

    def memory(self, model: Seq2Seq, x_BPE: Tensor, of: SourceVectors) -> Memory:
        grid = cast(tuple[int, int], of.grid)
        frames = x_BPE.size(1) // (grid[0] * grid[1])
        features = x_BPE.unflatten(1, (frames, -1)).mT.unflatten(-1, grid)
        encoder: Any = model.encoder
        clips = hasattr(encoder, "temporal_kind")
        memory: Memory = encoder(features if clips else features[:, 0], of.mask)
        return memory
