"""A bundled corpus of sentences with names and numbers that no vocabulary can list.

This package knows no file and no model.
"""

from seq2attn.samples.names.corpus import SIZES, splits, write

__all__ = ["SIZES", "splits", "write"]
