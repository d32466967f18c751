"""The words of help pages and papers: the textbook's first, then what it means here, with other names for it."""

import textwrap

COLUMNS = 80

WORDS = {
    "alignment": "which source word a target word belongs to; read off the attention weights",
    "attention weights": "shares, one for each source token, of what the decoder reads at a step; they add up to 1",
    "beam search": "keeps the N best beginnings of an output at each step; with N = 1 it is greedy",
    "bridge": "how the decoder's initial state is made of the encoder's states",
    "context": "what attention reads: the values, weighted and summed",
    "cross-entropy": "negative log probability of a right token, in nats (natural logarithm); perplexity is e to its power",
    "initial state": "the decoder's state before the first word (made by the bridge)",
    "last weights": "the attention weights of the step before, which coverage and location-aware scores read",
    "query": "what attends, or asks: the decoder's state, before the step (previous) or after it (current)",
    "output layer": "what turns the decoder's state into scores of words; its hidden layer is the readout",
    "score": "how well a key (an encoder's state) answers a query; a normaliser, as softmax, makes weights of scores",
    "self-attention": "positions of one sequence read each other, as in a Transformer",
    "step": "one update of the weights in training; one token of the output in decoding",
    "teacher forcing": "a given output is forced on the model: each word is read after the right words before it",
    "token": "what a model reads and writes: a piece of a word, a character or a word",
}


def lines() -> list[str]:
    """Each word with its meaning beside it, in lines of 80 columns at most."""
    width = max(map(len, WORDS)) + 2
    found: list[str] = []
    for word, meaning in WORDS.items():
        found += textwrap.wrap(f"{word:<{width}}{meaning}", COLUMNS, subsequent_indent=" " * width)
    return found
