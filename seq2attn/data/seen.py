"""What a model has seen of sources, in a few numbers that a run keeps: what is far from that is likely to be
read badly.
"""

import itertools

import numpy as np

from seq2attn.data.prepared import Split
from seq2attn.data.text.sentences import sentences

# sources whose sentences are counted, from so many places: a corpus may be in some order
LOOKED_AT, PARTS = 2000, 10


def source_lengths(split: Split) -> dict[str, float]:
    """Quantiles "99%" and "100%" of the sources' tokens, and the share of sources of more than one sentence,
    "several sentences". Empty where there are none.
    """
    lengths = split.source_lengths
    if not len(lengths):
        return {}
    several = looked_at = 0
    borders = sorted({len(lengths) * part // PARTS for part in range(PARTS + 1)})
    for start, stop in itertools.pairwise(borders):
        texts, _ = split.texts(start, min(start + LOOKED_AT // PARTS, stop))
        several += sum(sentences(text) > 1 for text in texts)
        looked_at += len(texts)
    most, longest = np.quantile(lengths, (0.99, 1), method="inverted_cdf").tolist()
    return {"99%": most, "100%": longest, "several sentences": several / looked_at}
