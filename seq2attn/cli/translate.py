"""`seq2attn translate`: lines in, translations out, in order and as they come."""

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from seq2attn.cli import console, formats, mistaken, options, stream, writing
from seq2attn.cli.search_options import Asked, refuse_blind
from seq2attn.errors import UsageError, UserError

FORMATS = ("text", "jsonl", "moses")
FIRST_LINES, MOST_LINES = 64, 4096  # translated at once: few at first, for an early answer, then many, for lines of like length


def translate(
    run: Annotated[str, typer.Argument(help="A trained run; several joined by commas are an ensemble.", metavar="RUN", show_default=False)],
    files: Annotated[list[str] | None, typer.Argument(help="Text, a line each.", metavar="FILE...", show_default="standard input")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write here.", metavar="FILE", show_default="standard output")] = None,
    beam: options.Beam = None,
    length_penalty: options.LengthPenalty = None,
    n_best: Annotated[int, typer.Option(help="Translations of each line, best first.", min=1, metavar="N")] = 1,
    max_length: options.MaxLength = None,
    min_length: options.MinLength = None,
    no_repeat_ngram: options.NoRepeat = None,
    sample: options.Sample = False,
    temperature: options.Temperature = None,
    top_k: options.TopK = None,
    top_p: options.TopP = None,
    mbr: options.Mbr = None,
    samples: options.Samples = None,
    seed: options.Seed = 1,
    batch_tokens: options.BatchTokens = None,
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
    precision: options.Precision = "auto",
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Translate lines of text: one line out for each line in, at once.

    An empty line stays empty. The output depends neither on the batch size nor on the order of the lines.
    """
    settings = set_ or []
    if format not in FORMATS:
        raise UsageError(f"--format {format}: choose text, jsonl or moses")
    asked = Asked(n_best, beam, length_penalty, max_length, min_length, no_repeat_ngram, sample, temperature, top_k, top_p, mbr, samples, seed, batch_tokens)
    asked.refuse(run, settings, precision)
    for path, name in ((output, "-o"), (attention, "--attention")):
        writing.refuse_place(path, name)
    if attention is not None and attention.suffix not in formats.AttentionFile.ENDINGS:
        raise UsageError(f"--attention {attention}: its name must end in .npz or .jsonl")

    if output is not None and attention is not None and output.resolve() == attention.resolve():
        raise UsageError(f"-o and --attention: both would be {output}")
    if prefix is not None and str(prefix) == "-" and (not files or "-" in files):
        raise UsageError("--prefix -: standard input is read already, for the text")

    mistaken.refuse_no_run(run)
    for file in files or []:
        mistaken.refuse_no_file(file, f"To translate text, pipe it: echo {{text}} | seq2attn translate {mistaken.shown(run)}")
    if prefix is not None:
        mistaken.refuse_no_file(str(prefix), "--prefix takes a file, a line for each line of input: put the text into one")
    lines = stream.Stream(files or [])
    prefixes = None if prefix is None else stream.Stream([str(prefix)])

    from seq2attn.inference import MAX_SOURCE, Translator
    from seq2attn.training.precision import keep_pages

    keep_pages()
    translator = Translator.load(run, device=device, precision=precision, settings=settings, processes=True)
    if alignments or attention is not None:
        refuse_blind(run, translator, "show", f"; leave out {'--alignments' if alignments else '--attention'}")
    keywords = asked.keywords(translator.languages[1]) | {"attention": alignments or attention is not None}
    if not files and stream.is_terminal():
        console.note("one line, one translation; Ctrl-D ends")

    with ExitStack() as stack:
        write = writing.writer(stack, output)
        kept = None if attention is None else stack.enter_context(formats.AttentionFile(stack.enter_context(writing.attention(attention)), attention))
        show = stack.enter_context(console.progress()) if writing.shows_progress(files, output) else None
        started, number, most = time.monotonic(), 0, FIRST_LINES
        while taken := lines.take(most):
            begins = None if prefixes is None else _next(prefixes, prefix, len(taken), taken[-1].where)
            records = [_record(line) if format == "jsonl" else {"text": line.text} for line in taken]
            texts = [record["text"] if isinstance(record.get("text"), str) else "" for record in records]
            found = translator.translate(texts, prefixes=begins, first=number, **keywords)
            parts = []
            for line, record, translations in zip(taken, records, found, strict=True):
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
