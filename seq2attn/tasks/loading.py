"""The predictor of a run, by the modality of its sources."""

import os
from typing import Any

from seq2attn.config import Changes, as_typed
from seq2attn.tasks import arguments
from seq2attn.tasks.task import task_of


def load(
    run: str | os.PathLike[str],
    device: str = "auto",
    precision: str = "auto",
    settings: Changes = (),
    allow_code: bool = False,
    processes: bool = False,
) -> Any:
    """The `Translator` or the `Captioner` of a run, by what the run was trained on.

    `run` is a run directory, a `Run`, or several run directories joined by commas: an ensemble. The other
    arguments, and the errors: see `Translator.load`.
    """
    from seq2attn.runs.directory import open_run
    from seq2attn.runs.loading import run_paths

    run, settings = arguments.path(run, "run"), as_typed(settings)
    task = task_of(open_run(run_paths(run)[0]).config.model.modality)
    return task.load(run, device, precision, settings, processes, allow_code)
