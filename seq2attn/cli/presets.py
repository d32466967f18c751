"""What a preset's file says of itself in its first lines, and the list of presets that is made of it. Knows
no setting.

# The first attention: ...        what it is, its paper, what was measured: as people read it
# Group: papers                   where it stands in the list
# In short: the first attention   what stands beside its name there
# Minutes: 3 on phrases           how long it took on two cores, where that was measured
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

GROUPS = {  # in the order of the list, with what is said of each
    "start here": "",
    "papers": "text to text, of a size for a laptop",
    "one part changed": "a small LSTM with attention, 2 to 3 minutes on phrases",
    "images and clips": "start with xu15-soft",
    "paper sizes": "for a GPU",
}
WIDTH = 80  # columns of the list


class Head(NamedTuple):
    comment: list[str]  # the lines as they stand, with their "#"
    group: str
    short: str
    minutes: str


def comment(path: Path) -> list[str]:
    """The comment that a file of settings begins with."""
    lines = path.read_text(encoding="utf-8").splitlines()
    end = next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return lines[:end]


def head(path: Path) -> Head:
    lines = comment(path)
    said = dict(line.removeprefix("# ").split(": ", 1) for line in lines if ": " in line)
    return Head(lines, said.get("Group", ""), said.get("In short", ""), said.get("Minutes", ""))


_IMAGES = re.compile(r"^(images?|images|photos?|captions|captioning)$")  # the descriptions say image


def listed(presets: Mapping[str, Path], word: str = "") -> Iterator[str]:
    """The lines of the list, group by group: those presets in whose name, group or short description `word`
    is.

    There are none where it is nowhere.
    """
    word = _IMAGES.sub("image", word.lower())
    heads = {name: head(path) for name, path in presets.items()}
    chosen = {
        name: one
        for name, one in heads.items()
        if any(word.lower() in text.lower() for text in (name, one.group, one.short))
    }
    width = max(map(len, heads))
    empty = True
    for group, said in GROUPS.items():
        rows = sorted(
            (name for name in chosen if chosen[name].group == group),
            key=lambda name: (not name.startswith("first"), name),
        )
        if not rows:
            continue
        if not empty:
            yield ""
        empty = False
        yield f"{group}: {said}" if said else group
        for name in rows:
            minutes = f"; {chosen[name].minutes.replace(' ', ' min ', 1)}" if chosen[name].minutes else ""
            yield f"  {name:<{width}}  {chosen[name].short}{minutes}"
