"""When a signal to stop is a new one. Knows neither commands nor what they do about it."""

import time

SAME = 1.0  # seconds in which another signal is still the first wish to stop: timeout(1) and job managers signal a process, and its whole group as well


class Wishes:
    """Counts wishes to stop, not signals: what must be saved once a signal came is not broken off by its copy."""

    def __init__(self) -> None:
        self.count = 0
        self._last = 0.0

    def heard(self) -> bool:
        """Called at each signal: whether it is a wish of its own."""
        now = time.monotonic()
        if self.count and now - self._last < SAME:
            return False
        self._last = now
        self.count += 1
        return True
