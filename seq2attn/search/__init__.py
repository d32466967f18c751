"""Search over any step function: beam, greedy and sampling. It imports no model, no tokenizer and no file."""
