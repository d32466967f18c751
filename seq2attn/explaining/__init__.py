"""What explains a model: its attention by layer, head and step, attributions, and how far each can be
trusted; and word alignments from attention.

It knows predictors and models by their interfaces, and neither terminal nor drawing.
"""
