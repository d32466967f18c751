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
from seq2attn.cli.plot_flags import Heads, select_head
from seq2attn.cli.search_flags import require_attention
from seq2attn.errors import UsageError, UserError
from seq2attn.plotting import PAGES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from seq2attn.data.images.corpus import Box
    from seq2attn.data.tokenizer import Tokenizer
    from seq2attn.inference import Caption


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


def draw(
    run: str,
    options: ImageOptions,
    target: str | None,
    heads: Heads,
    output: Path | None,
    words: bool | None,
    beam: int | None,
    max_length: int | None,
    settings: list[str],
    seed: int,
    device: str,
    precision: str,
    allow_code: bool,
    title: str | None = None,
) -> None:
    """Describe the image, or force a caption on it, and draw the attention of each word."""
    from seq2attn.cli.output import overlays
    from seq2attn.inference import Captioner

    if heads.any:
        heads.check_run(run)
    captioner = Captioner.load(
        run, device=device, precision=precision, settings=settings, allow_code=allow_code
    )
    require_attention(run, captioner, "draw")
    image = _read(options, captioner.clips)
    pixels = captioner.decode_pixels(image.content, image.where)
    attention: bool | Literal["all"] = "all" if heads.any else True
    forced = image.reference if target is None else " ".join(target.splitlines())
    if forced is not None:
        refuse_long_target(forced, captioner.target_tokenizer)
        caption = captioner.score_targets([pixels], [forced], seed=seed, attention=attention)[0]
    else:
        caption = captioner.caption(
            [pixels], beam=beam, max_length=max_length, seed=seed, attention=attention
        )[0][0]
    caption, head = select_head(caption, heads, run)
    title = ": ".join(filter(None, (title, head))) or None
    console.note(f"{caption.text}   (score {caption.score:.3f}, log p {caption.log_probability:.2f})")
    if forced is not None:
        note_unknown_words(forced, captioner.target_tokenizer)
    if not caption.words:
        raise UserError("nothing to draw: the caption is empty; --target TEXT forces one")
    labels, weights_TS, of_words = _rows(caption, words)
    part = overlays.visible_part(image.content, image.where, captioner)
    boxes = part.boxes(image.boxes, image.width)
    boxes = [box._replace(word=of_words[box.word]) for box in boxes if box.word < len(of_words)]
    if output is None:
        if title is not None:
            console.result(console.printable(title))
        _draw_in_terminal(labels, weights_TS, caption.grid)
        return
    if output.suffix.lower() in PAGES:
        from seq2attn.plotting import html_overlay

        image_pixels = part.pixels_FYX3 if caption.grid is None else part.pixels_FYX3[0]
        page = html_overlay.CaptionAttention(image_pixels, labels, weights_TS, caption.grid, image.where)
        html_overlay.save([page], output, title or f"Attention of {run}")
    else:
        fonts = overlays.save(part.pixels_FYX3, labels, weights_TS, caption.grid, output, boxes, title or "")
        result_files.warn_of_fonts(fonts.unseen())
    console.note(f"wrote {output}")


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


def _rows(caption: "Caption", words: bool | None) -> "tuple[list[str], NDArray[np.floating], list[int]]":
    """The labels to draw, their weights (labels, positions), and the row of each word.

    Labels are words and punctuation, or subwords and the end token; then no word has a row. Subwords are the
    default for a language without spaces between its words.
    """
    from seq2attn.cli.output import overlays
    from seq2attn.inference.attention_file import END

    assert caption.subword_attention is not None
    if words is None and unspaced(caption.words):
        words = False
        console.note("drawn by subwords: the caption has no spaces between its words; --words overrides this")
    if words is False:
        return [*caption.subwords, END], caption.subword_attention, []
    return overlays.caption_tokens(caption)


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


def unspaced(words: Sequence[str]) -> bool:
    """Whether these strings are not words, but long texts of a language without spaces between words."""
    from seq2attn.evaluation.text import uses_spaces

    return sum(map(len, words)) > 3 * len(words) and not uses_spaces(words)
