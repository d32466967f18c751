"""`import`: a translator of others, in the format of `MarianMTModel`, as a run."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from seq2attn.errors import UsageError
from seq2attn.tasks import arguments, card, hub

if TYPE_CHECKING:
    from seq2attn.runs.directory import Run


def import_model(
    model: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    source: str | None = None,
    target: str | None = None,
    force: bool = False,
    command: str = "",
) -> "Run":
    """A new run at `out` of a Marian model of Hugging Face, as `seq2attn import` makes it.

    `model` is a folder that `MarianMTModel.save_pretrained` and `MarianTokenizer.save_pretrained` have
    written, or hf:OWNER/NAME for one of the hub; hf:OWNER/NAME@REVISION names a version. `source` and
    `target` are its languages; by default those that its tokenizer names. `force` replaces a run at `out`.
    Weights are read from model.safetensors alone.

    Raises UsageError for a name that is none, and UserError for a folder that is incomplete, damaged, or of
    a model that this program does not have. Then nothing is written.
    """
    name, place = arguments.path(model, "model"), Path(arguments.path(out, "out"))
    from seq2attn.marian.folder import FILES, import_folder
    from seq2attn.runs import directory

    directory.refuse_existing(place, force)
    if name.startswith(hub.HUB):
        folder, origin = hub.download(name.removeprefix(hub.HUB), FILES), name
    else:
        folder = Path(name)
        origin = folder.resolve().name
    if not origin:
        raise UsageError(f"{name}: no name of a folder", setting="model")
    run = import_folder(folder, place, origin, (source, target), command, force)
    card.write(run.path)
    return run
