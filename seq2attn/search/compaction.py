"""When finished sentences leave the batch of a search, and which rows then stay."""

from torch import Tensor


def rows_to_keep(done_B: Tensor, finished: int, group: int) -> Tensor | None:
    """The sentences that go on, in order and filled up with finished ones to a multiple of `group`; None
    while too few are finished to be worth a copy of the rest.
    """
    stay = -(-(len(done_B) - finished) // group) * group
    if 8 * stay > 7 * len(done_B):
        return None
    return done_B.long().argsort(stable=True)[:stay].sort().values
