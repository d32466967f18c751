"""The settings of a training as they act on this machine, with nothing left open."""

import torch

from seq2attn.config import Config, TrainConfig, with_guided_head
from seq2attn.models.seq2seq import Seq2Seq
from seq2attn.training.batch_gradient import BatchGradient
from seq2attn.training.compiled_gradient import CompiledGradient
from seq2attn.training.distributed import World
from seq2attn.training.gradient_step import GradientStep
from seq2attn.training.graphed_gradient import GraphedGradient, graph_obstacle
from seq2attn.training.objectives.cross_entropy import CrossEntropy
from seq2attn.training.objectives.objective import Autocast, Objective
from seq2attn.training.objectives.self_critical import RewardFunction, SelfCritical


def effective_settings(config: Config, world: World) -> TrainConfig:
    """The settings of training: train.cuda_graphs only if nothing is in the way, and the head that
    train.guide acts on.
    """
    settings = with_guided_head(config).train
    possible = graph_obstacle(config, world.size, world.device) is None
    return settings.model_copy(update={"cuda_graphs": settings.cuda_graphs and possible})


def batch_gradient(settings: TrainConfig, gradient_step: GradientStep, device: torch.device) -> BatchGradient:
    """The way to compute gradients that the effective settings choose."""
    way = BatchGradient
    if settings.compile:
        way = CompiledGradient
    elif settings.cuda_graphs:
        way = GraphedGradient
    return way(gradient_step, device)


def objective_of(
    model: Seq2Seq,
    settings: TrainConfig,
    autocast: Autocast,
    reward_function: RewardFunction | None,
    step: int,
    baseline: float,
) -> Objective:
    """What update `step` minimises; `baseline` is a reward per token, for attention that samples."""
    start = settings.self_critical.start_step
    if reward_function is not None and start is not None and step > start:
        return SelfCritical(model, reward_function, autocast)
    return CrossEntropy(model, settings, autocast, baseline)


def refuse_missing(settings: TrainConfig, validate: object, reward_function: object) -> None:
    """Raise ValueError for a function that the settings need and the caller did not give."""
    if settings.metric != "loss" and validate is None:
        raise ValueError(f'train.metric is "{settings.metric}": it needs a validate that returns it')
    if settings.self_critical.start_step is not None and reward_function is None:
        raise ValueError("train.self_critical.start_step is set: it needs a reward_function")
