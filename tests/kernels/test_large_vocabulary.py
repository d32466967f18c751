"""The cross-entropy in half precision, for few and for many words, beside float64 of the same inputs.

The format itself rounds logits and softmax. The sums over words and over positions may add about as much, and
no more: with 250,000 words a softmax holds numbers at which float16 has few digits left or none.
"""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seq2attn.kernels import linear_cross_entropy
from seq2attn.kernels.linear_cross_entropy import cross_entropies

D = 32


def error(tensor: Tensor, exact: Tensor) -> float:
    return ((tensor.double() - exact).norm() / exact.norm()).item()


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("scale", [0.02, 0.3], ids=["first-weights", "trained"])
@pytest.mark.parametrize(("words", "positions"), [(1_000, 2048), (37_000, 64), (250_000, 16)])
def test_half_precision_loses_what_the_format_loses(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, scale: float, words: int, positions: int
) -> None:
    monkeypatch.setitem(linear_cross_entropy.CHUNK, "cpu", words * positions // 8)
    x_MD, output = torch.randn(positions, D, requires_grad=True), nn.Linear(D, words)
    nn.init.normal_(output.weight, std=scale)
    targets_M = torch.randint(0, words // 10, (positions,))
    with torch.autocast("cpu", dtype):
        total, each_M = cross_entropies(x_MD, output, targets_M, 0.0)
    gradient_x, gradient_weight, gradient_bias = torch.autograd.grad(total, (x_MD, *output.parameters()))

    x, weight, bias = (tensor.detach().to(dtype) for tensor in (x_MD, *output.parameters()))
    logits = F.linear(x.double(), weight.double(), bias.double())
    half_logits = torch.addmm(bias, x, weight.t())
    exact, rounded = (
        (p @ weight.double(), p.t() @ x.double(), p.sum(0))
        for p in (
            softmax.double() - F.one_hot(targets_M, words)
            for softmax in (logits.softmax(1), half_logits.softmax(1))
        )
    )

    unit = torch.finfo(dtype).eps
    target_logit_M = output(x_MD).gather(1, targets_M[:, None])[:, 0].detach()
    loss_M = half_logits.double().logsumexp(1) - target_logit_M
    assert (each_M - loss_M).abs().max() < 0.005  # nats; the largest probability is rounded
    for gradient, of_exact, of_rounded in zip(
        (gradient_x, gradient_weight, gradient_bias), exact, rounded, strict=True
    ):
        assert error(gradient, of_exact) < 1.2 * error(of_rounded, of_exact) + 0.4 * unit
    rare = slice(words // 10, None)  # words that are no target: their gradients are of small numbers alone
    assert error(gradient_weight[rare], exact[1][rare]) < 0.02
