"""More subwords for a vocabulary that has been learned, from the text of a new domain or language.

The old subwords stay, with their ids and scores. First come the characters that the vocabulary does not have,
then merges of two neighbouring subwords, the most frequent pair first: byte-pair encoding (Sennrich 2016),
https://arxiv.org/abs/1508.07909, that begins with the old subwords instead of characters. A vocabulary of
words gets words, and one of characters gets characters alone.
"""

import heapq
import math
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise

from seq2attn.data.formats.sentencepiece_model import Subword
from seq2attn.data.tokenizer import SPACE, SPECIALS, Tokenizer, training_texts

LONGEST = 16  # characters of a merged subword, as in SentencePiece
LEAST = 2  # how often a pair must occur

Pair = tuple[str, str]


def with_more_subwords(tokenizer: Tokenizer, texts: Iterable[str], count: int, seed: int = 1) -> Tokenizer:
    """The tokenizer with at most `count` more subwords, learned on `texts`; fewer if there are not so many.

    In a unigram vocabulary a new subword has the log of its share of the new text as its score, as the old
    ones have that of the old text. A bpe vocabulary does the new merges after all old ones.
    """
    words = Counter(
        word for text in training_texts(texts, tokenizer.lowercase, seed) for word in text.split(" ") if word
    )
    known = set(tokenizer.vocabulary)
    if tokenizer.kind == "word":
        counts = _most(Counter({SPACE + word: number for word, number in words.items()}), known, count)
    else:
        cuts = [_known_units(tokenizer.cut(word), known) for word in words]
        numbers = list(words.values())
        characters: Counter[str] = Counter()
        for units, number in zip(cuts, numbers, strict=True):
            for unit in units:
                characters[unit] += number
        total = characters.total()
        counts = _most(characters, known, count)
        if tokenizer.kind != "char":
            counts |= _merges(cuts, numbers, known | counts.keys(), count - len(counts))
    scores = tokenizer.scores[len(SPECIALS) :]
    least = min(scores)
    if tokenizer.kind == "unigram":
        values = [max(math.log(number / total), least) for number in counts.values()]
    else:
        values = [least - place for place in range(1, len(counts) + 1)]
    return tokenizer.with_subwords(map(Subword, counts, values))


def _known_units(subwords: list[str], known: set[str]) -> list[str]:
    """The subwords, with each that is unknown as its characters."""
    return [unit for subword in subwords for unit in ([subword] if subword in known else subword)]


def _most(counts: Counter[str], known: set[str], most: int) -> dict[str, int]:
    """The most frequent texts that are not known, at most `most`, with their numbers."""
    new = [(text, number) for text, number in counts.items() if text not in known]
    return dict(sorted(new, key=lambda one: (-one[1], one[0]))[:most])


def _merges(cuts: list[list[str]], numbers: list[int], known: set[str], most: int) -> dict[str, int]:
    """The most frequent merges of words, `cuts` into units, each as often as `numbers` says."""
    pairs: Counter[Pair] = Counter()
    places: defaultdict[Pair, set[int]] = defaultdict(set)
    for place, units in enumerate(cuts):
        _count(units, numbers[place], pairs, places, place)
    usable = set(known)
    heap = [(-number, pair) for pair, number in pairs.items() if _may_merge(pair, usable, known)]
    heapq.heapify(heap)
    merges: dict[str, int] = {}
    while heap and len(merges) < most:
        number, pair = heapq.heappop(heap)
        if -number != pairs[pair]:  # it was changed meanwhile
            if pairs[pair] >= LEAST:
                heapq.heappush(heap, (-pairs[pair], pair))
            continue
        if -number < LEAST:
            break
        text = "".join(pair)
        merges.setdefault(text, -number)  # two pairs may have one text
        usable.add(text)
        more: set[Pair] = set()
        for place in sorted(places[pair]):
            before = cuts[place]
            _count(before, -numbers[place], pairs, places, place)
            cuts[place] = _merge(before, pair)
            more |= _count(cuts[place], numbers[place], pairs, places, place)
        for new in sorted(more):
            if text in new and _may_merge(new, usable, known):
                heapq.heappush(heap, (-pairs[new], new))
    return merges


def _count(
    units: list[str], number: int, pairs: Counter[Pair], places: defaultdict[Pair, set[int]], place: int
) -> set[Pair]:
    """Add `number` to the count of each pair of neighbours, and return the pairs."""
    neighbours = list(pairwise(units))
    for pair in neighbours:
        pairs[pair] += number
        if number > 0:
            places[pair].add(place)
        else:
            places[pair].discard(place)
    return set(neighbours)


def _merge(units: list[str], pair: Pair) -> list[str]:
    result: list[str] = []
    place = 0
    while place < len(units):
        both = place + 1 < len(units) and (units[place], units[place + 1]) == pair
        result.append("".join(pair) if both else units[place])
        place += 1 + both
    return result


def _may_merge(pair: Pair, usable: set[str], known: set[str]) -> bool:
    """Whether both can be written, their text is not known, and it is letters or digits alone."""
    text = "".join(pair)
    if not usable.issuperset(pair) or text in known or len(text) > LONGEST:
        return False
    kinds = {_kind(character) for character in text.removeprefix(SPACE)}
    return len(kinds) == 1 and kinds <= {"L", "N"}


def _kind(character: str) -> str:
    """L for a letter or a mark on one, N for a digit, and others by the first letter of their category."""
    kind = unicodedata.category(character)[0]
    return "L" if kind == "M" else kind
