"""Encoders, decoders and the nouns between them. Torch and `attention` alone."""
