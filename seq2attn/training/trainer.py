"""The training loop: a generator of events, one update after another, that can stop anywhere and go on as if
it had not.

Everything random or ordered is a pure function of (train.seed, epoch, step, batch of the update): the order
of batches, and the
seed of dropout before each batch. So a saved state holds a position and no random state, the same update may
be cut into
batches over time (train.accumulate) or over processes, and 10 + 10 steps are bit for bit 20 steps. (Except
under train.max_minutes,
where a cosine follows the clock.)

A loss is a sum until the last moment: it is divided by the target tokens of the whole update, those of all
its batches and
processes. Nothing is stepped on before loss and gradient are known to be finite.

It knows a model by its encoder and decoder, data by lengths and ids, and neither search nor scores nor
printing: those
are handed in, or read from the events.
"""

import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Self, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from seq2attn.config import TrainConfig
from seq2attn.data.batches import Pairs
from seq2attn.devices import Format, autocast, keep_freed_memory, trim_heap
from seq2attn.errors import UserError
from seq2attn.kernels.linear_cross_entropy import cross_entropies
from seq2attn.models.memory import Memory, mean_attention
from seq2attn.models.seq2seq import Seq2Seq
from seq2attn.runs import directory, saved
from seq2attn.runs.directory import Run
from seq2attn.training.distributed import World
from seq2attn.training.objectives.doubly_stochastic import doubly_stochastic
from seq2attn.training.objectives.reinforce import drawn, first_baseline, next_baseline
from seq2attn.training.objectives.self_critical import RewardFunction, expected_loss
from seq2attn.training.schedules import merit, rate
from seq2attn.training.state import State

T = TypeVar("T")
AHEAD = 4  # updates whose batches are made before they are needed
HAND_BACK_EVERY = 100  # updates after which memory that is free goes back to the system


@dataclass(frozen=True)
class Scores:
    """What the handed-in validation found: numbers by name (those of train.metric among them), and one
    example.
    """

    values: Mapping[str, float]
    sample: tuple[str, str, str] | None = None  # source, reference, translation
    sentences: int = 0  # or images, that they are of; 0: not known
    chrf: float = 0.0  # chrF2, where a metric near zero leaves the choice to the loss and to this


@dataclass(frozen=True)
class Progress:
    """After each update. Loss, speed and norm are means since the last logged one."""

    step: int
    steps: int  # of the whole run; an estimate where the clock will end it
    epoch: int
    loss: float  # nats a target token, label smoothing included
    speed: float  # target tokens a second, padding not counted, validation not counted
    lr: float
    norm: float  # of the gradient, before clipping
    elapsed: float  # seconds of training, earlier sessions included
    remaining: float  # seconds, an estimate
    logged: bool  # whether it stands in metrics.jsonl: every train.log_every steps


@dataclass(frozen=True)
class Validation:
    step: int
    loss: float  # nats a target token, no smoothing
    scores: Mapping[str, float]
    sample: tuple[str, str, str] | None
    best: bool  # whether these weights are the best so far, and saved
    elapsed: float


@dataclass(frozen=True)
class Saved:
    """The last state is on the disk."""

    step: int
    path: Path


@dataclass(frozen=True)
class Finished:
    """The end: "max_steps", "max_minutes", "patience" or "interrupted"."""

    reason: str
    step: int
    best_step: int
    elapsed: float


Event = Progress | Validation | Saved | Finished


class Interrupted(Exception):
    """A handed-in validation raises it when it notices that training shall stop; it is done again on
    resuming.
    """


def train(
    model: Seq2Seq,
    run: Run,
    training: Pairs,
    validation: Pairs,
    *,
    world: World,
    format: Format = "fp32",
    validate: Callable[[Seq2Seq], Scores] | None = None,
    critic: RewardFunction | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Generator[Event, None, None]:
    """Train `model` (initialised, on world.device) with the settings of `run`, from the run's last state
    where it has one.

    `validate(model)` scores the model, averaged weights in place, in the leading process; its values must
    hold train.metric unless that is the loss.
    `critic` draws targets from the model and judges them, where train.self_critical.start_step is set. `stop()` is asked
    before each update: once it says yes, the state is saved and training ends. Raises UserError
    when loss or gradient are not finite (before they touch a weight), when the saved state does not fit, and
    when the
    disk refuses.
    """
    return _Trainer(model, run, training, validation, format, world, validate, stop, critic).run()


class _Microbatch(NamedTuple):
    """What one forward pass needs; `real_M` are the places of the M real target tokens among the B*T."""

    source: Tensor
    source_mask: Tensor
    inputs_BT: Tensor
    real_M: Tensor
    targets_M: Tensor
    source_of_B: Tensor | None = None
    number_I: Tensor | None = None

    def each(self, act: Callable[[Tensor], Tensor]) -> Self:
        return type(self)(*(None if tensor is None else act(tensor) for tensor in self))  # type: ignore[arg-type]


class _Sums(NamedTuple):
    """Over the real target tokens of a batch, in nats."""

    objective: Tensor  # what is minimised
    loss: Tensor  # the cross-entropy in it
    entropy: Tensor | None = None  # of what attention drew from, where it draws


class _Update(NamedTuple):
    batches: list[tuple[int, _Microbatch]]  # those of this process, each with its number in the update
    tokens: int  # target tokens of all batches of the update, those of the other processes too
    epoch: int  # position after it
    position: int


class _Trainer:
    def __init__(
        self,
        model: Seq2Seq,
        run: Run,
        training: Pairs,
        validation: Pairs,
        format: Format,
        world: World,
        validate: Callable[[Seq2Seq], Scores] | None,
        stop: Callable[[], bool],
        critic: RewardFunction | None = None,
    ) -> None:
        self.model, self.directory, self.training, self.validation = model, run, training, validation
        self.format, self.world, self.validate, self.critic, self.stop = format, world, validate, critic, stop
        self.settings = run.config.train
        if self.settings.metric != "loss" and validate is None:
            raise ValueError(
                f'train.metric is "{self.settings.metric}": a validation that gives it must be handed in'
            )
        if self.settings.self_critical.start_step is not None and critic is None:
            raise ValueError("train.self_critical.start_step is set: a critic must be handed in")
        if world.device.type == "cpu":
            keep_freed_memory()
        weights = directory.weights(model)
        world.copy_from_leader(weights.values())
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.late = [p for p in model.encoder.backbone_parameters() if p.requires_grad]
        self.optimizer = _optimizer(self.parameters, self.late, self.settings)
        self.scaler = torch.amp.GradScaler(world.device.type, enabled=format == "fp16")
        self.weights = {name: tensor for name, tensor in weights.items() if tensor.is_floating_point()}
        self.average = (
            {name: tensor.clone() for name, tensor in self.weights.items()} if self.settings.ema else {}
        )
        # What the last scheduled validations were of, the oldest first: where it is needed, and not on the
        # device, whose memory is for training.
        self.earlier: deque[dict[str, Tensor]] = deque(maxlen=self.settings.average - 1)
        self.state = State(data=training.fingerprint, validation=validation.fingerprint)
        self.planned: list[np.ndarray] | None = None  # the batches of the epoch in which training goes on
        self._resume()
        self.began = time.monotonic() - self.state.elapsed
        self.resumed = self.state
        # seconds as the leading process counts them, with those that the last validation will take
        self.spent = self.state.elapsed
        self.validation_seconds = 0.0
        self.asked = False  # some process was told to stop
        self.window = _Window()

    def run(self) -> Generator[Event, None, None]:
        # On a CPU a second thread would only take from the cores that multiply: a training step on text is
        # 14% slower beside it.
        ahead = self.world.device.type == "cuda" or self.training.ahead
        with (
            self._whole_again(),
            _ahead(self._updates()) if ahead else nullcontext(self._updates()) as updates,
        ):
            while True:
                reason = self._reason()
                scheduled = self.state.step % self.settings.validate_every == 0
                if self.state.step > self.state.validated and (scheduled or reason):
                    event = self._validate(scheduled)
                    if event is None:
                        reason = "interrupted"
                    else:
                        yield event
                        yield self._save()
                        reason = self._reason()
                if reason is None and (self.asked or (self.world.size == 1 and self.stop())):
                    reason = "interrupted"
                if reason == "interrupted":
                    yield self._save()
                if reason is not None:
                    yield Finished(
                        reason, self.state.step, self.state.kept[2] if self.state.kept else 0, self._elapsed()
                    )
                    return
                yield self._step(next(updates))

    @contextmanager
    def _whole_again(self) -> Iterator[None]:
        """At the end the model has nothing frozen that it had not before."""
        try:
            yield
        finally:
            for parameter in self.late:
                parameter.requires_grad_(True)

    def _reason(self) -> str | None:
        """Why training is over, or None."""
        if self.state.step >= self.settings.max_steps:
            return "max_steps"
        if self.settings.max_minutes is not None and self.spent >= self.settings.max_minutes * 60:
            return "max_minutes"
        return "patience" if self.state.course.exhausted(self.settings) else None

    def _elapsed(self) -> float:
        return time.monotonic() - self.began

    # One update

    def _step(self, update: _Update) -> Progress:
        settings, step = self.settings, self.state.step + 1
        lr = rate(settings, step, decays=self.state.course.decays, minutes=self.spent / 60)
        start = settings.self_critical.start_step
        critical = start is not None and step > start
        self.model.train()
        for parameter in self.late:
            parameter.requires_grad_(step > settings.unfreeze_step)
        total = torch.zeros((), dtype=torch.float64, device=self.world.device)
        entropy = None
        for number, batch in update.batches:
            torch.manual_seed(_mix(settings.seed, step, number))
            sums = (
                self._self_critical(batch, _mix(settings.seed, step, number))
                if critical
                else self._sums(batch, settings.label_smoothing)
            )
            torch.autograd.backward(self.scaler.scale(sums.objective / update.tokens))
            total += sums.loss.detach() / update.tokens
            if sums.entropy is not None:
                entropy = (0.0 if entropy is None else entropy) + sums.entropy / update.tokens
        # a gradient of zero would be a step of the optimizer, too
        self.world.sum_gradients([p for p in self.parameters if p.requires_grad])
        for group in self.optimizer.param_groups:
            group["lr"] = lr * group["factor"]
        self.scaler.unscale_(self.optimizer)
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        norm_ = torch.nn.utils.get_total_norm(gradients)
        spent = self._elapsed() + self.validation_seconds
        mean, stops, self.spent, mean_entropy = self.world.sum(
            [
                total.item(),
                float(self.stop()),
                spent if self.world.leads else 0.0,
                0.0 if entropy is None else entropy.item(),
            ]
        )
        self.asked = stops > 0
        norm = norm_.item()
        overflow = (
            math.isfinite(mean)
            and not math.isfinite(norm)
            and self.scaler.is_enabled()
            and self.scaler.get_scale() > 1
        )
        if not overflow:  # of fp16 at this loss scale: the scaler leaves the step out and lowers the scale
            self._refuse_non_finite(step, "loss", mean)
            self._refuse_non_finite(step, "gradient's norm", norm)
        if settings.clip_norm and norm > settings.clip_norm and not overflow:
            torch.nn.utils.clip_grads_with_norm_(self.parameters, settings.clip_norm, norm_)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        if self.average and not overflow:
            # Early averages would hold the random first weights: the decay grows into its value.
            decay = min(settings.ema, (1 + step) / (10 + step))
            torch._foreach_lerp_(list(self.average.values()), list(self.weights.values()), 1 - decay)
        if step % HAND_BACK_EVERY == 0 and self.world.device.type == "cpu":
            trim_heap()
        self.state = replace(self.state, step=step, epoch=update.epoch, position=update.position)
        if entropy is not None:
            self.state = replace(
                self.state, baseline=next_baseline(settings.reinforce, self._baseline(), -mean)
            )
        return self._progress(mean, norm, lr, update.tokens, None if entropy is None else mean_entropy)

    def _baseline(self) -> float:
        return (
            first_baseline(self.settings.reinforce, self.directory.target_size)
            if self.state.baseline is None
            else self.state.baseline
        )

    def _sums(self, batch: _Microbatch, smoothing: float) -> _Sums:
        batch = batch.each(self._to_device)
        penalty = self.settings.doubly_stochastic if self.model.training else 0.0
        with autocast(self.world.device, self.format):
            memory = self._memory(batch, batch.source_of_B)
            found = self.model.decoder.hidden_states(batch.inputs_BT, memory, weights=penalty > 0)
            features_MD = found.features_BTD.flatten(0, 1).index_select(0, batch.real_M)
            loss, losses_M = cross_entropies(
                features_MD, self.model.decoder.output, batch.targets_M, smoothing
            )
        objective = loss
        if penalty and found.weights_BTLHS is not None:
            objective = objective + penalty * doubly_stochastic(
                mean_attention(found.weights_BTLHS), batch.real_M, memory.mask_BS
            )
        if found.log_p_BT is None or found.entropy_BT is None:
            return _Sums(objective, loss)
        to_go = self.model.decoder.context_feeds_later_steps
        more, entropy = drawn(
            losses_M,
            found.log_p_BT,
            found.entropy_BT,
            batch.real_M,
            to_go=to_go,
            baseline=self._baseline(),
            settings=self.settings.reinforce,
        )
        return _Sums(objective + more, loss, entropy)

    def _self_critical(self, batch: _Microbatch, seed: int) -> _Sums:
        """Of what the model draws of the sources, instead of the targets that belong to them."""
        assert self.critic is not None
        assert batch.number_I is not None
        numbers_I = batch.number_I
        batch = batch.each(self._to_device)
        found = self.critic(self.model, batch.source, batch.source_mask, numbers_I, seed)
        tokens = len(batch.real_M)  # in which the update is divided, and the mean reward is taken
        with autocast(self.world.device, self.format):
            features_RTD = self.model.decoder.hidden_states(
                found.inputs_RT, self._memory(batch, found.source_of_R)
            ).features_BTD
            objective = expected_loss(features_RTD, self.model.decoder.output, found)
        return _Sums(
            objective * (len(batch.source) / len(found.inputs_RT)), torch.tensor(-found.reward * tokens)
        )

    def _memory(self, batch: _Microbatch, source_of: Tensor | None) -> Memory:
        memory: Memory = self.model.encoder(batch.source, batch.source_mask)
        return memory if source_of is None else memory.repeat_for(source_of)

    def _to_device(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.world.device, non_blocking=True)

    def _refuse_non_finite(self, step: int, what: str, value: float) -> None:
        if not math.isfinite(value):
            raise UserError(
                f"step {step}: the {what} is {value}: stopped before it touched a weight, and {self.directory.path} holds what was saved before; "
                "try a lower train.lr, a longer train.warmup, train.clip_norm=1, or --precision fp32"
            )

    def _progress(self, loss: float, norm: float, lr: float, tokens: int, entropy: float | None) -> Progress:
        state, settings = self.state, self.settings
        window = self.window
        window.add(loss, norm, tokens, entropy or 0.0)
        elapsed = self._elapsed()
        pace = (elapsed - self.resumed.elapsed) / (state.step - self.resumed.step)
        steps = settings.max_steps
        if settings.max_minutes is not None:
            steps = min(steps, state.step + math.ceil(max(settings.max_minutes * 60 - elapsed, 0.0) / pace))
        remaining = (steps - state.step) * pace
        logged = state.step % settings.log_every == 0
        if logged:
            line = {
                "step": state.step,
                "epoch": state.epoch,
                "loss": window.loss,
                "speed": round(window.speed, 1),
                "lr": lr,
                "norm": window.norm,
                "elapsed": round(elapsed, 2),
            }
            self._log(
                line if entropy is None else line | {"baseline": state.baseline, "entropy": window.entropy}
            )
            self.window = _Window()
        return Progress(
            state.step,
            steps,
            state.epoch,
            window.loss,
            window.speed,
            lr,
            window.norm,
            elapsed,
            remaining,
            logged,
        )

    # Validation

    def _validate(self, scheduled: bool) -> Validation | None:
        """Score the weights (averaged where train.ema or train.average is set), keep them if they are the
        best; None when interrupted.
        """
        began = time.monotonic()
        self.model.eval()
        with self._averaged():
            loss, scores, interrupted = 0.0, Scores({}), False
            if self.world.leads:
                try:
                    loss = self._validation_loss()
                    if self.validate is not None:
                        scores = self.validate(self.model)
                except Interrupted:
                    interrupted = True
            score = self._merit(loss, scores)
            self.validation_seconds = time.monotonic() - began
            spent = self._elapsed() + self.validation_seconds if self.world.leads else 0.0
            loss, *score_, stops, self.spent = self.world.sum([loss, *score, float(interrupted), spent])
            if stops:
                return None
            self._refuse_non_finite(self.state.step, "validation loss", loss)
            score = score_[0], score_[1]
            best = self.state.kept is None or score > self.state.kept[:2]
            if best and self.world.leads:
                directory.save_weights(self.directory, self.model)
        if best:
            self.state = replace(self.state, kept=(*score, self.state.step))
        if scheduled:
            # One at the very end, out of turn, leaves no mark on the course: a run that goes on from there
            # takes that of one that never stopped.
            self.state = replace(
                self.state, course=self.state.course.after(self.settings, score), validated=self.state.step
            )
            if self.world.leads and self.earlier.maxlen:
                self.earlier.append(
                    {
                        name: tensor.to("cpu", copy=True)
                        for name, tensor in (self.average or self.weights).items()
                    }
                )
        elapsed = self._elapsed()
        self._log(
            {
                "step": self.state.step,
                "valid_loss": loss,
                **scores.values,
                "best": best,
                "elapsed": round(elapsed, 2),
            }
        )
        self.window.pause(time.monotonic() - began)
        return Validation(self.state.step, loss, scores.values, scores.sample, best, elapsed)

    def _merit(self, loss: float, scores: Scores) -> tuple[float, float]:
        name = self.settings.metric
        if name == "loss":
            return -loss, -loss
        return merit(self.settings, float(scores.values.get(name, 0.0)), loss, scores.sentences, scores.chrf)

    @torch.no_grad()
    def _validation_loss(self) -> float:
        """Nats a target token over the whole validation split, without smoothing."""
        total, tokens = 0.0, 0
        for rows in self.validation.plan(self.settings.batch_tokens, 0, 0):
            if self.stop():
                raise Interrupted
            batch = self._batch(self.validation, rows, None)
            total += self._sums(batch, 0.0).loss.item()
            tokens += len(batch.targets_M)
        return total / tokens

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """In the place of the model's own weights, for a while: their moving average where train.ema is set,
        and the mean of those and of what the
        last train.average - 1 scheduled validations were of (Vaswani 2017, section 6.1: the mean of the last
        checkpoints)."""
        own = (
            {name: tensor.clone() for name, tensor in self.weights.items()}
            if self.average or self.earlier
            else {}
        )
        try:
            for name, tensor in self.average.items():
                self.weights[name].copy_(tensor)
            if self.earlier:
                for name, tensor in self.weights.items():
                    tensor.copy_(
                        torch.stack(
                            [*(before[name].to(tensor.device) for before in self.earlier), tensor]
                        ).mean(0)
                    )
            yield
        finally:
            for name, tensor in own.items():
                self.weights[name].copy_(tensor)

    # Batches

    def _updates(self) -> Iterator[_Update]:
        """All updates from the state's position on, without end. An update may reach into the next epoch."""
        stream = self._stream()
        size = self.settings.accumulate * self.world.size
        while True:
            picked = [next(stream) for _ in range(size)]
            tokens = sum(int(self.training.target_lengths[rows].sum()) + len(rows) for rows, _, _ in picked)
            mine = []
            for number in range(self.world.rank, size, self.world.size):
                rows, epoch, position = picked[number]
                mine.append(
                    (number, self._batch(self.training, rows, _mix(self.settings.seed, epoch, position)))
                )
            yield _Update(mine, tokens, picked[-1][1], picked[-1][2])

    def _stream(self) -> Iterator[tuple[np.ndarray, int, int]]:
        """The rows of each batch, with the epoch and the position after it."""
        epoch, position = self.state.epoch, self.state.position
        while True:
            order, self.planned = self.planned or self._order(epoch), None
            if not order:
                raise UserError("there is no training pair: nothing to learn from")
            for used in range(position, len(order)):
                yield order[used], epoch, used + 1
            epoch, position = epoch + 1, 0

    def _order(self, epoch: int) -> list[np.ndarray]:
        return self.training.plan(self.settings.batch_tokens, self.settings.seed, epoch)

    def _batch(self, pairs: Pairs, rows: np.ndarray, draw: int | None) -> _Microbatch:
        batch = pairs.batch(rows, draw)
        # Picked here, not on the device: the number of real tokens would have to come back from it.
        real_M = batch.target_mask_BT.flatten().nonzero()[:, 0]
        targets_M = batch.targets_BT.flatten()[real_M]
        made = _Microbatch(
            batch.source,
            batch.source_mask,
            batch.inputs_BT,
            real_M,
            targets_M,
            batch.source_of_B,
            batch.number_I,
        )
        return made.each(Tensor.pin_memory) if self.world.device.type == "cuda" else made

    # What is on the disk

    def _save(self) -> Saved:
        optimized = self.optimizer.state_dict()["state"]
        self.state = replace(
            self.state,
            elapsed=self._elapsed(),
            scaler=self.scaler.state_dict() or None,
            averaged=len(self.earlier),
            moments=saved.marks(_with_moments(optimized), len(self.parameters)),
        )
        if self.world.leads:
            tensors = {f"model/{name}": tensor for name, tensor in directory.weights(self.model).items()}
            tensors |= {f"average/{name}": tensor for name, tensor in self.average.items()}
            for number, before in enumerate(self.earlier):
                tensors |= {f"earlier/{number}/{name}": tensor for name, tensor in before.items()}
            for number, moments in optimized.items():
                tensors |= {
                    f"optimizer/{number}/{name}": tensor
                    for name, tensor in moments.items()
                    if tensor is not None
                }
            directory.save_state(self.directory, self.state, tensors)
        return Saved(self.state.step, self.directory.path)

    def _resume(self) -> None:
        """Go on from the last state, all of which is looked at before any of it is used and the log is cut.

        Where there is none, the first is saved.
        """
        loaded = directory.load_state(self.directory)
        if loaded is None:
            self.began = time.monotonic()
            self._save()  # so that nothing that follows is ever without a state to go on from
            self.world.wait()
            return
        state, tensors = loaded
        where = f"{self.directory.path}/training"
        self._refuse_other_data(state)
        order = [p for group in self.optimizer.param_groups for p in group["params"]]
        weights, scales = directory.weights(self.model), self.scaler.is_enabled()
        expected = saved.Expected(weights, self.weights, order, self.settings, scales)
        saved.refuse_unfit(state, tensors, expected, where)
        if state.kept is not None:
            directory.refuse_unfit_weights(self.directory, self.model)
        self.planned = self._order(state.epoch)
        if state.position > len(self.planned):
            raise UserError(
                f"{where}/state.json: damaged (position is {state.position}, and the epoch has "
                f"{len(self.planned)} batches); restore it, or train again with --force"
            )
        if self.world.leads:
            directory.cut_log(self.directory, state)
        self.world.wait()
        directory.restore(self.model, _under("model/", tensors), where)
        for name, tensor in _under("average/", tensors).items():
            self.average[name].copy_(tensor)
        earlier = _numbered("earlier/", tensors)
        if self.world.leads:
            self.earlier.extend(earlier[number] for number in sorted(earlier))
        self.optimizer.load_state_dict(
            {
                "state": _numbered("optimizer/", tensors),
                "param_groups": self.optimizer.state_dict()["param_groups"],
            }
        )
        if state.scaler is not None and self.scaler.is_enabled():
            self.scaler.load_state_dict(dict(state.scaler))
        self.state = replace(state, data=self.state.data, validation=self.state.validation)

    def _refuse_other_data(self, state: State) -> None:
        """By their content; by their lengths alone where the state is older than that."""
        lengths = directory.fingerprint(self.training.source_lengths, self.training.target_lengths)
        marks = {
            "training": (state.data, {self.state.data, lengths}),
            "validation": (state.validation or self.state.validation, {self.state.validation}),
        }
        for what, (then, now) in marks.items():
            if then not in now:
                raise UserError(
                    f"--resume: the {what} data are not those of {self.directory.path}: "
                    "their content has changed; give it the same --data, or start anew with another --out"
                )

    def _log(self, line: Mapping[str, object]) -> None:
        if self.world.leads:
            directory.log(self.directory, line)


class _Window:
    """Means since the last logged step."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.nats = self.spread = self.norms = 0.0
        self.tokens = self.steps = 0

    def add(self, loss: float, norm: float, tokens: int, entropy: float) -> None:
        self.nats += loss * tokens
        self.spread += entropy * tokens
        self.tokens += tokens
        if math.isfinite(norm):  # else an fp16 overflow, left out
            self.norms += norm
            self.steps += 1

    def pause(self, seconds: float) -> None:
        self.began += seconds

    @property
    def loss(self) -> float:
        return self.nats / self.tokens

    @property
    def entropy(self) -> float:
        return self.spread / self.tokens

    @property
    def norm(self) -> float:
        return self.norms / max(self.steps, 1)

    @property
    def speed(self) -> float:
        return self.tokens / max(time.monotonic() - self.began, 1e-9)


def _optimizer(
    parameters: Sequence[nn.Parameter], late: Sequence[nn.Parameter], settings: TrainConfig
) -> torch.optim.Optimizer:
    """Decay is for matrices: a bias or a gain has no reason to be small. The rate of `late` parameters has a
    factor.
    """
    groups = []
    theirs = {id(p) for p in late}
    for factor, some in (
        (1.0, [p for p in parameters if id(p) not in theirs]),
        (settings.backbone_lr_factor, late),
    ):
        groups.append(
            {
                "params": [p for p in some if p.dim() > 1],
                "weight_decay": settings.weight_decay,
                "factor": factor,
            }
        )
        groups.append({"params": [p for p in some if p.dim() <= 1], "weight_decay": 0.0, "factor": factor})
    groups = [group for group in groups if group["params"]]
    betas = (settings.beta1, settings.beta2)
    match settings.optimizer:
        case "adam":
            return torch.optim.Adam(groups, lr=settings.lr, betas=betas, eps=settings.eps, fused=True)
        case "adamw":
            return torch.optim.AdamW(groups, lr=settings.lr, betas=betas, eps=settings.eps, fused=True)
        case "sgd":
            return torch.optim.SGD(groups, lr=settings.lr, momentum=settings.momentum, fused=True)


def _mix(*numbers: int) -> int:
    """A seed of its own for each batch of each update, or of each epoch, whichever process it falls to."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])


def _with_moments(optimized: Mapping[int, Mapping[str, Tensor | None]]) -> Iterator[int]:
    """The numbers of the parameters of which an optimizer remembers anything."""
    for number, moments in optimized.items():
        if any(moment is not None for moment in moments.values()):
            yield number


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _numbered(prefix: str, tensors: Mapping[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    """Tensors whose names go on with a number, by number and by the rest of the name."""
    found: dict[int, dict[str, Tensor]] = {}
    for name, tensor in _under(prefix, tensors).items():
        number, _, rest = name.partition("/")
        found.setdefault(int(number), {})[rest] = tensor
    return found


@contextmanager
def _ahead(items: Iterator[T]) -> Iterator[Iterator[T]]:
    """The same items, made in a thread of their own a few ahead of their use. An exception there is raised
    here, in its turn.
    """
    ready: queue.Queue[T | BaseException] = queue.Queue(AHEAD)
    closed = threading.Event()

    def work() -> None:
        try:
            for item in items:
                ready.put(item)
                if closed.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 - raised where the item is taken
            ready.put(error)

    def take() -> Iterator[T]:
        while True:
            item = ready.get()
            if isinstance(item, BaseException):
                raise item
            yield item

    thread = threading.Thread(target=work, name="batches", daemon=True)
    thread.start()
    try:
        yield take()
    finally:
        closed.set()
        while thread.is_alive():  # it may wait for room
            try:
                ready.get_nowait()
            except queue.Empty:
                thread.join(0.01)
