"""The version of this package. It imports nothing, so every part may import it."""

__version__ = "0.1.0"
