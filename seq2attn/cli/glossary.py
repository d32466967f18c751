"""The terms of help pages and papers, each with its meaning and its other names."""

import textwrap

COLUMNS = 80

WORDS = {
    "alignment": "the source word that a target word belongs to; read off the attention weights",
    "attention weights": "a distribution over source tokens at each step: the share of each in the context",
    "beam search": "keeps the N best partial outputs at each step; with N = 1 it is greedy search",
    "bridge": "the map from the encoder's states to the decoder's initial state",
    "context": "the result of attention: the sum of the values, weighted by the attention weights",
    "cross-entropy": (
        "negative log probability of the right token, in nats; e to its power is the perplexity"
    ),
    "ensemble": "several models that decode together: their probabilities are averaged at each step",
    "head": "one of several attentions side by side, each with its own maps of queries, keys and values",
    "initial state": "the decoder's state before the first word; the bridge computes it",
    "key": "an encoder state, mapped or not, that scores compare with the query",
    "last weights": "the attention weights of the step before; coverage and location-aware scores use them",
    "normaliser": "the function that turns scores into attention weights, such as softmax",
    "output layer": "the map from the decoder's state to logits of words; its hidden layer is the readout",
    "query": "the decoder state that attends: before the step (previous) or after it (current)",
    "readout": "the hidden layer between the decoder's state and the output layer",
    "score": "a number for a query and a key: how well they fit; a normaliser turns scores into weights",
    "self-attention": "attention between the positions of one sequence, as in a Transformer",
    "step": "in training, one update of the weights; in decoding, one token of the output",
    "teacher forcing": "decoding along a given output: each word is predicted from the right words",
    "token": "the unit that a model reads and writes: a subword, a character or a word",
    "value": "an encoder state, mapped or not, that goes into the context",
}


def lines() -> list[str]:
    """Each term with its meaning beside it, in lines of at most 80 columns."""
    width = max(map(len, WORDS)) + 2
    output: list[str] = []
    for word, meaning in WORDS.items():
        output += textwrap.wrap(f"{word:<{width}}{meaning}", COLUMNS, subsequent_indent=" " * width)
    return output
