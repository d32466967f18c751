"""One translation of a line from those of its sentences. This module knows no model.

Shapes: T target words, S source words, U target subwords, R source subwords, L layers, H heads.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from seq2attn.data.text.paragraphs import Part, put_together
from seq2attn.data.text.protection import Marked, Restorer, markers_in
from seq2attn.inference.options import ResolvedOptions
from seq2attn.inference.results import Translation, Weights
from seq2attn.search.step import normalised


def join(
    parts: Sequence[Part], sentences: Sequence[Translation], target: str | None, options: ResolvedOptions
) -> Translation:
    """The translation of a line: `sentences` are those of the sentences among its `parts`, in order.

    Its score is that of all tokens as one output, or the mean utility. Words of one sentence have no
    attention to another one. `target` is the language of the translations.
    """
    first, last = sentences[0], sentences[-1]
    inner = parts[1:] if parts and not parts[0].sentence else parts
    inner = inner[:-1] if inner and not inner[-1].sentence else inner
    log_p = sum(one.log_probability for one in sentences)
    length = sum(len(one.tokens) + 1 for one in sentences)
    score = normalised(log_p, length, options.length_penalty)
    if options.utility is not None:
        score = sum(one.score for one in sentences) / len(sentences)
    read = [one for one in sentences if one.source_subwords]  # the others had nothing to read
    words = [one.attention for one in read], [one.attention_heads for one in read]
    subwords = [one.subword_attention for one in read], [one.subword_attention_heads for one in read]
    confidence = [one.confidence for one in sentences]
    features = [one.confidence_features for one in sentences]
    return replace(
        first,
        source="".join(part.content for part in parts),
        text=put_together(inner, [one.text for one in sentences], target),
        score=score,
        log_probability=log_p,
        tokens=[token for one in sentences for token in one.tokens],
        source_subwords=[subword for one in sentences for subword in one.source_subwords],
        target_subwords=[subword for one in sentences for subword in one.target_subwords],
        source_words=[word for one in sentences for word in one.source_words],
        target_words=[word for one in sentences for word in one.target_words],
        attention=_diagonal(words[0]),
        attention_heads=_diagonal(words[1]),
        subword_attention=_with_ends(subwords[0]),
        subword_attention_heads=_with_ends(subwords[1]),
        confidence=None if last.confidence is None else np.concatenate(_present(confidence)),
        confidence_features=None if last.confidence_features is None else np.concatenate(_present(features)),
        finished=all(one.finished for one in sentences),
        truncated_tokens=sum(one.truncated_tokens for one in sentences),
        unforced=sum(one.unforced for one in sentences),
        sentences=tuple(sentences),
    )


def restored(translation: Translation, text: str, marked: Marked) -> Translation:
    """The translation of `text` from that of the marked text: with items in place of their markers."""
    if not marked.items and not markers_in(translation.text):
        return translation
    sides = (
        (translation.source_words, translation.source_subwords),
        (translation.target_words, translation.target_subwords),
    )
    source, target = ([Restorer(marked).all(words) for words in side] for side in sides)
    return replace(
        translation,
        source=text,
        text=Restorer(marked)(translation.text),
        source_words=source[0],
        source_subwords=source[1],
        target_words=target[0],
        target_subwords=target[1],
    )


def _present(arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    return [array for array in arrays if array is not None]


def _diagonal(blocks: Sequence[Weights | None]) -> Weights | None:
    """Attention (..., T, S) of all sentences from that of each; None if one has none."""
    own = _present(blocks)
    if not own or len(own) < len(blocks):
        return None
    sizes = [sum(block.shape[axis] for block in own) for axis in (-2, -1)]
    whole = np.zeros((*own[0].shape[:-2], *sizes), np.float32)
    row = column = 0
    for block in own:
        rows, columns = block.shape[-2:]
        whole[..., row : row + rows, column : column + columns] = block
        row, column = row + rows, column + columns
    return whole


def _with_ends(blocks: Sequence[Weights | None]) -> Weights | None:
    """Attention (..., U+1, R+1) of all sentences. The last column has what each gives its own end token, and
    the last row is that of the last end token.
    """
    own = _present(blocks)
    inside = _diagonal([None if block is None else block[..., :-1, :-1] for block in blocks])
    if inside is None:
        return None
    ends = np.concatenate([block[..., :-1, -1:] for block in own], axis=-2)
    last = np.zeros((*inside.shape[:-2], 1, inside.shape[-1] + 1), np.float32)
    last[..., -own[-1].shape[-1] :] = own[-1][..., -1:, :]
    return np.concatenate([np.concatenate([inside, ends], axis=-1), last], axis=-2)
