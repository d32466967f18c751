"""The Hugging Face hub: models that are read from it, and runs that are written to it.

It is the one place that calls the package huggingface_hub, which finds the user's token by itself.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seq2attn.errors import UsageError, UserError

HUB = "hf:"
_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def refuse_name(name: str, example: str) -> None:
    """Raise UsageError for what is no OWNER/NAME; `example` is what to write instead."""
    if not _NAME.fullmatch(name) or ".." in name:
        raise UsageError(f"{name[:100]}: no OWNER/NAME of the Hugging Face hub; write {example}")


def download(name: str, files: Sequence[str]) -> Path:
    """The folder with those of the `files` that the model OWNER/NAME or OWNER/NAME@REVISION has.

    They come from the cache of huggingface_hub if they are there. Raises UsageError for another name, and
    UserError if the model does not exist or the hub cannot be reached.
    """
    repository, _, revision = name.partition("@")
    refuse_name(repository, "hf:OWNER/NAME, or hf:OWNER/NAME@REVISION")
    with _calling(f"{HUB}{name}"):
        import huggingface_hub

        return Path(
            huggingface_hub.snapshot_download(
                repository, revision=revision or None, allow_patterns=list(files)
            )
        )


def upload(name: str, files: Mapping[str, bytes | Path], message: str, private: bool) -> str:
    """Write files to the model OWNER/NAME in one commit; it is made if it is new. Returns its address.

    Raises UsageError for another name, and UserError if the hub refuses or cannot be reached.
    """
    refuse_name(name, "OWNER/NAME")
    with _calling(name):
        import huggingface_hub

        hub = huggingface_hub.HfApi()
        hub.create_repo(name, private=private, exist_ok=True, repo_type="model")
        operations = [
            huggingface_hub.CommitOperationAdd(path, content if isinstance(content, bytes) else str(content))
            for path, content in files.items()
        ]
        hub.create_commit(name, operations, commit_message=message, repo_type="model")
        return f"{hub.endpoint}/{name}"


@contextmanager
def _calling(where: str) -> Iterator[None]:
    """Turn what goes wrong with the hub into one line that names `where`."""
    try:
        yield
    except ImportError as error:
        if (error.name or "").split(".")[0] != "huggingface_hub":
            raise
        way = "install it with `pip install 'seq2attn[hub]'`"
        raise UserError(f"the package huggingface_hub cannot be used ({error}); {way}") from None
    except Exception as error:
        if not _is_of_the_hub(error):
            raise
        raise UserError(f"{where}: {_line(error)}") from None


def _is_of_the_hub(error: Any) -> bool:
    """Whether the hub or the way to it failed, and not this program."""
    names = {cls.__module__.split(".")[0] for cls in type(error).__mro__}
    return isinstance(error, OSError) or bool(names & {"huggingface_hub", "httpx", "requests"})


def _line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # a refusal of the hub has its reason in the second line
    return " ".join(lines[:2])[:300] or type(error).__name__
