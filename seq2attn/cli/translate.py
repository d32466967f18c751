"""`seq2attn translate`: lines in, translations out, in order and as they come."""

import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from seq2attn import config
from seq2attn.cli import console, formats, options, stream
from seq2attn.errors import UsageError, UserError

if TYPE_CHECKING:
    from seq2attn.inference import Translation

FORMATS = ("text", "jsonl", "moses")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
FIRST_LINES, MOST_LINES = 64, 4096  # translated at once: few at first, for an early answer, then many, for lines of like length


def translate(
    run: Annotated[str, typer.Argument(help="A trained run; several joined by commas are an ensemble.", metavar="RUN", show_default=False)],
    files: Annotated[list[str] | None, typer.Argument(help="Text, a line each.", metavar="FILE...", show_default="standard input")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write here.", metavar="FILE", show_default="standard output")] = None,
    beam: Annotated[int | None, typer.Option(help="Hypotheses kept while searching; 1 is greedy.", min=1, metavar="N", show_default="the run's")] = None,
    length_penalty: Annotated[float | None, typer.Option(help="Score is log p / length ** this.", min=0, metavar="X", show_default="the run's")] = None,
    n_best: Annotated[int, typer.Option(help="Translations of each line, best first.", min=1, metavar="N")] = 1,
    max_length: Annotated[int | None, typer.Option(help="Longest translation, in tokens.", min=1, metavar="N", show_default="the run's")] = None,
    min_length: Annotated[int | None, typer.Option(help="Shortest translation, in tokens.", min=0, metavar="N", show_default="the run's")] = None,
    no_repeat_ngram: options.NoRepeat = None,
    sample: Annotated[bool, typer.Option("--sample", help="Draw translations at random instead of searching for the best.")] = False,
    temperature: Annotated[
        float | None, typer.Option(help="With --sample or --mbr: below 1 likelier tokens, above 1 wilder ones.", metavar="X", show_default="1.0")
    ] = None,
    top_k: Annotated[
        int | None, typer.Option(help="With --sample or --mbr: draw among the N likeliest tokens.", metavar="N", min=1, show_default="all")
    ] = None,
    top_p: Annotated[
        float | None, typer.Option(help="With --sample or --mbr: draw among the fewest tokens of this probability together.", metavar="P", show_default="1.0")
    ] = None,
    mbr: options.Mbr = None,
    samples: options.Samples = None,
    seed: options.Seed = 1,
    batch_tokens: Annotated[
        int | None,
        typer.Option(help="Padded source tokens translated at once; changes speed and memory only.", min=1, metavar="N", show_default="as fits the device"),
    ] = None,
    prefix: Annotated[
        Path | None, typer.Option(help="What each translation begins with: a line for each line of input, empty for none.", metavar="FILE", show_default=False)
    ] = None,
    format: Annotated[
        str, typer.Option(help='text; jsonl, in and out: {"text": ...} with any other keys; or moses, an n-best list.', metavar="text|jsonl|moses")
    ] = "text",
    scores: Annotated[bool, typer.Option("--scores", help="In text, the score and a tab before each translation (natural log; with --mbr points).")] = False,
    alignments: Annotated[bool, typer.Option("--alignments", help="Word alignments i-j, from 0, after a tab (in jsonl under a key of their own).")] = False,
    attention: Annotated[Path | None, typer.Option(help="Keep the attention weights here.", metavar="FILE.npz|FILE.jsonl", show_default=False)] = None,
    set_: options.Settings = None,
    device: options.Device = "auto",
    precision: Annotated[str, typer.Option(help="Number format: auto (fp32), fp32, bf16 or fp16.", metavar="FORMAT")] = "auto",
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Translate lines of text: one line out for each line in, at once.

    An empty line stays empty. The output depends neither on the batch size nor on the order of the lines.
    """
    settings = set_ or []
    options.refuse_utility(settings, mbr, samples, n_best, beam, length_penalty, sample)
    draws = sample or mbr is not None
    _refuse(run, settings, n_best, beam, length_penalty, max_length, min_length, no_repeat_ngram, draws, temperature, top_k, top_p, format, precision)
    for path, name in ((output, "-o"), (attention, "--attention")):
        _refuse_place(path, name)
    if attention is not None and attention.suffix not in formats.AttentionFile.ENDINGS:
        raise UsageError(f"--attention {attention}: its name must end in .npz or .jsonl")

    if output is not None and attention is not None and output.resolve() == attention.resolve():
        raise UsageError(f"-o and --attention: both would be {output}")
    if prefix is not None and str(prefix) == "-" and (not files or "-" in files):
        raise UsageError("--prefix -: standard input is read already, for the text")

    lines = stream.Stream(files or [])
    prefixes = None if prefix is None else stream.Stream([str(prefix)])

    from seq2attn.inference import MAX_SOURCE, Translator
    from seq2attn.training.precision import keep_pages

    keep_pages()
    translator = Translator.load(run, device=device, precision=precision, settings=settings, processes=True)
    if (alignments or attention is not None) and not translator.attends:
        raise UserError(
            f"{run}: its model has no attention to show (model.decoder.reads is not attention): leave out {'--alignments' if alignments else '--attention'}"
        )
    utility = None
    if mbr is not None:
        from seq2attn.evaluation import text

        utility = text.utility(mbr, translator.languages[1])
    if not files and stream.is_terminal():
        console.note("one line, one translation; Ctrl-D ends")

    def work(texts: list[str], begins: list[str] | None, first: int) -> "list[list[Translation]]":
        return translator.translate(
            texts,
            beam=beam,
            n_best=n_best,
            length_penalty=length_penalty,
            max_length=max_length,
            min_length=min_length,
            sample=sample,
            temperature=1.0 if temperature is None else temperature,
            top_k=top_k or 0,
            top_p=1.0 if top_p is None else top_p,
            seed=seed,
            batch_tokens=batch_tokens,
            prefixes=begins,
            attention=alignments or attention is not None,
            first=first,
            no_repeat_ngram=no_repeat_ngram,
            utility=utility,
            samples=samples,
        )

    with ExitStack() as stack:
        write = _writer(stack, output)
        kept = None if attention is None else stack.enter_context(formats.AttentionFile(stack.enter_context(_beside(attention)), attention))
        show = stack.enter_context(console.progress()) if _shows_progress(files, output) else None
        started, number, most = time.monotonic(), 0, FIRST_LINES
        while taken := lines.take(most):
            begins = None if prefixes is None else _next(prefixes, prefix, len(taken), taken[-1].where)
            records = [_record(line) if format == "jsonl" else {"text": line.text} for line in taken]
            texts = [record["text"] if isinstance(record.get("text"), str) else "" for record in records]
            parts = []
            for line, record, translations in zip(taken, records, work(texts, begins, number), strict=True):
                if translations[0].unread:
                    console.warn(f"{line.where}: {MAX_SOURCE + translations[0].unread:,} tokens long; only the first {MAX_SOURCE:,} are read")
                if format == "jsonl":
                    parts.append(formats.as_json(record, translations, n_best, alignments))
                elif format == "moses":
                    parts.append(formats.as_moses(translations, number, alignments))
                else:
                    parts.append(formats.as_text(translations, n_best, scores, alignments))
                if kept is not None:
                    kept.add(number, translations)
                number += 1
            write("".join(parts))
            most = min(2 * most, MOST_LINES)
            if show is not None:
                show("translating", number, None, f"{number / max(time.monotonic() - started, 1e-9):,.0f} lines/s")
        if prefixes is not None and prefixes.take(1):
            console.warn(f"{prefix}: has more lines than the input; the rest is not used")


def _refuse(
    run: str,
    settings: list[str],
    n_best: int,
    beam: int | None,
    length_penalty: float | None,
    max_length: int | None,
    min_length: int | None,
    no_repeat_ngram: int | None,
    draws: bool,
    temperature: float | None,
    top_k: int | None,
    top_p: float | None,
    format: str,
    precision: str,
) -> None:
    """Raise UsageError for what makes no sense, before anything is loaded."""
    if format not in FORMATS:
        raise UsageError(f"--format {format}: choose text, jsonl or moses")
    if precision not in PRECISIONS:
        raise UsageError(f"--precision {precision}: choose {', '.join(PRECISIONS)}")
    if draws and (beam is not None or options.sets(settings, "search.beam")):
        raise UsageError(f"--{'set search.' if beam is None else ''}beam and --sample: a sample is drawn, not searched for; leave one out")
    for name, value in (("--temperature", temperature), ("--top-k", top_k), ("--top-p", top_p)):
        if value is not None and not draws:
            raise UsageError(f"{name} is about random draws: it needs --sample, or --mbr")
    if temperature is not None and not 0 < temperature < math.inf:
        raise UsageError(f"--temperature {temperature}: it must be above 0")
    if top_p is not None and not 0 < top_p <= 1:
        raise UsageError(f"--top-p {top_p}: it must be above 0 and at most 1")
    if length_penalty is not None and not length_penalty < math.inf:
        raise UsageError(f"--length-penalty {length_penalty}: it must be a number")
    options.refuse_twice(settings, beam=beam, length_penalty=length_penalty, max_length=max_length, min_length=min_length, no_repeat_ngram=no_repeat_ngram)
    search = _search(run, settings)
    shortest = search.min_length if min_length is None else min_length
    longest = search.max_length if max_length is None else max_length
    if longest is not None and shortest > longest:
        raise UsageError(f"--min-length {shortest} and --max-length {longest}: no length is between them")
    if n_best > 1 and not draws:
        width = beam or search.beam
        if n_best > width:
            raise UsageError(f"--n-best {n_best}: a beam of {width} finds at most {width} translations; set --beam {n_best} or more")


def _search(run: str, settings: list[str]) -> config.Search:
    """The run's search settings, changed, without loading it; what is wrong with the run is said when it is opened."""
    first = Path(run) if Path(run).is_dir() else Path(run.split(",")[0].strip())
    try:
        tree = json.loads((first / "config.json").read_text(encoding="utf-8"))
        stored = config.validate(tree["config"], "")
    except (OSError, ValueError, LookupError, TypeError, UserError):
        return config.Search()
    return config.change(stored, settings, f"{first} with --set").search


def _refuse_place(path: Path | None, name: str) -> None:
    if path is not None and path.is_dir():
        raise UsageError(f"{name} {path}: a folder; name a file")
    if path is not None and not path.parent.is_dir():
        raise UserError(f"{name} {path}: there is no folder {path.parent}; make it first")


def _record(line: stream.Line) -> dict[str, Any]:
    record, wrong = formats.read_json(line.text)
    if wrong:
        console.warn(f"{line.where}: {wrong}")
    return record


def _next(prefixes: stream.Stream, path: Path | None, count: int, where: str) -> list[str]:
    found: list[str] = []
    while len(found) < count and (more := prefixes.take(count - len(found))):
        found += [line.text for line in more]
    if len(found) < count:
        raise UserError(f"{path}: ends before the input does ({where}): it needs a line for each, empty for no prefix")
    return found


def _writer(stack: ExitStack, output: Path | None) -> Callable[[str], None]:
    if output is None:
        if sys.stdout is None:
            raise UserError("there is no standard output: name a file by -o")

        def write(text: str) -> None:
            sys.stdout.write(text)
            sys.stdout.flush()

        return write
    file = stack.enter_context(_beside(output))

    def keep(text: str) -> None:
        file.write(text.encode("utf-8"))
        file.flush()

    return keep


@contextmanager
def _beside(path: Path) -> Iterator[IO[bytes]]:
    """A file to write that takes its place when all is done, or when the work is stopped: what is finished is kept, and what stood there where nothing is."""
    if path.exists() and not path.is_file():  # a device or a pipe
        with path.open("wb") as file:
            yield file
        return
    beside = path.with_name(path.name + ".new")
    done = False
    with beside.open("wb") as file:
        try:
            yield file
            done = True
        finally:
            if done or file.tell():
                file.flush()
                os.replace(beside, path)
            else:
                beside.unlink()


def _shows_progress(files: list[str] | None, output: Path | None) -> bool:
    """Not where a person types the lines, nor where results come to the same screen."""
    return (bool(files) or not stream.is_terminal()) and (output is not None or not (sys.stdout and sys.stdout.isatty()))
