"""Forced pairs: a source, a target, and which source positions and target tokens belong to which word.

A unit of a source is what a person points at: a word of a text, a cell of an image, a frame of a clip.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from seq2attn.data.formats.text import is_blank
from seq2attn.data.images.dataset import CaptionedSplit
from seq2attn.evaluation.captioning import image_blocks, load_images
from seq2attn.evaluation.forced_decoding import is_too_long
from seq2attn.inference import Captioner, Translator
from seq2attn.inference.encoding import encode_texts
from seq2attn.inference.translator import MAX_SOURCE, MAX_WORDS
from seq2attn.inference.words import word_numbers


class ForcedPair(NamedTuple):
    """A source with the target that is forced on a model."""

    source: Any  # token ids; of an image its features (C, h, w), of a clip (F, C, h, w)
    target: list[int]  # token ids, without BOS and EOS
    units: list[str]  # of the source, by name
    words: list[str]  # of the target
    unit_of: list[int]  # the unit of each source position; -1: none, as the end token
    word_of: list[int]  # the word of each target token; -1: none
    punctuation: list[bool]  # whether each source position is punctuation alone
    number: int  # of the pair in its split, from 0


def of_texts(
    translator: Translator, sources: Sequence[str], targets: Sequence[str], first: int = 0
) -> list[ForcedPair]:
    """The pairs of texts. A pair is left out if a side is blank, or its target too long for an output."""
    source_ids = encode_texts(translator.source_tokenizer, sources, MAX_SOURCE)
    pairs = []
    for number, (source, target, ids) in enumerate(zip(sources, targets, source_ids, strict=True), first):
        if is_blank(source) or is_blank(target) or is_too_long(target, translator.target_tokenizer):
            continue
        target_ids = translator.target_tokenizer.encode(target)
        units = source.split(None, MAX_WORDS)[:MAX_WORDS]
        marks = [_is_punctuation(surface) for surface in translator.source_tokenizer.subwords(ids)]
        pairs.append(
            ForcedPair(
                ids,
                target_ids,
                units,
                target.split(),
                [*_known(word_numbers(source, ids, translator.source_tokenizer), len(units)), -1],
                _known(word_numbers(target, target_ids, translator.target_tokenizer), len(target.split())),
                [*marks, False],
                number,
            )
        )
    return pairs


def of_images(captioner: Captioner, split: CaptionedSplit, most: int) -> list[ForcedPair]:
    """The first captions of a split, at most `most`, each with its image."""
    pairs: list[ForcedPair] = []
    encoder: Any = captioner.models[0].encoder
    tokenizer = captioner.target_tokenizer
    images = min(len(split.names), most)
    for numbers in image_blocks(captioner, images):
        for image, [pixels] in zip(numbers, load_images(captioner, split, numbers), strict=True):
            if len(pairs) >= most:
                return pairs
            source = captioner.encoder_input(0, [pixels])[0][0]
            with torch.no_grad():
                one = source[: len(pixels)] if captioner.clips else source  # without frames of padding
                features = encoder.features(one[None])[0].float()
            cells = features.shape[-2] * features.shape[-1]
            frames = len(features) if captioner.clips else 1
            unit_of = [p // cells if captioner.clips else p for p in range(frames * cells)]
            count = frames if captioner.clips else cells
            for number, caption in enumerate(split.captions[image], int(split.first[image])):
                if is_blank(caption) or is_too_long(caption, tokenizer) or len(pairs) >= most:
                    continue
                ids = tokenizer.encode(caption)
                pairs.append(
                    ForcedPair(
                        features,
                        ids,
                        [str(unit + 1) for unit in range(count)],
                        caption.split(),
                        unit_of,
                        _known(word_numbers(caption, ids, tokenizer), len(caption.split())),
                        [False] * len(unit_of),
                        number,
                    )
                )
    return pairs


def _known(numbers: Sequence[int], count: int) -> list[int]:
    return [number if number < count else -1 for number in numbers]


def _is_punctuation(surface: str) -> bool:
    """Whether a subword holds neither letter nor digit; the mark of a space does not count."""
    bare = surface.replace("\u2581", "").strip()
    return bool(bare) and not any(character.isalnum() for character in bare)
