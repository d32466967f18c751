"""What torchrun tells a process by environment variables: its rank, and with how many others it works.

Without torchrun a process has rank 0 of 1. This module imports no torch, and knows no training.
"""

import os

from seq2attn.errors import UserError


def number(name: str, default: int) -> int:
    """The environment variable of that name. Raises UserError if it is no number."""
    value = os.environ.get(name, "") or str(default)
    if not value.isdecimal():
        raise UserError(f"{name}={value}: not a number; torchrun sets it, or unset it to work in one process")
    return int(value)


def rank() -> int:
    """The number of this process among all, from 0."""
    return number("RANK", 0) if size() > 1 else 0


def size() -> int:
    """How many processes work together."""
    return max(number("WORLD_SIZE", 1), 1)


def local_rank() -> int:
    """The number of this process among those of its machine, from 0."""
    return number("LOCAL_RANK", 0)


def restarts() -> int:
    """How often torchrun has started the processes again, after one of them failed."""
    return number("TORCHELASTIC_RESTART_COUNT", 0)


def restartable() -> bool:
    """Whether torchrun watches this process, and may start it again."""
    return "TORCHELASTIC_RESTART_COUNT" in os.environ


def speaks() -> bool:
    """Whether this process tells what is the same for all: the first one does."""
    try:
        return rank() == 0
    except UserError:  # whoever needs the number refuses it
        return True
