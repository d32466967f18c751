"""A large output in chunks: shared out over the processes of torchrun, and continued after a kill.

Finished chunks are files in a folder beside the output, OUTPUT.parts, until all of them become the output at
once. The folder belongs to one input, one model and one set of options: a fingerprint says which. The same
command makes the missing chunks; another one begins anew. The output is that of one process, byte for byte.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from seq2attn import files, ranks
from seq2attn.errors import UsageError, UserError
from seq2attn.notes import note, warn
from seq2attn.version import __version__

if TYPE_CHECKING:
    from seq2attn.training.distributed import World

LINES = 4096  # of a chunk of text
IMAGES = 512  # of a chunk of images
LARGE = 1 << 20  # bytes of text from which one process makes chunks, too
MANY = 1024  # images from which it does
ADVICE = "make room; the same command then continues"
_JOB = "job.json"


class Chunks:
    """The chunks of an output: which are this process's to make, and what has been made."""

    def __init__(self, output: Path, fingerprint: Callable[[], str], world: "World") -> None:
        """`fingerprint` reads the inputs and the models: the main process alone calls it. Raises UserError if
        the folder is not one of chunks.
        """
        self._output, self._world = output, world
        self.folder = output.with_name(f"{output.name}.parts")
        self._fingerprint = fingerprint
        world.run_on_main(self._open)
        finished = json.dumps(sorted(int(file.stem) for file in self.folder.glob("*.chunk")))
        self.finished: frozenset[int] = frozenset(json.loads(world.gather(finished)[0]))
        self._missing = 0  # chunks that `is_own` was asked for and that were not finished

    def _open(self) -> None:
        job, fingerprint = self.folder / _JOB, self._fingerprint()
        if self.folder.is_dir():
            files.sweep(self.folder)
        if job.is_file():
            count = len(list(self.folder.glob("*.chunk")))
            if job.read_text(encoding="utf-8", errors="replace") == fingerprint:
                note(f"{self._output}: continues after {_finished(count)}")
                return
            if count:
                warn(
                    f"{self.folder}: had {_finished(count)} of another input, run, option or version of "
                    "seq2attn; they are removed, and the output begins anew"
                )
            files.remove_folder(self.folder, last=_JOB)
        elif self.folder.exists() and not _is_empty(self.folder):
            raise UserError(f"{self.folder}: is no folder of chunks of seq2attn; move it, or change -o")
        with files.refused(self.folder):
            self.folder.mkdir(exist_ok=True)
        files.write(job, fingerprint.encode(), ADVICE)

    def is_own(self, number: int) -> bool:
        """Whether this process makes that chunk. It is called for all of them, in order."""
        if number in self.finished:
            return False
        self._missing += 1
        return (self._missing - 1) % self._world.size == self._world.rank

    def write(self, number: int, text: str, failures: int = 0) -> None:
        """Store a chunk, with the number of its inputs that failed."""
        head = json.dumps({"failures": failures}) + "\n"
        files.write(self.folder / f"{number}.chunk", (head + text).encode(), ADVICE)

    def put_together(self, count: int, write: Callable[[IO[bytes]], None] | None = None) -> int:
        """Make the output of `count` chunks once all processes have come here; returns the failures.

        `write` writes the output from `lines`; without it the output is the content of all chunks.
        """
        self._world.barrier()
        failures = 0

        def join() -> None:
            nonlocal failures
            with files.replace_file(self._output, way=ADVICE) as output:
                for number in range(count):
                    with (self.folder / f"{number}.chunk").open("rb") as chunk:
                        failures += json.loads(chunk.readline())["failures"]
                        if write is None:
                            shutil.copyfileobj(chunk, output)
                if write is not None:
                    write(output)
            files.remove_folder(self.folder, last=_JOB)

        self._world.run_on_main(join)
        return failures

    def lines(self, count: int) -> Iterator[bytes]:
        """The lines of `count` chunks, one after another."""
        for number in range(count):
            with (self.folder / f"{number}.chunk").open("rb") as chunk:
                chunk.readline()
                yield from chunk


@contextmanager
def told_to_continue(chunks: Chunks) -> Iterator[None]:
    """If the work stops early, say that the same command continues it."""
    try:
        yield
    except BaseException:
        count = len(list(chunks.folder.glob("*.chunk")))
        if count and ranks.speaks():
            warn(f"{chunks.folder}: has {_finished(count)}: the same command continues")
        raise


def are_wanted(output: Path | None, inputs: Sequence[str], large: bool, attention: bool) -> bool:
    """Whether to make chunks: for several processes, and for a `large` input.

    Raises UsageError if several processes cannot share the work.
    """
    is_file = output is not None and files.is_replaced(output)
    several, way = ranks.size() > 1, "or leave out torchrun"
    if several and not is_file:
        raise UsageError(f"several processes share an output that is a file: name one by -o, {way}")
    if several and attention:
        raise UsageError(f"attention: one process writes it: leave it out, {way}", setting="attention")
    named = all(map(_is_there, inputs))
    if several and not named:
        raise UsageError(f"several processes read files: name some that exist, and no pipe, {way}")
    return several or (large and is_file and named and not attention)


def _finished(count: int) -> str:
    return f"{count:,} finished chunk{'' if count == 1 else 's'}"


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _is_there(name: str) -> bool:
    with suppress(OSError, ValueError):  # such as a name that is too long
        return Path(name).is_file() or Path(name).is_dir()
    return False


def entries(paths: Sequence[str]) -> int:
    """How many files there are, those in folders included; about, where some cannot be read."""
    count = len(paths)
    for path in paths:
        with suppress(OSError, ValueError):
            count += len(os.listdir(path)) if Path(path).is_dir() else 0
    return count


def of_texts(names: Sequence[str]) -> list[str]:
    """What a fingerprint holds of files of text: their contents."""
    return [_digest(Path(name)) for name in names]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def of_images(names: Sequence[str]) -> list[str]:
    """What a fingerprint holds of images: names, sizes and times, as contents would take long to read."""
    facts = []
    for name in names:
        try:
            stat = Path(name).stat()
            facts.append(f"{name} {stat.st_size} {stat.st_mtime_ns}")
        except (OSError, ValueError):
            facts.append(name)
    return facts


def fingerprint(run: str, inputs: Sequence[str], options: Mapping[str, object]) -> str:
    """The inputs, the models (of the comma-separated `run`) and the options, as the text of a file."""
    models = [
        _digest(file)
        for path in run.split(",")
        for file in sorted(Path(path.strip()).glob("*"))
        if file.suffix in (".safetensors", ".model") or file.name == "config.json"
    ]
    facts = {"inputs": list(inputs), "models": models, "options": {k: repr(v) for k, v in options.items()}}
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
    return json.dumps({"seq2attn": __version__, "fingerprint": digest}) + "\n"
