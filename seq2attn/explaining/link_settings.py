"""How links are read off attention. It imports little, so that the command line can check it at once."""

from typing import NamedTuple

from seq2attn.errors import UsageError


class LinkSettings(NamedTuple):
    """How links are read off attention."""

    layer: int | None = None  # from 1; None: the mean of all
    head: int | None = None
    shift: int | None = None  # None: 0
    threshold: float | None = None  # None: the source word with the largest weight

    def check(self) -> None:
        """Raise UsageError for values that make no sense."""
        for name, value in (("layer", self.layer), ("head", self.head)):
            if value is not None and value < 1:
                raise UsageError(f"{name} {value}: numbers begin at 1", setting=name)
        if self.shift not in (None, 0, 1):
            problem = "choose 0, the step that writes a word, or 1, the step that reads it"
            raise UsageError(f"shift {self.shift}: {problem}", setting="shift")
        if self.threshold is not None and not 0 < self.threshold <= 1:
            problem = "a weight is more than 0 and at most 1"
            raise UsageError(f"threshold {self.threshold:g}: {problem}", setting="threshold")
