"""Windows: the source positions that a query may read, around a centre (Luong 2015, section 3.2).

Positions are counted from 0, and real positions come before padding. A window knows neither scores nor
values.
"""

from abc import abstractmethod

import torch
from torch import Tensor, nn

from seq2attn.attention.history import History
from seq2attn.attention.part import Part
from seq2attn.config import AttentionConfig
from seq2attn.kernels.deferred_gradients import Linear


class Window(Part):
    needs_step = False  # reads `history.step`

    def __init__(self, half_width: int) -> None:
        """Positions j with |j - p_t| <= D = `half_width` are read, p_t being the centre."""
        super().__init__()
        self.half_width = half_width

    @abstractmethod
    def forward(self, query: Tensor, mask_BS: Tensor, history: History) -> tuple[Tensor, Tensor | None]:
        """For queries (B, H, T, Q): the mask (B, 1 or H, T, S) of what each may read, and a factor (B, H, T,
        S) on the weights that it gets there, or None.
        """

    def around(self, centre_BHT: Tensor, mask_BS: Tensor) -> tuple[Tensor, Tensor]:
        """The mask (B, 1 or H, T, S) of positions around the centres, and the distance of each from them."""
        position_S = torch.arange(mask_BS.size(-1), device=mask_BS.device)
        distance_BHTS = position_S - centre_BHT[..., None]
        return mask_BS[:, None, None] & (distance_BHTS.abs() <= self.half_width), distance_BHTS


class Monotonic(Window):
    """local-m: p_t = t, the number of the step. Beyond the last real position it stays there, where the paper
    is silent.
    """

    needs_step = True

    def forward(self, query: Tensor, mask_BS: Tensor, history: History) -> tuple[Tensor, None]:
        assert history is not None
        centre_BT = torch.minimum(history.step, mask_BS.sum(-1, keepdim=True) - 1)
        return self.around(centre_BT[:, None], mask_BS)[0], None


class Predictive(Window):
    """local-p: p_t = S sigma(v . tanh(W q)) of S real positions; weights are multiplied by exp(-(j - p_t)^2 /
    (2 (D / 2)^2)) (equations 9 and 10). The gradient reaches p_t through that factor.
    """

    def __init__(self, query_size: int, size: int, half_width: int) -> None:
        super().__init__(half_width)
        self.query = Linear(query_size, size, bias=False)
        self.v = nn.Parameter(torch.empty(size))

    def forward(self, query: Tensor, mask_BS: Tensor, history: History) -> tuple[Tensor, Tensor]:
        hidden = self.query(query).tanh()
        # A sum in float32 at least: in half precision a matrix product would leave 8 bits to tell positions
        # apart.
        wide = torch.promote_types(self.v.dtype, torch.float32)
        share_BHT = (hidden.to(wide) * self.v.to(wide)).sum(-1).sigmoid()
        centre_BHT = mask_BS.sum(-1)[:, None, None] * share_BHT
        mask_BHTS, distance_BHTS = self.around(centre_BHT, mask_BS)
        return mask_BHTS, (-2 * (distance_BHTS / self.half_width).square()).exp()


def build_window(config: AttentionConfig, query_size: int, size: int) -> Window | None:
    """The window that `config.window` names, for queries of `query_size`, with `size` hidden units where it
    has any; None where all positions are read.
    """
    match config.window:
        case "none":
            return None
        case "local-m":
            return Monotonic(config.half_width)
        case "local-p":
            return Predictive(query_size, size, config.half_width)
