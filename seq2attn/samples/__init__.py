"""The bundled corpora, and their generators."""
