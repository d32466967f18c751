"""The optimizer that train.optimizer names, with its parameter groups."""

from collections.abc import Sequence

import torch
from torch import nn

from seq2attn.config import TrainConfig
from seq2attn.training.muon import MuonAndAdam


def build_optimizer(
    parameters: Sequence[nn.Parameter],
    backbone: Sequence[nn.Parameter],
    settings: TrainConfig,
    hidden: Sequence[nn.Parameter] = (),
) -> torch.optim.Optimizer:
    """Adam, AdamW, SGD or Muon over `parameters`; the learning rate of those of `backbone` is multiplied by
    train.backbone_lr_factor, which each group holds as "factor". `hidden` are those that Muon trains.

    Only matrices have weight decay: a bias or a gain has no reason to be small.
    """
    backbone_ids = {id(p) for p in backbone}
    hidden_ids = {id(p) for p in hidden} if settings.optimizer == "muon" else set()
    own = [p for p in parameters if id(p) not in backbone_ids | hidden_ids]
    groups = []
    if hidden_ids:
        decay = settings.weight_decay
        groups.append({"params": list(hidden), "weight_decay": decay, "factor": 1.0, "muon": True})
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
        case "muon":
            return MuonAndAdam(groups, settings.lr, betas, settings.eps)
