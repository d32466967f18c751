"""The simulated device refuses what a GPU refuses, and counts what would cost time on one."""

from collections.abc import Callable

import pytest
import torch
from simulated import counts
from torch import Tensor
from torch.nn import functional as F


def ones(*size: int, device: str = "cuda") -> Tensor:
    return torch.ones(*size, device=device)


def waits_of(function: Callable[[], object]) -> list[str]:
    """Why the host waited while the function ran."""
    counts.reset()
    function()
    return [name for name in counts.read() if name.startswith("wait:")]


INDEX = torch.tensor([0, 1])


@pytest.mark.parametrize(
    "mix",
    [
        lambda: ones(2) + ones(2, device="cpu"),
        lambda: ones(2, device="cpu") * ones(2),
        lambda: ones(2).add_(ones(2, device="cpu")),
        lambda: ones(2, device="cpu").add_(ones(2)),
        lambda: torch.cat([ones(2), ones(2, device="cpu")]),
        lambda: torch.where(ones(2) > 0, ones(2), ones(2, device="cpu")),
        lambda: ones(2).masked_fill(torch.tensor([True, False]), 0.0),
        lambda: ones(2, 2) @ ones(2, 2, device="cpu"),
        lambda: F.embedding(INDEX, ones(3, 2)),
        lambda: ones(3).index_select(0, INDEX),
        lambda: ones(3, 2).gather(1, INDEX[None]),
        lambda: ones(3, device="cpu")[INDEX.cuda()],
        lambda: torch.lstm(ones(1, 1, 1), [ones(1, 1, 1, device="cpu")] * 2, [ones(4, 1)] * 4, *LSTM),
        lambda: F.scaled_dot_product_attention(*[ones(1, 1, 2, 8)] * 2, ones(1, 1, 2, 8, device="cpu")),
    ],
)
def test_device_refuses_tensors_of_two_devices(mix: Callable[[], object]) -> None:
    with pytest.raises((RuntimeError, IndexError), match=r"same device|indices should be"):
        mix()


LSTM = (True, 1, 0.0, True, False, True)


def test_device_refuses_the_generator_of_the_cpu() -> None:
    with pytest.raises(RuntimeError, match="generator"):
        ones(3).normal_(generator=torch.Generator())
    assert torch.isfinite(ones(3).normal_(generator=torch.Generator("cuda"))).all()


def test_device_has_no_numpy() -> None:
    with pytest.raises(TypeError, match="can't convert cuda"):
        ones(3).numpy()
    assert ones(3).cpu().numpy().tolist() == [1.0, 1.0, 1.0]


def test_new_memory_holds_nan() -> None:
    assert torch.empty(5, device="cuda").isnan().all()


@pytest.mark.parametrize(
    "read",
    [
        lambda x: x[0].item(),
        lambda x: bool(x.sum() > 1),
        lambda x: x.tolist(),
        lambda x: x.cpu(),
        lambda x: x.nonzero(),
        lambda x: x[x > 0],
        lambda x: x[torch.tensor([0, 1])],  # the index goes to the device first
        lambda x: x.repeat_interleave(torch.ones(3, dtype=torch.long, device="cuda")),
        lambda x: torch.tensor([1.0], device="cuda"),
        lambda x: torch.ones(3).to("cuda", non_blocking=True),  # from pageable memory
        lambda x: torch.cuda.synchronize(),
    ],
)
def test_host_waits(read: Callable[[Tensor], object]) -> None:
    x = ones(3)
    assert waits_of(lambda: read(x))


@pytest.mark.parametrize(
    "compute",
    [
        lambda x: x + 1,
        lambda x: x.index_select(0, torch.zeros(2, dtype=torch.long, device="cuda")),
        lambda x: torch.where(x > 0, x, 0.0),
        lambda x: x.sum().to(torch.float64),
        lambda x: x.to("cpu", non_blocking=True),  # torch makes it pinned
        lambda x: torch.ones(3).pin_memory().to("cuda", non_blocking=True),
        lambda x: torch.arange(5, device="cuda"),
        lambda x: x.masked_fill(x > 0, 2.0),
    ],
)
def test_host_does_not_wait(compute: Callable[[Tensor], object]) -> None:
    x = ones(3)
    assert not waits_of(lambda: compute(x))


def test_counts_are_operations_and_copies() -> None:
    x = ones(3)
    counts.reset()
    (x + 1).view(3, 1).expand(3, 2).mul(2).cpu()
    assert counts.summary(counts.read()) == (2, 1, 1)


@pytest.mark.parametrize(
    ("capability", "dtype", "mask", "name"),
    [
        ("9.0", torch.bfloat16, None, "flash"),
        ("9.0", torch.bfloat16, True, "efficient"),
        ("9.0", torch.float32, None, "efficient"),
        ("7.5", torch.float16, None, "efficient"),
    ],
)
def test_attention_has_the_kernel_that_torch_chooses(
    capability: str, dtype: torch.dtype, mask: bool | None, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIMULATED_CUDA_CAPABILITY", capability)
    x = ones(1, 2, 4, 8).to(dtype)
    counts.reset()
    F.scaled_dot_product_attention(x, x, x, None if mask is None else ones(4, 4).bool())
    assert f"sdpa:{name}" in counts.read()
    counts.reset()
    turned = ones(1, 2, 8, 4).to(dtype).mT
    F.scaled_dot_product_attention(turned, turned, turned)
    assert "sdpa:math" in counts.read()


def test_lstm_under_autocast_is_float16_whatever_its_type() -> None:
    x, h, weights = ones(1, 2, 3), [ones(1, 1, 2)] * 2, [ones(8, 3), ones(8, 2), ones(8), ones(8)]
    with torch.autocast("cuda", torch.bfloat16):
        assert torch.lstm(x, h, weights, *LSTM)[0].dtype == torch.float16
    assert torch.lstm(x, h, weights, *LSTM)[0].dtype == torch.float32


def test_lstm_equals_that_of_the_cpu_with_its_gradient() -> None:
    def run(device: str) -> tuple[Tensor, Tensor]:
        torch.manual_seed(1)
        x = torch.randn(2, 3, 4).to(device).requires_grad_()
        weights = [torch.randn(*size).to(device) for size in ((8, 4), (8, 2), (8,), (8,))]
        output = torch.lstm(x, [torch.zeros(1, 2, 2, device=device)] * 2, weights, *LSTM)[0]
        return output, torch.autograd.grad(output.sum(), x)[0]

    for here, there in zip(run("cpu"), run("cuda"), strict=True):
        torch.testing.assert_close(there.cpu(), here)


def test_lstm_has_no_backward_pass_outside_training() -> None:
    x = ones(1, 2, 3).requires_grad_()
    settings = (True, 1, 0.0, False, False, True)
    output = torch.lstm(x, [ones(1, 1, 2)] * 2, [ones(8, 3), ones(8, 2), ones(8), ones(8)], *settings)[0]
    with pytest.raises(RuntimeError, match="training mode"):
        output.sum().backward()


def test_random_numbers_of_the_device_follow_the_seed_and_are_given_back() -> None:
    torch.manual_seed(5)
    first = ones(4).normal_()
    with torch.random.fork_rng(["cuda"]):
        torch.manual_seed(5)
        assert ones(4).normal_().equal(first)
    second = ones(4).normal_()
    torch.manual_seed(5)
    assert ones(8).normal_().equal(torch.cat([first, second]))
