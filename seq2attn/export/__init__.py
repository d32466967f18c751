"""A trained run for other engines: what they can hold of it, how it is said in their words, and the folder
that it becomes.
"""

from seq2attn.export.folder import export

__all__ = ["export"]
