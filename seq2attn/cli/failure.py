"""The one line of a command that failed, told by one of the processes that torchrun started.

What fails in all of them alike is told by the first. Another process waits for a moment: torchrun ends it
once the first one has failed. If it does not, the failure is its own, and it tells it. A process that has
lost another one waits longer, because the other one tells the cause. torchrun gets the line, too, and prints
that of the first process that ends as the root cause.
"""

import contextlib
import json
import os
import time
from pathlib import Path

from seq2attn import files, ranks
from seq2attn.cli import console

MOMENT = 3.0  # seconds; torchrun looks at its processes ten times a second


def tell(line: str, interrupted: bool, lost: bool) -> None:
    """Print why the command failed, where this process has to. `interrupted`: somebody ended it; `lost`:
    another process has ended, and the line names this one.
    """
    if not ranks.speaks() and interrupted:  # by the user, or by torchrun because another one failed
        return
    if lost or not ranks.speaks():
        try:
            time.sleep(2 * MOMENT if lost else MOMENT)
        except KeyboardInterrupt:
            return
    if not (lost or ranks.speaks()):
        line = f"process {ranks.rank() + 1} of {ranks.size()}: {line}"
    console.error(line)
    _give_to_torchrun(line)


def _give_to_torchrun(line: str) -> None:
    """Write the file that torchrun reads when one of its processes has failed."""
    name = os.environ.get("TORCHELASTIC_ERROR_FILE")
    if not name or os.path.lexists(name):
        return
    extra = {"py_callstack": console.printable(line), "timestamp": str(int(time.time()))}
    content = json.dumps({"message": {"message": console.printable(line), "extraInfo": extra}})
    with contextlib.suppress(Exception):  # the failure itself has been told
        files.write(Path(name), content.encode(), "")
