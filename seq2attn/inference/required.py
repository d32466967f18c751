"""What a translation must hold, as phrases of tokens for the search."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import torch

from seq2attn.data.languages import UNSPACED, language_of
from seq2attn.data.tokenizer import SPACE, UNK, Tokenizer
from seq2attn.errors import UsageError, UserError
from seq2attn.inference.options import ResolvedOptions
from seq2attn.inference.phrase_beam import MOST_TOKENS, Edges, Phrase, Way

_OPENING = "'’-–—/([{\"“«¿¡‘"  # after these a word begins without a space


class UnwritableError(UserError):
    """The vocabulary has no way to write a text, or the search has no room for it."""


@dataclass(frozen=True)
class Required:
    """Text that a translation must hold, and the characters of the source that it translates, if known."""

    text: str
    start: int = 0
    stop: int = 0


@lru_cache(maxsize=8)
def edges_of(tokenizer: Tokenizer, spaced: bool) -> Edges:
    """The edges of the tokens of a vocabulary; without spaces between words, none goes on with a word."""
    goes_on, opens = [], []
    for subword in tokenizer.vocabulary:
        goes_on.append(spaced and tokenizer.kind != "word" and subword[0].isalnum())
        opens.append(subword[-1] in _OPENING)
    return Edges(torch.tensor(goes_on), torch.tensor(opens))


def phrase_of(
    required: Required, tokenizers: tuple[Tokenizer, Tokenizer], spaced: bool, source: str, ids: Sequence[int]
) -> Phrase:
    """The phrase of a required text. `tokenizers` are those of target and source; `ids` are the tokens of the
    source.

    Raises UnwritableError if the vocabulary cannot write the text.
    """
    tokenizer, of_source = tokenizers
    texts = [required.text]
    if (capital := required.text[:1].upper() + required.text[1:]) != required.text and spaced:
        texts.append(capital)  # as the first word of a sentence has it
    ways: list[Way] = []
    for number, text in enumerate(texts):
        tokens = tuple(tokenizer.encode(text))
        inside = _without_space(tokenizer, text)
        if spaced or number:
            ways.append(Way(tokens, "start" if number else "anywhere"))
            if inside and not number:
                ways.append(Way(inside, "boundary"))
        else:
            ways += [Way(tokens, "start"), *([Way(inside)] if inside else [])]
    ways = [way for way in ways if way.tokens and UNK not in way.tokens]
    if not any(way.where == "anywhere" for way in ways):
        raise UnwritableError(f'"{required.text}": the vocabulary of the run has no way to write it')
    return Phrase(tuple(ways), positions_of(source, ids, of_source, required.start, required.stop))


def tokens_of(phrases: Sequence[Phrase]) -> int:
    """The number of tokens of all phrases of a sentence."""
    return sum(phrase.size for phrase in phrases)


def with_phrases(options: ResolvedOptions, count: int) -> ResolvedOptions:
    """The options of a search for outputs with phrases of `count` tokens in all.

    Each bank of the beam has at least two rows.

    Raises UsageError for samples, UnwritableError for more tokens than the search has room for.
    """
    if options.sample_count:
        name = "sample" if options.sample else "utility"
        problem = f"{name} draws outputs at random, and no draw is sure to hold what is required"
        raise UsageError(f"{problem}; leave it out", setting=name)
    if count > MOST_TOKENS:
        raise UnwritableError(f"{count} tokens are required of one output; {MOST_TOKENS} are the most")
    return replace(options, beam=max(options.beam, 2 * (count + 1)))


def is_spaced(language: str | None, texts: Sequence[str]) -> bool:
    """Whether a language has spaces between words; without its code, by the script of the texts."""
    return language_of(language, texts) not in UNSPACED


def positions_of(
    text: str, ids: Sequence[int], tokenizer: Tokenizer, start: int, stop: int
) -> tuple[int, ...]:
    """The tokens of a text that write its characters from `start` to `stop`.

    An unknown token counts as one character, so that after one the places are only nearly right.
    """
    place, positions = -1, []  # the tokenizer puts a space at the beginning
    for number, token in enumerate(ids):
        subword = tokenizer.vocabulary[token]
        end = place + (1 if token == UNK else len(subword))
        first = place + (subword[0] == SPACE)
        if max(first, start) < min(end, stop):
            positions.append(number)
        place = end
    return tuple(positions)


def _without_space(tokenizer: Tokenizer, text: str) -> tuple[int, ...]:
    """The tokens of a text that follows another character; none if it has none of its own there."""
    if tokenizer.kind == "word":
        return ()
    tokens = tokenizer.encode(text)
    if tokenizer.vocabulary[tokens[0]] == SPACE:
        return tuple(tokens[1:])
    for before in _OPENING:
        tokens = tokenizer.encode(before + text)
        for place in range(1, len(tokens)):
            if tokenizer.decode([UNK, *tokens[place:]])[1:] == text:
                return tuple(tokens[place:])
    return ()
