"""Parts of a Transformer's layers: norms, the feed-forward network, and the residual connection."""

from torch import Tensor, nn
from torch.nn import functional as F

from seq2attn.attention.part import StackedLinear
from seq2attn.attention.self_attention import RotaryAngles, SelfAttention
from seq2attn.config import TransformerConfig
from seq2attn.kernels.dropout import dropout

EPS = 1e-5  # added to a norm's denominator; torch's default for RMSNorm depends on the number format


def build_norm(config: TransformerConfig) -> nn.Module:
    """Layer normalisation (Ba 2016), or by the root mean square alone (Zhang 2019)."""
    if config.norm == "layer":
        return nn.LayerNorm(config.size, EPS, bias=config.bias)
    return nn.RMSNorm(config.size, EPS)


class FeedForward(nn.Module):
    """W_2 f(W_1 x + b_1) + b_2 at each position (Vaswani 2017, eq. 2), or W_2 (silu(W x) * V x) (Shazeer
    2020, eq. 6).
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.activation = config.activation
        matrices = 2 if self.activation == "swiglu" else 1
        self.up = StackedLinear(config.size, [config.feedforward] * matrices, config.bias)
        self.down = nn.Linear(config.feedforward, config.size, bias=config.bias)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.up(x)
        if self.activation == "swiglu":
            gate, hidden = hidden.chunk(2, -1)
            hidden = F.silu(gate) * hidden
        else:
            # relu_ works in place
            hidden = getattr(F, "relu_" if self.activation == "relu" else self.activation)(hidden)
        return self.down(hidden)  # type: ignore[no-any-return]


class TransformerLayer(nn.Module):
    """A layer of several sublayers f, of which self-attention is the first. A sublayer is norm(x +
    drop(f(x))) (Vaswani 2017, sections 3.1 and 5.4), or with `prenorm` x + drop(f(norm(x))). Both are

        x = self.add(x, f(self.before(x, norm)), norm)
    """

    self_attn_norm: nn.Module

    def __init__(self, config: TransformerConfig, dropout: float) -> None:
        super().__init__()
        self.prenorm, self.dropout = config.prenorm, dropout
        rotary = config.positions == "rotary"
        self.self_attn = SelfAttention(config.size, config.heads, config.kv_heads, rotary, config.bias)

    def before(self, x: Tensor, norm: nn.Module) -> Tensor:
        return norm(x) if self.prenorm else x

    def add(self, x: Tensor, y: Tensor, norm: nn.Module) -> Tensor:
        x = x + dropout(y, self.dropout, self.training)
        return x if self.prenorm else norm(x)

    def self_attention(self, x_BTD: Tensor, mask_BS: Tensor | None, rotary: RotaryAngles | None) -> Tensor:
        """The attention weights (B, H, T, T) of the layer's self-attention. Without a mask each token reads
        itself and the tokens before it.
        """
        return self.self_attn.weights(self.before(x_BTD, self.self_attn_norm), mask_BS, rotary)
