"""Unknown tokens of an output, each replaced by the source word that attention reads there.

Jean 2015 (On Using Very Large Target Vocabulary, section 3.3) and Luong 2015 (Addressing the Rare Word
Problem, section 3) look the source word up in a dictionary first; here it is copied.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from seq2attn.data.tokenizer import UNK, Tokenizer, normalise
from seq2attn.inference.results import Translation
from seq2attn.inference.words import word_numbers


def replace_unknown(
    translation: Translation, source_ids: Sequence[int], source: Tokenizer, target: Tokenizer
) -> Translation:
    """The translation with the source word of the largest weight in place of each unknown token.

    Weights are the mean over layers and heads. Of subwords, unknown tokens that follow one another are
    replaced together. An unknown token without any weight on a word stays.
    """
    weights, words = translation.subword_attention, translation.source_words
    if weights is None or UNK not in translation.tokens or not words:
        return translation
    numbers = np.array(word_numbers(translation.source, source_ids, source), dtype=int)
    inside = (numbers >= 0) & (numbers < len(words))
    texts: list[str | None] = []
    for group in _groups(translation.tokens, apart=target.kind == "word"):
        own = weights[group, :-1].sum(0)[inside]
        by_word = np.bincount(numbers[inside], own, len(words))
        word = normalise(words[int(by_word.argmax())], target.lowercase) if by_word.any() else None
        texts += [word, *([None] if word is None else [""]) * (len(group) - 1)]
    text = target.decode(translation.tokens, texts)
    return replace(translation, text=text, target_words=text.split())


def _groups(tokens: Sequence[int], apart: bool) -> list[list[int]]:
    """The places of the unknown tokens, neighbours together unless they are to stay `apart`."""
    groups: list[list[int]] = []
    for place, token in enumerate(tokens):
        if token != UNK:
            continue
        if not apart and groups and groups[-1][-1] == place - 1:
            groups[-1].append(place)
        else:
            groups.append([place])
    return groups
