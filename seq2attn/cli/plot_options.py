"""The options of `plot-alignment` and the rules of which exclude or need each other."""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Literal

import typer

from seq2attn import config
from seq2attn.cli import mistaken
from seq2attn.cli.conflicts import Conflict, Needs
from seq2attn.cli.number_lists import numbers
from seq2attn.config import Precision
from seq2attn.errors import UsageError, UserError
from seq2attn.plotting import IMAGES, PAGES

SAVED = (".jsonl", ".npz")  # endings of files of attention
# By modality: how a run gets its source.
_SOURCES = {"text": "give it --source TEXT", "images": "give it --image FILE"}

_SEARCH = [f"--set search.{name}" for name in config.SearchConfig.model_fields if name != "length_penalty"]
_INPUTS = (
    "TEXT, --source, --image, --target, --data, --split, --number, --reference, --from, --line, "
    "--attention-of, --compare, --beam, --max-length"
)
_FORCED = "--beam, --max-length, " + ", ".join(_SEARCH)
_OF_SAVED: tuple[Conflict | Needs, ...] = (
    Conflict(
        "--from", "RUN, TEXT, --source, --target, --image, --data", "it draws saved attention, without a run"
    ),
    Conflict("--from", "--beam, --max-length, --set", "it draws saved attention: nothing is computed"),
    Conflict("--attention-of", "--from", "self-attention is drawn for the text of a run"),
)
_OF_TEXTS: tuple[Conflict | Needs, ...] = (
    Conflict("--from", "TEXT, --source, --image, --data", "it holds the texts to translate"),
)
_RULES: tuple[Conflict | Needs, ...] = (
    Conflict("TEXT", "--source", "each is a text to translate (and a further RUN is the folder of a run)"),
    Needs("--line", "--from FILE", "it chooses a line of that file"),
    Conflict("--attention-of", "--image, --data", "self-attention is drawn for the text of a run"),
    Conflict(
        "--compare", "--from, --image, --data, --attention-of", "it draws the attention of one --source"
    ),
    Conflict("--over-training", f"{_INPUTS}, --set", "it draws what the training has logged"),
    Conflict("--image", "TEXT, --source, --data", "each is what to describe or translate"),
    Conflict("--data", "TEXT, --source, --from", "each is what to draw"),
    Needs("--split", "--data PREPARED", "it is a split of that folder"),
    Needs("--number", "--data PREPARED", "it chooses an image or a pair of that folder"),
    Needs("--reference", "--data PREPARED", "it chooses a caption or the target of that folder"),
    Conflict("--reference", "--target", "each is an output to force"),
    Conflict("--target", _FORCED, "a forced output is not searched for"),
    Conflict("--reference", _FORCED, "a forced output is not searched for"),
    *(
        Conflict(f"--{name.replace('_', '-')}", f"--set search.{name}", "both are the same setting")
        for name in ("beam", "max_length")
    ),
)


def rules(saved: bool) -> tuple[Conflict | Needs, ...]:
    """The rules if --from is a file of `saved` attention, or else of texts."""
    return (*(_OF_SAVED if saved else _OF_TEXTS), *_RULES)


Run = Annotated[
    str | None,
    typer.Argument(
        help="Trained run. Runs joined by commas are an ensemble. Not with --from FILE.jsonl or .npz.",
        metavar="RUN",
        show_default=False,
    ),
]
More = Annotated[
    list[str] | None,
    typer.Argument(
        help="Text to translate, instead of --source. With --source, --from or --image: further runs, "
        "whose attention is drawn beside that of the first.",
        metavar="TEXT|RUN",
        show_default=False,
    ),
]
Source = Annotated[str | None, typer.Option(help="Text to translate.", metavar="TEXT", show_default=False)]
Image = Annotated[
    Path | None,
    typer.Option(
        help="Image to describe. For a run that reads clips: a folder of frames or an animated image.",
        metavar="FILE",
        show_default=False,
    ),
]
Target = Annotated[
    str | None,
    typer.Option(
        help="Output to force on the model (teacher forcing) instead of searching for one.",
        metavar="TEXT",
        show_default="the best output of the search",
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        help="Prepared folder with the image to describe, instead of --image, or with the pair of texts to "
        "draw. A page (.html) shows the gold links of a pair whose output is the target.",
        metavar="PREPARED",
        show_default=False,
    ),
]
Split = Annotated[str | None, typer.Option(help="Split of --data.", metavar="NAME", show_default="test")]
Number = Annotated[
    int | None,
    typer.Option(
        help="Number of the image or pair in the split, counted from 1.", min=1, metavar="N", show_default="1"
    ),
]
Reference = Annotated[
    int | None,
    typer.Option(
        help="Show attention for reference caption N (counted from 1) instead of a generated one, "
        "with its bounding boxes if the data has any. Of a pair, 1 is its target.",
        min=1,
        metavar="N",
        show_default=False,
    ),
]
From = Annotated[
    Path | None,
    typer.Option(
        "--from",
        help="Draw the attention in a file of `translate --attention` or, with a RUN, that of the texts in a "
        "file, one a line.",
        metavar="FILE",
        show_default=False,
    ),
]
Line = Annotated[
    str | None,
    typer.Option(
        "--line",
        "--lines",
        help="Line of --from, counted from 1, or several in one drawing, as 1,4,7 or 2-5.",
        metavar="N,N-N",
        show_default="the first; all in .html",
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="File to write: .png, .svg, .pdf or .html.",
        metavar="FILE",
        show_default="the terminal",
    ),
]
Words = Annotated[
    bool | None,
    typer.Option(
        "--words/--subwords",
        help="Unit of rows and columns: words or subwords.",
        show_default="words; subwords for languages without spaces",
    ),
]
Layer = Annotated[
    str | None,
    typer.Option(
        help="Decoder layer to draw, counted from 1; `all` draws each layer. A recurrent decoder has one "
        "attention layer.",
        metavar="N|all",
        show_default="the mean over all",
    ),
]
Head = Annotated[
    str | None,
    typer.Option(
        "--head",
        "--heads",
        help="Attention head to draw, counted from 1; `all` draws each head of --layer or of all layers.",
        metavar="N|all",
        show_default="the mean over all",
    ),
]
AttentionOf = Annotated[
    Literal["cross", "encoder", "decoder"],
    typer.Option(
        help="Attention to draw: cross (target to source), or the self-attention of a Transformer "
        "encoder or decoder.",
        metavar="cross|encoder|decoder",
    ),
]
Compare = Annotated[
    list[str] | None,
    typer.Option(
        help="Draw another view of the same output beside the attention of RUN: another run; a head as "
        "LAYER.HEAD, or mean of all heads; or an attribution: gradient (input x gradient), integrated "
        "(gradients) or occlusion. Repeatable.",
        metavar="RUN|LAYER.HEAD|mean|gradient|integrated|occlusion",
        show_default=False,
    ),
]
OverTraining = Annotated[
    bool,
    typer.Option(
        "--over-training",
        help="Draw how the attention of some validation pairs got sharp in training, beside the learning "
        "curves: a page with a slider (.html), an animation (.gif) or a strip of moments (.png).",
    ),
]
Title = Annotated[
    str | None, typer.Option(help="Title above the drawing.", metavar="TEXT", show_default=False)
]
Size = Annotated[
    str | None,
    typer.Option(
        help="Width and height of a .png, .svg or .pdf, in inches (8x5) or centimetres (20x12cm).",
        metavar="WxH",
        show_default="depends on the words",
    ),
]
Dpi = Annotated[
    int | None,
    typer.Option(
        help="Resolution of a .png, in dots per inch.", min=20, max=1200, metavar="N", show_default="160"
    ),
]
Colormap = Annotated[
    str | None,
    typer.Option(
        help="Colour map of matplotlib for a .png, .svg or .pdf, such as viridis or Greys.",
        metavar="NAME",
        show_default="shades of blue",
    ),
]
Font = Annotated[
    str | None,
    typer.Option(
        help="Installed font for a .png, .svg or .pdf. Other fonts draw the characters that it lacks.",
        metavar="NAME",
        show_default="DejaVu Sans",
    ),
]
Format = Annotated[
    Precision, typer.Option(help="Number format; auto is fp32.", metavar="auto|fp32|bf16|fp16")
]


def runs_and_text(
    run: str | None, words: list[str] | None, have_source: bool
) -> tuple[list[str], list[str] | None]:
    """The runs, and the words of a text after the first of them.

    If another option has the source, and each word is a run, they are further runs.
    """
    if run is None:
        return [], words
    if not words or not all(mistaken.is_run(Path(word.split(",")[0].strip())) for word in words):
        return [run], words
    if not have_source:
        raise UsageError(f'{words[0]}: a run, not a text: give the text with --source "TEXT" or --from FILE')
    return [run, *words], None


def check_inputs(
    run: str | None, source: str | None, target: str | None, file: Path | None, of_image: bool
) -> None:
    """Raise UsageError or UserError if there is nothing to draw, or no such file."""
    if file is not None:
        if run is None and file.suffix not in SAVED:
            raise UsageError(
                f"--from {file}: its name must end in .jsonl or .npz, as `translate --attention` writes it; "
                "for a file of texts name a RUN, too"
            )
        if file.is_dir():
            raise UserError(f"{file}: a folder, not a file")
        # texts may come from a pipe, as in --from <(head text.en)
        if not (file.is_file() if file.suffix in SAVED else file.exists()):
            raise UserError(f"{file}: no such file")
    elif run is None:
        raise UsageError(
            "name a RUN and --source TEXT or --image FILE, or give saved attention with --from FILE"
        )
    elif source is None and not of_image:
        raise UsageError('give a text to translate: --source "TEXT", or an image to describe: --image FILE')
    for option, value in (("--source", source), ("--target", target)):
        if value is not None and not value.strip():
            raise UsageError(f"{option} is blank: there is nothing to align")


def check_output(output: Path | None) -> None:
    """Raise UsageError or UserError if this file cannot be written."""
    if output is None:
        return
    if output.suffix.lower() not in (*IMAGES, *PAGES):
        raise UsageError(f"-o {output}: its name must end in .png, .svg, .pdf or .html")
    if output.is_dir():
        raise UsageError(f"-o {output}: a folder; name a file")
    if not output.absolute().parent.is_dir():
        raise UserError(f"-o {output}: there is no folder {output.parent}; make it first")


def check_kind(runs: Collection[str], of_image: bool) -> None:
    """Raise UsageError if a run is for the other kind of source, with the option that it needs."""
    from seq2attn.runs.directory import open_run

    for run in runs:
        path = run if Path(run).is_dir() else run.split(",")[0].strip()
        own = open_run(path).config.model.modality
        if own.name != ("images" if of_image else "text"):
            way_out = _SOURCES.get(own.name, "this command draws for text and images alone")
            raise UsageError(f"{path} {own.does}: {way_out}")


def line_numbers(lines: str | None, most: int) -> list[int] | None:
    """The lines that --lines chooses, each once, in the order of the option; None: it is not given.

    Raises UsageError for text that is no list of numbers, and for more than `most` lines.
    """
    return None if lines is None else numbers("--lines", lines, most, "lines")
