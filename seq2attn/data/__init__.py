"""Raw corpora in, prepared folders and batches out. Knows no model."""

import os

# The hub's library reads these once, when `datasets` is imported: no report of what is loaded, no lines of
# its own between ours.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_HUB_VERBOSITY", "error")
