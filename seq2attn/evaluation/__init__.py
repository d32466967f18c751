"""How good outputs and attention are.

Metrics know no model: `text`, `captions`, `cider`, `rouge`, `alignment`, `pointing`, and their significance.
What runs a model stands beside them: `translation`, `captioning`, `forced_decoding` and `rewards`.
"""
