"""Export of a trained run to other engines: which models they support, their format, and the folder."""

from seq2attn.export.folder import export

__all__ = ["export"]
