"""Compiles the C++ part of the simulated device, once for each version of it and of torch.

The library is in a folder outside the checkout: SIMULATED_CUDA_CACHE, or one in the user's cache.
"""

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

SOURCES = Path(__file__).parent / "cpp"
COMPILER = "g++"


def torch_folder() -> Path:
    """Where torch is installed. It is not imported."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("torch is not installed")
    return Path(spec.origin).parent


def obstacle() -> str | None:
    """Why there can be no simulated device here; None if there can."""
    if shutil.which(COMPILER) is None:
        return f"the simulated device is compiled with {COMPILER}, which is not installed"
    if list((torch_folder() / "lib").glob("libtorch_cuda*")):
        return "the simulated device needs a CPU build of torch, and this is a CUDA build"
    return None


def cache_folder() -> Path:
    folder = os.environ.get("SIMULATED_CUDA_CACHE")
    if folder:
        return Path(folder)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "seq2attn-simulated-cuda"


def library() -> Path:
    """The compiled library. The first call compiles it: ten to thirty seconds."""
    torch = torch_folder()
    sources = sorted(SOURCES.iterdir())
    content = b"".join(path.name.encode() + path.read_bytes() for path in sources)
    version = (torch / "version.py").read_bytes()
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{hashlib.sha256(content + version).hexdigest()[:16]}.so"
    with open(folder / "lock", "w") as lock:  # another process may compile it at this moment
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            _compile(torch, path)
    return path


def _compile(torch: Path, path: Path) -> None:
    beside = path.with_suffix(f".{os.getpid()}")
    include = [f"-I{torch}/include", f"-I{torch}/include/torch/csrc/api/include"]
    link = [f"-L{torch}/lib", "-lc10", "-ltorch_cpu"]
    flags = ["-O1", "-std=c++20", "-fPIC", "-shared", "-w"]
    source = SOURCES / "device.cpp"
    subprocess.run([COMPILER, *flags, *include, str(source), "-o", str(beside), *link], check=True)
    beside.rename(path)
