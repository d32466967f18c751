"""Searches that end as soon as nobody waits for them.

A search of long sentences takes seconds or, with others beside it, minutes. Between two of its steps it asks
whether somebody still waits.
"""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

from seq2attn.serving.batching import Stop


class StoppableSteps:
    """An `inference.ensemble.Ensemble` whose steps raise `Stopped` when nobody waits."""

    def __init__(self, ensemble: Any, stop: Stop) -> None:
        self._ensemble, self._stop = ensemble, stop

    def step(self, *arguments: Any) -> Any:
        self._stop.check()
        return self._ensemble.step(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ensemble, name)


@contextlib.contextmanager
def stoppable(predictors: Iterable[Any], stop: Stop) -> Iterator[None]:
    """Let the searches of the predictors ask `stop`. Outside they are as they were before."""
    before = [(predictor, predictor.ensemble) for predictor in predictors]
    for predictor, ensemble in before:
        predictor.ensemble = StoppableSteps(ensemble, stop)
    try:
        yield
    finally:
        for predictor, ensemble in before:
            predictor.ensemble = ensemble
