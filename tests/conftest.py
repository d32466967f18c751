"""What every test shares: one thread, a fixed seed, and the reference within reach."""

import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))  # `import reference`: tests are no package

torch.set_num_threads(1)  # the tensors of the tests are smaller than a thread's start


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collection makes a million objects, which all stay: the garbage collector need not look at them."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(1)
    # a call of CTranslate2 changes it, and small models are ten times slower with two
    torch.set_num_threads(1)


@pytest.fixture
def float64() -> Iterator[None]:
    """float64 as the default, so that an equation can be held to the reference and gradients to finite
    differences.
    """
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)
