"""The predictor of a run, by the modality of its sources."""

import os
from collections.abc import Iterable
from typing import Any

from seq2attn.tasks.task import task_of


def load(
    run: str | os.PathLike[str],
    device: str = "auto",
    precision: str = "auto",
    settings: Iterable[str] = (),
    allow_code: bool = False,
    processes: bool = False,
) -> Any:
    """A `Translator` or a `Captioner`, by the sources of the (first) run.

    Arguments and errors: see their `load`.
    """
    from seq2attn.runs.directory import open_run
    from seq2attn.runs.loading import run_paths

    task = task_of(open_run(run_paths(run)[0]).config.model.modality)
    return task.load(run, device, precision, settings, processes, allow_code)
