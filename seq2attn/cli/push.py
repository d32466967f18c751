"""`seq2attn push`: a run on the Hugging Face hub. `tasks.pushing` does the work."""

from typing import Annotated

import typer

from seq2attn.cli import console, flags, mistaken


def push(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Trained run.", show_default=False)],
    name: Annotated[
        str, typer.Argument(metavar="OWNER/NAME", help="Model to create or update.", show_default=False)
    ],
    private: Annotated[
        bool, typer.Option("--private", help="Hide the model from others, if it is new.")
    ] = False,
    quiet: flags.Quiet = False,
    debug: flags.Debug = False,
) -> None:
    """Upload a trained run to the Hugging Face hub.

    It uploads the weights, tokenizers, settings and the card (README.md), and never the training state, logs
    or paths of this machine. It uses the token of `hf auth login`, or of the variable HF_TOKEN. HF_ENDPOINT
    names another server.
    """
    mistaken.refuse_no_run(run)
    from seq2attn.tasks.pushing import push as upload

    console.result(upload(run, name, private=private))
