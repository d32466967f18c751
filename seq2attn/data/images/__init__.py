"""Corpora of captioned images and clips."""
