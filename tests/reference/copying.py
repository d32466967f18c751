"""The pointer-generator: See, Liu, Manning 2017 (arXiv 1704.04368), equations 8 and 9."""

import math

from reference.recipe import mean
from reference.vectors import inner, join, linear, log_softmax


def mixture(w, logits, feature, embedding, attention, source):
    """log P of every word. w: "w" and "b" of p_gen, and "target_of", the word that each source word is.

    attention: the weights of the step, one a source position; source: the source words.
    """
    p_gen = 1 / (1 + math.exp(-(inner(w["w"], join(feature, embedding)) + float(w["b"]))))
    p = [p_gen * math.exp(log_p) for log_p in log_softmax(list(logits))]
    for weight, word in zip(attention, source, strict=True):
        p[w["target_of"][word]] += (1 - p_gen) * weight
    return [math.log(value) for value in p]


def copy(weights, source, tokens, decoded):
    """What `decode` returned, with log P in place of the logits. The last layer copies, by the mean of its
    heads. weights: as of `decode`, with "pointer" as of `mixture`.
    """
    logits = []
    for t, token in enumerate(tokens):
        feature = decoded.readouts[t]
        if weights.get("projection") is not None:
            feature = linear(weights["projection"], feature)
        embedding = weights["target_embedding"][token]
        attention = mean(decoded.weights[t][-1])
        logits.append(mixture(weights["pointer"], decoded.logits[t], feature, embedding, attention, source))
    return decoded._replace(logits=logits)
