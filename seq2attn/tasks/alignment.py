"""Word links of given pairs, as `seq2attn align` writes them."""

import os
from typing import TYPE_CHECKING

from seq2attn.config import Changes, as_typed
from seq2attn.errors import UsageError, UserError
from seq2attn.tasks import arguments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seq2attn.explaining.aligner import Aligner
    from seq2attn.explaining.link_settings import LinkSettings
    from seq2attn.explaining.symmetrise import Link
    from seq2attn.inference import Translator


def align(
    run: str | os.PathLike[str],
    sources: "Sequence[str]",
    targets: "Sequence[str]",
    *,
    reverse: str | os.PathLike[str] | None = None,
    symmetrise: str | None = None,
    layer: int | None = None,
    head: int | None = None,
    shift: int | None = None,
    threshold: float | None = None,
    settings: Changes = (),
    device: str = "auto",
    precision: str = "auto",
    allow_code: bool = False,
) -> "list[list[Link] | None]":
    """The word links of each pair of texts, by the attention of a run that is forced on the target.

    A link is (source word, target word), counted from 0; words are separated by white space. A pair with a
    blank side has none. A pair with a side of more than MAX_SOURCE tokens, which no model reads, is None.

    `layer` and `head` count from 1; None is the mean over all. `shift` is 0 for the weights of the step that
    writes a word (the default), 1 for those of the step that reads it, the next one. Without any of these, a
    run is read as it remembers (`audit` with `remember`, or train.guide). Each target word
    has the source word with its largest weight or, with `threshold`, every source word with at least this
    weight. `reverse` is a run that translates the other way; `symmetrise` is how both directions become one:
    grow-diag-final-and (the default), grow-diag-final, grow-diag, intersection or union of their links, or
    mean, the links of the mean of their weights. The other arguments: see `Translator.load`.

    Raises UsageError for arguments that make no sense, UserError for a run without attention.
    """
    from seq2attn.explaining.link_settings import LinkSettings

    for name, texts in (("sources", sources), ("targets", targets)):
        arguments.strings(texts, name)
    if len(sources) != len(targets):
        raise UsageError(f"there are {len(sources)} sources and {len(targets)} targets: give pairs")
    runs = [arguments.path(run, "run"), *([] if reverse is None else [arguments.path(reverse, "reverse")])]
    rule = LinkSettings(layer, head, shift, threshold)
    check(runs, rule, symmetrise)
    aligner = open_aligner(runs, rule, symmetrise, tuple(as_typed(settings)), device, precision, allow_code)
    return aligner.links(list(sources), list(targets))


def check(runs: "Sequence[str]", rule: "LinkSettings", symmetrise: str | None) -> None:
    """Raise UsageError for arguments that do not go together, and for a layer or head that a run lacks."""
    from seq2attn.explaining.symmetrise import NAMES
    from seq2attn.inference.heads import Heads

    rule.check()
    if symmetrise is not None and symmetrise not in NAMES:
        raise UsageError(f"symmetrise {symmetrise}: choose {', '.join(NAMES)}", setting="symmetrise")
    if symmetrise is not None and len(runs) == 1:
        problem = "it joins two directions: name a run of the other direction with `reverse`"
        raise UsageError(f"symmetrise {symmetrise}: {problem}", setting="symmetrise")
    for run in runs:
        if rule.layer is not None or rule.head is not None:
            Heads(rule.layer, rule.head).check_run(run)


def open_aligner(
    runs: "Sequence[str]",
    rule: "LinkSettings",
    symmetrise: str | None = None,
    settings: "Sequence[str]" = (),
    device: str = "auto",
    precision: str = "auto",
    allow_code: bool = False,
) -> "Aligner":
    """The aligner of a run, or of two that translate both ways; the second one translates back.

    Raises UserError for a run that cannot be loaded or has no attention, UsageError for two runs of one
    direction.
    """
    from seq2attn.explaining.aligner import Aligner, Direction
    from seq2attn.explaining.symmetrise import METHODS
    from seq2attn.inference import Translator

    directions: list[Direction] = []
    for run in runs:
        translator = Translator.load(run, device, precision, settings, allow_code=allow_code)
        if not translator.attends:
            raise UserError(f"{run}: has no attention to align words by: choose a run with attention")
        own = rule_of_run(run) if rule[:3] == (None, None, None) else rule
        translator.choice = None  # the rule names the weights; what the run remembers is part of it
        directions.append(Direction(translator, own._replace(threshold=rule.threshold)))
    if len(directions) > 1:
        refuse_one_direction(runs, [direction.translator for direction in directions])
    forward, reverse = (*directions, None)[:2]
    assert forward is not None
    return Aligner(forward, reverse, symmetrise or next(iter(METHODS)))


def rule_of_run(run: str, reads: bool = False) -> "LinkSettings":
    """How the links of a run are read if nobody says it: as the run remembers, or from the mean.

    With `reads`, that mean is of the steps that read a word, but for a recurrent decoder (Chen 2020).
    """
    from seq2attn.explaining.link_settings import LinkSettings
    from seq2attn.runs.choice import remembered
    from seq2attn.runs.directory import open_run
    from seq2attn.runs.loading import run_paths

    paths = run_paths(run)
    choice = remembered(paths[0]) if len(paths) == 1 else None
    if choice is not None:
        return LinkSettings(*choice)
    recurrent = open_run(paths[0]).config.model.decoder.kind == "rnn"
    return LinkSettings(shift=int(reads and not recurrent))


def refuse_one_direction(runs: "Sequence[str]", translators: "Sequence[Translator]") -> None:
    """Raise UsageError if the second run is known not to translate the other way."""
    source, target = translators[0].languages
    back = translators[1].languages
    if None not in (source, target, *back) and back != (target, source):
        problem = (
            f"translates {back[0]} to {back[1]}; `reverse` takes a run that translates {target} to {source}"
        )
        raise UsageError(f"{runs[1]}: {problem}", setting="reverse")
