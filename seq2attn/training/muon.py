"""Muon (Jordan 2024): a hidden matrix moves by the nearest orthogonal matrix to its mean gradient.

Hidden matrices are those of layers between embeddings and output. Embeddings, the output layer, biases,
norms, convolutions and the backbone of an image encoder are trained by AdamW. The update of a matrix of size
A x B is scaled by 0.2 sqrt(max(A, B)), so that it is about as large as one of Adam (Liu 2025, section 2.2):
both use train.lr.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from seq2attn.models.seq2seq import Seq2Seq

MOMENTUM = 0.95
MOMENTS = ("momentum_buffer",)


def hidden_matrices(model: Seq2Seq) -> list[nn.Parameter]:
    """The matrices that Muon trains. A single row or column has no orthogonal matrix to speak of."""
    others = {id(parameter) for parameter in model.encoder.backbone_parameters()}
    others |= {id(parameter) for parameter in model.decoder.output.parameters()}
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            others |= {id(parameter) for parameter in module.parameters()}
    return [
        parameter
        for parameter in model.parameters()
        if parameter.requires_grad
        and parameter.dim() == 2
        and min(parameter.shape) > 1
        and id(parameter) not in others
    ]


class MuonAndAdam(torch.optim.Optimizer):
    """torch's Muon for the groups with "muon": True, and its AdamW for the others, as one optimizer.

    Its state, by parameter, is that of either: `momentum_buffer`, or `step`, `exp_avg` and `exp_avg_sq`.
    """

    def __init__(
        self, groups: Iterable[dict[str, Any]], lr: float, betas: tuple[float, float], eps: float
    ) -> None:
        own = [group for group in groups if group["params"]]
        hidden, rest = ([group for group in own if bool(group.get("muon")) == kind] for kind in (True, False))
        self._optimizers: list[torch.optim.Optimizer] = []
        if hidden:
            scale = "match_rms_adamw"
            self._optimizers.append(torch.optim.Muon(hidden, lr, momentum=MOMENTUM, adjust_lr_fn=scale))
        if rest:
            self._optimizers.append(torch.optim.AdamW(rest, lr, betas=betas, eps=eps, fused=True))
        # the groups of both, with all that either needs, in the order of the caller's
        every = [group for optimizer in self._optimizers for group in optimizer.param_groups]
        numbers = {id(group["params"][0]): number for number, group in enumerate(own)}
        super().__init__(sorted(every, key=lambda group: numbers[id(group["params"][0])]), {"lr": lr})
        self._share()

    def _share(self) -> None:
        """Both optimizers read and change the state and the groups of this one."""
        for optimizer in self._optimizers:
            kind = isinstance(optimizer, torch.optim.Muon)
            optimizer.state = self.state
            optimizer.param_groups = [group for group in self.param_groups if bool(group.get("muon")) == kind]

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._share()

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for optimizer in self._optimizers:
            optimizer.step()
        return loss
