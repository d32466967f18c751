"""`seq2attn translate`: reads lines and writes translations in their order, as soon as they are ready."""

import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from seq2attn.cli import console, flags, mistaken
from seq2attn.cli import translate_options as options
from seq2attn.cli.conflicts import Needs, check
from seq2attn.cli.input import line_reader
from seq2attn.cli.output import formats, line_warnings, result_files
from seq2attn.cli.output.line_warnings import LineWarnings
from seq2attn.cli.search_flags import check_search, require_attention, with_search_flags
from seq2attn.errors import UsageError
from seq2attn.inference.options import DEFAULTS, SearchOptions

FORMATS = ("text", "jsonl", "moses")
# Lines that are translated together: few at first, for an early answer, then many, so that lines of similar
# length meet.
FIRST_LINES, MOST_LINES = 64, 4096
CHARACTERS_WITH_ATTENTION = 1 << 16  # of lines that are translated together: attention needs much memory
RULES = (Needs("--attention-heads", "--attention FILE", "it chooses the weights in that file"),)


@with_search_flags(n_best="Translations for each line, best first.")
def translate(
    run: options.Run,
    files: options.Files = None,
    output: options.Output = None,
    search: SearchOptions = DEFAULTS,
    prefix: options.Prefix = None,
    format: options.Format = "text",
    scores: options.Scores = False,
    alignments: options.Alignments = False,
    attention: options.Attention = None,
    attention_heads: options.AttentionHeads = None,
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
        way_out = "--prefix takes a file, one line for each line of input: write the text to one"
        mistaken.refuse_no_file(str(prefix), way_out)
    longest = line_warnings.LONGEST_JSON if format == "jsonl" else line_reader.LONGEST
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
    search = replace(
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
        warnings = stack.enter_context(LineWarnings(MAX_SOURCE, translator.source_lengths or {}))
        started, number, most = time.monotonic(), 0, FIRST_LINES
        characters = line_reader.CHARACTERS if weights is None else CHARACTERS_WITH_ATTENTION
        while block := lines.take(most, characters):
            starts = None if prefixes is None else prefixes.take_all(len(block), str(prefix), block[-1].where)
            records = [warnings.record(line) if format == "jsonl" else {"text": line.text} for line in block]
            texts = [record["text"] if isinstance(record.get("text"), str) else "" for record in records]
            outputs = translator.translate(texts, search, prefixes=starts, first=number)
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
