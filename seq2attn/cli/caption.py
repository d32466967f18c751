"""`seq2attn caption`: reads images and writes captions in their order, as soon as they are ready."""

import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from seq2attn.cli import caption_options as options
from seq2attn.cli import console, flags, mistaken
from seq2attn.cli.conflicts import Needs, check
from seq2attn.cli.input import line_reader
from seq2attn.cli.output import formats, result_files
from seq2attn.cli.search_flags import check_search, require_attention, with_search_flags
from seq2attn.errors import UsageError, UserError
from seq2attn.inference.heads import Heads
from seq2attn.inference.options import DEFAULTS, SearchOptions

FORMATS = ("text", "jsonl")
RULES = (
    Needs("--layer", "--attention DIR", "it chooses the weights that are drawn there"),
    Needs("--head", "--attention DIR", "it chooses the weights that are drawn there"),
)


@with_search_flags(n_best="Captions for each image, best first.")
def caption(
    run: options.Run,
    images: options.Images = None,
    output: options.Output = None,
    search: SearchOptions = DEFAULTS,
    format: options.Format = "text",
    scores: options.Scores = False,
    attention: options.Attention = None,
    layer: options.Layer = None,
    head: options.Head = None,
    set_: flags.Settings = None,
    device: flags.Device = "auto",
    precision: flags.Precision = "auto",
    allow_code: flags.AllowCode = False,
    quiet: flags.Quiet = False,
    debug: flags.Debug = False,
) -> None:
    """Describe images: one line for each, with its path, a tab and the caption.

    Folders are searched one level deep, without hidden files. An image that cannot be read gives one line on
    stderr and an empty caption; the others are described, and the exit code is 1. Control characters of a
    path are written as escapes such as \\n. The captions do not depend on the batch size or on the order.
    """
    settings, heads = set_ or [], Heads.parse(layer, head)
    if format not in FORMATS:
        raise UsageError(f"--format {format}: choose {' or '.join(FORMATS)}")
    check_search(search, run, settings, precision)
    result_files.check_place(output, "-o")
    result_files.check_folder(attention, images or [])
    check(RULES, {"--attention": attention, "--layer": layer, "--head": head})
    if heads.several:
        name = "layer" if heads.layer == "all" else "head"
        raise UsageError(f"--{name} all: an overlay shows one {name} or the mean over all; give a number")
    mistaken.refuse_no_run(run)
    if images and all(map(mistaken.is_text, images)):
        mistaken.refuse_no_file(images[0], "Name image files, or folders of images")

    from seq2attn.cli.input.image_paths import ImagePaths
    from seq2attn.cli.input.image_prefetch import ImagePrefetcher
    from seq2attn.cli.output import overlays
    from seq2attn.data.images.files import content_of
    from seq2attn.devices import keep_freed_memory
    from seq2attn.evaluation.utilities import with_utility
    from seq2attn.inference import Captioner

    keep_freed_memory()
    if heads.any:
        heads.check_run(run)
    captioner = Captioner.load(
        run, device=device, precision=precision, settings=settings, processes=True, allow_code=allow_code
    )
    if attention is not None:
        require_attention(run, captioner, "draw", "; leave out --attention")
    search = replace(
        with_utility(search, captioner.languages[1]), attention="all" if heads.any else attention is not None
    )
    if not images and line_reader.is_terminal():
        console.note("one path, one caption; Ctrl-D ends")

    done = described = failed = 0
    with ExitStack() as stack:
        prefetcher = stack.enter_context(
            ImagePrefetcher(ImagePaths(images or [], captioner.clips), captioner)
        )
        write = result_files.writer(stack, output)
        folder = None if attention is None else overlays.OverlayFolder(attention, run, heads)
        show = (
            stack.enter_context(console.progress()) if result_files.shows_progress(images, output) else None
        )
        started = time.monotonic()
        for block in prefetcher.blocks():
            pixels = [image.pixels for image in block if image.pixels is not None]
            with prefetcher.paused():
                outputs = iter(captioner.caption(pixels, search, first=described))
            described += len(pixels)
            parts = []
            for image in block:
                captions = [] if image.pixels is None else next(outputs)
                if image.note is not None:
                    console.note(image.note)
                for warning in filter(None, (image.warning, image.problem)):
                    console.warn(warning)
                paths = [] if folder is None or not captions else folder.paths(image.path, len(captions))
                if folder is not None and paths:
                    content = content_of(Path(image.path), captioner.clips)
                    part = overlays.visible_part(content, image.path, captioner)
                    folder.draw(part.pixels_FYX3, captions, paths)
                failed += image.problem is not None
                if format == "jsonl":
                    parts.append(
                        formats.captions_as_json(image.path, captions, search.n_best, paths, image.problem)
                    )
                else:
                    parts.append(formats.captions_as_text(image.path, captions, search.n_best, scores))
                if folder is not None:  # drawing takes long, so each caption is written at once
                    write(parts.pop())
                done += 1
            write("".join(parts))
            if show is not None:
                speed = done / max(time.monotonic() - started, 1e-9)
                show("describing", done, None, f"{speed:,.0f} images/s")
    if failed:
        raise UserError(f"{failed:,} of {done:,} images could not be read; their captions are empty")
