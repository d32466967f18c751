"""The training loop: a generator of events that can stop after any update and resume exactly.

The order of the batches, and the seed of dropout before each batch, are pure functions of (train.seed, epoch,
step, number of the batch in the update). So a saved state needs no state of a random generator, an update can
be divided into batches over time (train.accumulate) or over processes, and a run that was interrupted ends
bit for bit as one that was not: on a CPU, and on CUDA with train.deterministic. Under a cosine schedule this
needs the same end: train.max_minutes and a new train.max_steps move it.

The loss of each batch is a sum over its tokens. It is divided by the number of target tokens of the whole
update, over all of its batches and processes. No parameter changes before the loss and the gradient are
known to be finite.

The loop knows a model by its encoder and decoder, and data by lengths and ids. It knows no search, no metric
and no console: the caller hands in a function that scores the model, and prints what the events say.
"""

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cache, partial

import torch

from seq2attn.data.batches import Pairs
from seq2attn.devices import Format, autocast, keep_freed_memory, trim_heap
from seq2attn.models.seq2seq import Seq2Seq
from seq2attn.prefetch import Prefetch
from seq2attn.runs.directory import Run, append_log
from seq2attn.runs.tensors import named_tensors
from seq2attn.training import resume
from seq2attn.training.distributed import World
from seq2attn.training.effective import batch_gradient, effective_settings, objective_of, refuse_missing
from seq2attn.training.events import Event, Finished, RunningMeans, Saved, Scores, Update, Validation
from seq2attn.training.finite import refuse_non_finite
from seq2attn.training.gradient_step import GradientStep
from seq2attn.training.microbatches import UpdateBatches, epoch_order, mix, update_batches
from seq2attn.training.objectives.reinforce import first_baseline, next_baseline
from seq2attn.training.objectives.self_critical import RewardFunction
from seq2attn.training.schedules import learning_rate
from seq2attn.training.state import State
from seq2attn.training.validation import Clock, Validator, WeightAverages

PREFETCHED = 4  # updates whose batches are built before they are needed
TRIM_EVERY = 100  # updates after which free memory returns to the system


def train(
    model: Seq2Seq,
    run: Run,
    training: Pairs,
    validation: Pairs,
    *,
    world: World,
    format: Format = "fp32",
    validate: Callable[[Seq2Seq], Scores] | None = None,
    reward_function: RewardFunction | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Generator[Event, None, None]:
    """Train `model`, which has first weights and is on world.device, with the settings of `run`. Training
    continues from the last state of the run if there is one.

    `validate(model)` scores the model while the averaged weights are in place. All processes call it, so they
    may share the work; what the main one gets counts. It raises Interrupted in all or in none. Unless
    train.metric is "loss", its values must hold that metric. `reward_function` samples targets from the model
    and scores them; train.self_critical.start_step needs it. `stop()` is called before each update: when it
    returns True, the state is saved and training ends.

    Raises UserError if the loss or the gradient is not finite (before any parameter changes), if the saved
    state does not fit, or if the disk cannot be written.
    """
    return _Trainer(model, run, training, validation, world, format, validate, reward_function, stop).run()


@dataclass
class _Trainer:
    model: Seq2Seq
    directory: Run
    training: Pairs
    validation: Pairs
    world: World
    format: Format
    validate: Callable[[Seq2Seq], Scores] | None
    reward_function: RewardFunction | None
    stop: Callable[[], bool]

    def __post_init__(self) -> None:
        model, world = self.model, self.world
        self.settings = settings = effective_settings(self.directory.config, world)
        refuse_missing(settings, self.validate, self.reward_function)
        if world.device.type == "cpu":
            keep_freed_memory()
        world.broadcast(named_tensors(model).values())
        self.gradient_step = gradient_step = GradientStep(model, settings, world, self.format)
        self.batch_gradient = batch_gradient(settings, gradient_step, world.device)
        self.averages = averages = WeightAverages(model, settings)
        self.trained = resume.Trained(model, averages, gradient_step.optimizer, gradient_step.scaler)
        self.autocast = partial(autocast, world.device, self.format)
        self.objective = partial(objective_of, model, settings, self.autocast, self.reward_function)
        self.validator = Validator(
            *(model, self.directory, self.validation, averages, world, gradient_step.exchange),
            *(self.autocast, self.validate, self.stop),
        )
        self._resume()
        self.session_start = self.state
        self.stop_requested = False  # by any process
        self.means = RunningMeans()

    def _resume(self) -> None:
        """Continue from the last state, or save a first one, so that a killed run can always be resumed."""
        order = cache(partial(epoch_order, self.training, self.settings))
        fresh = State(data=self.training.fingerprint, validation=self.validation.fingerprint)
        state = resume.restore(self.directory, fresh, self.trained, self.world, order)
        self.state = state or fresh
        self.clock = Clock(self.state.elapsed)
        if state is None:
            self._save()
            self.world.barrier()
        epoch, position = self.state.epoch, self.state.position
        self.updates = update_batches(self.training, self.settings, self.world, epoch, position, order(epoch))

    def run(self) -> Generator[Event, None, None]:
        # On a CPU a second thread takes time from the matrix products: a step on text takes 14% longer.
        ahead = self.world.device.type == "cuda" or self.training.ahead
        batches = Prefetch(self.updates, PREFETCHED, "batches") if ahead else nullcontext(self.updates)
        with self.gradient_step.backbone_restored(), batches as updates:
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
                # several processes stop after the same update, in which `_update` exchanges `stop`
                if reason is None and (self.stop_requested or (self.world.size == 1 and self.stop())):
                    reason = "interrupted"
                if reason == "interrupted":
                    yield self._save()
                if reason is not None:
                    best_step = self.state.best.step if self.state.best else 0
                    yield Finished(reason, self.state.step, best_step, self.clock.elapsed())
                    return
                yield self._update(next(updates))
                if self.settings.save_every and self.state.step % self.settings.save_every == 0:
                    yield self._save()

    def _reason(self) -> str | None:
        """Why training has ended, or None while it goes on."""
        return self.state.reason_to_end(self.settings, self.clock.spent)

    def _update(self, update: UpdateBatches) -> Update:
        """One update: the gradient of all of its batches, one step of the optimizer, and the event."""
        settings, step = self.settings, self.state.step + 1
        lr = learning_rate(settings, step, decays=self.state.plateau.decays, minutes=self.clock.spent / 60)
        objective = self.objective(step, self._baseline())
        self.model.train()
        self.gradient_step.begin(step, len(update.batches))
        loss = torch.zeros((), dtype=torch.float64, device=self.world.device)
        entropy = None
        for number, batch in update.batches:
            seed = mix(settings.seed, step, number)
            sums = self.batch_gradient(objective, batch, seed, update.tokens)
            loss += sums.loss.detach() / update.tokens
            if sums.entropy is not None:
                entropy = (0.0 if entropy is None else entropy) + sums.entropy / update.tokens
        norm_tensor = self.gradient_step.norm()
        own_entropy = 0.0 if entropy is None else entropy.item()
        mean_loss, stops, self.clock.spent, mean_entropy = self.world.sum(
            [loss.item(), float(self.stop()), self.clock.to_exchange(self.world), own_entropy]
        )
        self.stop_requested = stops > 0
        norm = norm_tensor.item()
        overflow = self.gradient_step.overflows(mean_loss, norm)
        if not overflow:
            refuse_non_finite(self.directory, step, "loss", mean_loss)
            refuse_non_finite(self.directory, step, "norm of the gradient", norm)
        clips = 0 < settings.clip_norm < norm and not overflow
        self.gradient_step.apply(lr, norm_tensor, clips)
        if not overflow:
            self.averages.update(step)
        if step % TRIM_EVERY == 0 and self.world.device.type == "cpu":
            trim_heap()
        self.state = replace(self.state, step=step, epoch=update.epoch, position=update.position)
        if entropy is not None:
            baseline = next_baseline(settings.reinforce, self._baseline(), -mean_loss)
            self.state = replace(self.state, baseline=baseline)
        self.means.add(mean_loss, norm, update.tokens, mean_entropy)
        event = self.means.report(
            self.state, settings, self.session_start, self.clock.elapsed(), lr, sampled=entropy is not None
        )
        if event.logged:
            self._log(event.line())
            self.means = RunningMeans()
        return event

    def _baseline(self) -> float:
        known = self.state.baseline
        return first_baseline(self.settings.reinforce, self.directory.target_size) if known is None else known

    def _validate(self, scheduled: bool) -> Validation | None:
        """Score the weights, and save them if they are the best; None when interrupted."""
        began = time.monotonic()
        result = self.validator.validate(self.state, self.clock, scheduled)
        if result is None:
            return None
        self.state, event = result
        self._log(event.line())
        self.means.pause(time.monotonic() - began)
        return event

    def _save(self) -> Saved:
        self.state = resume.save(self.directory, self.state, self.clock.elapsed(), self.trained, self.world)
        return Saved(self.state.step, self.directory.path)

    def _log(self, line: Mapping[str, object]) -> None:
        if self.world.is_main:
            append_log(self.directory, line)
