"""`train`: a preset or file, data and a place for the run; the loop itself is `training.trainer`, what it
shows is `live`.

Here the loop is handed what it does not know: the prepared data, the search and scores that validation uses
(a `task`), and the signal that stops it.
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seq2attn import config, files
from seq2attn.cli import console, flags, glossary, mistaken, presets, ready, settings_help
from seq2attn.cli.signals import StopRequests, handled
from seq2attn.config import Config, Precision
from seq2attn.errors import UsageError, UserError

if TYPE_CHECKING:
    from seq2attn.cli.task import Task
    from seq2attn.data.prepared import Prepared
    from seq2attn.models.seq2seq import Seq2Seq
    from seq2attn.runs.directory import Run
    from seq2attn.training.distributed import World

FIRST_TRY = "first-try"
FIRST_CORPUS = "phrases"
FREE = tuple(config.names_marked(config.MAY_CHANGE_ON_RESUME))


def train(
    context: typer.Context,
    preset: Annotated[
        str | None,
        typer.Argument(
            metavar="PRESET or FILE.toml",
            help='What to train: a name that `--list` shows, or a file of settings, which may begin with preset = "NAME".',
            show_default=FIRST_TRY,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="What `prepare` made, or a corpus (bundled name, file, folder, hf:NAME), which is prepared first.",
            metavar="PREPARED or CORPUS",
            show_default=FIRST_CORPUS,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The run directory to make.", metavar="RUN", show_default="runs/CORPUS or runs/CORPUS-PRESET"
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            help="File ending, column or key of the source side of a raw corpus, as in en.",
            metavar="NAME",
            show_default=False,
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(help="The same of the target side, as in de.", metavar="NAME", show_default=False),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Change a setting, as in train.lr=0.001; repeatable. `--show` lists and explains them.",
            metavar="KEY=VALUE",
        ),
    ] = None,
    precision: Annotated[
        Precision | None,
        typer.Option(
            help="Number format of the computation; auto: bf16 where the device has it built in, else fp32.",
            show_default="auto",
        ),
    ] = None,
    device: flags.Device = "auto",
    seed: Annotated[
        int | None,
        typer.Option(
            help="Starts the random numbers: the same N, the same training.",
            min=0,
            max=2**31 - 1,
            metavar="N",
            show_default="1",
        ),
    ] = None,
    max_steps: Annotated[
        int | None,
        typer.Option(
            help="Training steps: updates of the weights.",
            min=1,
            metavar="STEPS",
            show_default="the preset's",
        ),
    ] = None,
    max_minutes: Annotated[
        float | None,
        typer.Option(
            help="Minutes to train for at most; validations count, scoring the test splits after it does not.",
            metavar="MINUTES",
        ),
    ] = None,
    allow_code: flags.AllowCode = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run at --out as if it had never stopped.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the run that stands at --out.")] = False,
    list_: Annotated[
        bool,
        typer.Option(
            "--list",
            help="Show the presets in groups, and stop; `--list hard`: those with that word in name or description.",
        ),
    ] = False,
    show: Annotated[
        bool,
        typer.Option(
            "--show",
            help="Show the preset's paper and what was measured, and every setting with its meaning, and stop.",
        ),
    ] = False,
    glossary_: Annotated[
        bool, typer.Option("--glossary", help="Explain the words of these pages, and stop.")
    ] = False,
    quiet: flags.Quiet = False,
    debug: flags.Debug = False,
) -> None:
    """Train a model on parallel text or captioned images, and score it on the test splits.

    With no argument: a small translator of the bundled corpus, in a few minutes. Ctrl-C saves and ends, as do
    the signals INT, TERM, HUP, USR1, USR2 and XCPU (kill -TERM where Ctrl-C does not reach); the same command
    with --resume goes on. Several devices or machines: torchrun --nproc-per-node N -m seq2attn train ...
    """
    if glossary_:
        for line in glossary.lines():
            console.result(line)
        return
    if list_:
        _list(preset or "")
        return
    settings = [*(set_ or ())]
    options_: dict[str, str | float | None] = {"data.source": source, "data.target": target}
    options_ |= {
        "train.seed": seed,
        "train.max_steps": max_steps,
        "train.max_minutes": max_minutes,
        "train.precision": precision,
    }
    if max_minutes is not None and not max_minutes > 0:
        raise UsageError(f"--max-minutes {max_minutes:g}: give more than 0 minutes")
    settings += [
        f"{key}={json.dumps(value, ensure_ascii=False)}"
        for key, value in options_.items()
        if value is not None
    ]
    if resume and force:
        raise UsageError("--resume goes on with a run and --force replaces it: choose one")
    config.refuse_bare(settings, "--set")
    if preset is not None:
        mistaken.refuse_no_preset(preset)
    given = config.load(preset or FIRST_TRY, settings, "--set") if preset is not None or not resume else None
    named = out is not None
    out = out or Path(
        "runs",
        _name(data or _first_corpus(given or config.load(FIRST_TRY)))
        + (f"-{_name(preset)}" if preset else ""),
    )
    going_on = resume and (out / "config.json").is_file()
    wanted = None if going_on and preset is None else given or config.load(FIRST_TRY, settings, "--set")
    if show:
        _show(
            wanted or config.change(_stored(out), settings, "--set"),
            None if wanted is None else config.file_of(preset or FIRST_TRY),
        )
        return
    _refuse_name(out)
    if resume and not going_on and preset is None and data is None and named:
        raise UserError(
            f"{out}: no run to go on with{mistaken.run_near(out)}; name a PRESET or --data to begin one there"
        )
    if wanted is not None and (data is not None or not going_on):
        ready.refuse_data(data or _first_corpus(wanted), wanted)
    if not going_on:
        ready.refuse_place(out, force)
    from seq2attn.models.vision.backbones import allow_code as permitted

    with permitted(allow_code):
        _train(wanted, settings, data, out, device, resume, force, ["seq2attn", *(context.obj or ())])


def _refuse_name(out: Path) -> None:
    try:
        os.fspath(out).encode()
    except UnicodeEncodeError:
        problem = "weights cannot be stored under a name that is not valid UTF-8"
        raise UsageError(f"--out {out}: {problem}; choose another --out") from None


def _first_corpus(chosen: Config) -> str:
    """The bundled corpus that a model of this kind of source is tried on."""
    encoder = chosen.model.encoder
    return FIRST_CORPUS if encoder.kind != "image" else "clips" if encoder.clips else "scenes"


def _train(
    wanted: Config | None,
    settings: list[str],
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
        chosen = wanted or config.change(old.config if old else Config(), settings, "--set")
        if old is not None:  # before any data are prepared; the data section is what they say it is
            saved.refuse_change(old.config, chosen.model_copy(update={"data": old.config.data}), FREE)
        corpus = data or (old.corpus if old else _first_corpus(chosen))
        prepared = _prepared(corpus, chosen, settings, world)
        chosen = _with_data_of(prepared, chosen)
        model = _model(chosen, prepared, world, old)
        run = (
            _resumed(old, chosen, prepared) if old else _created(out, chosen, prepared, corpus, force, world)
        )
        task = _task(chosen, prepared, model, world)
        format = devices.find_format(chosen.train.precision, world.device)
        parameters = sum(p.numel() for p in model.parameters())
        console.note(
            f"{len(task.training.target_lengths):,} training {task.unit}, {parameters:,} parameters, {format} on {world.device}, into {out}"
        )
        with _stoppable() as stop:
            display = Display(run.path, world.is_main, task.example, chosen.train)
            validate = task.validation_of(stop, display.validating)
            critic = task.critic() if chosen.train.self_critical.start_step is not None else None
            updates = trainer.train(
                model,
                run,
                task.training,
                task.validation,
                world=world,
                format=format,
                validate=validate,
                reward_function=critic,
                stop=stop,
            )
            if world.is_main:  # now that all of the saved state is known to fit
                if old is not None and chosen != old.config:
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
            console.note(_stopped(event.step, event.best_step, chosen))
            raise typer.Exit(130)
        if stop():  # while the last state was saved, it may be: then the test can wait
            way = f"`seq2attn evaluate {out}` scores it"
            console.note(f"stopped at step {event.step}, before the test: {way}")
            raise typer.Exit(130)
        claim.close()  # what follows reads the run as anybody may
        if world.is_main:
            if chosen.train.max_minutes is not None:
                console.note("scoring the test splits, which --max-minutes does not count")
            task.test(run.path, device)


def _claim(stack: ExitStack, out: Path, resume: bool, force: bool) -> None:
    """Keep others out of the run until the stack is closed."""
    from seq2attn.runs import directory
    from seq2attn.runs.claim import claimed
    from seq2attn.training.resume import check_start

    if not stack.enter_context(claimed(out, lambda: check_start(out, resume=resume, force=force))):
        console.warn(f"{out}: this file system has no locks: nothing keeps a second training out of this run")
    if resume and not directory.is_run(out):
        console.warn(f"{out}: no run to go on with; it starts from the beginning")


def _stopped(step: int, best: int, chosen: Config) -> str:
    """What became of a training that was told to end, and what to do next."""
    every = chosen.train.validate_every
    first = min(every * (step // every + 1), chosen.train.max_steps)
    weights = f"it cannot translate before its first validation (step {first})"
    if best:
        weights = f"the best weights so far are those of step {best}"
    return f"stopped at step {step}: --resume goes on from here; {weights}"


def _task(chosen: Config, prepared: "Prepared", model: "Seq2Seq", world: "World") -> "Task":
    if chosen.model.images:
        from seq2attn.cli.train_images import CaptioningTask

        return CaptioningTask(chosen, prepared, model, world)
    from seq2attn.cli.train_texts import TranslationTask

    return TranslationTask(chosen, prepared)


def _list(word: str) -> None:
    lines = list(presets.listed(config.presets(), word))
    if not lines:
        raise UserError(
            f"--list {word}: no preset has that in its name or description; `seq2attn train --list` shows all"
        )
    for line in lines:
        console.result(line)
    console.note("\n`seq2attn train PRESET --show` says more: paper, measurements, every setting")


def _show(chosen: Config, file: Path | None) -> None:
    """What the file says of itself, and every setting with what it is, as a TOML file that can be trained."""
    if file is not None and (comment := presets.comment(file)):
        for line in comment:
            console.result(line)
        console.result()
    for line in settings_help.lines(chosen):
        console.result(line)


# Data


def _name(path: str) -> str:
    """`hf:owner/corpus` -> corpus, `my/corpus.tsv` -> corpus."""
    return Path(path.rstrip("/").split(":")[-1]).name.split(".")[0] or "run"


def _prepared(data: str, chosen: Config, settings: Sequence[str], world: "World") -> "Prepared":
    """The prepared folder of that name, or the one that is made of the corpus of that name, or was before."""
    from seq2attn.data.prepared import REPORT, Prepared

    folder = Path(data)
    if (folder / REPORT).is_file():
        prepared = Prepared(folder)
        for setting in settings:  # a preset's own wishes give way silently, the user's do not
            key = setting.partition("=")[0].strip()
            if (
                key.startswith("data.")
                and (there := config.flat(_with_data_of(prepared, chosen))[key]) != config.flat(chosen)[key]
            ):
                raise UsageError(
                    f"--set {setting}: {data} was prepared with {json.dumps(there)}; prepare the corpus anew, or give the corpus itself as --data"
                )
    else:
        # How many pieces a preset wishes for gives way to a small corpus; what the user asks for does not.
        shrink = not any(setting.partition("=")[0].strip() == "data.vocab_size" for setting in settings)
        world.run_on_main(lambda: prepared_folder(data, chosen, shrink))
        prepared = Prepared(prepared_folder(data, chosen, shrink))
        if missing := prepared.report.get("missing", {}).get("images"):
            console.note(f"images of {data} that are missing or damaged, and left out: {missing:,}")
    ready.refuse_kind(data, chosen, prepared.images, prepared.clips)
    for split in ("train", "valid"):
        if split not in prepared.splits or not (prepared.images or len(prepared.split(split))):
            raise UserError(ready.no_pairs(data, split))
    return prepared


def _cache(corpus: str, chosen: Config) -> Path:
    """Where the corpus is prepared, by its options and by the path, size and time of each of its files, and
    of each image beside them.
    """
    import hashlib

    from seq2attn.data.images.corpus import ImageCorpus
    from seq2attn.data.images.files import below
    from seq2attn.data.prepared import FORMAT, default_tokenizer
    from seq2attn.data.sources import open_corpus

    opened = open_corpus(
        corpus, chosen.data.source, chosen.data.target, chosen.data.max_bad, chosen.data.follow_links
    )
    read = list(opened.inputs)
    if isinstance(opened, ImageCorpus) and read and (path := Path(corpus)).exists():
        read += below(path if path.is_dir() else path.parent, chosen.data.follow_links)
    files = [(str(path.resolve()), (facts := path.stat()).st_size, facts.st_mtime_ns) for path in read]
    asked = chosen.data.model_dump(mode="json")
    if asked["tokenizer"] is None:  # a run that was trained on it says which: that asks for the same data
        asked["tokenizer"] = default_tokenizer(opened)
    key = json.dumps([FORMAT, corpus if not files else "", files, asked])
    return ready.cache() / "prepared" / f"{_name(corpus)}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def prepared_folder(corpus: str, chosen: Config, shrink: bool = True) -> Path:
    """Where the corpus stands prepared with these settings, now if it did not before; with `shrink`, with
    fewer pieces where it does not hold so many.
    """
    from seq2attn.data.prepared import REPORT, prepare

    folder = _cache(corpus, chosen)
    while not (made := (folder / REPORT).is_file()) or not (shrink or _holds_what_was_asked(folder)):
        ready.refuse_cache(folder, corpus)
        console.note(f"preparing {corpus}, once, in {folder}")
        try:
            with console.progress() as progress:
                report = prepare(
                    corpus,
                    folder,
                    chosen.data,
                    workers=os.cpu_count() or 1,
                    force=made,
                    shrink=shrink,
                    progress=progress,
                )
        except UserError as error:
            if isinstance(error, files.Taken) and error.holder is not None:
                console.note(f"{error.maker} is preparing it already: waiting for it")
                error.wait()
            elif made or not (folder / REPORT).is_file():
                raise
            continue  # another training has made it meanwhile: what that one makes is as good
        for note in report["notes"]:
            console.note(note)
        break
    return folder


def _holds_what_was_asked(folder: Path) -> bool:
    """Whether a prepared folder has as many pieces as its settings wish for."""
    from seq2attn.data.prepared import Prepared

    report = Prepared(folder).report
    return (
        report["options"]["tokenizer"] in ("char", "word")
        or min(filter(None, report["vocabulary"].values())) >= report["options"]["vocab_size"]
    )


def _with_data_of(prepared: "Prepared", chosen: Config) -> Config:
    """The settings with the data section as the data are."""
    return config.validate(
        chosen.model_dump(mode="json") | {"data": prepared.report["options"]}, str(prepared.path)
    )


# The run


def _stored(out: Path) -> Config:
    from seq2attn.runs.directory import open_run

    return open_run(out, trained=False).config


def _tokenizer_files(prepared: "Prepared") -> dict[str, bytes]:
    return {name: (prepared.path / name).read_bytes() for name in prepared.tokenizers}


def _model(chosen: Config, prepared: "Prepared", world: "World", old: "Run | None") -> "Seq2Seq":
    """The model with its first weights. On resuming they are replaced by those of the last state; those of a
    frozen backbone at once, for features are made by them before.
    """
    import torch

    from seq2attn.models.seq2seq import build
    from seq2attn.models.vision.pretrained import pretrained as give_published_weights
    from seq2attn.runs.tensors import load_tensors
    from seq2attn.training import resume

    torch.manual_seed(chosen.train.seed)
    try:
        model = build(chosen.model, prepared.source_size, prepared.target_tokenizer.size)
    except ValueError as error:
        raise UserError(str(error)) from None
    if old is None or not resume.has_state(old):
        give_published_weights(model, chosen.model)
    elif chosen.model.encoder.kind == "image" and chosen.model.encoder.frozen:
        saved = resume.load_state(old)
        assert saved is not None
        own = {
            name.removeprefix("model/"): tensor
            for name, tensor in saved[1].items()
            if name.startswith("model/")
        }
        load_tensors(model, own, f"{old.path}/training")
    return model.to(world.device)


def _created(
    out: Path, chosen: Config, prepared: "Prepared", corpus: str, force: bool, world: "World"
) -> "Run":
    from seq2attn.data.seen import source_lengths
    from seq2attn.runs import directory

    def create() -> None:
        directory.create(
            out,
            chosen,
            source_size=prepared.source_size,
            target_size=prepared.target_tokenizer.size,
            languages=prepared.languages,
            tokenizers=_tokenizer_files(prepared),
            corpus=corpus,
            force=force,
            source_lengths=None if prepared.images else source_lengths(prepared.split("train")),
        )

    world.run_on_main(create)
    return directory.open_run(out, trained=False)


def _resumed(old: "Run", chosen: Config, prepared: "Prepared") -> "Run":
    from dataclasses import replace

    from seq2attn.training.resume import refuse_change

    refuse_change(old.config, chosen, FREE)
    for name, content in _tokenizer_files(prepared).items():
        if not (old.path / name).is_file() or (old.path / name).read_bytes() != content:
            raise UserError(
                f"--resume: {old.path} was trained on other data than {prepared.path}: their {name} differ; give it the same --data"
            )
    return replace(old, config=chosen)


# What is handed to the loop


@contextmanager
def _stoppable() -> Iterator[Callable[[], bool]]:
    """Whether a signal asked to stop: the update ends and is saved. A second Ctrl-C or SIGTERM: at once."""
    wishes = StopRequests()

    def handle(number: int) -> None:
        if wishes.heard(number) and wishes.pressing > 1:
            raise KeyboardInterrupt

    with handled(handle, lambda handler: True):
        yield lambda: wishes.count > 0
