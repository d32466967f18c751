"""A run as one HTML page that translates and explains in the browser, without a server and without a network.

The page is that of the explorer. It holds the run's tokenizers and its weights in half precision as data, and
the engine of `explorer/model/` in its script. Its policy lets it run that script alone, and load nothing.
"""

import base64
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seq2attn import files
from seq2attn.errors import UserError
from seq2attn.explorer import bundle
from seq2attn.export import page_limits, page_run
from seq2attn.inference import Translator, run_paths
from seq2attn.runs.directory import Run, open_run

ENTRY = "model/page.js"  # of the explorer
CHARSET = '<meta charset="utf-8">'
MARK = '<meta name="generator" content="seq2attn export">'  # only what has it is replaced
_HEAD = 1024  # bytes of a page, among which the mark is


def export_page(path: str | Path, out: Path, force: bool = False) -> Run:
    """Write the run at `path` to the page `out`. Returns the run.

    Raises UserError if there is no trained run or several, if a page cannot hold it, and if `out` exists,
    unless it is such a page and `force` replaces it.
    """
    if len(run_paths(path)) > 1:
        raise UserError(f"{path}: an ensemble cannot be in a page; name one run")
    run = open_run(path)
    page_limits.refuse(run.config, str(run.path))
    _refuse_existing(out, force)
    translator = Translator.load(run.path, device="cpu")
    page_limits.refuse_tokenizer(translator.source_tokenizer, str(run.path))
    model = translator.members[0].model
    page_limits.refuse_size(page_run.parameter_bytes(model), str(run.path))
    content = render(
        page_run.description(run, translator), page_run.half_precision(model, str(run.path))
    ).encode()
    files.write(out, content)
    return run


def render(about: Mapping[str, Any], parameters: bytes) -> str:
    """The page as text, from a description of the run and its parameters."""
    numbers = base64.b64encode(parameters).decode()
    text = bundle.page(ENTRY, {"run": about, "parameters": numbers})
    script = f"\n{bundle.script(ENTRY)}"
    if f"<script>{script}</script>" not in text:
        raise ValueError("the page does not hold the script that its policy allows")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = bundle.POLICY.replace("script-src 'unsafe-inline'", f"script-src 'sha256-{digest}'")
    text = text.replace(bundle.POLICY, f"{policy}; base-uri 'none'; form-action 'none'", 1)
    return text.replace(CHARSET, f"{CHARSET}\n{MARK}", 1)


def _refuse_existing(out: Path, force: bool) -> None:
    if not os.path.lexists(out):
        return
    if not force:
        raise UserError(f"{out} exists: choose another name, or replace it with `force`")
    if out.is_file():
        with files.refused(out), out.open("rb") as file:
            if MARK.encode() in file.read(_HEAD):
                return
    raise UserError(
        f"{out} is no page of `seq2attn export`, so `force` does not replace it: choose another name"
    )
