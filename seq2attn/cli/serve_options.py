"""The options of `seq2attn serve`, as typer annotations, and what they must not say."""

import os
import re
from collections.abc import Sequence
from typing import Annotated

import typer

from seq2attn.errors import UsageError

KEYS_VARIABLE = "SEQ2ATTN_API_KEYS"
_ORIGIN = re.compile(r"\*|https?://[\w.-]+(:[0-9]{1,5})?|https?://\[[0-9a-fA-F:.]+\](:[0-9]{1,5})?", re.ASCII)

Runs = Annotated[
    list[str],
    typer.Argument(
        help="Trained runs, of text or of images. Each has the name of its folder, or NAME=RUN. The first "
        "that fits answers a request that names none.",
        metavar="RUN",
        show_default=False,
    ),
]
Host = Annotated[
    str,
    typer.Option(
        help="Address to listen on. 127.0.0.1 is for this machine alone, 0.0.0.0 for all networks.",
        metavar="ADDRESS",
    ),
]
Port = Annotated[
    int, typer.Option(help="Port to listen on. 0: any that is free.", min=0, max=65535, metavar="N")
]
ApiKeys = Annotated[
    list[str] | None,
    typer.Option(
        "--api-key",
        help="Answer only who sends this key. Repeatable. Other users of the machine can read it in the list "
        f"of processes; the environment variable {KEYS_VARIABLE} takes keys, too, separated by spaces.",
        metavar="KEY",
        show_default=False,
    ),
]
AllowOrigins = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-origin",
        help="Let the pages of a site read answers in a browser, as in https://example.org; * for all. "
        "Repeatable.",
        metavar="ORIGIN",
        show_default="no site",
    ),
]
MaxCharacters = Annotated[
    int,
    typer.Option(help="Characters of all texts of a request, at most.", min=1, max=10_000_000, metavar="N"),
]
MaxUpload = Annotated[
    int, typer.Option(help="MiB of an uploaded picture or clip, at most.", min=1, max=64, metavar="N")
]
MaxQueue = Annotated[
    int,
    typer.Option(
        help="Sentences and pictures that may wait. A request beyond them is refused with status 429.",
        min=1,
        max=1_000_000,
        metavar="N",
    ),
]
Timeout = Annotated[
    float,
    typer.Option(
        help="Seconds until the answer to a request. Then it is refused with status 503 or 504.",
        min=0.1,
        max=3600,
        metavar="SECONDS",
    ),
]


def keys(given: Sequence[str] | None) -> list[str]:
    """The keys of the options and of the environment. Raises UsageError for an empty one."""
    if any(not key.strip() for key in given or ()):
        raise UsageError("--api-key: the key is empty; leave it out to answer everybody")
    return [*(given or ()), *os.environ.get(KEYS_VARIABLE, "").split()]


def origins(given: Sequence[str] | None) -> list[str]:
    """The origins as browsers send them. Raises UsageError for what is none."""
    for origin in given or ():
        if not _ORIGIN.fullmatch(origin):
            raise UsageError(
                f"--allow-origin {origin}: give scheme and host, as in https://example.org, or *"
            )
    return [origin.lower() for origin in given or ()]
