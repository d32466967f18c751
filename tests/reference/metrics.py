"""Losses, and scores of captions.

Papers: label smoothing: Szegedy et al. 2016 (arXiv 1512.00567); Papineni et al. 2002; Lin 2004; Vedantam,
Zitnick, Parikh 2015 (1411.5726).

A caption is a list of words; `hypotheses[i]` is scored against the list of captions `references[i]`.
"""

import math

from reference.vectors import log_softmax


def cross_entropy(logits, targets, smoothing=0.0):
    """Sum over steps of -sum_n q(n) log p(n), with q = (1 - eps) on the target, and eps / N on every word."""
    loss = 0.0
    for step, target in zip(logits, targets, strict=True):
        for word, log_p in enumerate(log_softmax(list(step))):
            q = smoothing / len(step) + (1.0 - smoothing if word == target else 0.0)
            loss -= q * log_p
    return loss


def grams(words, n):
    """All n-grams in order, repeated ones too."""
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def corpus_bleu(hypotheses, references, orders):
    """Papineni et al. 2002, in points: clipped counts over the whole corpus, the reference nearest in length
    (of two the shorter), no smoothing.
    """
    product = 1.0
    for n in range(1, orders + 1):
        right = total = 0
        for words, captions in zip(hypotheses, references, strict=True):
            mine = grams(words, n)
            total += len(mine)
            right += sum(
                min(mine.count(gram), max(grams(caption, n).count(gram) for caption in captions))
                for gram in set(mine)
            )
        if right == 0:
            return 0.0
        product *= right / total
    c = sum(len(words) for words in hypotheses)
    r = sum(
        min((abs(len(caption) - len(words)), len(caption)) for caption in captions)[1]
        for words, captions in zip(hypotheses, references, strict=True)
    )
    brevity = 1.0 if c > r else math.exp(1.0 - r / c)
    return 100.0 * brevity * product ** (1.0 / orders)


def cider_d(words, captions, all_references, sigma=6.0):
    """Vedantam et al. 2015, section 5 and equation 6, of one candidate against its image's captions; as in
    the authors' code, a length is a number of pairs of words.
    """
    images = len(all_references)

    def weight(gram, caption):
        holding = sum(
            any(gram in grams(other, len(gram)) for other in of_image) for of_image in all_references
        )
        return grams(caption, len(gram)).count(gram) * math.log(images / max(1, holding))

    def norm(caption, n):
        return math.sqrt(sum(weight(gram, caption) ** 2 for gram in set(grams(caption, n))))

    score = 0.0
    for n in (1, 2, 3, 4):
        for caption in captions:
            size = norm(words, n) * norm(caption, n)
            if size > 0.0:
                clipped = sum(
                    min(weight(gram, words), weight(gram, caption)) * weight(gram, caption)
                    for gram in set(grams(words, n))
                )
                distance = len(grams(words, 2)) - len(grams(caption, 2))
                score += (
                    10.0 * math.exp(-(distance**2) / (2.0 * sigma**2)) * clipped / size / len(captions) / 4.0
                )
    return score


def longest_common_subsequence(first, second):
    """Length of the longest common subsequence, by its definition."""
    table = {(i, j): 0 for i in range(len(first) + 1) for j in range(len(second) + 1)}
    for i in range(1, len(first) + 1):
        for j in range(1, len(second) + 1):
            table[i, j] = (
                table[i - 1, j - 1] + 1
                if first[i - 1] == second[j - 1]
                else max(table[i - 1, j], table[i, j - 1])
            )
    return table[len(first), len(second)]


def rouge_l(words, captions, beta=1.2):
    """Lin 2004, equations 2 to 4, in points, with the best precision and best recall over the captions."""
    if not words:
        return 0.0
    precision = max(longest_common_subsequence(words, caption) / len(words) for caption in captions)
    recall = max(
        (longest_common_subsequence(words, caption) / len(caption) for caption in captions if caption),
        default=0.0,
    )
    if precision * recall == 0.0:
        return 0.0
    return 100.0 * (1.0 + beta**2) * precision * recall / (recall + beta**2 * precision)
