"""Errors of the user's making: each is one line that names the file, line or setting and the way out.

The command line prints the message alone and exits with `exit_code`; anything else that escapes is a defect
of ours.
"""


class UserError(Exception):
    """Work failed for a reason that the user can mend: a missing file, a damaged run, a full disk."""

    exit_code = 1


class UsageError(UserError):
    """The request itself makes no sense: an unknown setting, settings that contradict each other."""

    exit_code = 2
