"""The pointer-generator: a softmax mixed with the attention weights of what stands in the source.

    p_gen = sigmoid(w . [r_t; x_t] + b)                                           (See 2017, equation 8)
    P(w) = p_gen softmax(w) + (1 - p_gen) sum_{j: source token j is w} a_tj       (equation 9)

See, Liu and Manning 2017, Get To The Point, https://arxiv.org/abs/1704.04368. r_t is what the output layer
reads, which depends on the decoder's state s_t and the context h*_t; x_t is the embedding of the last token.
The paper's p_gen reads s_t, h*_t and x_t themselves. r_t exists in every family of decoders.

A source token that the target vocabulary does not have counts as its unknown token, so that P sums to 1. The
end of the source is a token like others: attention to it makes the end of the output more likely.

Shapes: B sentences, T steps of each (in a search the rows of its beam), S source positions, N tokens of the
target vocabulary, H heads.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

VECTOR = 16  # numbers of the widest vector of a processor


class SourceTokens(NamedTuple):
    """The tokens of B sources as the target vocabulary has them."""

    tokens_BS: Tensor  # int64
    first_BSS: Tensor  # 1 at (j, k) if token j is token k, and k is the first position with it; else 0


class Copies(NamedTuple):
    """What the softmax of T steps of B sentences is mixed with."""

    gate_BT: Tensor  # log(p_gen / (1 - p_gen))
    mass_BTS: Tensor  # sum of the weights on a token, at the first position with it; 0 at the others
    tokens_BS: Tensor

    def steps(self, steps: slice) -> "Copies":
        return Copies(self.gate_BT[:, steps], self.mass_BTS[:, steps], self.tokens_BS)

    def rows(self, row_M: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Gate (M,), mass (M, S) and tokens (M, S) of the rows `row_M` among the B*T; None: of all rows."""
        gate, mass = self.gate_BT.flatten(), self.mass_BTS.flatten(0, 1)
        if row_M is None:
            return gate, mass, self.tokens_BS.repeat_interleave(self.gate_BT.size(1), 0)
        return gate[row_M], mass[row_M], self.tokens_BS[row_M // self.gate_BT.size(1)]


class Pointer(nn.Module):
    def __init__(self, features: int, embedding: int, source_size: int) -> None:
        """For features and embeddings of these sizes, and a source vocabulary of `source_size` tokens.

        A source token is the target token of its number until `share_vocabulary` says another one.
        """
        super().__init__()
        self.gate = nn.Linear(features + embedding, 1)
        self.target_of: Tensor
        self.register_buffer("target_of", torch.arange(source_size), persistent=False)

    def share_vocabulary(self, target_of: Tensor) -> None:
        """Set the target token of each source token, int64 (source_size,)."""
        self.target_of.copy_(target_of)

    def read(self, source_BS: Tensor) -> SourceTokens:
        """Sources of ids (B, S), once for all steps."""
        tokens_BS = self.target_of[source_BS]
        same_BSS = tokens_BS[:, :, None] == tokens_BS[:, None]
        first_BSS = same_BSS & (same_BSS.cumsum(2) == 1)
        return SourceTokens(tokens_BS, first_BSS.to(_wide(self.gate.weight)))

    def forward(self, features: Tensor, embedded: Tensor, weights: Tensor, source: SourceTokens) -> Copies:
        """The copies of steps, of features (B, T, D), embeddings (B, T, E) of the last tokens, and weights
        (B, T, H, S), of which the mean over the heads copies. B and T may be one dimension in each of them.
        """
        sentences = len(source.tokens_BS)
        wide = _wide(self.gate.weight)
        both = features.flatten(0, -2), embedded.flatten(0, -2).to(features.dtype)
        gate = self.gate(torch.cat(both, -1))
        with torch.autocast(features.device.type, enabled=False):
            weights_BTS = weights.to(wide).mean(-2).view(sentences, -1, weights.size(-1))
            mass_BTS = weights_BTS @ source.first_BSS
        return Copies(gate.to(wide).view(sentences, -1), mass_BTS, source.tokens_BS)


def mixture(logits: Tensor, copies: Copies) -> Tensor:
    """log P of all tokens, from logits (B, T, N), or (B*T, N), in float32 or wider.

    Only the tokens of the source need more than the softmax: log P(w) is log(p_gen softmax(w)) plus
    log(1 + odds), where odds are those of a copy of w against a generated w.
    """
    log_p_BTN = logits.to(_wide(logits)).log_softmax(-1).view(*copies.gate_BT.shape, -1)
    gate_BT1 = copies.gate_BT[..., None]
    tokens_BTS = copies.tokens_BS[:, None].expand_as(copies.mass_BTS)
    known = copies.mass_BTS > 0
    log_mass = copies.mass_BTS.masked_fill(~known, 1.0).log()
    log_odds = log_mass - gate_BT1 - log_p_BTN.gather(2, tokens_BTS)
    gain_BTS = torch.logaddexp(log_odds, torch.zeros_like(log_odds)).masked_fill(~known, 0.0)
    # Of few numbers, torch computes some in vectors and the rest one by one, with another last digit. In
    # whole vectors, a sentence's result does not depend on the size of its batch.
    log_p_gen_BT1 = nn.functional.logsigmoid(gate_BT1.repeat(1, 1, VECTOR))[..., :1]
    log_p_BTN = (log_p_BTN + log_p_gen_BT1).scatter_add_(2, tokens_BTS, gain_BTS)
    return log_p_BTN.view(logits.shape)


def _wide(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)
