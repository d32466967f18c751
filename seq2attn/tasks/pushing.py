"""`push`: a run on the Hugging Face hub, with all that others need to use it and nothing of this machine."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seq2attn import strict_json
from seq2attn.runs.card_file import NAME
from seq2attn.runs.directory import TOKENIZERS, Run, open_run, read_text
from seq2attn.tasks import arguments, card, hub

# What is uploaded. Logs, scores and the training state name files of this machine, and nobody needs them.
FILES = ("model.safetensors", *TOKENIZERS, "attention.json", "confidence.json", NAME)


def push(run: str | os.PathLike[str], name: str, *, private: bool = False) -> str:
    """Upload a trained run to the model OWNER/NAME of the Hugging Face hub, as `seq2attn push` does.

    The model is made if it is new, `private` or for all. The token is that of `hf auth login`, or of the
    variable HF_TOKEN. A card is written first if the run has none. Returns the address of the model. Raises
    UsageError for another name, and UserError if there is no trained run, or if the hub refuses.
    """
    hub.refuse_name(name, "OWNER/NAME")
    opened = open_run(arguments.path(run, "run"))
    if not (opened.path / NAME).is_file():
        card.write(opened.path)
    return hub.upload(name, contents(opened), f"Upload {opened.path.resolve().name} with seq2attn", private)


def contents(run: Run) -> dict[str, bytes | Path]:
    """What is uploaded: the files by name, and config.json without paths."""
    tree = without_paths(strict_json.parse(read_text(run.path / "config.json")))
    config = (json.dumps(tree, indent=1) + "\n").encode()
    return {"config.json": config} | {name: run.path / name for name in FILES if (run.path / name).is_file()}


def without_paths(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The content of config.json with the last name in place of each path."""
    result: dict[str, Any] = json.loads(json.dumps(tree))
    result["corpus"] = card.public_name(str(tree["corpus"]))
    encoder = result["config"]["model"]["encoder"]
    if isinstance(weights := encoder.get("weights"), str):
        encoder["weights"] = re.split(r"[/\\]", weights)[-1] or "weights"
    return result
