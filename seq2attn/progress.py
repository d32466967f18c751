"""How a long task reports its progress: the types of the callbacks, and callbacks that report nothing."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

# Called with the number of items done and their total; None if the total is not known.
Progress = Callable[[int, int | None], None]
# The same for work of several stages, with the name of the stage first.
StageProgress = Callable[[str, int, int | None], None]
# Begins a piece of work, whose stages report to the callback until the context is left.
Stages = Callable[[], AbstractContextManager[StageProgress]]


def silent(done: int, total: int | None) -> None:
    """Report nothing."""


def stages(progress: StageProgress | None) -> Stages:
    """Every piece of work reports to `progress`; None: to nobody."""
    return lambda: nullcontext(progress or (lambda stage, done, total: None))


SILENT = stages(None)
