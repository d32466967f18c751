"""Windows: the source positions that a query may read, around a centre (Luong 2015, section 3.2).

Positions are counted from 0, and padding comes after all real positions. A window knows neither scores nor
values.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from seq2attn.attention.history import History
from seq2attn.attention.part import AttentionPart
from seq2attn.config import AttentionConfig
from seq2attn.kernels.deferred_gradients import Linear

Finish = Callable[[Tensor], Tensor]  # from the normaliser's weights (B, H, T, S) to those that are read


class Window(AttentionPart, ABC):
    """The positions around a centre that each query may read."""

    needs_step = False  # True: it reads `history.step`

    def __init__(self, half_width: int) -> None:
        """A query reads the positions j with |j - p_t| <= D = `half_width` around its centre p_t."""
        super().__init__()
        self.half_width = half_width

    @abstractmethod
    def forward(self, query: Tensor, mask_BS: Tensor, history: History) -> tuple[Tensor, Finish | None]:
        """For queries (B, H, T, Q): the mask (B, 1 or H, T, S) of the positions that each may read, and a
        function from the normaliser's weights to those that are read, or None. After it the weights of a row
        need not sum to 1.
        """

    def around(self, centre_BHT: Tensor, mask_BS: Tensor) -> tuple[Tensor, Tensor]:
        """The mask (B, 1 or H, T, S) of positions around the centres, and the distance of each from them."""
        position_S = torch.arange(mask_BS.size(-1), device=mask_BS.device)
        distance_BHTS = position_S - centre_BHT[..., None]
        return mask_BS[:, None, None] & (distance_BHTS.abs() <= self.half_width), distance_BHTS


class Monotonic(Window):
    """local-m: p_t = t, the number of the step. After the last real position the centre stays on that
    position; the paper does not specify this case.
    """

    needs_step = True

    def forward(self, query: Tensor, mask_BS: Tensor, history: History) -> tuple[Tensor, None]:
        assert history is not None
        centre_BT = torch.minimum(history.step, mask_BS.sum(-1, keepdim=True) - 1)
        return self.around(centre_BT[:, None], mask_BS)[0], None


class Predictive(Window):
    """local-p: p_t = S sigma(v . tanh(W q)), where S is the number of real positions, and the weights are
    multiplied by exp(-(j - p_t)^2 / (2 (D / 2)^2)) (equations 9 and 10). The gradient reaches p_t through
    that factor. The paper does not divide the products by their sum.
    """

    def __init__(self, query_size: int, size: int, half_width: int) -> None:
        super().__init__(half_width)
        self.query = Linear(query_size, size, bias=False)
        self.v = nn.Parameter(torch.empty(size))

    def forward(self, query: Tensor, mask_BS: Tensor, history: History) -> tuple[Tensor, Finish]:
        # The sum is in float32 at least: bfloat16 has 8 bits, too few to tell the positions of a long source
        # apart.
        wide = torch.promote_types(self.v.dtype, torch.float32)
        share_BHT = (self.query(query).tanh().to(wide) * self.v.to(wide)).sum(-1).sigmoid()
        centre_BHT = mask_BS.sum(-1)[:, None, None] * share_BHT
        mask_BHTS, distance_BHTS = self.around(centre_BHT, mask_BS)
        return mask_BHTS, (-2 * (distance_BHTS / self.half_width).square()).exp().mul


def build_window(config: AttentionConfig, query_size: int, size: int) -> Window | None:
    """The window that `config.window` names, or None for no window. The queries have `query_size` numbers;
    local-p has `size` hidden units.
    """
    match config.window:
        case "none":
            return None
        case "local-m":
            return Monotonic(config.half_width)
        case "local-p":
            return Predictive(query_size, size, config.half_width)
