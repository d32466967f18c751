"""`train PRESET --show`: every setting with its value and its description, as a TOML file."""

import json
import textwrap
from collections.abc import Iterator

from seq2attn import config
from seq2attn.config import Config

COLUMNS = 80
INDENT = "    # "


def lines(settings: Config) -> Iterator[str]:
    """A line for each setting. Its description is beside it, or below if it does not fit in 80 columns."""
    for key, value in config.flat(settings).items():
        line = f"# {key} is not set" if value is None else f"{key} = {json.dumps(value, ensure_ascii=False)}"
        text = config.description(settings, key)
        if len(f"{line}  # {text}") <= COLUMNS:
            yield f"{line}  # {text}"
        else:
            yield line
            yield from textwrap.wrap(
                text, COLUMNS, initial_indent=INDENT, subsequent_indent=INDENT, break_on_hyphens=False
            )
