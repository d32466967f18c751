"""How a long task reports its progress: one type of callback, and one that reports nothing."""

from collections.abc import Callable

# Called with the number of items done and their total; None where the total is not known.
Progress = Callable[[int, int | None], None]


def silent(done: int, total: int | None) -> None:
    """Report nothing."""
