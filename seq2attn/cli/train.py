"""`seq2attn train`: its options. `train_display` shows the training, and `tasks.training` does it."""

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer

from seq2attn import config
from seq2attn.cli import console, flags, glossary, mistaken, train_display
from seq2attn.cli.conflicts import Conflict, check
from seq2attn.config import Precision
from seq2attn.errors import UsageError, UserError
from seq2attn.tasks.training import FIRST_PRESET, make_plan

RULES = (Conflict("--resume", "--force", "one continues the run and the other replaces it"),)


def train(
    context: typer.Context,
    preset: Annotated[
        str | None,
        typer.Argument(
            metavar="PRESET or FILE.toml",
            help="Settings to train with: a preset of `--list`, or a TOML file, which may begin with "
            'preset = "NAME".',
            show_default=FIRST_PRESET,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Prepared folder, or a corpus (bundled name, file, folder, hf:NAME), which is prepared "
            "first.",
            metavar="PREPARED or CORPUS",
            show_default="phrases",
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
        train_display.list_presets(preset or "")
        return
    if max_minutes is not None and not max_minutes > 0:
        raise UsageError(f"--max-minutes {max_minutes:g}: give more than 0 minutes")
    options: dict[str, str | float | None] = {"data.source": source, "data.target": target}
    options |= {
        "train.seed": seed,
        "train.max_steps": max_steps,
        "train.max_minutes": max_minutes,
        "train.precision": precision,
    }
    changes = [*(set_ or ())] + [
        f"{key}={json.dumps(value, ensure_ascii=False)}"
        for key, value in options.items()
        if value is not None
    ]
    check(RULES, {"--resume": resume, "--force": force})
    config.refuse_incomplete(changes, "--set")
    if preset is not None:
        mistaken.refuse_no_preset(preset)
    plan = make_plan(
        preset,
        changes,
        data,
        out,
        resume=resume,
        force=force,
        command=shlex.join(["seq2attn", *(context.obj or ())]),
        where="--set",
    )
    if show:
        train_display.show_settings(plan, preset)
        return
    if resume and not plan.continues and preset is None and data is None and out is not None:
        raise UserError(
            f"{out}: no run to continue{mistaken.run_near(out)}; name a PRESET or --data to start one there"
        )
    if data is not None:
        mistaken.refuse_no_data(data)
    plan.check()
    train_display.run(plan, device, allow_code)
