"""`seq2attn plot-alignment`: attention as a drawing in the terminal, an image or a page."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from seq2attn import config
from seq2attn.cli import flags, mistaken, plot_images, search_flags
from seq2attn.cli.conflicts import Conflict, Needs, check, set_options
from seq2attn.cli.plot_flags import Canvas, Heads
from seq2attn.config import Precision
from seq2attn.errors import UsageError, UserError
from seq2attn.plotting import IMAGES, PAGES

_SEARCH = [f"--set search.{name}" for name in config.SearchConfig.model_fields if name != "length_penalty"]
_FORCED = "--beam, --max-length, " + ", ".join(_SEARCH)
RULES: tuple[Conflict | Needs, ...] = (
    Conflict("TEXT", "--source", "each is a text to translate"),
    Conflict(
        "--from", "RUN, TEXT, --source, --target, --image, --data", "it draws saved attention, without a run"
    ),
    Conflict("--from", "--beam, --max-length, --set", "it draws saved attention: nothing is computed"),
    Needs("--line", "--from FILE", "it chooses a line of that file"),
    Conflict("--attention-of", "--from, --image, --data", "self-attention is drawn for the text of a run"),
    Conflict("--image", "TEXT, --source, --data", "each is what to describe or translate"),
    Conflict("--data", "TEXT, --source", "it has images, and the other is a text"),
    Needs("--split", "--data PREPARED", "it chooses images of that folder"),
    Needs("--number", "--data PREPARED", "it chooses an image of that folder"),
    Needs("--reference", "--data PREPARED", "it chooses a caption of that folder"),
    Conflict("--reference", "--target", "each is an output to force"),
    Conflict("--target", _FORCED, "a forced output is not searched for"),
    Conflict("--reference", _FORCED, "a forced output is not searched for"),
    *(
        Conflict(f"--{name.replace('_', '-')}", f"--set search.{name}", "both are the same setting")
        for name in ("beam", "max_length")
    ),
)


def plot_alignment(
    run: Annotated[
        str | None,
        typer.Argument(
            help="Trained run. Runs joined by commas are an ensemble. Not with --from.",
            metavar="RUN",
            show_default=False,
        ),
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Argument(help="Text to translate, instead of --source.", metavar="TEXT", show_default=False),
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="Text to translate.", metavar="TEXT", show_default=False)
    ] = None,
    image: Annotated[
        Path | None,
        typer.Option(
            help="Image to describe. For a run that reads clips: a folder of frames or an animated image.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            help="Output to force on the model (teacher forcing) instead of searching for one.",
            metavar="TEXT",
            show_default="the best output of the search",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Prepared folder with the image to describe, instead of --image.",
            metavar="PREPARED",
            show_default=False,
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Split of --data.", metavar="NAME", show_default="test")
    ] = None,
    number: Annotated[
        int | None,
        typer.Option(
            help="Number of the image in the split, counted from 1.", min=1, metavar="N", show_default="1"
        ),
    ] = None,
    reference: Annotated[
        int | None,
        typer.Option(
            help="Show attention for reference caption N (counted from 1) instead of a generated one, "
            "with its bounding boxes if the data has any.",
            min=1,
            metavar="N",
            show_default=False,
        ),
    ] = None,
    saved: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="Draw the attention in a file of `translate --attention`.",
            metavar="FILE.jsonl|FILE.npz",
            show_default=False,
        ),
    ] = None,
    line: Annotated[
        int | None,
        typer.Option(
            help="Line of --from, counted from 1.", min=1, metavar="N", show_default="the first; all in .html"
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="File to write: .png, .svg, .pdf or .html.",
            metavar="FILE",
            show_default="the terminal",
        ),
    ] = None,
    words: Annotated[
        bool | None,
        typer.Option(
            "--words/--subwords",
            help="Unit of rows and columns: words or subwords.",
            show_default="words; subwords for languages without spaces",
        ),
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(
            help="Decoder layer to draw, counted from 1; `all` draws each layer. A recurrent decoder has one "
            "attention layer.",
            metavar="N|all",
            show_default="the mean over all",
        ),
    ] = None,
    head: Annotated[
        str | None,
        typer.Option(
            "--head",
            "--heads",
            help="Attention head to draw, counted from 1; `all` draws each head of --layer or of all layers.",
            metavar="N|all",
            show_default="the mean over all",
        ),
    ] = None,
    attention_of: Annotated[
        Literal["cross", "encoder", "decoder"],
        typer.Option(
            help="Attention to draw: cross (target to source), or the self-attention of a Transformer "
            "encoder or decoder.",
            metavar="cross|encoder|decoder",
        ),
    ] = "cross",
    title: Annotated[
        str | None, typer.Option(help="Title above the drawing.", metavar="TEXT", show_default=False)
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            help="Width and height of a .png, .svg or .pdf, in inches (8x5) or centimetres (20x12cm).",
            metavar="WxH",
            show_default="depends on the words",
        ),
    ] = None,
    dpi: Annotated[
        int | None,
        typer.Option(
            help="Resolution of a .png, in dots per inch.", min=20, max=1200, metavar="N", show_default="160"
        ),
    ] = None,
    beam: search_flags.Beam = None,
    max_length: search_flags.MaxLength = None,
    set_: flags.Settings = None,
    seed: flags.Seed = 1,
    device: flags.Device = "auto",
    precision: Annotated[
        Precision, typer.Option(help="Number format; auto is fp32.", metavar="auto|fp32|bf16|fp16")
    ] = "auto",
    allow_code: flags.AllowCode = False,
    quiet: flags.Quiet = False,
    debug: flags.Debug = False,
) -> None:
    """Draw attention weights. For a translation, draw a matrix: a row per target word, a column per source
    word. For a caption, draw the image once per word, bright where the attention is high.

    Without -o the drawing goes to the terminal (standard output). Characters that no installed font has are
    written as code points.
    """
    settings = set_ or []
    heads, canvas = Heads.parse(layer, head), Canvas.parse(title, size, dpi)
    image_options = plot_images.ImageOptions(image, data, split, number, reference)
    values: dict[str, object] = {
        "RUN": run,
        "TEXT": text,
        "--source": source,
        "--target": target,
        "--from": saved,
        "--line": line,
        "--beam": beam,
        "--max-length": max_length,
        "--set": settings,
        "--attention-of": None if attention_of == "cross" else attention_of,
    }
    values |= {f"--{name}": value for name, value in image_options._asdict().items()}
    check(RULES, values | set_options(settings))
    source = " ".join(text) if text else source
    of_image = image is not None or data is not None
    _check_inputs(run, source, target, saved, of_image)
    _check_output(output)
    canvas.check(output, of_image)
    if of_image and heads.several:
        raise UsageError("--heads all is for texts: of an image choose one at a time: --layer N --head N")
    if run is not None:
        mistaken.refuse_no_run(run)
        _refuse_kind(run, of_image)
    if of_image:
        assert run is not None
        plot_images.draw(
            run,
            image_options,
            target,
            heads,
            output,
            words,
            beam,
            max_length,
            settings,
            seed,
            device,
            precision,
            allow_code,
            title,
        )
        return
    from seq2attn.cli import plot_texts
    from seq2attn.cli.output import alignments

    if saved is not None:
        default_title = f"Attention of {saved.name}"
        if line is None and output is not None and output.suffix.lower() in PAGES:
            alignments.draw(plot_texts.of_whole_file(saved, words, heads), output, canvas, default_title)
            return
        views = plot_texts.of_file(saved, line, words, heads)
    else:
        assert run is not None
        assert source is not None
        default_title = f"Attention of {run}"
        search = (beam, max_length, settings, seed, device, precision, allow_code)
        if attention_of == "cross":
            views = plot_texts.of_run(run, source, target, words, heads, *search)
        else:
            from seq2attn.cli import plot_self_attention

            default_title = f"{attention_of.capitalize()} self-attention of {run}"
            views = plot_self_attention.of_run(run, attention_of, source, target, words, heads, *search)
            canvas = canvas._replace(title=default_title if canvas.title is None else canvas.title)
    alignments.note_facts(views, written=output is not None)
    alignments.draw([views], output, canvas, default_title)


def _check_inputs(
    run: str | None, source: str | None, target: str | None, saved: Path | None, of_image: bool
) -> None:
    if saved is not None:
        if saved.suffix not in (".jsonl", ".npz"):
            raise UsageError(
                f"--from {saved}: its name must end in .jsonl or .npz, as `translate --attention` writes it"
            )
        if not saved.is_file():
            raise UserError(f"{saved}: no such file")
    elif run is None:
        raise UsageError(
            "name a RUN and --source TEXT or --image FILE, or give saved attention with --from FILE"
        )
    elif source is None and not of_image:
        raise UsageError('give a text to translate: --source "TEXT", or an image to describe: --image FILE')
    for option, value in (("--source", source), ("--target", target)):
        if value is not None and not value.strip():
            raise UsageError(f"{option} is blank: there is nothing to align")


def _check_output(output: Path | None) -> None:
    if output is None:
        return
    if output.suffix.lower() not in (*IMAGES, *PAGES):
        raise UsageError(f"-o {output}: its name must end in .png, .svg, .pdf or .html")
    if output.is_dir():
        raise UsageError(f"-o {output}: a folder; name a file")
    if not output.absolute().parent.is_dir():
        raise UserError(f"-o {output}: there is no folder {output.parent}; make it first")


def _refuse_kind(run: str, of_image: bool) -> None:
    """Raise UsageError if the run is for the other kind of source, with the option that it needs."""
    from seq2attn.runs.directory import open_run

    path = run if Path(run).is_dir() else run.split(",")[0].strip()
    if open_run(path).config.model.images != of_image:
        kind, option = (
            ("translates text", "--source TEXT") if of_image else ("describes images", "--image FILE")
        )
        raise UsageError(f"{path} {kind}: give it {option}")
