"""Outputs of a validation or test that several processes make: each does its part, and all have the whole."""

import json
from collections.abc import Callable, Sequence

from seq2attn.progress import Progress
from seq2attn.training.distributed import World
from seq2attn.training.events import Interrupted


def share_out(world: World, count: int, work: Callable[[range], Sequence[str]]) -> list[str]:
    """What `work` gives for all of `count` items, in their order; each process calls it for its own ones.

    Raises Interrupted in every process if `work` does in one.
    """
    if world.size == 1:
        return list(work(range(count)))
    try:
        own = json.dumps(list(work(world.share(count))))
    except Interrupted:
        own = json.dumps(None)
    parts = list(map(json.loads, world.gather(own)))
    if None in parts:
        raise Interrupted
    return [text for part in parts for text in part]


def of_all(world: World, count: int, progress: Progress) -> Progress:
    """A callback for the share of this process, which reports to `progress` as if all were as far."""

    def report(done: int, total: int | None) -> None:
        progress(count * done // total if total else count, count)

    return report if world.size > 1 else progress
