"""The images of `plot-alignment`: a file, or an image of a prepared folder with the boxes of its captions.

They are drawn as an overlay, a film strip, a page, or blocks in the terminal.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from seq2attn import config
from seq2attn.cli import console
from seq2attn.cli.output import result_files
from seq2attn.cli.plot_flags import Canvas
from seq2attn.cli.plot_pages import run_name
from seq2attn.cli.search_flags import note_choice, require_attention
from seq2attn.errors import UsageError, UserError
from seq2attn.inference.heads import Heads, select_head

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from seq2attn.cli.plot_pages import Answers
    from seq2attn.data.images.corpus import Box
    from seq2attn.data.images.visible import Part
    from seq2attn.data.tokenizer import Tokenizer
    from seq2attn.inference import caption_panels
    from seq2attn.plotting.fonts import Fonts


MOST_RUNS = 12


class ImageOptions(NamedTuple):
    """The image to draw and, for one of a prepared folder, the caption to force."""

    image: Path | None
    data: Path | None
    split: str | None
    number: int | None
    reference: int | None


class _Input(NamedTuple):
    content: list[bytes]
    where: str
    width: int  # width of the image, in the pixels of the boxes
    reference: str | None
    boxes: "Sequence[Box]"


class Search(NamedTuple):
    """How runs are loaded and search for an output."""

    beam: int | None
    max_length: int | None
    settings: list[str]
    seed: int
    device: str
    precision: str
    allow_code: bool


class _Drawing(NamedTuple):
    """What to draw of one run."""

    name: str  # of the run among several, or the run
    title: str | None
    rows: "caption_panels.Rows"
    part: "Part"
    grid: tuple[int, int] | None  # None: a clip
    boxes: "Sequence[Box]"
    where: str


def draw(
    runs: Sequence[str],
    options: ImageOptions,
    target: str | None,
    heads: Heads,
    output: Path | None,
    words: bool | None,
    search: Search,
    canvas: Canvas,
    page: "Answers | None",
) -> None:
    """Describe the image with each run, or force a caption on it, and draw the attention of each word."""
    if len(runs) > MOST_RUNS:
        raise UsageError(f"{len(runs)} runs: {MOST_RUNS} are the most of one drawing of an image")
    names = run_names(runs)
    drawings = [
        _of_run(run, name, options, target, heads, words, search, canvas, page)
        for run, name in zip(runs, names, strict=True)
    ]
    if output is None:
        for number, drawing in enumerate(drawings):
            if number:
                console.result()
            if drawing.title is not None:
                console.result(console.printable(drawing.title))
            _draw_in_terminal(drawing.rows.labels, drawing.rows.weights, drawing.grid)
        return
    if page is not None:
        title = drawings[0].title if len(drawings) == 1 else canvas.title
        page.write(output, title or f"Attention of {', '.join(map(run_name, runs))}")
    else:
        result_files.warn_of_fonts(_save_image(drawings, output, canvas).unseen())
    console.note(f"wrote {output}")


def _of_run(
    run: str,
    name: str,
    options: ImageOptions,
    target: str | None,
    heads: Heads,
    words: bool | None,
    search: Search,
    canvas: Canvas,
    page: "Answers | None",
) -> _Drawing:
    from seq2attn.cli.output import overlays
    from seq2attn.inference import Captioner, caption_panels

    if heads.any:
        heads.check_run(run)
    captioner = Captioner.load(
        run,
        device=search.device,
        precision=search.precision,
        settings=search.settings,
        allow_code=search.allow_code,
    )
    require_attention(run, captioner, "draw")
    if not heads.any:
        note_choice(run, captioner)
    if canvas.colormap is not None and not captioner.clips:
        raise UsageError(
            "--colormap is for texts and clips: attention is drawn as light on an image; leave it out"
        )
    if name and captioner.clips:
        raise UsageError(f"{run}: reads clips, and a clip is drawn with one run at a time")
    image = _read(options, captioner.clips)
    pixels = captioner.decode_pixels(image.content, image.where)
    attention: bool | Literal["all"] = "all" if heads.any or page else True
    forced = image.reference if target is None else " ".join(target.splitlines())
    if forced is not None:
        refuse_long_target(forced, captioner.target_tokenizer)
        caption = captioner.score_targets([pixels], [forced], seed=search.seed, attention=attention)[0]
    else:
        caption = captioner.caption(
            [pixels], beam=search.beam, max_length=search.max_length, seed=search.seed, attention=attention
        )[0][0]
    caption, head = select_head(caption, heads, run)
    score = f"(score {caption.score:.3f}, log p {caption.log_probability:.2f})"
    console.note(f"{name}: {caption.text}   {score}" if name else f"{caption.text}   {score}")
    if forced is not None:
        note_unknown_words(forced, captioner.target_tokenizer)
    rows = caption_panels.rows(caption, words)
    if rows.subwords and words is None:
        console.note("drawn by subwords: the caption has no spaces between its words; --words overrides this")
    part = overlays.visible_part(image.content, image.where, captioner)
    boxes = part.boxes(image.boxes, image.width)
    boxes = [box._replace(word=rows.of_words[box.word]) for box in boxes if box.word < len(rows.of_words)]
    title = ": ".join(filter(None, (canvas.title, name, head))) or None
    if page is not None:
        from seq2attn.plotting.alignment import Alignment

        cells = [str(cell) for cell in range(1, rows.weights.shape[1] + 1)]
        view = Alignment(cells, rows.labels, rows.weights, title=head, subwords=rows.subwords, score=score)
        page.add_caption(
            captioner, caption, pixels, part.pixels_FYX3, view, name or run_name(run), image.where
        )
    return _Drawing(name, title, rows, part, caption.grid, boxes, image.where)


def _save_image(drawings: Sequence[_Drawing], output: Path, canvas: Canvas) -> "Fonts":
    from seq2attn.cli.output import overlays
    from seq2attn.plotting import overlay

    if len(drawings) == 1:
        _, title, rows, part, grid, boxes, _ = drawings[0]
        return overlays.save(
            part.pixels_FYX3, rows.labels, rows.weights, grid, output, boxes, title or "", canvas.style()
        )
    parts = []
    for _, title, rows, part, grid, boxes, _ in drawings:
        assert grid is not None
        parts.append(
            overlay.Overlay(part.pixels_FYX3[0], rows.labels, rows.weights, grid, boxes, title or "")
        )
    return overlay.save_stack(parts, output, style=canvas.style())


def run_names(runs: Sequence[str]) -> list[str]:
    """The names of several runs: that of the folder, or the whole path of runs with the same name.

    The only run has no name.
    """
    if len(runs) == 1:
        return [""]
    short = [run if "," in run else Path(run).resolve().name for run in runs]
    if len(set(short)) == len(short):
        return short
    return [run if runs.count(run) == 1 else f"{number}. {run}" for number, run in enumerate(runs, 1)]


def _read(options: ImageOptions, clips: bool) -> _Input:
    if options.image is not None:
        from seq2attn.cli.input.image_paths import modality_warning
        from seq2attn.data.images.files import content_of

        content, where = content_of(options.image, clips), str(options.image)
        if warning := modality_warning(content, where, clips):
            console.warn(warning)
        return _Input(content, where, 1, None, [])
    from seq2attn.data.prepared import Prepared

    assert options.data is not None
    prepared = Prepared(options.data)
    name = options.split or "test"
    if prepared.modality != config.IMAGES:
        raise UserError(
            f"{options.data}: holds texts, no images: name an image with --image FILE, or a prepared "
            "folder of images"
        )
    if prepared.clips != clips:
        holds, reads = ("clips", "stills") if prepared.clips else ("stills", "clips")
        raise UserError(f"{options.data}: holds {holds}, and the run reads {reads}")
    split = prepared.captioned_split(name)
    number, reference = options.number or 1, options.reference
    if number > len(split.names):
        raise UsageError(f"--number {number}: {name} of {options.data} has {len(split.names):,} images")
    captions, image = split.captions[number - 1], split.names[number - 1]
    if reference is not None and reference > len(captions):
        count = f"{len(captions)} caption{'s' if len(captions) > 1 else ''}"
        raise UsageError(f"--reference {reference}: {image} has {count}")
    boxes: Sequence[Box] = []
    if reference is not None and split.boxes is not None:
        boxes = split.boxes[number - 1][reference - 1]
    forced = None if reference is None else captions[reference - 1]
    return _Input(split.content(number - 1), image, split.sizes[number - 1][0], forced, boxes)


def _draw_in_terminal(
    labels: Sequence[str], weights_TS: "NDArray[np.floating]", grid: tuple[int, int] | None
) -> None:
    from seq2attn.plotting import terminal_heatmap, terminal_overlay

    colour, width = console.has_colour(), shutil.get_terminal_size((100, 24)).columns
    if grid is not None:
        console.result(terminal_overlay.render(labels, weights_TS, grid, width, colour))
        return
    frames = [str(frame) for frame in range(1, weights_TS.shape[1] + 1)]
    console.result(terminal_heatmap.render(weights_TS, frames, labels, width, colour))
    console.result(terminal_heatmap.legend(colour))


def refuse_long_target(target: str, tokenizer: "Tokenizer") -> None:
    """Raise UsageError if a forced output has more tokens than can be drawn in bounded memory."""
    from seq2attn.evaluation.forced_decoding import is_too_long

    if is_too_long(target, tokenizer):
        raise UsageError(f"the text to force has more than {config.MOST_TOKENS:,} tokens: give a part of it")


def note_unknown_words(target: str, tokenizer: "Tokenizer") -> None:
    """Warn of words of a forced output that the model does not know. The drawing shows them as typed."""
    from seq2attn.data.tokenizer import UNK

    words = [word for word in dict.fromkeys(target.split()) if UNK in tokenizer.encode(word)]
    if words:
        some = " ".join(words[:10]) + (" ..." if len(words) > 10 else "")
        console.warn(f"not in the vocabulary, so unknown to the model: {some}")
