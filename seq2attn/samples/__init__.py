"""Corpora that come with the package, and their generators."""
