"""`import simulated` from the tests beside it. The device itself is in processes of its own: see
`test_on_device.py`.
"""

import sys
from pathlib import Path

FOLDER = str(Path(__file__).parent)
if FOLDER not in sys.path:
    sys.path.insert(0, FOLDER)
