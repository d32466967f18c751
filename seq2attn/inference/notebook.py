"""What a notebook shows of a translation and of a caption: the page to explore attention, or a table."""

from seq2attn.errors import UserError
from seq2attn.inference.alignments import Pair
from seq2attn.inference.caption_panels import pixels, rows
from seq2attn.inference.heads import Heads
from seq2attn.inference.results import Caption, Translation
from seq2attn.plotting import html_alignment, html_fragment, html_overlay

MOST = 1 << 15  # weights of a page in a cell: about 180 words on both sides


def translation_html(translation: Translation) -> str:
    """The mean attention of a translation as HTML to explore.

    Without attention, or with more weights than MOST, it is a table of its texts.
    """
    if translation.attention is not None and translation.attention.size <= MOST:
        pair = Pair.of_translation(translation)
        try:
            [alignment] = pair.alignments(Heads(None, None), where="", way_out="")
        except UserError:  # one side is empty
            pass
        else:
            return html_alignment.fragment(alignment._replace(score=_score(translation)))
    return html_fragment.table(
        [
            ("source", translation.source),
            ("translation", translation.text),
            ("score", f"{translation.score:.3f}"),
        ]
    )


def caption_html(caption: Caption) -> str:
    """The mean attention of a caption as HTML to explore.

    Without attention, or if the caption does not know its image or the file is gone, it is a table.
    """
    if caption.attention is not None:
        try:
            frames, (labels, weights_TS, *_) = pixels(caption), rows(caption)
        except UserError:
            pass
        else:
            view = frames if caption.grid is None else frames[0]
            return html_overlay.fragment(
                html_overlay.CaptionAttention(view, labels, weights_TS, caption.grid)
            )
    lines = [("caption", caption.text), ("score", f"{caption.score:.3f}")]
    return html_fragment.table(lines if caption.image is None else [("image", caption.image), *lines])


def _score(translation: Translation) -> str:
    return f"score {translation.score:.3f}, log p {translation.log_probability:.2f}"
