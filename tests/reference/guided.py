"""Guided attention, word by word (Chen et al. 2016, section 3; Garg et al. 2019, equation 4)."""

import math


def distribution(links, source_words, target_words):
    """The share of each source token for each target token, in a dict by (target token, source token).

    `links` are (source word, target word); `source_words` and `target_words` hold the word of each token, or
    None. The words that a target word is linked to have equal shares; the tokens of a word divide its share.
    """
    shares = {}
    for t, j in enumerate(target_words):
        words = sorted({i for i, other in links if other == j and i in source_words})
        for i in words:
            tokens = [s for s, word in enumerate(source_words) if word == i]
            for s in tokens:
                shares[t, s] = 1 / len(words) / len(tokens)
    return shares


def guided_loss(weights, shares, shift):
    """The sum over target tokens t of -sum_s share_ts log a_s, a the weights of step t + shift of one
    sentence.
    """
    return -sum(share * math.log(weights[t + shift][s]) for (t, s), share in shares.items())
