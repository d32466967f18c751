"""Back-translation (Sennrich 2016, https://arxiv.org/abs/1511.06709): pairs from text of one language.

A run that translates the other way reads the text, and its output becomes the source of a pair whose target
is the line. The source begins with a tag, so that a model can tell it from a real one (Caswell 2019,
https://arxiv.org/abs/1906.06442). The work is done in chunks, and the same call continues it after a kill.
The output comes at the end, at once: only then is it known which pairs have the best scores.
"""

import json
import math
import os
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import IO, TYPE_CHECKING

from seq2attn.config import Changes, as_typed
from seq2attn.errors import UsageError, UserError
from seq2attn.inference.options import DEFAULTS, SearchOptions
from seq2attn.progress import StageProgress, Stages, stages
from seq2attn.tasks import arguments, chunks

if TYPE_CHECKING:
    from seq2attn.inference import Translation, Translator
    from seq2attn.training.distributed import World

STEP = 256  # lines between two reports of progress
TAG = "<BT>"
BEST = 0.9  # share of the pairs that is written
ENDINGS = (".tsv", ".jsonl")
EMPTY, COPIED, UNFINISHED, WORST = "empty", "equal to the line", "cut at the maximum length", "of a low score"


@dataclass(frozen=True)
class BackTranslation:
    """What `back_translate` has written."""

    path: Path
    lines: int  # of the text
    pairs: int  # of the output
    threshold: float  # the lowest mean log-probability of a token that a pair of the output has
    dropped: dict[str, int] = field(default_factory=dict)  # lines without a pair, by reason


def back_translate(
    run: str | os.PathLike[str],
    files: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    tag: str = TAG,
    best: float = BEST,
    options: SearchOptions = DEFAULTS,
    settings: Changes = (),
    device: str = "auto",
    precision: str = "auto",
    allow_code: bool = False,
    progress: StageProgress | None = None,
) -> BackTranslation | None:
    """Translate text by a run, and write pairs of the output and the line, as `seq2attn back-translate` does.

    `run` translates from the language of the text; a model that is trained on the pairs translates into it.
    `files` are texts, one sentence a line, also packed. `output` ends in .tsv or .jsonl, and has a column for
    each language of the run if both are known, or else source and target. A source begins with `tag`; "":
    none. Of the pairs, the share `best` with the highest mean log-probability of a token is written. A line
    has no pair if it or its output is empty, if both are equal, or if the output was cut at the maximum
    length. `options` are those of the search, such as `SearchOptions(sample=True)`.

    A call that was stopped continues if it is repeated. Returns what was written; None in all processes of
    torchrun but the main one. Raises UsageError for arguments that make no sense,
    and UserError for a run or a file that cannot be read or written.
    """
    from seq2attn.devices import find_device, keep_freed_memory
    from seq2attn.evaluation.utilities import with_utility
    from seq2attn.inference import Translator
    from seq2attn.training.distributed import init_distributed

    names = [files] if isinstance(files, str | os.PathLike) else arguments.several(files, "files")
    request = Request(
        arguments.path(run, "run"),
        tuple(arguments.path(name, "files") for name in names),
        Path(arguments.path(output, "output")),
        tag,
        best,
        options,
        tuple(as_typed(settings)),
        precision,
    )
    request.check()
    keep_freed_memory()
    with init_distributed(find_device(device)) as world:
        translator = Translator.load(
            request.run, str(world.device), precision, request.settings, world.size == 1, allow_code
        )
        search = with_utility(options, translator.languages[1])
        try:
            return _write(request, translator, search, world, stages(progress))
        finally:
            translator.close()


@dataclass(frozen=True)
class Request:
    """What shall be translated, and how."""

    run: str
    files: tuple[str, ...]
    output: Path
    tag: str = TAG
    best: float = BEST
    options: SearchOptions = DEFAULTS
    settings: tuple[str, ...] = ()
    precision: str = "auto"

    def check(self) -> None:
        """Raise UsageError or UserError for arguments that make no sense, before a run is loaded."""
        from seq2attn.data.text.tags import TAG as FORM

        if not self.files:
            raise UsageError("files: name the text to translate", setting="files")
        for name in self.files:
            if name == "-" or not Path(name).is_file():
                problem = "the text must be in files, so that a call that was stopped can continue"
                raise UserError(f"{name}: no such file; {problem}")
        if self.output.suffix not in ENDINGS:
            raise UsageError(f"output {self.output}: its name must end in .tsv or .jsonl", setting="output")
        if not 0 < self.best <= 1:
            raise UsageError(f"best {self.best:g}: it must be above 0 and at most 1", setting="best")
        if self.tag and not FORM.fullmatch(self.tag):
            problem = "a tag is a word of capital letters in angle brackets, as <BT>, or empty for none"
            raise UsageError(f"tag {self.tag}: {problem}", setting="tag")
        if self.options.n_best != 1:
            raise UsageError("n_best: a line has one pair; leave it out", setting="n_best")
        self.options.check()

    def fingerprint(self, device: str) -> str:
        facts = {"back-translate": True, "search": self.options, "set": self.settings}
        facts |= {"precision": self.precision, "device": device}
        return chunks.fingerprint(self.run, chunks.of_texts(self.files), facts)


def _write(
    request: Request, translator: "Translator", search: SearchOptions, world: "World", stages: Stages
) -> BackTranslation | None:
    """Make the chunks that are this process's, and the output once all are there."""
    from seq2attn.data.formats.lines import read_lines

    of_output = chunks.Chunks(request.output, partial(request.fingerprint, world.device.type), world)
    lines = (line for name in request.files for line in read_lines(Path(name)))
    done, parts = 0, 0
    with chunks.told_to_continue(of_output), stages() as show:
        for parts in count():
            block = list(islice(lines, chunks.LINES))
            if not block:
                break
            if of_output.is_own(parts):
                rows = _rows(translator, search, block, done, lambda new: show("translating", new, None))
                of_output.write(parts, "".join(rows))
            done += len(block)
        result: list[BackTranslation] = []

        def write(file: IO[bytes]) -> None:
            result.append(_pairs(request, translator.languages, partial(of_output.lines, parts), file))

        of_output.put_together(parts, write)
    return result[0] if result else None  # of several processes the main one has written it


def _rows(
    translator: "Translator", search: SearchOptions, block: list[str], first: int, show: Callable[[int], None]
) -> Iterator[str]:
    """A row of JSON for each line: a reason why it has no pair, or score, source and target."""
    for start in range(0, len(block), STEP):
        texts = [" ".join(line.split()) for line in block[start : start + STEP]]
        outputs = translator.translate(texts, search, first=first + start)
        for text, translations in zip(texts, outputs, strict=True):
            yield json.dumps(_row(text, translations[0]), ensure_ascii=False) + "\n"
        show(first + start + len(texts))


def _row(line: str, output: "Translation") -> list[object]:
    source = " ".join(output.text.split())
    if not line or not source:
        return [EMPTY]
    if line == source:
        return [COPIED]
    if not output.finished or output.truncated_tokens:
        return [UNFINISHED]
    return [output.log_probability / (len(output.tokens) + 1), source, line]


def _pairs(
    request: Request,
    languages: tuple[str | None, str | None],
    rows: Callable[[], Iterable[bytes]],
    file: IO[bytes],
) -> BackTranslation:
    """Write the pairs of the best scores, in the order of the lines."""
    scores, dropped, lines = array("d"), Counter[str](), 0
    for row in rows():
        lines += 1
        value, *pair = json.loads(row)
        if pair:
            scores.append(value)
        else:
            dropped[value] += 1
    ranked = sorted(scores, reverse=True)
    most = math.ceil(request.best * len(ranked))
    threshold = ranked[most - 1] if ranked else -math.inf
    target, source = languages if all(languages) and languages[0] != languages[1] else ("target", "source")
    is_json = request.output.suffix == ".jsonl"
    pairs = 0
    if not is_json:
        file.write(f"{source}\t{target}\n".encode())
    for row in rows():
        value, *pair = json.loads(row)
        if not pair:
            continue
        if value < threshold or pairs == most:
            dropped[WORST] += 1
            continue
        pairs += 1
        text = f"{request.tag} {pair[0]}" if request.tag else pair[0]
        cells = {source: text, target: pair[1]}
        line = json.dumps(cells, ensure_ascii=False) if is_json else "\t".join(cells.values())
        file.write((line + "\n").encode())
    return BackTranslation(request.output, lines, pairs, threshold, dict(sorted(dropped.items())))
