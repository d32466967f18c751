"""Corpora of text pairs."""
