"""The chunked cross-entropy on CUDA beside torch's on the CPU: loss and gradients, and no sum by atomics."""

import pytest
import torch
from simulated import counts
from torch import Tensor, nn
from torch.nn import functional as F

from seq2attn.kernels import linear_cross_entropy
from seq2attn.kernels.linear_cross_entropy import cross_entropies

CUDA = torch.device("cuda", 0)
M, D = 50, 8
NEAR = {torch.float32: 1e-5, torch.bfloat16: 2e-2, torch.float16: 3e-3}  # error of a gradient, relative
BY_ATOMICS = {
    "aten::index_add_",
    "aten::scatter_add_",
    "aten::_index_put_impl_",
    "aten::embedding_dense_backward",
}


def parts(entries: int) -> tuple[Tensor, nn.Linear, Tensor]:
    torch.manual_seed(1)
    output = nn.Linear(D, entries)
    return torch.randn(M, D) * 2, output, torch.randint(0, entries // 10, (M,))  # each target several times


@pytest.mark.parametrize("chunk", [1 << 27, 1100 * 16], ids=["at once", "in pieces"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("dtype", NEAR, ids=str)
@pytest.mark.parametrize("entries", [100, 1025])
def test_loss_and_gradients_equal_torch(
    entries: int, dtype: torch.dtype, smoothing: float, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(linear_cross_entropy.CHUNK, "cuda", chunk)
    x, output, targets = parts(entries)
    inputs = (x.requires_grad_(), output.weight, output.bias)
    want_M = F.cross_entropy(output(x), targets, label_smoothing=smoothing, reduction="none")
    want = torch.autograd.grad(want_M.sum(), inputs)
    device = nn.Linear(D, entries, device=CUDA)
    device.load_state_dict(output.state_dict())
    x_device = x.detach().to(CUDA).requires_grad_()
    counts.reset()
    with torch.autocast("cuda", dtype, enabled=dtype != torch.float32):
        total, got_M = cross_entropies(x_device, device, targets.to(CUDA), smoothing)
    got = torch.autograd.grad(total, (x_device, device.weight, device.bias))
    assert not BY_ATOMICS & counts.read().keys()
    assert (got_M.cpu() - want_M).abs().mean() < NEAR[dtype] * want_M.mean()
    assert total.item() == pytest.approx(want_M.sum().item(), rel=NEAR[dtype])
    for a, b in zip(got, want, strict=True):
        assert a.dtype == torch.float32
        assert (a.cpu() - b).norm() < NEAR[dtype] * b.norm()
    with torch.no_grad():
        plain = cross_entropies(x_device, device, targets.to(CUDA), smoothing)[1]
    torch.testing.assert_close(plain.cpu(), want_M.detach())
