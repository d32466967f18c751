"""torch's attention in one fused call, so that a query gets the same bits beside any others.

On a CPU each thread has a scratch of its own, laid behind that of the thread before: with few queries its place in memory may be none that registers load
at once, and matrix products then add in another order. Which thread has a sentence hangs on the batch. From ROWS queries on, no product minds.
"""

from torch import Tensor
from torch.nn import functional as F

ROWS = 4


def fused(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, *, causal: bool = False, scale: float | None = None, shared: bool = False) -> Tensor:
    """softmax(scale q k) v: queries (B, H, T, d), keys and values (B, H, S, any), or `shared` by several heads; the mask (B, 1, 1 or T, S) is True where a query may look.

    `causal`: each looks at itself and those before it.
    """
    missing = ROWS - query.size(2) if query.device.type == "cpu" and not causal else 0
    if missing <= 0:
        return F.scaled_dot_product_attention(query, key, value, mask, is_causal=causal, scale=scale, enable_gqa=shared)
    if mask is not None and mask.size(2) > 1:
        mask = F.pad(mask, (0, 0, 0, missing), value=True)
    read = F.scaled_dot_product_attention(F.pad(query, (0, 0, 0, missing)), key, value, mask, scale=scale, enable_gqa=shared)
    return read[:, :, :-missing]
