"""The size of a vocabulary that fits a corpus, for data.vocab_size="auto".

Few pairs show a rare subword too seldom for a model to learn it. On small corpora a small vocabulary is
better: about 1,000 subwords for 30,000 sentences (Gowda and May 2020, Finding the Optimal Vocabulary Size for
Neural Machine Translation), and fewer merges than usual throughout (Sennrich and Zhang 2019).
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace

from seq2attn.config.schema import LARGEST_VOCABULARY, VOCABULARY
from seq2attn.data.preparation import Preparation

# (training pairs, at most; tokens)
SIZES = ((10_000, 1000), (50_000, 2000), (200_000, 4000), (1_000_000, 8000))
COVERAGE = 0.9995  # of the running text by characters that count
SUBWORDS_OF_A_CHARACTER = 2  # tokens for each character, at least: Chinese has some thousand characters


def with_number(request: Preparation, pairs: int, texts: Callable[[], Iterable[str]]) -> Preparation:
    """The request with a number in place of "auto", for so many training pairs with these texts.

    The number may turn out smaller. Words and characters are not chosen: it is the most of them.
    """
    options = request.options
    if options.vocab_size != "auto":
        return request
    pieces = options.tokenizer in ("unigram", "bpe")
    size = fitting_size(pairs, texts()) if pieces else VOCABULARY
    return replace(request, options=options.model_copy(update={"vocab_size": size}), shrink=True)


def fitting_size(pairs: int, texts: Iterable[str] = ()) -> int:
    """The number of tokens for so many training pairs, whose texts have the characters of `texts`."""
    by_pairs = next((size for most, size in SIZES if pairs <= most), LARGEST_VOCABULARY)
    by_characters = SUBWORDS_OF_A_CHARACTER * characters(texts)
    return max(by_pairs, min(by_characters, LARGEST_VOCABULARY))


def characters(texts: Iterable[str]) -> int:
    """The number of the most frequent characters that cover the text but for 0.05%."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    rest = (1 - COVERAGE) * counts.total()
    number = len(counts)
    for _, count in reversed(counts.most_common()):
        rest -= count
        if rest < 0:
            break
        number -= 1
    return number
