"""One file a way to process a sequence. Encoders never import the other half of the model: what passes
between is in `models.memory`.
"""
