"""`seq2attn train`: options, and checks before anything heavy is imported. `train_run` runs the training."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from seq2attn import config
from seq2attn.cli import console, flags, glossary, mistaken, presets, settings_help, train_checks
from seq2attn.cli.conflicts import Conflict, check
from seq2attn.cli.corpus_cache import corpus_name
from seq2attn.cli.train_run import FIRST_CORPUS, first_corpus, run_training
from seq2attn.config import Config, Precision
from seq2attn.errors import UsageError, UserError

RULES = (Conflict("--resume", "--force", "one continues the run and the other replaces it"),)
FIRST_TRY = "first-try"


def train(
    context: typer.Context,
    preset: Annotated[
        str | None,
        typer.Argument(
            metavar="PRESET or FILE.toml",
            help="Settings to train with: a preset of `--list`, or a TOML file, which may begin with "
            'preset = "NAME".',
            show_default=FIRST_TRY,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Prepared folder, or a corpus (bundled name, file, folder, hf:NAME), which is prepared "
            "first.",
            metavar="PREPARED or CORPUS",
            show_default=FIRST_CORPUS,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Run directory to create.", metavar="RUN", show_default="runs/CORPUS or runs/CORPUS-PRESET"
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            help="Source side of a raw corpus: file ending, column or key, such as en.",
            metavar="NAME",
            show_default=False,
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(help="Target side of a raw corpus, such as de.", metavar="NAME", show_default=False),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Change a setting, as in train.lr=0.001. Repeatable. `--show` explains all settings.",
            metavar="KEY=VALUE",
        ),
    ] = None,
    precision: Annotated[
        Precision | None,
        typer.Option(
            help="Number format. auto is bf16 if the device supports it natively, otherwise fp32.",
            show_default="auto",
        ),
    ] = None,
    device: flags.Device = "auto",
    seed: Annotated[
        int | None,
        typer.Option(
            help="Seed of the random numbers. The same seed gives the same training.",
            min=0,
            max=2**31 - 1,
            metavar="N",
            show_default="1",
        ),
    ] = None,
    max_steps: Annotated[
        int | None,
        typer.Option(
            help="Maximum number of training steps (updates of the weights).",
            min=1,
            metavar="STEPS",
            show_default="the preset's",
        ),
    ] = None,
    max_minutes: Annotated[
        float | None,
        typer.Option(
            help="Maximum training time in minutes. It includes validation and excludes the final test.",
            metavar="MINUTES",
        ),
    ] = None,
    allow_code: flags.AllowCode = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Continue the training in --out. The result equals that of an uninterrupted training.",
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the run in --out.")] = False,
    list_: Annotated[
        bool,
        typer.Option(
            "--list",
            help="List the presets and exit. `--list hard` lists the presets whose name or description "
            "contains that word.",
        ),
    ] = False,
    show: Annotated[
        bool,
        typer.Option(
            "--show",
            help="Print the preset's paper, its measured scores and every setting with its meaning, and "
            "exit.",
        ),
    ] = False,
    glossary_: Annotated[bool, typer.Option("--glossary", help="Explain terms and exit.")] = False,
    quiet: flags.Quiet = False,
    debug: flags.Debug = False,
) -> None:
    """Train a model on parallel text or captioned images, and score it on the test splits.

    Without arguments it trains a small translator on the bundled corpus in a few minutes.

    Ctrl-C (INT) and the signals TERM, HUP, USR1, USR2 and XCPU save the training state and exit.
    The same command with --resume continues the training. For several devices or machines:
    torchrun --nproc-per-node N -m seq2attn train ...
    """
    if glossary_:
        for line in glossary.lines():
            console.result(line)
        return
    if list_:
        _list(preset or "")
        return
    changes = [*(set_ or ())]
    options_: dict[str, str | float | None] = {"data.source": source, "data.target": target}
    options_ |= {
        "train.seed": seed,
        "train.max_steps": max_steps,
        "train.max_minutes": max_minutes,
        "train.precision": precision,
    }
    if max_minutes is not None and not max_minutes > 0:
        raise UsageError(f"--max-minutes {max_minutes:g}: give more than 0 minutes")
    changes += [
        f"{key}={json.dumps(value, ensure_ascii=False)}"
        for key, value in options_.items()
        if value is not None
    ]
    check(RULES, {"--resume": resume, "--force": force})
    config.refuse_incomplete(changes, "--set")
    if preset is not None:
        mistaken.refuse_no_preset(preset)
    preset_settings = (
        config.load(preset or FIRST_TRY, changes, "--set") if preset is not None or not resume else None
    )
    out_given = out is not None
    out = out or Path(
        "runs",
        corpus_name(data or first_corpus(preset_settings or config.load(FIRST_TRY)))
        + (f"-{corpus_name(preset)}" if preset else ""),
    )
    continues = resume and (out / "config.json").is_file()
    settings = (
        None if continues and preset is None else preset_settings or config.load(FIRST_TRY, changes, "--set")
    )
    if show:
        _show(
            settings or config.change(_stored(out), changes, "--set"),
            None if settings is None else config.file_of(preset or FIRST_TRY),
        )
        return
    _refuse_name(out)
    if resume and not continues and preset is None and data is None and out_given:
        raise UserError(
            f"{out}: no run to continue{mistaken.run_near(out)}; name a PRESET or --data to start one there"
        )
    if settings is not None and (data is not None or not continues):
        train_checks.refuse_data(data or first_corpus(settings), settings)
    if not continues:
        train_checks.refuse_place(out, force)
    from seq2attn.models.vision.backbones import allow_code as permitted

    with permitted(allow_code):
        run_training(settings, changes, data, out, device, resume, force, ["seq2attn", *(context.obj or ())])


def _refuse_name(out: Path) -> None:
    try:
        os.fspath(out).encode()
    except UnicodeEncodeError:
        problem = "weights cannot be stored under a name that is not valid UTF-8"
        raise UsageError(f"--out {out}: {problem}; choose another --out") from None


def _list(word: str) -> None:
    lines = list(presets.listed(config.presets(), word))
    if not lines:
        raise UserError(
            f"--list {word}: no preset has that in its name or description; `seq2attn train --list` lists all"
        )
    for line in lines:
        console.result(line)
    console.note("\n`seq2attn train PRESET --show` prints its paper, measured scores and settings")


def _show(settings: Config, file: Path | None) -> None:
    """Print the description in the file, and every setting with its meaning, as TOML that `train` reads."""
    if file is not None and (comment := presets.comment(file)):
        for line in comment:
            console.result(line)
        console.result()
    for line in settings_help.lines(settings):
        console.result(line)


# The run


def _stored(out: Path) -> Config:
    from seq2attn.runs.directory import open_run

    return open_run(out, trained=False).config
