"""Windows: the source positions that a step may read, around one that it is centred on (Luong 2015, section
3.2).

Positions are counted from 0, and real positions come before padding. A window knows neither scores nor
values.
"""

from abc import abstractmethod

import torch
from torch import Tensor, nn

from seq2attn.attention.history import AttentionHistory
from seq2attn.config import AttentionConfig
from seq2attn.kernels.deferred_gradients import Linear


class Window(nn.Module):
    def __init__(self, half_width: int) -> None:
        """Positions j with |j - p_t| <= D = `half_width` are read."""
        super().__init__()
        self.half_width = half_width

    @abstractmethod
    def forward(
        self, query_BTQ: Tensor, mask_BS: Tensor, past: AttentionHistory | None
    ) -> tuple[Tensor, Tensor | None]:
        """The mask (B, T, S) of what each query may read, and a factor (B, T, S) on the weights it gets
        there, or None.
        """


class Monotonic(Window):
    """local-m: p_t = t, the number of the step. Beyond the last real position it stays there, where the paper
    is silent.
    """

    def forward(
        self, query_BTQ: Tensor, mask_BS: Tensor, past: AttentionHistory | None
    ) -> tuple[Tensor, None]:
        assert past is not None
        centre_BT = torch.minimum(past.time, mask_BS.sum(-1, keepdim=True) - 1)
        distance_BTS = (torch.arange(mask_BS.size(-1), device=mask_BS.device) - centre_BT[..., None]).abs()
        return mask_BS[:, None] & (distance_BTS <= self.half_width), None


class Predictive(Window):
    """local-p: p_t = S sigma(v . tanh(W q)) of S real positions; weights are multiplied by exp(-(j - p_t)^2 /
    (2 (D / 2)^2)) (equations 9 and 10).

    The gradient reaches p_t through that factor.
    """

    def __init__(self, query_size: int, size: int, half_width: int) -> None:
        super().__init__(half_width)
        self.query = Linear(query_size, size, bias=False)
        self.v = nn.Parameter(torch.empty(size))

    def forward(
        self, query_BTQ: Tensor, mask_BS: Tensor, past: AttentionHistory | None
    ) -> tuple[Tensor, Tensor]:
        # products and sums by hand, in float32 at least: a matrix product in half precision would leave 8
        # bits to tell positions apart
        hidden_BTA = self.query(query_BTQ).tanh()
        wide = torch.promote_types(self.v.dtype, torch.float32)
        centre_BT = mask_BS.sum(-1, keepdim=True) * (hidden_BTA.to(wide) * self.v.to(wide)).sum(-1).sigmoid()
        distance_BTS = torch.arange(mask_BS.size(-1), device=mask_BS.device) - centre_BT[..., None]
        factor_BTS = (-2 * (distance_BTS / self.half_width).square()).exp()
        return mask_BS[:, None] & (distance_BTS.abs() <= self.half_width), factor_BTS


def build_window(settings: AttentionConfig, query_size: int, size: int) -> Window | None:
    """The window that a config names, for queries of `query_size`, with `size` hidden units where it has any;
    None where all is read.
    """
    match settings.window:
        case "none":
            return None
        case "local-m":
            return Monotonic(settings.half_width)
        case "local-p":
            return Predictive(query_size, size, settings.half_width)
