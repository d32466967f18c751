"""Export of a trained run to other engines: which models they support, their format, and the folder; and to a
page that runs the model itself.
"""

from seq2attn.export.folder import export
from seq2attn.export.page import export_page
from seq2attn.export.page_limits import LARGE_PAGE
from seq2attn.export.transformers_folder import export_transformers

__all__ = ["LARGE_PAGE", "export", "export_page", "export_transformers"]
