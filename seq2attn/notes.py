"""What the library says beside its results: notes and warnings, through the logger "seq2attn".

Python prints the warnings on stderr and leaves out the notes, unless the program configures logging:
`logging.basicConfig(level="INFO")` shows both. The command line prints both. As in errors, a note names an
argument in backquotes, and the command line writes it as a flag. Of several processes that torchrun started,
the first one tells what is the same for all.
"""

import logging

from seq2attn import ranks

LOGGER = logging.getLogger("seq2attn")


def note(text: str) -> None:
    """Tell what was done, or what to do next."""
    if ranks.speaks():
        LOGGER.info("%s", text)


def warn(text: str) -> None:
    """Tell of something that may be wrong and does not stop the work."""
    if ranks.speaks():
        LOGGER.warning("%s", text)
