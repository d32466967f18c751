"""Statistics of the sources in training, which a run keeps. A model often fails on sources that differ."""

import itertools

import numpy as np

from seq2attn.data.text.dataset import TextSplit
from seq2attn.data.text.sentences import count_sentences

# The sources whose sentences are counted come from several parts of a corpus, which may be sorted.
SAMPLE, PARTS = 2000, 10


def source_statistics(split: TextSplit) -> dict[str, float]:
    """Quantiles "99%" and "100%" of the numbers of source tokens, and the share "several sentences".

    That is the share of sources with more than one sentence. The result is empty if there are no sources.
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
