"""`train`: a preset or file, data and a place for the run; the loop itself is `training.trainer`, what it shows is `live`.

Here the loop is handed what it does not know: the prepared data, the search and scores that validation uses (a `task`), and the signal that stops it.
"""

import json
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seq2attn import config
from seq2attn.cli import console, explain, options
from seq2attn.cli.signals import Wishes
from seq2attn.config import Config, Precision
from seq2attn.errors import UsageError, UserError

if TYPE_CHECKING:
    from seq2attn.cli.task import Task
    from seq2attn.data.prepared import Prepared
    from seq2attn.models.seq2seq import Seq2Seq
    from seq2attn.training.checkpoint import Run
    from seq2attn.training.distributed import World

FIRST_TRY = "first-try"
FIRST_CORPUS = "phrases"
SAID_AT = 46  # the column behind which `--show` says what a setting is
# What a resumed run may change: how long, how often it looks, how it searches. All else would make it another run.
FREE = (
    *(f"train.{key}" for key in ("max_steps", "max_minutes", "patience", "validate_every", "validate_sentences", "log_every", "precision")),
    *(f"search.{key}" for key in config.Search.model_fields),
    "about",
)


def train(
    preset: Annotated[
        str | None, typer.Argument(metavar="PRESET or FILE.toml", help="What to train; `--list` shows the presets.", show_default=FIRST_TRY)
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="A prepared folder, or a corpus, which is prepared first.", metavar="PREPARED or CORPUS", show_default=FIRST_CORPUS)
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The run directory to make.", metavar="RUN", show_default="runs/CORPUS or runs/CORPUS-PRESET")] = None,
    source: Annotated[
        str | None, typer.Option(help="File ending, column or key of the source side of a raw corpus, as in en.", metavar="NAME", show_default=False)
    ] = None,
    target: Annotated[str | None, typer.Option(help="The same of the target side.", metavar="NAME", show_default=False)] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a setting, as in train.lr=0.001; repeatable. `--show` lists and explains them.", metavar="KEY=VALUE"),
    ] = None,
    precision: Annotated[
        Precision | None, typer.Option(help="Number format of the forward pass; auto: bf16 where the device multiplies it natively.", show_default="auto")
    ] = None,
    device: options.Device = "auto",
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.", min=0, max=2**31 - 1, metavar="N", show_default="1")] = None,
    max_steps: Annotated[int | None, typer.Option(help="Updates to train for.", min=1, metavar="STEPS", show_default="the preset's")] = None,
    max_minutes: Annotated[float | None, typer.Option(help="Minutes to train for at most, validation included.", metavar="MINUTES")] = None,
    allow_code: options.AllowCode = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run as if it had never stopped.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a run that stands there.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="Show the presets and stop.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Show every setting as it would be, with what it is, and stop.")] = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Train a model on parallel text or captioned pictures, and score it on the test splits.

    With no argument: a small translator of the bundled corpus, in a few minutes. Ctrl-C saves; the same command with --resume goes on.
    Several devices or machines: torchrun --nproc-per-node N -m seq2attn train ...
    """
    if list_:
        console.table(["preset", "about"], [(name, config.load(name).about) for name in config.presets()])
        return
    settings = [*(set_ or ())]
    options_: dict[str, str | float | None] = {"data.source": source, "data.target": target}
    options_ |= {"train.seed": seed, "train.max_steps": max_steps, "train.max_minutes": max_minutes, "train.precision": precision}
    settings += [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in options_.items() if value is not None]
    if resume and force:
        raise UsageError("--resume goes on with a run and --force replaces it: choose one")
    given = config.load(preset or FIRST_TRY, settings) if preset is not None or not resume else None
    out = out or Path("runs", _name(data or _first_corpus(given or config.load(FIRST_TRY))) + (f"-{_name(preset)}" if preset else ""))
    going_on = resume and (out / "config.json").is_file()
    wanted = None if going_on and preset is None else given or config.load(FIRST_TRY, settings)
    if show:
        chosen = wanted or config.change(_stored(out), settings)
        _show(chosen)
        return
    if resume and not going_on:
        console.warn(f"{out}: no run to go on with; it starts from the beginning")
    from seq2attn.models.backbones import allow_code as permitted

    with permitted(allow_code):
        _train(wanted, settings, data, out, device, going_on, force)


def _first_corpus(chosen: Config) -> str:
    """The bundled corpus that a model of this kind of source is tried on."""
    encoder = chosen.model.encoder
    return FIRST_CORPUS if encoder.kind != "image" else "clips" if encoder.clips else "scenes"


def _train(wanted: Config | None, settings: list[str], data: str | None, out: Path, device: str, resume: bool, force: bool) -> None:
    from seq2attn.cli.live import Display
    from seq2attn.training import checkpoint, precision, trainer
    from seq2attn.training.distributed import join

    with join(precision.find_device(device)) as world:
        console.quiet = console.quiet or not world.leads
        old = checkpoint.open_run(out, trained=False) if resume else None
        if not resume and world.leads:
            checkpoint.refuse_existing(out, force)
        chosen = wanted or config.change(old.config if old else Config(), settings)
        if old is not None:  # before any data are prepared; the data section is what they say it is
            checkpoint.refuse_change(old.config, chosen.model_copy(update={"data": old.config.data}), FREE)
        corpus = data or (old.corpus if old else _first_corpus(chosen))
        prepared = _prepared(corpus, chosen, settings, world)
        chosen = _with_data_of(prepared, chosen)
        model = _model(chosen, prepared, world, old)
        run = _resumed(old, chosen, prepared, world) if old else _created(out, chosen, prepared, corpus, force, world)
        task = _task(chosen, prepared, model, world)
        format = precision.find_format(chosen.train.precision, world.device)
        parameters = sum(p.numel() for p in model.parameters())
        console.note(f"{len(task.training.target_lengths):,} training {task.unit}, {parameters:,} parameters, {format} on {world.device}, into {out}")
        with _stoppable() as stop:
            validate = task.validation_of(stop)
            critic = task.critic() if chosen.train.self_critical is not None else None
            events = trainer.train(model, run, task.training, task.validation, world=world, format=format, validate=validate, critic=critic, stop=stop)
            with closing(events), Display(run.path, world.leads, task.example) as display:
                for event in events:
                    display.show(event)
        assert isinstance(event, trainer.Finished)
        if event.reason == "interrupted" or stop():  # while the last state was saved, it may be: then the test can wait
            console.note(f"interrupted: saved at step {event.step}; the same command with --resume goes on")
            raise typer.Exit(130)
        if world.leads:
            task.test(run.path, device)


def _task(chosen: Config, prepared: "Prepared", model: "Seq2Seq", world: "World") -> "Task":
    if chosen.model.pictures:
        from seq2attn.cli.train_pictures import Pictures

        return Pictures(chosen, prepared, model, world)
    from seq2attn.cli.train_texts import Texts

    return Texts(chosen, prepared)


def _show(chosen: Config) -> None:
    """Every setting with what it is, as a TOML file that can be trained."""
    said = explain.explained(chosen)
    for key, value in config.flat(chosen).items():
        setting = f"{key} = {json.dumps(value, ensure_ascii=False)}" if value is not None else f"# {key} is not set"
        console.result(f"{setting:<{SAID_AT}}  # {said[key]}" if said[key] else setting)


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
            if key.startswith("data.") and (there := config.flat(_with_data_of(prepared, chosen))[key]) != config.flat(chosen)[key]:
                raise UsageError(f"--set {setting}: {data} was prepared with {json.dumps(there)}; prepare the corpus anew, or give the corpus itself as --data")
    else:
        # How many pieces a preset wishes for gives way to a small corpus; what the user asks for does not.
        shrink = not any(setting.partition("=")[0].strip() == "data.vocab_size" for setting in settings)
        if world.leads:
            prepared_folder(data, chosen, shrink)
        world.wait()
        prepared = Prepared(prepared_folder(data, chosen, shrink))
        if missing := prepared.report.get("missing", {}).get("pictures"):
            console.note(f"pictures of {data} that are missing or damaged, and left out: {missing:,}")
    if chosen.model.pictures != prepared.pictures:
        if prepared.pictures:
            raise UserError(f'{data}: holds pictures, and this model reads text: choose a preset for pictures, as xu15-soft, or set model.encoder.kind="image"')
        raise UserError(f"{data}: holds text, and this model reads pictures: choose a preset for text, as first-try, or other data")
    encoder = chosen.model.encoder
    if prepared.clips and encoder.kind == "image" and not encoder.clips:
        raise UserError(f"{data}: holds clips, and this model reads stills: choose the preset video, or set model.encoder.frames to the frames that are read")
    if prepared.pictures and not prepared.clips and encoder.kind == "image" and encoder.clips:
        raise UserError(f"{data}: holds stills, and this model reads clips: choose a preset for stills, as xu15-soft, or other data")
    for split in ("train", "valid"):
        if split not in prepared.splits or not (prepared.pictures or len(prepared.split(split))):
            raise UserError(f"{data}: has no pairs in a {split} split; `seq2attn prepare --valid N` sets some aside")
    return prepared


def _cache(corpus: str, chosen: Config) -> Path:
    """Where the corpus is prepared, by its options and by the path, size and time of each of its files, and of each picture beside them."""
    import hashlib

    from seq2attn.data.picture_files import below
    from seq2attn.data.pictures import PictureCorpus
    from seq2attn.data.prepared import FORMAT
    from seq2attn.data.sources import open_corpus

    opened = open_corpus(corpus, chosen.data.source, chosen.data.target, follow_links=chosen.data.follow_links)
    read = list(opened.inputs)
    if isinstance(opened, PictureCorpus) and read and (path := Path(corpus)).exists():
        read += below(path if path.is_dir() else path.parent, chosen.data.follow_links)
    files = [(str(path.resolve()), (facts := path.stat()).st_size, facts.st_mtime_ns) for path in read]
    key = json.dumps([FORMAT, corpus if not files else "", files, chosen.data.model_dump(mode="json")])
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "seq2attn" / "prepared" / f"{_name(corpus)}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def prepared_folder(corpus: str, chosen: Config, shrink: bool = True) -> Path:
    """Where the corpus stands prepared with these settings, now if it did not before; with `shrink`, with fewer pieces where it does not hold so many."""
    from seq2attn.data.prepared import REPORT, prepare

    folder = _cache(corpus, chosen)
    made = (folder / REPORT).is_file()
    if not made or not (shrink or _holds_what_was_asked(folder)):
        console.note(f"preparing {corpus}, once, in {folder}")
        with console.progress() as progress:
            report = prepare(corpus, folder, chosen.data, workers=os.cpu_count() or 1, force=made, shrink=shrink, progress=progress)
        for note in report["notes"]:
            console.note(note)
    return folder


def _holds_what_was_asked(folder: Path) -> bool:
    """Whether a prepared folder has as many pieces as its settings wish for."""
    from seq2attn.data.prepared import Prepared

    report = Prepared(folder).report
    return report["options"]["tokenizer"] in ("char", "word") or min(filter(None, report["vocabulary"].values())) >= report["options"]["vocab_size"]


def _with_data_of(prepared: "Prepared", chosen: Config) -> Config:
    """The settings with the data section as the data are."""
    return config.validate(chosen.model_dump(mode="json") | {"data": prepared.report["options"]}, str(prepared.path))


# The run


def _stored(out: Path) -> Config:
    from seq2attn.training.checkpoint import open_run

    return open_run(out, trained=False).config


def _tokenizer_files(prepared: "Prepared") -> dict[str, bytes]:
    return {name: (prepared.path / name).read_bytes() for name in prepared.tokenizers}


def _model(chosen: Config, prepared: "Prepared", world: "World", old: "Run | None") -> "Seq2Seq":
    """The model with its first weights. On resuming they are replaced by those of the last state; those of a frozen backbone at once, for features are made by them before."""
    import torch

    from seq2attn.models.seq2seq import build
    from seq2attn.training import checkpoint
    from seq2attn.training.pretrained import pretrained as give_published_weights

    torch.manual_seed(chosen.train.seed)
    try:
        model = build(chosen.model, prepared.source_size, prepared.target_tokenizer.size)
    except ValueError as error:
        raise UserError(str(error)) from None
    saved = checkpoint.load_state(old) if old is not None else None
    if saved is None:
        give_published_weights(model, chosen.model)
    elif chosen.model.encoder.kind == "image" and chosen.model.encoder.frozen:
        own = {name.removeprefix("model/"): tensor for name, tensor in saved[1].items() if name.startswith("model/")}
        checkpoint.restore(model, own, f"{old.path if old else ''}/training")
    return model.to(world.device)


def _created(out: Path, chosen: Config, prepared: "Prepared", corpus: str, force: bool, world: "World") -> "Run":
    from seq2attn.training import checkpoint

    if world.leads:
        checkpoint.create(
            out,
            chosen,
            source_size=prepared.source_size,
            target_size=prepared.target_tokenizer.size,
            languages=prepared.languages,
            tokenizers=_tokenizer_files(prepared),
            corpus=corpus,
            force=force,
        )
    world.wait()
    return checkpoint.open_run(out, trained=False)


def _resumed(old: "Run", chosen: Config, prepared: "Prepared", world: "World") -> "Run":
    from dataclasses import replace

    from seq2attn.training import checkpoint

    checkpoint.refuse_change(old.config, chosen, FREE)
    for name, content in _tokenizer_files(prepared).items():
        if (old.path / name).read_bytes() != content:
            raise UserError(f"--resume: {old.path} was trained on other data than {prepared.path}: their {name} differ; give it the same --data")
    run = replace(old, config=chosen)
    if world.leads and chosen != old.config:
        checkpoint.describe(run)
    world.wait()
    return run


# What is handed to the loop


@contextmanager
def _stoppable() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C or SIGTERM asked to stop. The first one asks, so that the update ends and is saved; a second one ends the program at once."""
    wishes = Wishes()

    def handle(number: int, frame: FrameType | None) -> None:
        if wishes.heard() and wishes.count > 1:
            raise KeyboardInterrupt

    before: dict[int, Any] = {}
    for which in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(which) != signal.SIG_IGN:  # as under nohup
            before[which] = signal.signal(which, handle)
    try:
        yield lambda: wishes.count > 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
