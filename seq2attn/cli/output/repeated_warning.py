"""A warning that many lines may need: it is printed for the first ones, then counted."""

from seq2attn.cli import console

MOST = 10


class RepeatedWarning:
    """`what` names the problem of the lines that are only counted, as in "not a JSON object"."""

    def __init__(self, what: str, most: int = MOST) -> None:
        self._what, self._most = what, most
        self.count = 0

    def warn(self, text: str) -> None:
        self.count += 1
        if self.count <= self._most:
            console.warn(text)

    def close(self) -> None:
        """At the end of the work: print how many more lines there were."""
        more = self.count - self._most
        if more > 0:
            console.warn(f"{more:,} more {'lines' if more > 1 else 'line'}: {self._what}")
