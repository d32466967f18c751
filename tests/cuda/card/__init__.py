"""What `on_a_gpu.py` measures on a real card, a module for each part, and how it is reported."""
