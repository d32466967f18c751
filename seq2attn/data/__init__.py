"""Raw corpora in, prepared folders and batches out. This package knows no model."""

import os
import warnings

# `datasets` reads these once, when it is imported. With them, the hub's library sends and prints nothing.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_HUB_VERBOSITY", "error")

# `datasets` imports tqdm, which warns in a notebook without ipywidgets. None of its bars is shown.
warnings.filterwarnings("ignore", message="IProgress not found")
