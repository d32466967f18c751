"""How good outputs and attention are.

The metrics know no model: `text`, `captions`, `cider`, `rouge`, `alignment`, `pointing`, and their
significance. The modules that run a model are `translation`, `captioning`, `forced_decoding` and `rewards`.
"""
