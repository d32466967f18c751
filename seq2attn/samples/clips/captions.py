"""Captions of a clip, which name its events in their order, and the events that such a caption names.

This module knows events, and not how they look.
"""

import random
import re

from seq2attn.samples.clips.clip import COLOURS, MOVES, SHAPES, Clip, Event
from seq2attn.samples.portable_random import mix, pick

FORMS = {
    2: ("{} and then {}", "first {} and then {}", "{} before {}"),
    3: ("{} and then {} and then {}", "first {} and then {} and last {}", "{} and then {} before {}"),
}
WORDINGS = {  # of a verb; the first is the usual one
    "grows": ("grows", "gets bigger"),
    "shrinks": ("shrinks", "gets smaller"),
    "turns": ("turns", "becomes"),
    "vanishes": ("vanishes", "disappears"),
    "appears": ("appears", "shows up"),
    "moves": ("moves", "goes"),
}
RARE = 0.15  # of the verbs are not the usual ones

ENDS = {"moves": [f" {move.split()[1]}" for move in MOVES], "turns": [f" {colour}" for colour in COLOURS]}
ACTIONS = {
    f"{wording}{end}": f"{verb}{end}"
    for verb, wordings in WORDINGS.items()
    for wording in wordings
    for end in ENDS.get(verb, [""])
}
EVENT = re.compile(f"(?:the ((?:{'|'.join(COLOURS)}) (?:{'|'.join(SHAPES)}))|it) ({'|'.join(ACTIONS)})")
BETWEEN = re.compile(r" (?:and then|then|and last|before) ")


def captions(clip: Clip) -> tuple[str, ...]:
    """Three sentences in an order of chance: lower case, no punctuation. Equal clips have equal captions."""
    rng = random.Random(f"captions {clip.number} {' '.join(clip.events[0])}")
    texts = []
    for form in mix(rng, FORMS[len(clip.events)]):
        clauses, last = [], ""
        for thing, action in clip.events:
            verb, *rest = action.split()
            wording = pick(rng, WORDINGS[verb][1:]) if rng.random() < RARE else verb
            clauses.append(" ".join(["it" if thing == last else f"the {thing}", wording, *rest]))
            last = thing
        texts.append(form.format(*clauses))
    return tuple(texts)


def events(caption: str) -> tuple[Event, ...]:
    """The events of a caption in its order; () if it is not in the grammar.

    "first the red circle goes up and then it grows": ("red circle", "moves up"), ("red circle", "grows").
    """
    result: list[Event] = []
    for part in BETWEEN.split(caption.removeprefix("first ")):
        match = EVENT.fullmatch(part)
        if match is None or (match[1] is None and not result):
            return ()
        result.append(Event(match[1] or result[-1].thing, ACTIONS[match[2]]))
    return tuple(result)
