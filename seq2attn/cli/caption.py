"""`seq2attn caption`: reads images and writes captions in their order, as soon as they are ready."""

from collections.abc import Sequence
from dataclasses import replace

from seq2attn.cli import caption_options as options
from seq2attn.cli import console, flags, mistaken
from seq2attn.cli.conflicts import Needs, check
from seq2attn.cli.input import line_reader
from seq2attn.cli.output import result_files
from seq2attn.cli.search_flags import check_search, note_choice, require_attention, with_search_flags
from seq2attn.errors import UsageError, UserError
from seq2attn.inference.heads import Heads
from seq2attn.inference.options import DEFAULTS, SearchOptions
from seq2attn.tasks import chunks

FORMATS = ("text", "jsonl")
RULES = (
    Needs("--layer", "--attention DIR", "it chooses the weights that are drawn there"),
    Needs("--head", "--attention DIR", "it chooses the weights that are drawn there"),
)


@with_search_flags(without=("replace_unknown",), n_best="Captions for each image, best first.")
def caption(
    run: options.Run,
    images: options.Images = None,
    output: options.Output = None,
    search: SearchOptions = DEFAULTS,
    format: options.Format = "text",
    scores: options.Scores = False,
    confidence: flags.Confidence = False,
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
    Many images are described to -o in chunks: after a kill the same command continues. For several devices or
    machines: torchrun --nproc-per-node N -m seq2attn caption RUN FOLDER -o FILE
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

    many = chunks.entries(images or []) >= chunks.MANY
    in_chunks = chunks.are_wanted(output, images or ["-"], many, attention is not None)

    from seq2attn.cli.output import overlays
    from seq2attn.cli.output.described_images import DescribedImages
    from seq2attn.devices import find_device, keep_freed_memory
    from seq2attn.evaluation.utilities import with_utility
    from seq2attn.inference import Captioner
    from seq2attn.training.distributed import init_distributed

    keep_freed_memory()
    if heads.any:
        heads.check_run(run)
    with init_distributed(find_device(device)) as world:
        captioner = Captioner.load(
            run,
            device=str(world.device),
            precision=precision,
            settings=settings,
            processes=world.size == 1,
            allow_code=allow_code,
        )
        if attention is not None:
            require_attention(run, captioner, "draw", "; leave out --attention")
            if not heads.any:
                note_choice(run, captioner)
        calibration = captioner.calibration() if confidence else None
        options = {"search": search, "format": format, "scores": scores, "confidence": calibration}
        options |= {"set": settings}
        options |= {"precision": precision, "device": world.device.type}
        search = replace(
            with_utility(search, captioner.languages[1]),
            attention="all" if heads.any else attention is not None,
            confidence=confidence,
        )
        if not images and line_reader.is_terminal():
            console.note("one path, one caption; Ctrl-D ends")

        def key(names: Sequence[str]) -> str:
            return chunks.fingerprint(run, chunks.of_images(names), options)

        folder = None if attention is None else overlays.OverlayFolder(attention, run, heads)
        described = DescribedImages(captioner, search, folder, format, scores)
        described.colour = output is None and console.has_colour()
        described.write_to(output, images or [], key if in_chunks else None, world)
    if failures := described.failures:
        count = described.done
        raise UserError(f"{failures:,} of {count:,} images could not be read; their captions are empty")
