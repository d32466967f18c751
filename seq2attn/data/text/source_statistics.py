"""A few numbers about the sources of training, which a run keeps: a model often fails on other sources."""

import itertools

import numpy as np

from seq2attn.data.text.dataset import TextSplit
from seq2attn.data.text.sentences import count_sentences

# The sources whose sentences are counted come from several parts of a corpus, which may be sorted.
SAMPLE, PARTS = 2000, 10


def source_statistics(split: TextSplit) -> dict[str, float]:
    """Quantiles "99%" and "100%" of the sources' tokens, and the share of sources of more than one sentence,
    "several sentences". Empty where there are none.
    """
    lengths = split.source_lengths
    if not len(lengths):
        return {}
    several = counted = 0
    borders = sorted({len(lengths) * part // PARTS for part in range(PARTS + 1)})
    for start, stop in itertools.pairwise(borders):
        texts, _ = split.texts(start, min(start + SAMPLE // PARTS, stop))
        several += sum(count_sentences(text) > 1 for text in texts)
        counted += len(texts)
    most, longest = np.quantile(lengths, (0.99, 1), method="inverted_cdf").tolist()
    return {"99%": most, "100%": longest, "several sentences": several / counted}
