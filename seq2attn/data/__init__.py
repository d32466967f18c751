"""Raw corpora in, prepared folders and batches out. Knows no model."""

import os

# Read once, when `datasets` is imported: the library of the hub sends no telemetry and prints no lines.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_HUB_VERBOSITY", "error")
