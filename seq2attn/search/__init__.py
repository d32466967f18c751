"""Search over any step function: beam search, greedy search and sampling. It imports no model and no
tokenizer.
"""
