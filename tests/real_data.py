"""Where real corpora lie that no clone holds: SEQ2ATTN_DATA, or `shared/data` beside the checkout. Tests that
want one skip where it is absent.
"""

import os
from pathlib import Path

DATA = Path(os.environ.get("SEQ2ATTN_DATA", Path(__file__).parents[2] / "shared" / "data"))
