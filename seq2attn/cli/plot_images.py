"""The images of `plot-alignment`: a file, or one of a prepared folder with the boxes of its captions; drawn
as an overlay, a film strip, a page or blocks.

Knows no text to translate; what is asked of both stays in `plot_alignment`.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from seq2attn import config
from seq2attn.cli import console
from seq2attn.cli.output import result_files
from seq2attn.cli.plot_flags import Heads
from seq2attn.cli.search_flags import require_attention
from seq2attn.errors import UsageError, UserError
from seq2attn.plotting import PAGES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from seq2attn.data.images.corpus import Box
    from seq2attn.data.tokenizer import Tokenizer
    from seq2attn.inference import Caption


class Asked(NamedTuple):
    """Which image, and of a prepared one which of its captions."""

    image: Path | None
    data: Path | None
    split: str | None
    number: int | None
    reference: int | None

    @property
    def any(self) -> bool:
        return self.image is not None or self.data is not None

    def refuse(self, source: str | None, target: str | None) -> None:
        """Raise UsageError for what makes no sense together."""
        if self.any and source is not None:
            raise UsageError(
                f"--source is a text and {'--image' if self.image is not None else '--data'} names an image: leave one out"
            )
        if self.image is not None and self.data is not None:
            raise UsageError("--image is a file and --data PREPARED has images of its own: leave one out")
        if self.data is None:
            for name in ("split", "number", "reference"):
                if getattr(self, name) is not None:
                    raise UsageError(
                        f"--{name} chooses an image of a prepared folder: name it with --data PREPARED"
                    )
        if self.reference is not None and target is not None:
            raise UsageError("--reference and --target: each is a caption to force; leave one out")


class _Chosen(NamedTuple):
    content: list[bytes]
    where: str
    width: int  # of the image that boxes are in
    forced: str | None
    boxes: "Sequence[Box]"


def draw(
    run: str,
    asked: Asked,
    target: str | None,
    output: Path | None,
    words: bool | None,
    beam: int | None,
    max_length: int | None,
    settings: list[str],
    seed: int,
    device: str,
    precision: str,
    allow_code: bool,
    title: str | None,
    heads: Heads,
) -> None:
    """Describe the image, or force a caption on it, and draw where the words look."""
    from seq2attn.cli.output import overlays
    from seq2attn.inference import Captioner

    captioner = Captioner.load(
        run, device=device, precision=precision, settings=settings, allow_code=allow_code
    )
    heads.choose(captioner)
    require_attention(run, captioner, "draw")
    chosen = _chosen(asked, captioner.clips)
    seen = captioner.seen(chosen.content, chosen.where)
    forced = " ".join(target.splitlines()) if target is not None else chosen.forced
    if forced is not None:
        refuse_long(forced, captioner.target_tokenizer)
        found = captioner.force([seen], [forced], seed=seed)[0]
    else:
        found = captioner.caption([seen], beam=beam, max_length=max_length, seed=seed)[0][0]
    console.note(f"{found.text}   (score {found.score:.3f}, log p {found.log_probability:.2f})")
    if forced is not None:
        warn_of_unknown(forced, captioner.target_tokenizer)
    if not found.words:
        raise UserError("nothing to draw: the caption is empty; --target TEXT forces one")
    labels, weights_TS, of_words = _rows(found, words)
    part = overlays.seen_part(chosen.content, chosen.where, captioner)
    boxes = part.boxes(chosen.boxes, chosen.width)
    boxes = [box._replace(word=of_words[box.word]) for box in boxes if box.word < len(of_words)]
    if output is None:
        if title is not None:
            console.result(console.printable(title))
        _in_the_terminal(labels, weights_TS, found.grid)
    elif output.suffix.lower() in PAGES:
        from seq2attn.plotting import html_overlay

        pixels = part.pixels_FYX3 if found.grid is None else part.pixels_FYX3[0]
        looked = html_overlay.CaptionAttention(pixels, labels, weights_TS, found.grid, chosen.where)
        html_overlay.save([looked], output, title or f"Attention of {run}")
    else:
        fonts = overlays.save(part.pixels_FYX3, labels, weights_TS, found.grid, output, boxes, title or "")
        result_files.warn_of_fonts(fonts.unseen())
    if output is not None:
        console.note(f"wrote {output}")


def _chosen(asked: Asked, clips: bool) -> _Chosen:
    if asked.image is not None:
        from seq2attn.cli.input.image_paths import modality_warning
        from seq2attn.data.images.files import content_of

        content, where = content_of(asked.image, clips), str(asked.image)
        if warning := modality_warning(content, where, clips):
            console.warn(warning)
        return _Chosen(content, where, 1, None, [])
    from seq2attn.data.prepared import Prepared

    assert asked.data is not None
    prepared = Prepared(asked.data)
    name = asked.split or "test"
    if not prepared.images:
        raise UserError(
            f"{asked.data}: holds texts, no images: name one with --image FILE, or prepared images"
        )
    if prepared.clips != clips:
        raise UserError(
            f"{asked.data}: holds {'clips' if prepared.clips else 'stills'}, and the run reads {'clips' if clips else 'stills'}"
        )
    split = prepared.captioned_split(name)
    number, reference = asked.number or 1, asked.reference
    if number > len(split.names):
        raise UsageError(f"--number {number}: {name} of {asked.data} has {len(split.names):,} images")
    captions = split.captions[number - 1]
    if reference is not None and reference > len(captions):
        raise UsageError(
            f"--reference {reference}: {split.names[number - 1]} has {len(captions)} caption{'s' if len(captions) > 1 else ''}"
        )
    forced = None if reference is None else captions[reference - 1]
    boxes = (
        split.boxes[number - 1][reference - 1] if reference is not None and split.boxes is not None else []
    )
    return _Chosen(
        split.content(number - 1), split.names[number - 1], split.sizes[number - 1][0], forced, boxes
    )


def _rows(caption: "Caption", words: bool | None) -> "tuple[list[str], NDArray[np.floating], list[int]]":
    """What is drawn, its weights, and which row stands for each word: words and punctuation, or subwords and
    the end, which stand for no word.

    Subwords are shown by themselves where words are not spaced.
    """
    from seq2attn.cli.output import overlays
    from seq2attn.inference.attention_file import END

    assert caption.subword_attention is not None
    if words is None and unspaced(caption.words):
        words = False
        console.note(
            "drawn by subwords, for the caption has no spaces between its words; --words overrules this"
        )
    if words is False:
        return [*caption.subwords, END], caption.subword_attention, []
    return overlays.caption_tokens(caption)


def _in_the_terminal(
    labels: Sequence[str], weights_TS: "NDArray[np.floating]", grid: tuple[int, int] | None
) -> None:
    from seq2attn.plotting import terminal_heatmap, terminal_overlay

    colour, width = console.has_colour(), shutil.get_terminal_size((100, 24)).columns
    if grid is not None:
        console.result(terminal_overlay.render(labels, weights_TS, grid, width, colour))
        return
    console.result(
        terminal_heatmap.render(
            weights_TS, [str(frame) for frame in range(1, weights_TS.shape[1] + 1)], labels, width, colour
        )
    )
    console.result(terminal_heatmap.legend(colour))


def refuse_long(forced: str, tokenizer: "Tokenizer") -> None:
    """Raise UsageError where a forced text has more tokens than can be drawn in bounded memory."""
    from seq2attn.evaluation.forcing import is_too_long

    if is_too_long(forced, tokenizer):
        raise UsageError(f"the text to force has more than {config.MOST_TOKENS:,} tokens: give a part of it")


def warn_of_unknown(forced: str, tokenizer: "Tokenizer") -> None:
    """One line on words of a forced text that are drawn as they were given, though the model took them as
    unknown, if any.
    """
    from seq2attn.data.tokenizer import UNK

    words = [word for word in dict.fromkeys(forced.split()) if UNK in tokenizer.encode(word)]
    if words:
        shown = " ".join(words[:10]) + (" ..." if len(words) > 10 else "")
        console.warn(f"not in the vocabulary, so unknown to the model: {shown}")


def unspaced(words: Sequence[str]) -> bool:
    """Whether these are no words: long, and of a language that sets no spaces between its words."""
    from seq2attn.evaluation.text import spaced

    return sum(map(len, words)) > 3 * len(words) and not spaced(words)
