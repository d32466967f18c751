"""Raw corpora in, prepared folders and batches out. This package knows no model."""

import os

# `datasets` reads these once, at its import. The library of the hub then sends no telemetry and prints
# nothing.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_HUB_VERBOSITY", "error")
