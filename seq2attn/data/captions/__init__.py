"""Captioned pictures as others have laid them out on disk, each layout a file."""
