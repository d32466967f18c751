"""The folder of an exported run, which is complete or does not exist.

This module does not know the format of the engine.
"""

import re
import shutil
from pathlib import Path

from seq2attn import files
from seq2attn.errors import UserError
from seq2attn.export import existing
from seq2attn.export.limits import refuse
from seq2attn.inference import Translator
from seq2attn.runs.directory import TOKENIZERS, Run, open_run

# all files that such a folder may hold
FILES = {
    "model.bin",
    "config.json",
    *(f"{side}_vocabulary.json" for side in ("shared", "source", "target")),
    *TOKENIZERS,
}
MARKS = existing.Marks("is no model of CTranslate2", "model.bin", frozenset(FILES))
OLDEST = (4, 6, 3)  # the first with grouped-query attention and rotary positions in encoders
INSTALL = "install it with `pip install 'ctranslate2>=4.6.3,<5'`, then export again"


def export(path: str | Path, out: Path, quantization: str | None = None, force: bool = False) -> Run:
    """Write the run at `path` to the folder `out` for CTranslate2, with its tokenizers. Returns the run.

    `quantization` is a type of CTranslate2, as int8; None: float32. Raises UserError if there is no trained
    run, if CTranslate2 does not support it or is not installed, and if `out` exists, unless it is an
    exported model and `force` replaces it.
    """
    run = open_run(path)
    refuse(run.config, str(run.path))
    existing.refuse(out, force, MARKS)
    try:
        from seq2attn.export.ctranslate2 import VERSION, ModelConverter
    except ImportError as error:
        if (error.name or "ctranslate2").split(".")[0] != "ctranslate2":
            raise
        raise UserError(f"the package ctranslate2 cannot be used ({error}); {INSTALL}") from None
    if tuple(map(int, re.findall(r"\d+", VERSION)[:3])) < OLDEST:
        raise UserError(f"ctranslate2 {VERSION} is too old; {INSTALL}")
    translator = Translator.load(run.path, device="cpu")
    converter = ModelConverter(
        translator.members[0].model,
        run.config.model,
        translator.source_tokenizer,
        translator.target_tokenizer,
    )
    with files.replace_folder(out, lambda: existing.refuse(out, force, MARKS)) as new, files.refused(out):
        converter.convert(str(new), quantization=quantization, force=True)
        for tokenizer in {run.source_tokenizer, run.target_tokenizer}:
            shutil.copyfile(tokenizer, new / tokenizer.name)
    return run
