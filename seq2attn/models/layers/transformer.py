"""What the layers of a Transformer encoder and decoder are made of: norms, the position-wise network, and a
sublayer with its residual.
"""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from seq2attn.config import TransformerConfig
from seq2attn.kernels.dropout import dropout

EPS = 1e-5  # added to what a norm divides by the root of; torch's own for RMSNorm would hang on the type


def norm(settings: TransformerConfig) -> nn.Module:
    """Layer normalisation (Ba 2016), or by the root mean square alone (Zhang 2019)."""
    return (
        nn.LayerNorm(settings.size, EPS, bias=settings.bias)
        if settings.norm == "layer"
        else nn.RMSNorm(settings.size, EPS)
    )


class FeedForward(nn.Module):
    """W_2 f(W_1 x + b_1) + b_2 at each position (Vaswani 2017, eq. 2), or W_2 (silu(W x) * V x) (Shazeer
    2020, eq. 6).
    """

    def __init__(self, settings: TransformerConfig) -> None:
        super().__init__()
        self.activation = settings.activation
        self.into = nn.Linear(
            settings.size,
            settings.feedforward * (2 if self.activation == "swiglu" else 1),
            bias=settings.bias,
        )
        self.out = nn.Linear(settings.feedforward, settings.size, bias=settings.bias)

    def parts(self) -> tuple[Tensor, ...]:
        """The matrices that stand in one, each a view: W and V where it is gated."""
        matrices: tuple[Tensor, ...] = self.into.weight.split(self.out.in_features)
        return matrices

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.into(x)
        if self.activation == "swiglu":
            gate, hidden = hidden.chunk(2, -1)
            hidden = F.silu(gate) * hidden
        else:
            hidden = F.relu(hidden, inplace=True) if self.activation == "relu" else F.gelu(hidden)
        y: Tensor = self.out(hidden)
        return y


class Sublayer(nn.Module):
    """norm(x + f(x)) as in the paper (section 3.1), or x + f(norm(x)); dropout on f (section 5.4). The
    function is handed in.
    """

    def __init__(self, settings: TransformerConfig, dropout: float) -> None:
        super().__init__()
        self.norm = norm(settings)
        self.first = settings.prenorm
        self.dropout = dropout

    def forward(self, x: Tensor, f: Callable[[Tensor], Tensor]) -> Tensor:
        y = dropout(f(self.norm(x) if self.first else x), self.dropout, self.training)
        z: Tensor = x + y if self.first else self.norm(x + y)
        return z
