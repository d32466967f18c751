"""A training as `train` runs it: data, model and run, the display of its events, and the test at the end."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from seq2attn import config
from seq2attn.cli import console, train_checks
from seq2attn.cli.corpus_cache import prepared_folder
from seq2attn.cli.signals import StopRequests, handled
from seq2attn.config import Config
from seq2attn.errors import UsageError, UserError

if TYPE_CHECKING:
    from seq2attn.cli.task import Task
    from seq2attn.data.prepared import Prepared
    from seq2attn.models.seq2seq import Seq2Seq
    from seq2attn.runs.directory import Run
    from seq2attn.training.distributed import World

FIRST_CORPUS = "phrases"
FREE = tuple(config.names_marked(config.MAY_CHANGE_ON_RESUME))


def first_corpus(settings: Config) -> str:
    """The bundled corpus for a first try of a model of texts, images or clips."""
    encoder = settings.model.encoder
    return FIRST_CORPUS if encoder.kind != "image" else "clips" if encoder.clips else "scenes"


def run_training(
    given: Config | None,
    changes: list[str],
    data: str | None,
    out: Path,
    device: str,
    resume: bool,
    force: bool,
    command: Sequence[str],
) -> None:
    from seq2attn import devices
    from seq2attn.cli.output.training_progress import Display
    from seq2attn.runs import directory, provenance
    from seq2attn.training import events, trainer
    from seq2attn.training import resume as saved
    from seq2attn.training.distributed import init_distributed

    with init_distributed(devices.find_device(device)) as world, ExitStack() as claim:
        console.quiet = console.quiet or not world.is_main
        world.run_on_main(lambda: _claim(claim, out, resume, force))
        old = directory.open_run(out, trained=False) if resume and directory.is_run(out) else None
        settings = given or config.change(old.config if old else Config(), changes, "--set")
        if old is not None:  # checked before any data is prepared, so without the settings of data
            saved.refuse_change(old.config, settings.model_copy(update={"data": old.config.data}), FREE)
        corpus = data or (old.corpus if old else first_corpus(settings))
        prepared = _open_data(corpus, settings, changes, world)
        settings = _with_data_of(prepared, settings)
        model = build_model(settings, prepared, world, old)
        run = (
            _resume_run(old, settings, prepared)
            if old
            else _create_run(out, settings, prepared, corpus, force, world)
        )
        task = _build_task(settings, prepared, model, world)
        format = devices.find_format(settings.train.precision, world.device)
        with _stoppable() as stop:
            display = Display(run.path, world.is_main, task.example, settings.train)
            validate = task.validation_of(stop, display.validating)
            reward = task.reward_function() if settings.train.self_critical.start_step is not None else None
            updates = trainer.train(
                model,
                run,
                task.training,
                task.validation,
                world=world,
                format=format,
                validate=validate,
                reward_function=reward,
                stop=stop,
            )
            parameters = sum(p.numel() for p in model.parameters())
            console.note(  # printed only now, because a saved state that does not fit is refused above
                f"{len(task.training.target_lengths):,} training {task.unit}, {parameters:,} parameters, "
                f"{format} on {world.device}, into {out}"
            )
            if world.is_main:  # the saved state fits
                if old is not None and settings != old.config:
                    directory.write_config(run)
                marks = task.training.fingerprint, task.validation.fingerprint
                of_data = provenance.of_data(corpus, prepared.report, *marks)
                step = saved.last_step(run)
                provenance.record(
                    run,
                    step=step,
                    command=command,
                    device=world.device,
                    processes=world.size,
                    format=format,
                    data=of_data,
                )
            with closing(updates), display:
                for event in updates:
                    display.show(event)
        assert isinstance(event, events.Finished)
        if event.reason == "interrupted":
            console.note(_stopped(event.step, event.best_step, settings))
            raise typer.Exit(130)
        if stop():  # a request during the last save, so the test is left out
            console.note(
                f"stopped at step {event.step}, before the test: `seq2attn evaluate {out}` scores it"
            )
            raise typer.Exit(130)
        claim.close()  # any process may read a run, so the test needs no lock
        if world.is_main:
            if settings.train.max_minutes is not None:
                console.note("scoring the test splits, which --max-minutes does not count")
            task.test(run.path, device)


def _claim(stack: ExitStack, out: Path, resume: bool, force: bool) -> None:
    """Keep other processes from training the run until the stack is closed."""
    from seq2attn.runs import directory
    from seq2attn.runs.claim import claimed
    from seq2attn.training.resume import check_start

    if not stack.enter_context(claimed(out, lambda: check_start(out, resume=resume, force=force))):
        console.warn(f"{out}: this file system has no locks: nothing keeps a second training out of this run")
    if resume and not directory.is_run(out):
        console.warn(f"{out}: no run to continue; training starts from the beginning")


def _stopped(step: int, best: int, settings: Config) -> str:
    """The note on an interrupted training: its best weights, and how to continue."""
    every = settings.train.validate_every
    first = min(every * (step // every + 1), settings.train.max_steps)
    weights = f"it cannot translate before its first validation (step {first})"
    if best:
        weights = f"the best weights so far are those of step {best}"
    return f"stopped at step {step}: --resume continues from here; {weights}"


def _build_task(settings: Config, prepared: "Prepared", model: "Seq2Seq", world: "World") -> "Task":
    if settings.model.images:
        from seq2attn.cli.train_images import CaptioningTask

        return CaptioningTask(settings, prepared, model, world)
    from seq2attn.cli.train_texts import TranslationTask

    return TranslationTask(settings, prepared)


def _open_data(data: str, settings: Config, changes: Sequence[str], world: "World") -> "Prepared":
    """The prepared folder of that name, or that of the corpus of that name, which is prepared if needed."""
    from seq2attn.data.prepared import REPORT, Prepared

    folder = Path(data)
    if (folder / REPORT).is_file():
        prepared = Prepared(folder)
        for setting in changes:  # data settings of the folder replace those of a preset, but not these
            key = setting.partition("=")[0].strip()
            if not key.startswith("data."):
                continue
            value = config.flat(_with_data_of(prepared, settings))[key]
            if value != config.flat(settings)[key]:
                raise UsageError(
                    f"--set {setting}: {data} was prepared with {json.dumps(value)}; "
                    "prepare the corpus again, or give the corpus itself as --data"
                )
    else:
        # A small corpus may have a smaller vocabulary than a preset says, but not than the user says.
        shrink = not any(setting.partition("=")[0].strip() == "data.vocab_size" for setting in changes)
        world.run_on_main(lambda: prepared_folder(data, settings, shrink))
        prepared = Prepared(prepared_folder(data, settings, shrink))
        if missing := prepared.report.get("missing", {}).get("images"):
            console.note(f"images of {data} that are missing or damaged, and not used: {missing:,}")
    train_checks.refuse_kind(data, settings, prepared.images, prepared.clips)
    for split in ("train", "valid"):
        if split not in prepared.splits or not (prepared.images or len(prepared.split(split))):
            raise UserError(train_checks.no_pairs(data, split))
    return prepared


def _with_data_of(prepared: "Prepared", settings: Config) -> Config:
    """The settings with the data section of the prepared folder."""
    return config.validate(
        settings.model_dump(mode="json") | {"data": prepared.report["options"]}, str(prepared.path)
    )


def _tokenizer_files(prepared: "Prepared") -> dict[str, bytes]:
    return {name: (prepared.path / name).read_bytes() for name in prepared.tokenizers}


def build_model(settings: Config, prepared: "Prepared", world: "World", old: "Run | None") -> "Seq2Seq":
    """The model with its initial weights.

    The trainer replaces them by those of the last state. Those of a frozen backbone are read here, because
    its features are computed before training.
    """
    import torch

    from seq2attn.models.seq2seq import build
    from seq2attn.models.vision.pretrained import pretrained as give_published_weights
    from seq2attn.runs.tensors import load_tensors
    from seq2attn.training import resume

    torch.manual_seed(settings.train.seed)
    try:
        model = build(settings.model, prepared.source_size, prepared.target_tokenizer.size)
    except ValueError as error:
        raise UserError(str(error)) from None
    if old is None or not resume.has_state(old):
        give_published_weights(model, settings.model)
    elif settings.model.encoder.kind == "image" and settings.model.encoder.frozen:
        saved = resume.load_state(old)
        assert saved is not None
        own = {
            name.removeprefix("model/"): tensor
            for name, tensor in saved[1].items()
            if name.startswith("model/")
        }
        load_tensors(model, own, f"{old.path}/training")
    return model.to(world.device)


def _create_run(
    out: Path, settings: Config, prepared: "Prepared", corpus: str, force: bool, world: "World"
) -> "Run":
    from seq2attn.data.text.source_statistics import source_statistics
    from seq2attn.runs import directory

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
            source_lengths=None if prepared.images else source_statistics(prepared.split("train")),
        )

    world.run_on_main(create)
    return directory.open_run(out, trained=False)


def _resume_run(old: "Run", settings: Config, prepared: "Prepared") -> "Run":
    from dataclasses import replace

    from seq2attn.training.resume import refuse_change

    refuse_change(old.config, settings, FREE)
    for name, content in _tokenizer_files(prepared).items():
        if not (old.path / name).is_file() or (old.path / name).read_bytes() != content:
            raise UserError(
                f"--resume: {old.path} was trained on other data than {prepared.path}: their {name} differ; "
                "give the same --data"
            )
    return replace(old, config=settings)


@contextmanager
def _stoppable() -> Iterator[Callable[[], bool]]:
    """A function that returns whether a signal asked to stop after this update.

    A second Ctrl-C or SIGTERM stops at once.
    """
    requests = StopRequests()

    def handle(number: int) -> None:
        if requests.heard(number) and requests.pressing > 1:
            raise KeyboardInterrupt

    with handled(handle, lambda handler: True):
        yield lambda: requests.count > 0
