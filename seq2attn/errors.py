"""Errors that the user can fix. Each is one line that names the file, line or setting, and the way out.

The command line prints only the message and exits with `exit_code`. Any other exception that escapes is a
defect of the program.

The error of a library function names an argument or a setting, never a flag with dashes. An argument that is
wrong comes first in the message and is repeated as `setting`. Any other argument stands in backquotes:

    raise UsageError("device gpu: choose auto, cpu, cuda or cuda:N", setting="device")
    raise UserError(f"{path}: a run is here already; continue it with `resume`")

The command line prints `--device gpu: ...` and `... continue it with --resume`: see `with_flags`.
"""

import re
from collections.abc import Collection, Mapping


class UserError(Exception):
    """The work failed for a reason that the user can fix: a missing file, a damaged run, a full disk.

    `setting` is the wrong argument or setting, if there is one.
    """

    exit_code = 1

    def __init__(self, message: str, setting: str | None = None) -> None:
        super().__init__(message)
        self.setting = setting


class UsageError(UserError):
    """The request itself makes no sense: an unknown setting, or settings that contradict each other."""

    exit_code = 2


class ProcessLost(UserError):
    """Another of several processes that work together has ended, or cannot be reached; it knows why."""


def is_out_of_threads(error: BaseException) -> bool:
    """Whether it says that no more threads may start: neither Python nor C++ has a class of errors for it."""
    texts = ("can't start new thread", "Resource temporarily unavailable")
    return isinstance(error, RuntimeError) and any(text in str(error) for text in texts)


def with_flags(
    message: str, flags: Collection[str], setting: str | None = None, names: Mapping[str, str] | None = None
) -> str:
    """The message of an error or a note, for a command that has these `flags`, such as `--device`.

    The `setting` at the start and names in backquotes are written as flags if the command has them. Other
    names stay. `names` has the flags of arguments that have another name on the command line.
    """

    def flag(name: str) -> str | None:
        name = (names or {}).get(name, f"--{name.replace('_', '-')}")
        return name if name in flags else None

    if setting is not None and re.match(rf"{re.escape(setting)}\b", message):
        message = (flag(setting) or setting) + message.removeprefix(setting)
    return re.sub(r"`(\w+)`", lambda name: flag(name[1]) or name[0], message)
