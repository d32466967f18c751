"""What happens in a clip: one or two things, and two or three events one after another, chosen at random.

A clip and its twin have the same things and events, and the same first and last frame. Only the order of
events differs. This module knows no pixels and no sentences.
"""

import random
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from seq2attn.samples.backgrounds import TINTS
from seq2attn.samples.portable_random import pick
from seq2attn.samples.shapes import COLOURS as ALL_COLOURS
from seq2attn.samples.shapes import Colour, mixed

SIDE = 64  # pixels of a frame
COLOURS = {name: ALL_COLOURS[name] for name in ("red", "yellow", "green", "blue", "purple", "black")}
SHAPES = ("circle", "square", "triangle", "star", "heart", "cross")
PATTERNS = ("plain", "plain", "downwards", "tiles", "lines")
SIDES = range(18, 23)  # pixels of a thing's square when a clip begins
GROWTH = 8  # pixels that a thing's square gains or loses
FAR = range(18, 25)  # pixels that a thing moves
APART = 2  # pixels at least between the squares of two things, and from the rim
TRIES = 200  # to place things, before others are drawn

MOVES = {"moves left": (-1, 0), "moves right": (1, 0), "moves up": (0, -1), "moves down": (0, 1)}
KINDS = (*MOVES, *MOVES, "grows", "grows", "shrinks", "turns", "vanishes", "appears")


Square = tuple[int, int, int, int]  # left, top, right, bottom (outside)


class Event(NamedTuple):
    thing: str  # colour (when the clip begins) and shape: "red circle"
    action: str  # "moves right", "turns blue", "grows", ...


class Thing(NamedTuple):
    colour: str
    shape: str
    side: int  # of its square, as all that follows: in pixels, when the clip begins
    x: int  # of its centre
    y: int
    far: int  # how far it goes when it moves

    @property
    def name(self) -> str:
        return f"{self.colour} {self.shape}"


class Look(NamedTuple):
    """A thing in one frame."""

    colour: Colour
    side: int
    x: int
    y: int
    opacity: int  # percent; less while it appears or vanishes

    @property
    def square(self) -> Square:
        left, top = (2 * self.x - self.side) // 2, (2 * self.y - self.side) // 2
        return left, top, left + self.side, top + self.side


class Clip(NamedTuple):
    ground: Colour
    pattern: str
    number: int  # of the pattern's own chance
    things: tuple[Thing, ...]
    events: tuple[Event, ...]
    steps: tuple[int, ...]  # frames that each event takes

    @property
    def deeds(self) -> tuple[tuple[str, ...], tuple[Event, ...]]:
        """The things and their events, without order. A clip and its twin differ from all others in them."""
        return tuple(sorted(thing.name for thing in self.things)), tuple(sorted(self.events))


def after(look: Look, action: str, far: int) -> Look:
    """A thing after its action."""
    if action in MOVES:
        right, down = MOVES[action]
        return look._replace(x=look.x + right * far, y=look.y + down * far)
    verb, *colour = action.split()
    match verb:
        case "grows":
            return look._replace(side=look.side + GROWTH)
        case "shrinks":
            return look._replace(side=look.side - GROWTH)
        case "turns":
            return look._replace(colour=COLOURS[colour[0]])
        case _:
            return look._replace(opacity=100 if verb == "appears" else 0)


def between(before: Look, done: Look, step: int, steps: int) -> Look:
    """A thing `step` frames into an event of `steps` frames."""
    side, x, y, opacity = (a + (b - a) * step // steps for a, b in zip(before[1:], done[1:], strict=True))
    return Look(mixed(done.colour, before.colour, 100 * step // steps), side, x, y, opacity)


def looks(clip: Clip) -> list[tuple[Look, ...]]:
    """Every thing in every frame: the first frame, and then the steps of each event up to its end."""
    unseen = {event.thing for event in clip.events if event.action == "appears"}
    now = [
        Look(COLOURS[thing.colour], thing.side, thing.x, thing.y, 0 if thing.name in unseen else 100)
        for thing in clip.things
    ]
    frames = [tuple(now)]
    for event, steps in zip(clip.events, clip.steps, strict=True):
        who = [thing.name for thing in clip.things].index(event.thing)
        before, done = now[who], after(now[who], event.action, clip.things[who].far)
        for step in range(1, steps + 1):
            now[who] = between(before, done, step, steps)
            frames.append(tuple(now))
    return frames


def fits(clip: Clip) -> bool:
    """Whether things stay in the image and apart from each other, visible or not, during every event."""
    for before, done in pairwise(looks(clip._replace(steps=(1,) * len(clip.events)))):
        (left, top, right, bottom), *others = (
            _hull(a.square, b.square) for a, b in zip(before, done, strict=True)
        )
        if any(
            min(hull) < APART or max(hull) > SIDE - APART for hull in ((left, top, right, bottom), *others)
        ):
            return False
        if any(
            a < right + APART and left < c + APART and b < bottom + APART and top < d + APART
            for a, b, c, d in others
        ):
            return False
    return True


def _hull(first: Square, second: Square) -> Square:
    return (
        min(first[0], second[0]),
        min(first[1], second[1]),
        max(first[2], second[2]),
        max(first[3], second[3]),
    )


def _events(rng: random.Random, names: Sequence[str], count: int) -> tuple[Event, ...]:
    """Different events, which can happen in any order and be told without doubt; () if others were drawn.

    A thing does not do the same twice. A thing that appears or vanishes does nothing else. A thing that
    changes colour has no other event, or has all events (a sentence then calls it "it").
    """
    events: list[Event] = []
    used = {name.split()[0] for name in names}
    for _ in range(count):
        others = [name for name in names if events and name != events[-1].thing]
        kind, name = pick(rng, KINDS), pick(rng, others if others and rng.random() < 0.75 else names)
        events.append(
            Event(
                name,
                f"turns {pick(rng, [colour for colour in COLOURS if colour not in used])}"
                if kind == "turns"
                else kind,
            )
        )
    for event in events:
        verbs = [
            other.action.split()[0] if "turns" in other.action else other.action
            for other in events
            if other.thing == event.thing
        ]
        alone = event.action in ("appears", "vanishes") or ("turns" in event.action and len(verbs) < count)
        if len(set(verbs)) < len(verbs) or (alone and len(verbs) > 1):
            return ()
    return tuple(events)


def _thing(rng: random.Random, name: str) -> Thing:
    colour, shape = name.split()
    return Thing(
        colour, shape, pick(rng, SIDES), pick(rng, range(SIDE)), pick(rng, range(SIDE)), pick(rng, FAR)
    )


def _twins(rng: random.Random) -> tuple[Clip, Clip]:
    while True:
        colours, shapes = ([pick(rng, tuple(known)) for _ in range(2)] for known in (COLOURS, SHAPES))
        names = list(
            dict.fromkeys(f"{colour} {shape}" for colour, shape in zip(colours, shapes, strict=True))
        )[: 1 if rng.random() < 0.3 else 2]
        count = 3 if rng.random() < 0.2 else 2
        events = _events(rng, names, count)
        if not events:
            continue
        steps = (3,) * 3 if count == 3 else tuple(pick(rng, (4, 5)) for _ in range(2))
        for _ in range(TRIES):
            things = tuple(_thing(rng, name) for name in names)
            clip = Clip(
                pick(rng, TINTS), pick(rng, PATTERNS), int(rng.random() * 2**31), things, events, steps
            )
            twin = clip._replace(events=events[::-1])
            if fits(clip) and fits(twin):
                return clip, twin


def stream(seed: int) -> Iterator[tuple[Clip, Clip]]:
    """An endless stream of clips with their twins. No two pairs have the same deeds.

    Equal seeds give equal clips.
    """
    rng = random.Random(f"clips {seed}")
    earlier = set()
    while True:
        clip, twin = _twins(rng)
        if clip.deeds not in earlier:
            earlier.add(clip.deeds)
            yield clip, twin
