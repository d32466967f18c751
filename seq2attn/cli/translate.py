"""`seq2attn translate`: reads lines and writes translations in their order, as soon as they are ready."""

import math
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import typer

from seq2attn.cli import console, flags, mistaken
from seq2attn.cli.conflicts import Needs, check
from seq2attn.cli.input import line_reader
from seq2attn.cli.output import formats, result_files
from seq2attn.cli.output.repeated_warning import RepeatedWarning
from seq2attn.cli.search_flags import check_search, require_attention, with_search_flags
from seq2attn.data.text.sentences import count_sentences
from seq2attn.errors import UsageError, UserError
from seq2attn.inference.options import DEFAULTS, SearchOptions

if TYPE_CHECKING:
    from seq2attn.inference import Translation

FORMATS = ("text", "jsonl", "moses")
# Lines that are translated together: few at first, for an early answer, then many, so that lines of similar
# length meet.
FIRST_LINES, MOST_LINES = 64, 4096
LONGEST_JSON = 1 << 23  # bytes of one line of JSON, which may hold other things than text
FAR = 1.5  # a line with more tokens than this many times the longest source in training gets a warning
FEW = 0.02  # share of training sources with several sentences, above which such lines get no warning
CHARACTERS_WITH_ATTENTION = (
    1 << 16
)  # characters of lines that are translated together with --attention, which needs much memory
RULES = (Needs("--attention-heads", "--attention FILE", "it chooses the weights in that file"),)


@with_search_flags(n_best="Translations for each line, best first.")
def translate(
    run: Annotated[
        str,
        typer.Argument(
            help="Trained run. Runs joined by commas are an ensemble.", metavar="RUN", show_default=False
        ),
    ],
    files: Annotated[
        list[str] | None,
        typer.Argument(
            help="Files of text, one sentence per line.", metavar="FILE", show_default="standard input"
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write.", metavar="FILE", show_default="standard output"),
    ] = None,
    search: SearchOptions = DEFAULTS,
    prefix: Annotated[
        Path | None,
        typer.Option(
            help="File with one target prefix per input line. The translation begins with it. An empty line "
            "sets no prefix.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    format: Annotated[
        str,
        typer.Option(
            help='Output format. text: plain lines. jsonl: JSON lines, also as input: {"text": ...}, other '
            "keys allowed. moses: an n-best list.",
            metavar="text|jsonl|moses",
        ),
    ] = "text",
    scores: Annotated[
        bool,
        typer.Option(
            "--scores",
            help="With --format text, write the score and a tab before each translation. The score is a "
            "log probability divided by the length penalty, or with --mbr the mean chrF or BLEU.",
        ),
    ] = False,
    alignments: Annotated[
        bool,
        typer.Option(
            "--alignments",
            help="Write word alignments after a tab, or in jsonl under the key alignment. A link i-j joins "
            "source word i and target word j, counted from 0.",
        ),
    ] = False,
    attention: Annotated[
        Path | None,
        typer.Option(
            help="File to write attention weights to.", metavar="FILE.npz|FILE.jsonl", show_default=False
        ),
    ] = None,
    attention_heads: Annotated[
        Literal["mean", "all"] | None,
        typer.Option(
            help="Weights to write with --attention. mean: averaged over layers and heads. all: also each "
            "head.",
            metavar="mean|all",
            show_default="mean",
        ),
    ] = None,
    set_: flags.Settings = None,
    device: flags.Device = "auto",
    precision: flags.Precision = "auto",
    allow_code: flags.AllowCode = False,
    quiet: flags.Quiet = False,
    debug: flags.Debug = False,
) -> None:
    """Translate text: one line of output for each line of input. Each line is written as soon as it is ready.

    An empty line stays empty. The output does not depend on the batch size or on the order of the lines.
    """
    settings = set_ or []
    if format not in FORMATS:
        raise UsageError(f"--format {format}: choose text, jsonl or moses")
    check_search(search, run, settings, precision)
    _check_files(files or [], output, attention, prefix)
    check(RULES, {"--attention": attention, "--attention-heads": attention_heads})
    mistaken.refuse_no_run(run)
    for file in files or []:
        mistaken.refuse_no_file(
            file, f"To translate text, pipe it: echo {{text}} | seq2attn translate {mistaken.shell(run)}"
        )
    if prefix is not None:
        mistaken.refuse_no_file(
            str(prefix), "--prefix takes a file, one line for each line of input: write the text to one"
        )
    longest = LONGEST_JSON if format == "jsonl" else line_reader.LONGEST
    lines = line_reader.LineReader(files or [], longest=longest)
    prefixes = None if prefix is None else line_reader.LineReader([str(prefix)])

    from seq2attn.devices import keep_freed_memory
    from seq2attn.evaluation.utilities import with_utility
    from seq2attn.inference import MAX_SOURCE, Translator
    from seq2attn.inference.attention_file import AttentionWriter

    keep_freed_memory()
    translator = Translator.load(
        run, device=device, precision=precision, settings=settings, processes=True, allow_code=allow_code
    )
    if alignments or attention is not None:
        option = "--alignments" if alignments else "--attention"
        require_attention(run, translator, "write", f"; leave out {option}")
    options = replace(
        with_utility(search, translator.languages[1]),
        attention="all" if attention_heads == "all" else alignments or attention is not None,
    )
    if not files and line_reader.is_terminal():
        console.note("one line, one translation; Ctrl-D ends")

    with ExitStack() as stack:
        write = result_files.writer(stack, output)
        weights = None
        if attention is not None:
            file_ = stack.enter_context(result_files.attention(attention))
            weights = stack.enter_context(AttentionWriter(file_, attention))
        show = stack.enter_context(console.progress()) if result_files.shows_progress(files, output) else None
        warnings = stack.enter_context(_LineWarnings(MAX_SOURCE, translator.source_lengths or {}))
        started, number, most = time.monotonic(), 0, FIRST_LINES
        characters = line_reader.CHARACTERS if weights is None else CHARACTERS_WITH_ATTENTION
        while block := lines.take(most, characters):
            starts = None if prefixes is None else _take(prefixes, prefix, len(block), block[-1].where)
            records = [
                _record(line, warnings) if format == "jsonl" else {"text": line.text} for line in block
            ]
            texts = [record["text"] if isinstance(record.get("text"), str) else "" for record in records]
            outputs = translator.translate(texts, options, prefixes=starts, first=number)
            parts = []
            for line, record, translations in zip(block, records, outputs, strict=True):
                warnings.check(line, record.get("text"), translations[0])
                if format == "jsonl":
                    parts.append(formats.as_json(record, translations, search.n_best, alignments))
                elif format == "moses":
                    parts.append(formats.as_moses(translations, number, alignments))
                else:
                    parts.append(formats.as_text(translations, search.n_best, scores, alignments))
                if weights is not None:
                    weights.add(number, translations)
                number += 1
            write("".join(parts))
            most = min(2 * most, MOST_LINES)
            if show is not None:
                speed = number / max(time.monotonic() - started, 1e-9)
                show("translating", number, None, f"{speed:,.0f} lines/s")
        if prefixes is not None and prefixes.take(1):
            console.warn(f"{prefix}: has more lines than the input; the rest is not used")


def _check_files(files: list[str], output: Path | None, attention: Path | None, prefix: Path | None) -> None:
    for path, option in ((output, "-o"), (attention, "--attention")):
        result_files.check_place(path, option)
    if attention is not None and attention.suffix not in formats.ATTENTION_ENDINGS:
        raise UsageError(f"--attention {attention}: its name must end in .npz or .jsonl")
    if output is not None and attention is not None and output.resolve() == attention.resolve():
        raise UsageError(f"-o and --attention: both would be {output}")
    if prefix is not None and str(prefix) == "-" and (not files or "-" in files):
        raise UsageError("--prefix -: standard input is read already, for the text")


class _LineWarnings:
    """Warnings about lines of input, each printed once or a few times.

    A model reads `most` tokens of a source. `training` has statistics of the sources in training.
    """

    def __init__(self, most: int, training: Mapping[str, float]) -> None:
        self._most = most
        self._longest, self._several = training.get("100%", math.inf), training.get("several sentences", 1.0)
        self.unlike = RepeatedWarning("several sentences, or far longer than any source in training", 1)
        self.not_json = RepeatedWarning(formats.NOT_JSON)
        self.no_text = RepeatedWarning(formats.NO_TEXT)
        self.cut = RepeatedWarning("too long, so their ends were dropped")
        self.unforced = RepeatedWarning("prefixes too long, so their ends were left out")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for repeated in (self.not_json, self.no_text, self.cut, self.unforced, self.unlike):
            repeated.close()

    def check(self, line: line_reader.Line, text: object, translation: "Translation") -> None:
        """Warn about one line. `text` is the source before it was cut."""
        if line.cut and text:
            self.cut.warn(
                f"{line.where}: more than {line_reader.LONGEST:,} bytes without a line break; the rest "
                "of the line was dropped"
            )
        if translation.truncated_tokens:
            least = "at least " if line.cut or text != translation.source else ""
            length = self._most + translation.truncated_tokens
            console.warn(
                f"{line.where}: {least}{length:,} tokens long; only the first {self._most:,} are read"
            )
        if translation.source_subwords and not console.quiet:
            self._compare(line, translation)
        if translation.unforced:
            self.unforced.warn(
                f"{line.where}: its prefix has {translation.unforced:,} tokens more than an output can "
                "hold; they were left out"
            )

    def _compare(self, line: line_reader.Line, translation: "Translation") -> None:
        length = len(translation.source_subwords) + translation.truncated_tokens
        count = count_sentences(translation.source) if self._several < FEW else 1
        if length > FAR * self._longest:
            self.unlike.warn(
                f"{line.where}: {length:,} tokens, where the longest source in training had "
                f"{self._longest:,.0f}: "
                "some of it is likely to be left out; split it at the ends of its sentences"
            )
        elif count > 1:
            self.unlike.warn(
                f"{line.where}: {count:,} sentences, where nearly all sources in training were a single one: "
                "some are likely to be left out; put each on a line of its own"
            )


def _record(line: line_reader.Line, warnings: _LineWarnings) -> dict[str, Any]:
    if line.cut:  # Its end is missing, so it is no longer JSON.
        problem = f"more than {LONGEST_JSON:,} bytes without a line break: nothing of it was read"
        warnings.cut.warn(f"{line.where}: {problem}")
        return {"text": "", "error": problem}
    record, fault = formats.read_json(line.text)
    if fault:
        warning = warnings.not_json if fault == formats.NOT_JSON else warnings.no_text
        warning.warn(f"{line.where}: {fault}")
    return record


def _take(prefixes: line_reader.LineReader, path: Path | None, count: int, where: str) -> list[str]:
    texts: list[str] = []
    while len(texts) < count and (more := prefixes.take(count - len(texts))):
        texts += [line.text for line in more]
    if len(texts) < count:
        raise UserError(
            f"{path}: ends before the input does ({where}): it needs a line for each, empty for no prefix"
        )
    return texts
