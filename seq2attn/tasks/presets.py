"""The presets: the header of a preset's file, and the list of presets from these headers.

# The first attention: ...        the model, its paper and its measured scores: `train` shows these lines
# Group: papers                   its group in the list
# In short: the first attention   the text beside its name in the list
# Minutes: 3 on phrases           measured time on two cores, if any
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from seq2attn import config
from seq2attn.config import Config

GROUPS = {  # in the order of the list, each with its subtitle
    "start here": "",
    "papers": "text to text, of a size for a laptop",
    "one part changed": "a small LSTM with attention, 2 to 3 minutes on phrases",
    "images and clips": "start with xu15-soft",
    "paper sizes": "for a GPU",
}
WIDTH = 80  # columns of the list


@dataclass(frozen=True)
class Preset:
    """A preset: its name, its group, one line about it, and the comment in its file with its paper."""

    name: str
    group: str  # of the list that `seq2attn train --list` prints
    description: str  # one line
    comment: str = field(repr=False)  # at the top of its file: the paper, and measured scores
    minutes: str  # measured time on two cores, as "3 on phrases"; empty if not measured
    file: Path = field(repr=False)

    def config(self) -> Config:
        """Its settings."""
        return config.load(self.name)


def presets() -> list[Preset]:
    """All presets, group by group. `seq2attn train --list` prints them."""
    result = []
    for name, path in config.presets().items():
        one = head(path)
        comment_lines = [line.removeprefix("#").removeprefix(" ") for line in one.comment]
        result.append(Preset(name, one.group, one.short, "\n".join(comment_lines), one.minutes, path))
    order = list(GROUPS)
    return sorted(result, key=lambda preset: (order.index(preset.group), preset.name))


class Head(NamedTuple):
    comment: list[str]  # all lines of the header, each with its "#"
    group: str
    short: str
    minutes: str  # such as "3 on phrases"; empty if not measured


def comment(path: Path) -> list[str]:
    """The lines of the comment at the top of a file of settings."""
    lines = path.read_text(encoding="utf-8").splitlines()
    end = next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return lines[:end]


def head(path: Path) -> Head:
    """The header of a preset's file. A missing entry is empty."""
    lines = comment(path)
    entries = dict(line.removeprefix("# ").split(": ", 1) for line in lines if ": " in line)
    return Head(lines, entries.get("Group", ""), entries.get("In short", ""), entries.get("Minutes", ""))


_IMAGES = re.compile(r"^(images?|images|photos?|captions|captioning)$")  # descriptions say "image"


def listed(presets: Mapping[str, Path], word: str = "") -> Iterator[str]:
    """The lines of the list, group by group: the presets with `word` in name, group or short description.

    There are none if no preset has it.
    """
    word = _IMAGES.sub("image", word.lower())
    heads = {name: head(path) for name, path in presets.items()}
    matches = {
        name: one
        for name, one in heads.items()
        if any(word.lower() in text.lower() for text in (name, one.group, one.short))
    }
    width = max(map(len, heads))
    empty = True
    for group, subtitle in GROUPS.items():
        rows = sorted(
            (name for name in matches if matches[name].group == group),
            key=lambda name: (not name.startswith("first"), name),
        )
        if not rows:
            continue
        if not empty:
            yield ""
        empty = False
        yield f"{group}: {subtitle}" if subtitle else group
        for name in rows:
            minutes = f"; {matches[name].minutes.replace(' ', ' min ', 1)}" if matches[name].minutes else ""
            yield f"  {name:<{width}}  {matches[name].short}{minutes}"
