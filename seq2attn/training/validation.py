"""Validation during training: which weights are scored (averages), which are the best, and when to stop."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import reduce
from operator import add

import torch
from torch import Tensor

from seq2attn.config import TrainConfig
from seq2attn.data.batches import Pairs
from seq2attn.models.seq2seq import Seq2Seq
from seq2attn.runs import attention_log
from seq2attn.runs.directory import Run
from seq2attn.runs.tensors import named_tensors, write_tensors
from seq2attn.training.distributed import World
from seq2attn.training.events import Interrupted, Scores, Validation
from seq2attn.training.finite import refuse_non_finite
from seq2attn.training.gradient_exchange import GradientExchange
from seq2attn.training.microbatches import microbatch, mix
from seq2attn.training.objectives.cross_entropy import token_losses
from seq2attn.training.objectives.objective import Autocast
from seq2attn.training.schedules import selection_score
from seq2attn.training.sharding import local, whole
from seq2attn.training.state import Best, State


class WeightAverages:
    """The moving average of the weights (train.ema), and the weights of the last validations (train.average).

    With train.average=N a validation scores the mean of N sets of weights: its own, and those of the N - 1
    scheduled validations before it (Vaswani 2017, section 6.1). The earlier ones are on the CPU, because the
    memory of the device is for training.
    """

    def __init__(self, model: Seq2Seq, settings: TrainConfig) -> None:
        tensors = named_tensors(model)
        self._ema = settings.ema
        self.weights = {name: local(tensor) for name, tensor in tensors.items() if tensor.is_floating_point()}
        self.moving = {name: tensor.clone() for name, tensor in self.weights.items()} if settings.ema else {}
        self.earlier: deque[dict[str, Tensor]] = deque(maxlen=settings.average - 1)  # the oldest first

    def update(self, step: int) -> None:
        """Take the weights after update `step` into the moving average."""
        if self.moving:
            # The first weights are random: the decay grows to its value, so that they soon have no share.
            decay = min(self._ema, (1 + step) / (10 + step))
            torch._foreach_lerp_(list(self.moving.values()), list(self.weights.values()), 1 - decay)

    def remember(self) -> None:
        """Store the weights of a scheduled validation for the means of the next validations."""
        if self.earlier.maxlen:
            weights = self.moving or self.weights
            self.earlier.append({name: tensor.to("cpu", copy=True) for name, tensor in weights.items()})

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the averaged weights into the model; the end puts its own weights back."""
        averages = self.moving or self.earlier
        own = {name: tensor.clone() for name, tensor in self.weights.items()} if averages else {}
        try:
            for name, tensor in self.moving.items():
                self.weights[name].copy_(tensor)
            if self.earlier:
                for name, tensor in self.weights.items():
                    before = [weights[name].to(tensor.device) for weights in self.earlier]
                    tensor.copy_(torch.stack([*before, tensor]).mean(0))
            yield
        finally:
            for name, tensor in own.items():
                self.weights[name].copy_(tensor)


class Clock:
    """Seconds of training. All processes follow the main one's: `spent` is its value at the last exchange."""

    def __init__(self, elapsed: float) -> None:
        self._began = time.monotonic() - elapsed
        self.spent = elapsed  # with the duration of the last validation, for the validation at the end
        self.validation = 0.0  # seconds of the last validation

    def elapsed(self) -> float:
        return time.monotonic() - self._began

    def to_exchange(self, world: World) -> float:
        """The number that the processes exchange: their sum is `spent`."""
        return self.elapsed() + self.validation if world.is_main else 0.0


class Validator:
    """Scores the model on the validation split, and saves its weights if they are the best so far.

    `score` is the caller's validation; `stop` returns True when training shall stop.
    """

    def __init__(
        self,
        model: Seq2Seq,
        run: Run,
        pairs: Pairs,
        averages: WeightAverages,
        world: World,
        exchange: GradientExchange,
        autocast: Autocast,
        score: Callable[[Seq2Seq], Scores] | None,
        stop: Callable[[], bool],
    ) -> None:
        self.model, self.run, self.pairs, self.averages = model, run, pairs, averages
        self.world, self.autocast, self.score, self.stop = world, autocast, score, stop
        self.exchange = exchange
        self.settings = run.config.train

    def validate(self, state: State, clock: Clock, scheduled: bool) -> tuple[State, Validation] | None:
        """The state after the validation, and its event; None if it was interrupted.

        Raises UserError if the loss is not finite.
        """
        began = time.monotonic()
        self.model.eval()
        with self.averages.in_place():
            try:
                with self.exchange.whole_model():
                    loss = self._loss()
                    scores = Scores({}) if self.score is None else self.score(self.model)
            except Interrupted:
                return None
            score = self._selection_score(loss, scores)
            clock.validation = time.monotonic() - began
            # What is best must be the same in all processes, whatever `score` gives in the others.
            main = [number * self.world.is_main for number in (loss, *score)]
            loss, *own, clock.spent = self.world.sum([*main, clock.to_exchange(self.world)])
            score = own[0], own[1]
            refuse_non_finite(self.run, state.step, "validation loss", loss)
            best = state.best is None or score > state.best.score
            weights = whole(named_tensors(self.model)) if best else {}
            if best and self.world.is_main:
                write_tensors(self.run.weights, weights)
            if scores.attention is not None and self.world.is_main:
                attention_log.append(self.run, state.step, scores.attention)
        if best:
            state = replace(state, best=Best(*score, state.step))
        if scheduled:
            # A validation at the end of training, between two scheduled ones, does not count here. So a run
            # that continues from there gives the same as a run that never stopped.
            plateau = state.plateau.update(self.settings, score)
            state = replace(state, plateau=plateau, validated=state.step)
            self.averages.remember()
        return state, Validation(state.step, loss, scores.values, scores.sample, best, clock.elapsed())

    @torch.no_grad()
    def _loss(self) -> float:
        """Nats per target token over the whole validation split, without label smoothing.

        Each process computes some of the batches. Raises Interrupted in all of them if one is to stop.
        """
        plan = self.pairs.plan(self.settings.tokens_of_a_batch, 0, 0)
        losses, tokens, stops = [0.0] * len(plan), 0, False
        for number in range(self.world.rank, len(plan), self.world.size):
            stops = self.stop()
            if stops:
                break
            torch.manual_seed(mix(self.settings.seed, number))  # where a part of the user draws
            batch = microbatch(self.pairs, plan[number], None, self.world.device).to(self.world.device)
            with self.autocast():
                losses[number] = token_losses(self.model, batch, 0.0).total.item()
            tokens += len(batch.targets_M)
        # The losses are added up in the order of one process, so that they are the same to the last bit.
        *losses, all_tokens, requests = self.world.sum([*losses, tokens, stops])
        if requests:
            raise Interrupted
        return reduce(add, losses, 0.0) / all_tokens

    def _selection_score(self, loss: float, scores: Scores) -> tuple[float, float]:
        name = self.settings.metric
        if name == "loss":
            return -loss, -loss
        value = float(scores.values.get(name, 0.0))
        return selection_score(self.settings, value, loss, scores.sentences, scores.chrf)
