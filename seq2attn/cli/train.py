"""`seq2attn train`: its options. `train_display` shows the training, and `tasks.training` does it."""

import json
import shlex

import typer

from seq2attn import config
from seq2attn.cli import console, flags, glossary, mistaken, train_display
from seq2attn.cli import train_options as options
from seq2attn.cli.conflicts import Conflict, check
from seq2attn.errors import UsageError, UserError
from seq2attn.tasks.from_run import from_arguments
from seq2attn.tasks.training import make_plan

RULES = (Conflict("--resume", "--force", "one continues the run and the other replaces it"),)


def train(
    context: typer.Context,
    preset: options.Preset = None,
    data: options.Data = None,
    out: options.Out = None,
    source: options.Source = None,
    target: options.Target = None,
    set_: options.Set = None,
    precision: options.Format = None,
    device: flags.Device = "auto",
    seed: options.Seed = None,
    max_steps: options.MaxSteps = None,
    max_minutes: options.MaxMinutes = None,
    compile_: options.Compile = False,
    from_: options.From = None,
    extend_vocabulary: options.ExtendVocabulary = 0,
    replay: options.Replay = 0.0,
    allow_code: flags.AllowCode = False,
    resume: options.Resume = False,
    force: options.Force = False,
    list_: options.List = False,
    show: options.Show = False,
    glossary_: options.Glossary = False,
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
    given: dict[str, str | float | None] = {"data.source": source, "data.target": target}
    given |= {
        "train.seed": seed,
        "train.max_steps": max_steps,
        "train.max_minutes": max_minutes,
        "train.precision": precision,
        "train.compile": compile_ or None,
    }
    changes = [*(set_ or ())] + [
        f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in given.items() if value is not None
    ]
    check(RULES, {"--resume": resume, "--force": force})
    config.refuse_incomplete(changes, "--set")
    if preset is not None:
        mistaken.refuse_no_preset(preset)
    if from_ is not None:
        mistaken.refuse_no_run(from_)
    plan = make_plan(
        preset,
        changes,
        data,
        out,
        resume=resume,
        force=force,
        command=shlex.join(["seq2attn", *(context.obj or ())]),
        where="--set",
        start=from_arguments(from_, extend_vocabulary, replay),
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
