"""How a long task reports its progress: the type of the callback, and a callback that reports nothing."""

from collections.abc import Callable

# Called with the number of items done and their total; None if the total is not known.
Progress = Callable[[int, int | None], None]


def silent(done: int, total: int | None) -> None:
    """Report nothing."""
