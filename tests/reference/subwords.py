"""All ways to cut a word, and the probability of each, in the slowest way.

unigram: Kudo 2018, equation 3: a cut of pieces x has a probability in proportion to (prod p(x)) ** alpha.

bpe: SentencePiece's form of BPE-dropout (Provilkov 2020). Neighbours that make a piece of the vocabulary wait
in a line, the best score first and of equal scores the leftmost. Each that comes up is skipped with
probability p, for good, or merged, which puts the new neighbours into the line. In the paper a merge that is
skipped may come up again after the next merge.
"""

import itertools
import math


def unigram_cuts(text, log_probability, alpha):
    """The probability of each cut of `text` into pieces of the dict `log_probability`."""

    def cuts(rest):
        if not rest:
            yield ()
        for end in range(1, len(rest) + 1):
            if rest[:end] in log_probability:
                for others in cuts(rest[end:]):
                    yield (rest[:end], *others)

    weight = {cut: math.exp(alpha * sum(log_probability[piece] for piece in cut)) for cut in cuts(text)}
    return {cut: each / sum(weight.values()) for cut, each in weight.items()}


def bpe_cuts(text, score, p):
    """The probability of each cut of `text`, by merges into pieces of the dict `score`, skipped with p."""
    result = {}

    def neighbours(spans):
        """The places of both pieces of each pair that may be merged, with the score of what it makes."""
        return {
            (a, b, c): score[text[a:c]] for (a, b), (_, c) in itertools.pairwise(spans) if text[a:c] in score
        }

    def go(spans, waiting, probability):
        if not waiting:
            cut = tuple(text[a:b] for a, b in spans)
            result[cut] = result.get(cut, 0.0) + probability
            return
        a, b, c = min(waiting, key=lambda pair: (-waiting[pair], pair[0]))
        rest = {pair: value for pair, value in waiting.items() if pair != (a, b, c)}
        if p > 0:
            go(spans, rest, probability * p)
        if p < 1:
            place = spans.index((a, b))
            merged = [*spans[:place], (a, c), *spans[place + 2 :]]
            own = neighbours(merged)
            new = {pair: value for pair, value in own.items() if (a, c) in (pair[:2], pair[1:])}
            go(merged, {pair: v for pair, v in rest.items() if pair in own} | new, probability * (1 - p))

    spans = [(place, place + 1) for place in range(len(text))]
    go(spans, neighbours(spans), 1.0)
    return result
