"""How a run was trained: RUN/provenance.jsonl has a line for each time that training began or continued.

It holds no environment variables and no name of the machine. It is part of the run, but nothing reads it
back. A run without it, or with a damaged one, opens like any other.
"""

import json
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import torch

from seq2attn.devices import Format
from seq2attn.errors import UserError
from seq2attn.runs.directory import Run, write, writing
from seq2attn.strict_json import whole_text
from seq2attn.version import __version__

MAX_INPUTS = 20  # files of a corpus that are listed


def record(
    run: Run,
    *,
    step: int,
    command: str,
    device: torch.device,
    processes: int,
    format: Format,
    data: Mapping[str, object],
) -> None:
    """Append how the run is trained from `step` on (0: from the beginning).

    Raises UserError if it cannot be written.
    """
    entry = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "step": step,
        "command": whole_text(command),
        "seq2attn": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "device": _device(device),
        "processes": processes,
        "threads": torch.get_num_threads(),
        "precision": format,
        "data": data,
    }
    file = run.path / "provenance.jsonl"
    with writing(file):
        before = file.read_bytes() if file.is_file() else b""
    if before and not before.endswith(b"\n"):
        before += b"\n"
    write(file, before + (json.dumps(entry) + "\n").encode())


def of_data(corpus: str, report: Mapping[str, Any], training: str, validation: str) -> dict[str, object]:
    """The data by name and by content: hashes of the input files, and the fingerprints of the two splits.

    `training` and `validation` are `Pairs.fingerprint`. Raises UserError if the report's list is damaged.
    """
    try:
        hashes = {str(one["file"]): str(one["sha256"]) for one in report.get("inputs", [])}
    except (TypeError, LookupError) as error:
        problem = f"prepared.json: damaged (its inputs: {error})"
        raise UserError(f"{problem}; run `seq2attn prepare` again") from None
    listed = [{"file": file, "sha256": digest} for file, digest in hashes.items()]
    return {
        "corpus": whole_text(corpus),
        "inputs": listed[:MAX_INPUTS],
        "inputs_in_all": len(listed),
        "training": training,
        "validation": validation,
    }


def _device(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({platform.machine()})"
