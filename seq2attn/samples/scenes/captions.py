"""Captions of a scene: a small grammar of two things and their relative position.

The captions follow a visible rule. Four of five compare the first thing with the last along the longer axis
of the scene (left to right, or top to bottom), three of them in that order. The fifth uses the other axis if
it is clear, and otherwise the longer one. This module knows no pixels.
"""

import random
from collections.abc import Sequence
from typing import NamedTuple

from seq2attn.samples.portable_random import mix, pick
from seq2attn.samples.scenes.scene import Scene, Thing, along, ends_are_clear, main_axis

FORWARDS = {
    "x": (
        "{first} is left of {last}",
        "{first} is to the left of {last}",
        "there is {first} to the left of {last}",
    ),
    "y": ("{first} is above {last}", "{first} is placed above {last}", "there is {first} above {last}"),
}
BACKWARDS = {
    "x": (
        "{last} is right of {first}",
        "{last} is to the right of {first}",
        "there is {last} to the right of {first}",
    ),
    "y": ("{last} is below {first}", "{last} is placed below {first}", "there is {last} below {first}"),
}
BRIEF = 0.15  # probability that a caption names only colour and shape, if that is enough


class Caption(NamedTuple):
    text: str  # lower case, no punctuation
    named: tuple[tuple[int, Thing], ...]  # number of the word that names a thing, from 0, and the thing


def describe(thing: Thing, brief: bool) -> str:
    """A description, such as "a large red striped circle". It leaves out the word "plain"."""
    size, colour, texture, shape = thing.looks
    words = [colour, shape] if brief else [size, colour, *([texture] if texture != "plain" else []), shape]
    return " ".join(["an" if words[0][0] in "aeiou" else "a", *words])


def fits(described: str, things: Sequence[Thing]) -> list[Thing]:
    """The things that a description fits."""
    return [thing for thing in things if set(described.split()[1:]) <= set(thing.looks)]


def caption(form: str, first: Thing, last: Thing, brief: bool) -> Caption:
    words: list[str] = []
    named = []
    for word in form.split():
        if word in ("{first}", "{last}"):
            thing = first if word == "{first}" else last
            words += describe(thing, brief).split()
            named.append((len(words) - 1, thing))
        else:
            words.append(word)
    return Caption(" ".join(words), tuple(named))


def captions(scene: Scene) -> tuple[Caption, ...]:
    """Five different captions in random order. Equal scenes have equal captions."""
    rng = random.Random(f"captions {scene.number}")
    axis = main_axis(scene.things)
    other = "y" if axis == "x" else "x"
    forms = [(axis, form) for form in (*FORWARDS[axis], pick(rng, BACKWARDS[axis]))]
    if ends_are_clear(scene.things, other):
        forms.append((other, pick(rng, FORWARDS[other])))
    else:
        forms.append((axis, pick(rng, [form for form in BACKWARDS[axis] if (axis, form) not in forms])))
    texts = []
    for on, form in mix(rng, forms):
        first, *_, last = along(scene.things, on)
        brief = rng.random() < BRIEF and all(
            len(fits(describe(thing, True), scene.things)) == 1 for thing in (first, last)
        )
        texts.append(caption(form, first, last, brief))
    return tuple(texts)
