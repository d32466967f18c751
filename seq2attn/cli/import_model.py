"""`seq2attn import`: a translator of Hugging Face as a run. `tasks.importing` does the work."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from seq2attn.cli import console, flags


def import_model(
    context: typer.Context,
    model: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER or hf:OWNER/NAME",
            help="Folder of a MarianMTModel of transformers, or a model of the Hugging Face hub; @REVISION "
            "behind its name chooses a version.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Run directory to create.", show_default=False)],
    source: Annotated[
        str | None,
        typer.Option(help="Source language, such as en.", metavar="NAME", show_default="the tokenizer's"),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(help="Target language, such as de.", metavar="NAME", show_default="the tokenizer's"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the run at OUT.")] = False,
    quiet: flags.Quiet = False,
    debug: flags.Debug = False,
) -> None:
    """Import a pretrained translator, a MarianMTModel of Hugging Face (the OPUS-MT models), as a run.

    All commands work on it: translate, audit, plot-alignment, serve, export. Its outputs are those of
    transformers. Weights are read from model.safetensors alone, never from a pickle.
    """
    from seq2attn.tasks.importing import import_model as import_run

    command = shlex.join(["seq2attn", *(context.obj or ())])
    run = import_run(model, out, source=source, target=target, force=force, command=command)
    size = run.weights.stat().st_size / 1e6
    languages = " to ".join(name or "?" for name in run.languages)
    console.result(f"{run.path}: {languages}, {run.target_size:,} tokens, {size:.1f} MB of weights")
    console.note(f'next: echo "YOUR TEXT" | seq2attn translate {run.path}')
