"""Copying of source tokens: a pointer that a decoder mixes with its softmax. It knows no model."""
