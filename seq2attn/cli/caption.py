"""`seq2attn caption`: images in, captions out, in order and as they come."""

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from seq2attn import config
from seq2attn.cli import console, flags, mistaken
from seq2attn.cli.input import line_reader
from seq2attn.cli.output import formats, result_files
from seq2attn.cli.search_flags import SearchFlags, require_attention
from seq2attn.errors import UsageError, UserError

FORMATS = ("text", "jsonl")


def caption(
    run: Annotated[
        str,
        typer.Argument(
            help="A trained run; several joined by commas are an ensemble.", metavar="RUN", show_default=False
        ),
    ],
    images: Annotated[
        list[str] | None,
        typer.Argument(
            help="Images, or folders of them; for a run that reads clips, folders of frames, animated images, or folders of those. -: paths on standard input.",
            metavar="PATH...",
            show_default="paths on standard input, one a line",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write here.", metavar="FILE", show_default="standard output"),
    ] = None,
    beam: flags.Beam = None,
    length_penalty: flags.LengthPenalty = None,
    n_best: Annotated[
        int,
        typer.Option(help="Captions of each image, best first.", min=1, max=config.MOST_SAMPLES, metavar="N"),
    ] = 1,
    max_length: flags.MaxLength = None,
    min_length: flags.MinLength = None,
    no_repeat_ngram: flags.NoRepeat = None,
    sample: flags.Sample = False,
    temperature: flags.Temperature = None,
    top_k: flags.TopK = None,
    top_p: flags.TopP = None,
    mbr: flags.Mbr = None,
    samples: flags.Samples = None,
    seed: flags.Seed = 1,
    batch_tokens: flags.BatchTokens = None,
    format: Annotated[
        str,
        typer.Option(
            help='text: the path, a tab, the caption; or jsonl: {"image": ..., "caption": ...}.',
            metavar="text|jsonl",
        ),
    ] = "text",
    scores: Annotated[
        bool,
        typer.Option(
            "--scores",
            help="In text, the score and a tab before each caption (natural log; with --mbr points).",
        ),
    ] = False,
    attention: Annotated[
        Path | None,
        typer.Option(
            help="Draw where the words of each caption look, a PNG named after the image, into here.",
            metavar="DIR",
            show_default=False,
        ),
    ] = None,
    set_: flags.Settings = None,
    device: flags.Device = "auto",
    precision: flags.Precision = "auto",
    allow_code: flags.AllowCode = False,
    quiet: flags.Quiet = False,
    debug: flags.Debug = False,
) -> None:
    """Describe images: a line for each, its path, a tab and the caption.

    Folders are walked one level deep, hidden files left out. An image that cannot be read is one line on
    stderr and an empty caption; the others are done, and the exit code is 1. Escapes such as \\n stand for
    control characters in a path. The output depends neither on the batch size nor on the order.
    """
    settings = set_ or []
    if format not in FORMATS:
        raise UsageError(f"--format {format}: choose text or jsonl")
    search = SearchFlags(
        n_best,
        beam,
        length_penalty,
        max_length,
        min_length,
        no_repeat_ngram,
        sample,
        temperature,
        top_k,
        top_p,
        mbr,
        samples,
        seed,
        batch_tokens,
    )
    search.check(run, settings, precision)
    result_files.refuse_place(output, "-o")
    _refuse_folder(attention, images or [])
    mistaken.refuse_no_run(run)
    if images and all(map(mistaken.is_text, images)):
        mistaken.refuse_no_file(images[0], "Images are described: name files of images, or folders of them")

    from seq2attn.cli.input import image_prefetch
    from seq2attn.cli.input.image_paths import Paths
    from seq2attn.cli.output import overlays
    from seq2attn.data.images.files import content_of
    from seq2attn.devices import keep_freed_memory
    from seq2attn.inference import Captioner

    keep_freed_memory()
    captioner = Captioner.load(
        run, device=device, precision=precision, settings=settings, processes=True, allow_code=allow_code
    )
    if attention is not None:
        require_attention(run, captioner, "show", "; leave out --attention")
    keywords = search.keywords(captioner.languages[1]) | {"attention": attention is not None}
    if not images and line_reader.is_terminal():
        console.note("one path, one caption; Ctrl-D ends")

    done = described = failed = 0
    with ExitStack() as stack:
        reading = stack.enter_context(image_prefetch.Ahead(Paths(images or [], captioner.clips), captioner))
        write = result_files.writer(stack, output)
        folder = None if attention is None else overlays.Folder(attention)
        show = (
            stack.enter_context(console.progress()) if result_files.shows_progress(images, output) else None
        )
        started = time.monotonic()
        for block in reading.blocks():
            seen = [ready.seen for ready in block if ready.seen is not None]
            with reading.paused():
                found = iter(captioner.caption(seen, first=described, **keywords))
            described += len(seen)
            parts = []
            for ready in block:
                captions = [] if ready.seen is None else next(found)
                if ready.note is not None:
                    console.note(ready.note)
                for warning in filter(None, (ready.warning, ready.problem)):
                    console.warn(warning)
                drawn = [] if folder is None or not captions else folder.names(ready.path, len(captions))
                if folder is not None and drawn:
                    folder.draw(
                        overlays.seen_part(
                            content_of(Path(ready.path), captioner.clips), ready.path, captioner
                        ).pixels_FYX3,
                        captions,
                        drawn,
                    )
                failed += ready.problem is not None
                if format == "jsonl":
                    parts.append(formats.captions_as_json(ready.path, captions, n_best, drawn, ready.problem))
                else:
                    parts.append(formats.captions_as_text(ready.path, captions, n_best, scores))
                if folder is not None:  # drawing takes longer than describing: each is told when it is done
                    write(parts.pop())
                done += 1
            write("".join(parts))
            if show is not None:
                show(
                    "describing", done, None, f"{done / max(time.monotonic() - started, 1e-9):,.0f} images/s"
                )
    if failed:
        raise UserError(f"{failed:,} of {done:,} images could not be read; their captions are empty")


def _refuse_folder(folder: Path | None, images: list[str]) -> None:
    """Raise where overlays cannot be put there, or could be written over images."""
    if folder is None:
        return
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--attention {folder}: a file; name a folder")
    if not folder.absolute().parent.is_dir():
        raise UserError(f"--attention {folder}: there is no folder {folder.parent}; make it first")
    for image in images:
        if image != "-" and folder.resolve() in (
            Path(image).resolve(),
            Path(image).absolute().parent.resolve(),
        ):
            raise UsageError(
                f"--attention {folder}: there are images in it that could be written over; name another folder"
            )
