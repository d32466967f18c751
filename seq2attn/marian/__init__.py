"""Translators in the format of Hugging Face's `MarianMTModel`, that of the OPUS-MT models: read into a
run, and written from one.

`settings` has what both formats say of a model, `vocabulary` the numbers of tokens, `weights` the tensors,
and `folder` reads a whole folder. The exporter is in the package `export`. No module imports transformers.
"""
