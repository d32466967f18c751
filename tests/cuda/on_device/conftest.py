"""The tests of this folder run where torch has a CUDA device, real or simulated: see `test_on_device.py`."""

import torch

collect_ignore_glob = [] if torch.cuda.is_available() else ["test_*.py"]
