"""Whether a model of clips tells what happens in its order: the share of test clips whose caption has the
right events, in any order and in order.

    python tests/benchmarks/clip_events.py RUN... [--data PREPARED] [--split test] [--beam N] [--device auto]

Runs are trained on the bundled clips, whose captions are of a grammar that `events` reads back: things and
what each does. Every clip has a twin that begins and
ends alike and tells the same events in the other order, so a model that sees only which events there are is
right in half of the clips at best; a caption that
the grammar cannot read is wrong. Each run describes the clips as `caption` would. A row a run:

    parse           captions that are sentences of the grammar, in percent of the clips
    events          captions with all events of the clip and no other, in whatever order
    in order        the same in the clip's order
    of these        captions in order, in percent of those that have the events: 50 is a coin's
    order           captions whose events, whatever is wrong in them, are more like the clip's events in their
    order than in any other, in percent of the clips
"""

import argparse
from collections.abc import Sequence
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import NamedTuple

from seq2attn.cli import console
from seq2attn.data.prepared import REPORT, Prepared
from seq2attn.errors import UserError
from seq2attn.evaluation.captioning import caption
from seq2attn.inference import Captioner
from seq2attn.runs.directory import open_run
from seq2attn.samples.clips.captions import Event, events
from seq2attn.tasks.corpus_cache import prepared_folder


class Right(NamedTuple):
    """How many of the clips' captions are sentences of the grammar, name the right events, name them in
    order, and have the order right whatever else is wrong.
    """

    clips: int
    parsed: int
    events: int
    in_order: int
    order: int


def right(captions: Sequence[str], references: Sequence[Sequence[str]]) -> Right:
    """`references[i]` are those of the clip that `captions[i]` describes. Raises UserError for one that is
    not of the grammar, or tells other events than the first.
    """
    parsed = there = in_order = order = 0
    for written, of_clip in zip(captions, references, strict=True):
        truth = events(of_clip[0])
        for reference in of_clip:
            if not truth or events(reference) != truth:
                raise UserError(
                    f"{reference!r} is no caption of the bundled clips, whose events can be read: "
                    "name their prepared folder with --data"
                )
        told = events(written)
        parsed += bool(told)
        there += sorted(told) == sorted(truth)
        in_order += told == truth
        order += len(told) == len(truth) and all(
            alike(told, truth) > alike(told, other) for other in permutations(truth) if other != truth
        )
    return Right(len(captions), parsed, there, in_order, order)


def alike(told: Sequence[Event], true: Sequence[Event]) -> int:
    """How many words of things and of what they do stand in their place."""
    return sum(
        one == other
        for first, second in zip(told, true, strict=True)
        for one, other in zip(" ".join(first).split(), " ".join(second).split(), strict=False)
    )


def row(name: str, found: Right) -> list[str]:
    parse, events_, in_order, order = (f"{100 * part / found.clips:.1f}" for part in found[1:])
    return [
        name,
        f"{found.clips:,}",
        parse,
        events_,
        in_order,
        f"{100 * found.in_order / found.events:.1f}" if found.events else "-",
        order,
    ]


def folder_of(run: str) -> Path:
    """The prepared folder of the clips that a run was trained on."""
    opened = open_run(run.split(",")[0])
    folder = Path(opened.corpus)
    return folder if (folder / REPORT).is_file() else prepared_folder(opened.corpus, opened.config)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n")[0])
    parser.add_argument("runs", nargs="+", metavar="RUN", help="joined by commas they are an ensemble")
    parser.add_argument(
        "--data", type=Path, metavar="PREPARED", help="prepared clips (default: the run's own)"
    )
    parser.add_argument("--split", default="test")
    parser.add_argument("--beam", type=int, help="(default: the run's)")
    parser.add_argument("--device", default="auto")
    chosen = parser.parse_args()
    rows = []
    try:
        for run in chosen.runs:
            split = Prepared(chosen.data or folder_of(run)).captioned_split(chosen.split)
            captioner = Captioner.load(run, device=chosen.device, processes=True)
            with console.progress() as progress:
                written = caption(
                    captioner,
                    split,
                    range(len(split.names)),
                    beam=chosen.beam,
                    progress=partial(progress, f"describing the clips by {run}"),
                )
            captioner.close()
            rows.append(row(run, right(written, split.captions)))
    except UserError as error:
        raise SystemExit(f"clip_events: {error}") from None
    print(
        "| run | clips | parse % | events % | in order % | of these % | order % |\n"
        "|---|---:|---:|---:|---:|---:|---:|"
    )
    for cells in rows:
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
