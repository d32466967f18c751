"""What the CORPUS of a command line is: a bundled corpus, a folder, one file, or a dataset of the Hugging Face hub."""

from pathlib import Path

from seq2attn.data import folder
from seq2attn.data.corpus import Corpus
from seq2attn.errors import UserError

BUNDLED = ("phrases",)


def open_corpus(name: str, source: str | None = None, target: str | None = None) -> Corpus:
    """The corpus of that name or path; `source` and `target` name its sides. Raises UserError when it is not there or is no corpus."""
    if name == "phrases":
        from seq2attn.data.samples import phrases

        return folder.open_folder(phrases.folder(), source or "en", target or "fr")
    path = Path(name)
    if path.is_dir():
        return folder.open_folder(path, source, target)
    raise UserError(f"{name}: no such file or folder; the bundled corpus is called phrases")
