"""A run as one HTML page that translates and explains in the browser, without a server and without a network.

The page holds the run's tokenizers and its weights in half precision as data, and the engine of
`explorer/model/` as a script. Its policy lets it run that script alone, and load nothing.
"""

import base64
import hashlib
import html
import json
import os
from pathlib import Path
from typing import Any

from seq2attn import files
from seq2attn.errors import UserError
from seq2attn.export import page_limits, page_run
from seq2attn.export.bundle import bundle
from seq2attn.inference import Translator, run_paths
from seq2attn.runs.directory import Run, open_run

WEB = Path(__file__).parent / "web"
MARK = b'<meta name="generator" content="seq2attn export">'
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
    model = translator.members[0].model
    page_limits.refuse_size(page_run.parameter_bytes(model), str(run.path))
    content = render(
        page_run.description(run, translator), page_run.half_precision(model, str(run.path))
    ).encode()
    files.write(out, content)
    return run


def render(about: dict[str, Any], parameters: bytes) -> str:
    """The page as text, from a description of the run and its parameters."""
    script, style = bundle(WEB / "main.js"), _web("page.css")
    policy = {
        "default-src": "'none'",
        "script-src": _hash(script),
        "style-src": _hash(style),
        "img-src": "data: blob:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    fields = {
        "mark": MARK.decode(),
        "policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "title": html.escape(str(about["run"])),
        "style": style,
        "run": data(about),
        "parameters": base64.b64encode(parameters).decode(),
        "script": script,
    }
    return _web("page.html").format(**fields)


def data(tree: object) -> str:
    """JSON that may stand in an element of a page: no character of it is one of HTML, and all are ASCII."""
    text = json.dumps(tree, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _hash(text: str) -> str:
    """The source of a policy that allows an element with this text alone."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _web(name: str) -> str:
    return (WEB / name).read_text(encoding="utf-8")


def _refuse_existing(out: Path, force: bool) -> None:
    if not os.path.lexists(out):
        return
    if not force:
        raise UserError(f"{out} exists: choose another name, or replace it with `force`")
    if out.is_file():
        with files.refused(out), out.open("rb") as file:
            if MARK in file.read(_HEAD):
                return
    raise UserError(f"{out} is no page of `seq2attn export`, so `force` does not replace it: choose another name")
