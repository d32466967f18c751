"""Self-attention of a text for `plot-alignment`.

It shows what each word of the source attends to in the encoder, or each word of the target in the decoder.
"""

from typing import TYPE_CHECKING

import numpy as np

from seq2attn.cli import console
from seq2attn.cli.plot_flags import Heads, head_title
from seq2attn.cli.plot_images import note_unknown_words, refuse_long_target, unspaced
from seq2attn.errors import UserError
from seq2attn.inference.results import Weights
from seq2attn.plotting import words as tokens
from seq2attn.plotting.alignment import Alignment

if TYPE_CHECKING:
    from seq2attn.inference import Translator

START = "start"  # the start token, which a decoder reads first


def of_run(
    run: str,
    side: str,
    source: str,
    target: str | None,
    words: bool | None,
    heads: Heads,
    beam: int | None,
    max_length: int | None,
    settings: list[str],
    seed: int,
    device: str,
    precision: str,
    allow_code: bool,
) -> list[Alignment]:
    """Self-attention of the "encoder" over the source, or of the "decoder" over the target.

    The default target is the translation. Returns one alignment, or one for each head. Raises UserError if
    that side has no self-attention, or no such head.
    """
    from seq2attn.inference import Translator

    translator = Translator.load(
        run, device=device, precision=precision, settings=settings, allow_code=allow_code
    )
    source = " ".join(source.splitlines())
    if side == "encoder":
        text, attention = source, translator.self_attention(source)
        weights, labels = attention.encoder, attention.source
    else:
        text = _target(translator, source, target, beam, max_length, seed)
        attention = translator.self_attention(source, text)
        weights, labels = attention.decoder, attention.target
    if not text.strip():
        raise UserError(f"nothing to draw: the {'source' if side == 'encoder' else 'translation'} is empty")
    assert weights is not None
    if side == "decoder":  # The start token comes last, because the end token of other sides does.
        weights, labels = np.roll(weights, -1, (2, 3)), [*labels[1:], labels[0]]
    layers, count = weights.shape[:2]
    heads.check(run, layers, count)
    if words is None:
        words = not unspaced(text.split())
    which = heads.expand(layers, count) if heads.any else [(None, None)]
    return [
        _alignment(text, labels, weights, one, words, side)._replace(title=head_title(*one, layers, count))
        for one in which
    ]


def _target(
    translator: "Translator",
    source: str,
    target: str | None,
    beam: int | None,
    max_length: int | None,
    seed: int,
) -> str:
    if target is None:
        text = translator.translate([source], beam=beam, max_length=max_length, seed=seed)[0][0].text
        console.note(text)
        return text
    refuse_long_target(target, translator.target_tokenizer)
    note_unknown_words(target, translator.target_tokenizer)
    return " ".join(target.splitlines())


def _alignment(
    text: str,
    labels: list[str],
    weights: Weights,
    which: tuple[int | None, int | None],
    words: bool,
    side: str,
) -> Alignment:
    """Between words, or between subwords if `words` is False or the subwords do not fit the words."""
    from seq2attn.inference.attention_weights import select

    weights_PP = select(weights, *which)
    view = None
    if words:
        view = tokens.between(text.split(), labels[:-1], text.split(), labels[:-1], weights_PP, ends=True)
    view = view or Alignment(labels, labels, weights_PP, ends=True, subwords=True)
    if side == "decoder":
        last = START if not view.subwords else labels[-1]
        names = [last, *view.source_words[:-1]]
        view = view._replace(
            source_words=names, target_words=names, attention=np.roll(view.attention, 1, (0, 1)), ends=False
        )
    return view._replace(self_attention=True)
