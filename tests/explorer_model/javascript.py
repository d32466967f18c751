"""Runs the page's engine in Node, on what Python gives it; and models with the numbers that a page holds."""

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from seq2attn.export import page_run
from seq2attn.inference import Translator
from seq2attn.runs.directory import Run

HERE = Path(__file__).parent
MODULES = HERE.parents[1] / "seq2attn" / "explorer" / "model"
NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="Node is not installed, which runs JavaScript")


def run(script: str, data: object, folder: Path, modules: Path = MODULES) -> Any:
    """What a script of this folder prints, as JSON, for data in a file of `folder`."""
    assert NODE is not None
    path = folder / "data.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    command = [NODE, str(HERE / script), modules.as_uri(), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def round_to_half(model: nn.Module) -> None:
    """Round the numbers of a model to half precision, as a page holds them."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.half().float())


def of_page(model: nn.Module) -> str:
    """The numbers of a model as a page holds them."""
    return base64.b64encode(page_run.half_precision(model, "model")).decode()


def data_of(translator: Translator, folder: Path) -> dict[str, Any]:
    """What a page holds of the model of a translator, whose numbers are rounded first."""
    model = translator.members[0].model
    round_to_half(model)
    run_of_page = Run(folder / "run", translator.config, 0, 0, translator.languages, "tiny")
    return {"run": page_run.description(run_of_page, translator), "parameters": of_page(model)}


def answers(translator: Translator, requests: list[dict[str, Any]], folder: Path) -> list[Any]:
    """The engine's answers for the model of a translator, whose numbers are rounded first."""
    return run("answers.mjs", data_of(translator, folder) | {"requests": requests}, folder)
