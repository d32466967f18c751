"""Word links of a pair as links of its tokens, which guided attention learns from.

A token of the target has a distribution over the tokens of the source: the words that its word is linked to
have equal shares, and the tokens of a word have equal parts of its share. It is stored as triples (target
token, source token, divisor), where 1 / divisor is the part.
"""

from seq2attn.data.formats.pharaoh import parse
from seq2attn.data.text.words import word_numbers
from seq2attn.data.tokenizer import Tokenizer
from seq2attn.errors import UserError


def token_links(
    line: str,
    texts: tuple[str, str],
    ids: tuple[list[int], list[int]],
    tokenizers: tuple[Tokenizer, Tokenizer],
    where: str,
) -> list[int]:
    """The triples of one pair in one list, ordered by target token and source token.

    `line` has the links in the Pharaoh format, sure and possible ones. The others are of source and target;
    the tokenizers made the ids. A token that belongs to no word has no part. Raises UserError, which begins
    with `where`, for a line that is no list of links, and for a link of a word that is not there.
    """
    links = parse(line, where=where)
    if not links.possible:
        return []
    counts = len(texts[0].split()), len(texts[1].split())
    for i, j in sorted(links.possible):
        if i >= counts[0] or j >= counts[1]:
            sides = f"the source has {counts[0]} words, the target {counts[1]}"
            raise UserError(f"{where}: the link {i}-{j} points past the end: {sides}; words count from 0")
    of_words: tuple[dict[int, list[int]], ...] = ({}, {})
    for text, own, tokenizer, tokens in zip(texts, ids, tokenizers, of_words, strict=True):
        for token, word in enumerate(word_numbers(text, own, tokenizer)):
            tokens.setdefault(word, []).append(token)
    source_tokens, target_tokens = of_words
    sources_of: dict[int, list[int]] = {}
    for i, j in links.possible:
        if i in source_tokens:
            sources_of.setdefault(j, []).append(i)
    triples = [
        (token, other, len(words) * len(source_tokens[word]))
        for j, words in sources_of.items()
        for token in target_tokens.get(j, ())
        for word in words
        for other in source_tokens[word]
    ]
    return [number for triple in sorted(triples) for number in triple]
