"""`seq2attn plot-training`: the losses, scores and speed of trainings as curves in an image or a page."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from seq2attn.cli import console, flags, mistaken
from seq2attn.cli import plot_options as options
from seq2attn.cli.output import result_files
from seq2attn.errors import UsageError
from seq2attn.plotting import PAGES


def plot_training(
    runs: Annotated[
        list[str], typer.Argument(help="Trained runs, each in a colour of its own.", metavar="RUN...")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="File to write: .png, .svg, .pdf or .html.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    by: Annotated[
        Literal["steps", "time"],
        typer.Option(help="What goes from left to right: steps, or time of training.", metavar="steps|time"),
    ] = "steps",
    title: options.Title = None,
    quiet: flags.Quiet = False,
    debug: flags.Debug = False,
) -> None:
    """Draw how runs were trained: loss of training and validation, BLEU or CIDEr-D of the validation sample,
    and speed, from the metrics.jsonl of each run. What no run has logged is left out.
    """
    if output is None:
        raise UsageError("name the file to write with -o: .png, .svg, .pdf or .html")
    options.check_output(output)
    for run in runs:
        mistaken.refuse_no_run(run)
    from seq2attn.tasks import curves

    names, charts, table = curves.of_runs(runs, by)
    title = " ".join((title or "").split())
    note = curves.note_of(charts)
    if output.suffix.lower() in PAGES:
        from seq2attn.plotting import html_curves

        html_curves.save(charts, names, table, output, title or f"Training of {', '.join(names)}", note)
    else:
        from seq2attn.plotting import curves as drawing

        result_files.warn_of_fonts(drawing.save(charts, names, output, title, note).unseen())
    console.note(f"wrote {output}")
