"""A training from its settings to its run: data, model, events, and the test at the end.

    with open_training(plan, stages, world) as training:
        for event in training.events(): ...
        for result in training.test(): ...

`training_session` opens a training for Python, and `train` also reads its events. `seq2attn train` does all
of it, handles signals and prints.
"""

import json
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from seq2attn import config, ranks
from seq2attn.config import Changes, Config, as_typed
from seq2attn.errors import UsageError, UserError
from seq2attn.notes import note, warn
from seq2attn.own_code import refuse_without_permission
from seq2attn.progress import Progress, StageProgress, Stages, silent, stages
from seq2attn.shared_cores import SharedCores
from seq2attn.tasks import arguments, batch_size, card, fitted, training_checks
from seq2attn.tasks.corpus_cache import (
    as_before_cleaning,
    cache_home,
    corpus_name,
    prepared_folder,
    refuse_cache,
)
from seq2attn.tasks.fitted import FIRST_PRESET
from seq2attn.tasks.from_run import FromRun, from_arguments, start_of
from seq2attn.tasks.interrupts import delayed_interrupt, saved_on_interrupt
from seq2attn.tasks.presets import Preset
from seq2attn.tasks.task import task_of

if TYPE_CHECKING:
    import torch

    from seq2attn.data.prepared import Prepared
    from seq2attn.devices import Format
    from seq2attn.models.seq2seq import Seq2Seq
    from seq2attn.runs.directory import Run
    from seq2attn.tasks.training_data import TestResult, TrainingData
    from seq2attn.training.distributed import World
    from seq2attn.training.events import Event, Finished

BEGUN = "run"  # key of the run that the processes have begun, in the store of torchrun
COMPILER_CACHE = "TORCHINDUCTOR_CACHE_DIR"
FREE = tuple(config.names_marked(config.MAY_CHANGE_ON_RESUME))


def _first_corpus(preset_or_file: str | None, changes: Sequence[str], where: str) -> str:
    return first_corpus(config.load(preset_or_file or FIRST_PRESET, changes, where))


def first_corpus(settings: Config) -> str:
    """The bundled corpus for a first try of a model."""
    return task_of(settings.model.modality).first_corpus(settings)


@dataclass(frozen=True)
class Plan:
    """What a training shall do, with all defaults filled in."""

    settings: Config | None  # None: those of the run that is continued, with `changes`
    changes: tuple[str, ...]  # settings as `section.key=value`
    data: str | None  # a prepared folder or a corpus; None: that of the run, or the first corpus
    out: Path
    resume: bool = False
    force: bool = False
    command: str = ""  # or call, for the run to remember
    where: str = "settings"  # name of the changes in errors
    batch_tokens: int = config.BATCH_TOKENS  # of the preset, for train.batch_tokens="auto"
    fits: bool = False  # whether the settings are to fit the data, once these are prepared
    start: FromRun | None = None  # None: random weights, or those of the run that is continued

    @property
    def continues(self) -> bool:
        """Whether there is a run to continue."""
        return self.resume and (self.out / "config.json").is_file()

    def check(self) -> None:
        """Raise UserError or UsageError, before torch is imported, for data or a place that does not fit."""
        training_checks.refuse_name(self.out)
        if self.settings is not None and (self.data is not None or not self.continues):
            training_checks.refuse_data(self.data or first_corpus(self.settings), self.settings)
        if not self.continues and not ranks.restarts():  # then `open_training` knows whose run it is
            training_checks.refuse_place(self.out, self.force)


def make_plan(
    preset_or_file: str | None = None,
    changes: Sequence[str] = (),
    data: str | None = None,
    out: Path | None = None,
    *,
    resume: bool = False,
    force: bool = False,
    command: str = "",
    where: str = "settings",
    start: FromRun | None = None,
) -> Plan:
    """The plan of a training. `where` names the changes in errors. Raises UsageError for wrong arguments.

    Without `out` the run is runs/CORPUS, or runs/CORPUS-PRESET if a preset or file is named, or
    runs/CORPUS-from-RUN.
    """
    if resume and force:
        problem = "one continues the run and the other replaces it"
        raise UsageError(f"resume and `force`: {problem}; leave one out", setting="resume")
    config.refuse_incomplete(changes, where)
    if start is not None:
        return _plan_from_run(
            Plan(None, tuple(changes), data, out or Path(), resume, force, command, where, start=start),
            preset_or_file,
            out,
        )
    if out is None:
        corpus = corpus_name(data or _first_corpus(preset_or_file, () if resume else changes, where))
        out = Path("runs", f"{corpus}-{corpus_name(preset_or_file)}" if preset_or_file else corpus)
    plan = Plan(None, tuple(changes), data, out, resume, force, command, where)
    if preset_or_file is None and plan.continues:
        return plan
    if preset_or_file is None and data is not None and fitted.fits(data):
        preset = fitted.first_preset(data, changes)
        settings, is_fitted = fitted.before_data(data, preset, changes, where), True
    else:
        preset = preset_or_file or FIRST_PRESET
        settings, is_fitted = config.load(preset, changes, where), False
    is_auto = settings.train.batch_tokens == "auto"
    tokens = batch_size.of_preset(preset) if is_auto else config.BATCH_TOKENS
    return replace(plan, settings=settings, batch_tokens=tokens, fits=is_fitted)


def _plan_from_run(plan: Plan, preset_or_file: str | None, out: Path | None) -> Plan:
    """The plan of a training that starts from a run."""
    start = plan.start
    assert start is not None
    start.check()
    if plan.data is None:
        raise UsageError(f"from_run {start.run} needs new data: name them with `data`", setting="from_run")
    if out is None:
        out = Path("runs", f"{corpus_name(plan.data)}-from-{Path(start.run).resolve().name}")
    if out.resolve() == Path(start.run).resolve():
        problem = "the new run would replace the one that it starts from; choose another `out`"
        raise UsageError(f"from_run {start.run}: {problem}", setting="from_run")
    settings = start.settings(preset_or_file, plan.changes, plan.where)
    tokens = settings.train.batch_tokens
    usual = config.BATCH_TOKENS if tokens == "auto" else tokens
    return replace(plan, settings=settings, out=out, batch_tokens=usual)


class Training:
    """An open training, which `training_session` gives.

    `run` is its `Run`, `model` the module of torch that learns, `data` what it learns from, and `end` the
    last event, `Finished`, or None before it.
    """

    def __init__(
        self,
        run: "Run",
        model: "Seq2Seq",
        data: "TrainingData",
        world: "World",
        format: "Format",
        stages: Stages,
        begin: Callable[["Training"], None],
        release: Callable[[], None],
    ) -> None:
        self.run, self.model, self.data, self.world, self.format = run, model, data, world, format
        self.end: Finished | None = None  # the last event, once it has come
        self.start: FromRun | None = None  # where its weights are from; None: they were random
        self._stages, self._begin, self._release = stages, begin, release
        self._stop = self._closed = False
        self._events: Generator[Event, None, None] | None = None

    def stop(self) -> None:
        """Save the state after the present update, and end the events."""
        self._stop = True

    def save(self) -> bool:
        """Save the state now, between two events, and end the events.

        Returns whether this ended the training early: False if it had ended, or if it has not begun.
        """
        self.stop()
        for _ in self._events or ():
            pass
        return self.end is not None and self.end.reason == "interrupted"

    def close(self) -> None:
        """End the events without saving: there are no more. The end of `training_session` does it, too."""
        self._closed = True
        self._end_events()

    def _end_events(self) -> None:
        if self._events is not None:
            self._events.close()

    def events(
        self, stop: Callable[[], bool] = lambda: False, validating: Progress = silent
    ) -> "Iterator[Event]":
        """The events of the training, which runs while they are read. Its state is restored at once.

        Once `stop()` returns True, the state is saved and the events end, as after `stop`. A validation
        reports its progress to `validating`. To continue later, open the training again with `resume`.
        Earlier events end. Raises UsageError once the training is closed or tested: no lock keeps others out.
        """
        from seq2attn.training import trainer

        if self._closed:
            raise UsageError(f"the training of {self.run.path} is closed: open it again with `resume`")
        self._end_events()

        settings = self.run.config.train

        def stops() -> bool:
            return self._stop or stop()

        events = trainer.train(
            self.model,
            self.run,
            self.data.training,
            self.data.validation,
            world=self.world,
            format=self.format,
            validate=self.data.validation_of(stops, validating),
            reward_function=(
                self.data.reward_function() if settings.self_critical.start_step is not None else None
            ),
            stop=stops,
        )
        self._begin(self)  # only now, because a saved state that does not fit is refused above
        # An exception in the caller's loop would close them, if nobody else had them.
        self._events = self._until_end(events)
        return self._events

    def _until_end(self, events: "Generator[Event, None, None]") -> "Generator[Event, None, None]":
        from seq2attn.device_memory import too_little_memory

        tokens = self.run.config.train.tokens_of_a_batch
        text = (
            f"train.batch_tokens is {tokens:,}: batches of this size need more memory than the device has; "
            "with half of it and twice train.accumulate the updates stay as large"
        )
        with closing(events), closing(self._shared_cores()) as cores:
            while True:
                try:
                    with delayed_interrupt(self.stop), too_little_memory("train.batch_tokens", text):
                        event = next(events, None)
                except KeyboardInterrupt:
                    for event in events:  # the state is saved
                        self._note_end(event)
                    raise
                if event is None:
                    return
                self._note_end(event)
                cores.look()
                yield event

    def _shared_cores(self) -> SharedCores:
        """What looks after the threads of the training if it computes on a CPU."""
        import torch

        threads = torch.get_num_threads() if self.world.device.type == "cpu" else 1
        return SharedCores(threads, self._note_shared_cores)

    def _note_shared_cores(self) -> None:
        if self.world.is_main:
            note(
                "other programs use the processor, so training is slower while they do; its results stay "
                "the same"
            )

    def _note_end(self, event: "Event") -> None:
        from seq2attn.training.events import Finished

        if isinstance(event, Finished):
            self.end = event

    def test(self, device: str | None = None) -> "Iterator[TestResult]":
        """The scores of the best weights on each test split, by default on the device of the training.

        Any process may train the run meanwhile, so this training is closed. Several processes share the work,
        each on its own device: all must read the scores to their end, and only the main one gets any.
        """
        self.close()
        self._release()
        self.world.barrier()  # the main process has saved the weights
        several = self.world.size > 1
        place = device if device and not several else str(self.world.device)
        for result in self.data.test(self.run.path, place, self._stages):
            if self.world.is_main:
                yield result


@contextmanager
def open_training(plan: Plan, stages: Stages, world: "World") -> Iterator[Training]:
    """Prepare the data if they are raw, build the model, create or open the run, and lock it.

    Raises UserError or UsageError for everything that does not fit, before a run is created or changed.
    """
    from seq2attn import devices
    from seq2attn.runs import directory
    from seq2attn.training import resume as saved

    with ExitStack() as claim:
        plan = _restarted(plan, world)
        world.run_on_main(lambda: _claim(claim, plan))
        old = directory.open_run(plan.out, trained=False) if plan.continues else None
        settings = _first_settings(plan, old)
        if old is not None:  # checked before any data is prepared, so without the settings of data
            settings = as_before_cleaning(batch_size.number_of_run(settings, old.config), old.config)
            saved.refuse_change(old.config, settings.model_copy(update={"data": old.config.data}), FREE)
        for setting, code in settings.model.own_code.items():
            refuse_without_permission(setting, code)
        start = start_of(plan.start, plan.out, plan.continues)
        corpus = plan.data or (old.corpus if old else first_corpus(settings))
        if start is not None and plan.start is not None:
            start.refuse_other_shapes(settings)
            world.run_on_main(lambda: start.new_data(corpus, settings, stages))
            corpus = str(start.new_data(corpus, settings, stages))
        prepared = _open_data(corpus, settings, plan, world, stages)
        if plan.fits and old is None:
            settings, reasons = fitted.with_data(prepared, plan.changes, plan.where)
            for reason in reasons if world.is_main else ():
                note(reason)
        settings = _with_data_of(prepared, settings)
        _refuse_compilation(settings, world)
        if settings.train.deterministic:  # the model's first weights go to the device below
            claim.enter_context(devices.deterministic(world.device))
        model = build_model(settings, prepared, world, old, start)
        run = (
            _resume_run(old, settings, prepared)
            if old
            else _create_run(plan.out, settings, prepared, corpus, plan.force, world, start)
        )
        data = task_of(prepared.modality).training_data(settings, prepared, model, world, stages)
        if start is not None:
            start.with_replay(data, prepared, settings, stages)
        format = devices.find_format(settings.train.precision, world.device)
        run = batch_size.with_number(run, model, data.training, world, format, plan.batch_tokens)

        def begin(training: Training) -> None:
            _begin(training, plan, old, corpus, prepared)

        training = Training(run, model, data, world, format, stages, begin, claim.close)
        training.start = start
        with closing(training):
            yield training


def _first_settings(plan: Plan, old: "Run | None") -> Config:
    """The settings before the data are prepared: those of the plan, or of the run that is continued."""
    if plan.settings is not None and not (plan.fits and old is not None):
        return plan.settings
    return config.change(old.config if old else Config(), plan.changes, plan.where)


def _refuse_compilation(settings: Config, world: "World") -> None:
    """Raise UserError where train.compile is wanted and this machine cannot do it. Otherwise torch's compiler
    keeps its files in the user's cache: its own place for them is a folder that others may write to.
    """
    from seq2attn.training.compiled_gradient import compile_obstacle

    if not settings.train.compile:
        return
    if (problem := compile_obstacle(world.device)) is not None:
        raise UserError(
            f"train.compile: {problem}; install it, or set train.compile=false", setting="train.compile"
        )
    if COMPILER_CACHE not in os.environ:
        folder = cache_home() / "compile"
        refuse_cache(folder)
        os.environ[COMPILER_CACHE] = str(folder)


def _begin(training: Training, plan: Plan, old: "Run | None", corpus: str, prepared: "Prepared") -> None:
    """Note the sizes, and record how the run is trained from here on."""
    from seq2attn.devices import emulation
    from seq2attn.runs import directory, provenance
    from seq2attn.training import resume as saved
    from seq2attn.training.graphed_gradient import graph_obstacle

    run, data, world = training.run, training.data, training.world
    parameters = sum(p.numel() for p in training.model.parameters())
    if not world.is_main:
        return
    note(
        f"{len(data.training.target_lengths):,} training {data.unit}, {parameters:,} parameters, "
        f"{training.format} on {world.device}, into {run.path}"
    )
    if line := emulation(training.format, world.device):
        note(line)
    obstacle = graph_obstacle(run.config, world.size, world.device)
    if run.config.train.cuda_graphs and obstacle is not None:
        note(f"train.cuda_graphs changes nothing here: {obstacle}")
    if run.config.search.cuda_graphs and world.device.type != "cuda":
        note(f"search.cuda_graphs changes nothing here: the device is {world.device.type}")
    if run.config.train.compile:
        note("train.compile: the first update waits until torch has compiled the model, a minute or more")
    if old is not None and run.config != old.config:
        directory.write_config(run)
    marks = data.training.fingerprint, data.validation.fingerprint
    provenance.record(
        run,
        step=saved.last_step(run),
        command=plan.command,
        device=world.device,
        processes=world.size,
        format=training.format,
        data=provenance.of_data(corpus, prepared.report, *marks),
    )


def train(
    preset_or_file: str | os.PathLike[str] | Preset | None = None,
    data: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    settings: Changes = (),
    *,
    resume: bool = False,
    force: bool = False,
    from_run: str | os.PathLike[str] | None = None,
    extend_vocabulary: int = 0,
    replay: float = 0.0,
    device: str = "auto",
    allow_code: bool = False,
    on_event: "Callable[[Event], object] | None" = None,
    progress: StageProgress | None = None,
) -> "Run":
    """Train a model, and return its run. It equals `seq2attn train` without the scores of the test splits,
    which `evaluate` gives.

    `preset_or_file` is a preset of `presets()`, its name, or a TOML file; by default settings that
    fit `data` or, for bundled texts, "first-try". `data` is a prepared folder or a corpus, which is prepared
    first; by default the bundled corpus for the model. `out` is the run directory; by default runs/CORPUS, or
    runs/CORPUS-PRESET if a preset or file is named.
    `settings` change the preset: `{"train.max_steps": 200, "train.seed": 2}`, or as on the command line
    `["train.max_steps=200", "train.seed=2"]`. `resume` continues the run in `out`, and `force` replaces it.
    `from_run` is a run whose model, tokenizers and best weights the training starts from, on new `data`; a
    preset then gives settings of training, search and dropout alone. `extend_vocabulary` adds so many
    subwords, learned on the new data, to each of its vocabularies. `replay` is the share of pairs of each
    epoch that are of the run's own training data. `device` is auto, cpu, cuda or cuda:N. `allow_code` allows
    settings to name functions and classes of your own.

    `on_event` is called with each event of `seq2attn.training.events`: Update, Validation, Saved and
    Finished. If it returns True, the state is saved and training ends. `progress(stage, done, total)` is
    called while data are prepared; `total` is None if it is not known.

    Raises UsageError for settings that make no sense, and UserError for data or a place that does not fit:
    a run in `out`, for example, without `resume` or `force`. An interrupt (Ctrl-C, or the stop button of a
    notebook) raises KeyboardInterrupt after the present update, when the state is saved; `resume` continues.
    """
    with training_session(
        preset_or_file,
        data,
        out,
        settings,
        resume=resume,
        force=force,
        from_run=from_run,
        extend_vocabulary=extend_vocabulary,
        replay=replay,
        device=device,
        allow_code=allow_code,
        progress=progress,
    ) as opened:
        for event in opened.events():
            if on_event is not None and on_event(event) is True:
                opened.stop()
        if opened.world.is_main and opened.run.weights.is_file():
            card.write(opened.run.path)
    return opened.run


@contextmanager
def training_session(
    preset_or_file: str | os.PathLike[str] | Preset | None = None,
    data: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    settings: Changes = (),
    *,
    resume: bool = False,
    force: bool = False,
    from_run: str | os.PathLike[str] | None = None,
    extend_vocabulary: int = 0,
    replay: float = 0.0,
    device: str = "auto",
    allow_code: bool = False,
    progress: StageProgress | None = None,
) -> Iterator[Training]:
    """An open training, whose `events()` train while they are read. Arguments: see `train`.

        with seq2attn.training_session("first-try", out="runs/first") as training:
            for event in training.events():
                ...  # draw, or `training.stop()`

    `training.run` is the run. An interrupt saves the state as in `train`.
    """
    named = preset_or_file.name if isinstance(preset_or_file, Preset) else preset_or_file
    changes = as_typed(settings)
    paths = {"preset_or_file": named, "data": data, "out": out, "from_run": from_run}
    preset, corpus, place, origin = (
        None if value is None else arguments.path(value, name) for name, value in paths.items()
    )
    start = from_arguments(origin, extend_vocabulary, replay)
    given: dict[str, object]
    given = {"data": corpus, "out": place, "settings": changes, "resume": resume, "force": force}
    given |= {"from_run": origin, "extend_vocabulary": extend_vocabulary, "replay": replay}
    given |= {"allow_code": allow_code}
    words = [] if preset is None else [repr(preset)]
    words += [f"{name}={value!r}" for name, value in given.items() if value]
    plan = make_plan(
        preset,
        changes,
        corpus,
        None if place is None else Path(place),
        resume=resume,
        force=force,
        command=f"seq2attn.train({', '.join(words)})",
        start=start,
    )
    if resume and not plan.continues and preset is None and data is None and out is not None:
        raise UserError(f"{out}: no run to continue; name a preset or `data` to start one there")
    plan.check()
    import torch

    from seq2attn.devices import find_device
    from seq2attn.own_code import allow_code as permitted
    from seq2attn.training.distributed import init_distributed

    if not torch.is_grad_enabled():
        raise UsageError("training needs gradients: leave torch.no_grad and torch.inference_mode first")
    if torch.get_default_dtype() != torch.float32:
        default = torch.get_default_dtype()
        raise UsageError(
            f"training needs torch.float32 as the default type, and it is {default}: set it back"
        )
    with (
        permitted(allow_code),
        init_distributed(find_device(device)) as world,
        _own_random_state(world.device),
        open_training(plan, stages(progress), world) as opened,
        saved_on_interrupt(opened),
    ):
        yield opened


@contextmanager
def _own_random_state(device: "torch.device") -> Iterator[None]:
    """Give the caller's random numbers of torch back at the end: a training seeds them at every update."""
    import torch

    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield


def _restarted(plan: Plan, world: "World") -> Plan:
    """The plan of processes that torchrun has started again: they continue the run that they had begun."""
    if not ranks.restarts() or world.meeting is None or not world.meeting.launch.check([BEGUN]):
        return plan
    if world.meeting.launch.get(BEGUN) != os.fsencode(plan.out.resolve()):
        return plan
    note(f"{plan.out}: a process had failed; training continues from the last saved state")
    return replace(plan, resume=True, force=False)


def _claim(stack: ExitStack, plan: Plan) -> None:
    """Keep other processes from training the run until the stack is closed."""
    from seq2attn.runs.claim import claimed
    from seq2attn.training.resume import check_start

    out, resume, force = plan.out, plan.resume, plan.force
    if not stack.enter_context(claimed(out, lambda: check_start(out, resume=resume, force=force))):
        warn(f"{out}: this file system has no locks: nothing keeps a second training out of this run")
    if resume and not plan.continues:
        warn(f"{out}: no run to continue; training starts from the beginning")


def _open_data(data: str, settings: Config, plan: Plan, world: "World", stages: Stages) -> "Prepared":
    """The prepared folder of that name, or that of the corpus of that name, which is prepared if needed."""
    from seq2attn.data.prepared import REPORT, Prepared

    folder = Path(data)
    if (folder / REPORT).is_file():
        prepared = Prepared(folder)
        for setting in plan.changes:  # data settings of the folder replace those of a preset, but not these
            key = setting.partition("=")[0].strip()
            if not key.startswith("data."):
                continue
            value = config.flat(_with_data_of(prepared, settings))[key]
            if value != config.flat(settings)[key]:
                raise UsageError(
                    f"{plan.where} {setting}: {data} was prepared with {json.dumps(value)}; "
                    "prepare the corpus again, or give the corpus itself as `data`"
                )
    else:
        # A small corpus may have a smaller vocabulary than a preset says, but not than the user says.
        named = any(setting.partition("=")[0].strip() == "data.vocab_size" for setting in plan.changes)
        shrink = not named or settings.data.vocab_size == "auto"
        world.run_on_main(lambda: prepared_folder(data, settings, stages, shrink))
        prepared = Prepared(prepared_folder(data, settings, stages, shrink))
        if missing := prepared.report.get("missing", {}).get("images"):
            note(f"images of {data} that are missing or damaged, and not used: {missing:,}")
    training_checks.refuse_other(data, settings, prepared)
    for split in ("train", "valid"):
        if split not in prepared.splits or task_of(prepared.modality).is_empty(prepared, split):
            raise UserError(training_checks.no_pairs(data, split))
    return prepared


def _with_data_of(prepared: "Prepared", settings: Config) -> Config:
    """The settings with the data section of the prepared folder."""
    return config.validate(
        settings.model_dump(mode="json") | {"data": prepared.report["options"]}, str(prepared.path)
    )


def _tokenizer_files(prepared: "Prepared") -> dict[str, bytes]:
    return {name: (prepared.path / name).read_bytes() for name in prepared.tokenizers}


def build_model(
    settings: Config, prepared: "Prepared", world: "World", old: "Run | None", start: FromRun | None = None
) -> "Seq2Seq":
    """The model with its initial weights: random ones, or those of the run that it starts from.

    The trainer replaces them by those of the last state. Those of a frozen backbone are read here, because
    its features are computed before training.
    """
    import torch

    from seq2attn.models.seq2seq import build
    from seq2attn.models.vision.pretrained import pretrained as give_published_weights
    from seq2attn.runs.loading import share_vocabularies
    from seq2attn.runs.tensors import load_tensors
    from seq2attn.training import resume

    torch.manual_seed(settings.train.seed)
    try:
        model = build(settings.model, prepared.source_size, prepared.target_tokenizer.size)
    except ValueError as error:
        raise UserError(str(error)) from None
    if old is None or not resume.has_state(old):
        if start is None:
            give_published_weights(model, settings.model)
        else:
            start.load_weights(model, prepared)
    elif settings.model.encoder.kind == "image" and settings.model.encoder.frozen:
        saved = resume.load_state(old)
        assert saved is not None
        own = {
            name.removeprefix("model/"): tensor
            for name, tensor in saved[1].items()
            if name.startswith("model/")
        }
        load_tensors(model, own, f"{old.path}/training")
    if settings.model.pointer:
        share_vocabularies(model, prepared.source_tokenizer, prepared.target_tokenizer)
    return model.to(world.device)


def _create_run(
    out: Path,
    settings: Config,
    prepared: "Prepared",
    corpus: str,
    force: bool,
    world: "World",
    start: FromRun | None,
) -> "Run":
    from seq2attn.config import guided_head
    from seq2attn.runs import choice, directory

    def create() -> None:
        directory.create(
            out,
            settings,
            source_size=prepared.source_size,
            target_size=prepared.target_tokenizer.size,
            languages=prepared.languages,
            tokenizers=_tokenizer_files(prepared),
            corpus=corpus,
            force=force,
            source_lengths=task_of(prepared.modality).source_lengths(prepared),
            start=None if start is None else start.record,
        )
        if settings.train.guide:
            taught = guided_head(settings.model, settings.train)
            choice.remember(out, choice.AttentionChoice(*taught))
        if world.meeting is not None:
            world.meeting.launch.set(BEGUN, os.fsencode(out.resolve()))

    world.run_on_main(create)
    return directory.open_run(out, trained=False)


def _resume_run(old: "Run", settings: Config, prepared: "Prepared") -> "Run":
    from seq2attn.training.resume import refuse_change

    refuse_change(old.config, settings, FREE)
    for name, content in _tokenizer_files(prepared).items():
        if not (old.path / name).is_file() or (old.path / name).read_bytes() != content:
            raise UserError(
                f"resume: {old.path} was trained on other data than {prepared.path}: their {name} differ; "
                "give the same `data`",
                setting="resume",
            )
    return replace(old, config=settings)
