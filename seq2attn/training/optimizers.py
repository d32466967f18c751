"""The optimizer that train.optimizer names, with its parameter groups."""

from collections.abc import Sequence

import torch
from torch import nn

from seq2attn.config import TrainConfig


def build_optimizer(
    parameters: Sequence[nn.Parameter], backbone: Sequence[nn.Parameter], settings: TrainConfig
) -> torch.optim.Optimizer:
    """Adam, AdamW or SGD over `parameters`; the learning rate of those of `backbone` is multiplied by
    train.backbone_lr_factor, which each group holds as "factor".

    Only matrices have weight decay: a bias or a gain has no reason to be small.
    """
    backbone_ids = {id(p) for p in backbone}
    own = [p for p in parameters if id(p) not in backbone_ids]
    groups = []
    for factor, some in ((1.0, own), (settings.backbone_lr_factor, backbone)):
        matrices, others = [p for p in some if p.dim() > 1], [p for p in some if p.dim() <= 1]
        groups.append({"params": matrices, "weight_decay": settings.weight_decay, "factor": factor})
        groups.append({"params": others, "weight_decay": 0.0, "factor": factor})
    groups = [group for group in groups if group["params"]]
    betas = (settings.beta1, settings.beta2)
    match settings.optimizer:
        case "adam":
            return torch.optim.Adam(groups, lr=settings.lr, betas=betas, eps=settings.eps, fused=True)
        case "adamw":
            return torch.optim.AdamW(groups, lr=settings.lr, betas=betas, eps=settings.eps, fused=True)
        case "sgd":
            return torch.optim.SGD(groups, lr=settings.lr, momentum=settings.momentum, fused=True)
