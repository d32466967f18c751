"""`seq2attn translate`: reads lines and writes translations in their order, as soon as they are ready."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from seq2attn.cli import console, experiment_options, flags, mistaken
from seq2attn.cli import translate_options as options
from seq2attn.cli.conflicts import check
from seq2attn.cli.input import line_reader
from seq2attn.cli.line_flags import LineFlags, with_line_flags
from seq2attn.cli.output import line_warnings, result_files
from seq2attn.cli.output.line_warnings import LineWarnings
from seq2attn.cli.search_flags import check_search, note_choice, require_attention, with_search_flags
from seq2attn.errors import UsageError
from seq2attn.inference.options import DEFAULTS, SearchOptions
from seq2attn.tasks import chunks


@with_search_flags(n_best="Translations for each line, best first.")
@with_line_flags
def translate(
    run: options.Run,
    files: options.Files = None,
    output: options.Output = None,
    search: SearchOptions = DEFAULTS,
    prefix: options.Prefix = None,
    lines: LineFlags = LineFlags(),  # noqa: B008 (it is frozen)
    format: options.Format = "text",
    scores: options.Scores = False,
    confidence: flags.Confidence = False,
    alignments: options.Alignments = False,
    attention: options.Attention = None,
    attention_heads: options.AttentionHeads = None,
    mask_source: experiment_options.MaskSource = None,
    attend: experiment_options.Attend = None,
    uniform: experiment_options.Uniform = None,
    set_: flags.Settings = None,
    device: flags.Device = "auto",
    precision: flags.Precision = "auto",
    allow_code: flags.AllowCode = False,
    quiet: flags.Quiet = False,
    debug: flags.Debug = False,
) -> None:
    """Translate text: one line of output for each line of input. Each line is written as soon as it is ready.

    An empty line stays empty. The output does not depend on the batch size or on the order of the lines.
    A large file is translated to -o in chunks: after a kill the same command continues. For several devices
    or machines: torchrun --nproc-per-node N -m seq2attn translate RUN FILE -o FILE
    """
    settings = set_ or []
    if format not in options.FORMATS:
        raise UsageError(f"--format {format}: choose text, jsonl or moses")
    check_search(search, run, settings, precision)
    options.check_files(files or [], output, attention, prefix)
    given: dict[str, object]
    given = {"--attention-heads": attention_heads, "--format moses": format == "moses"}
    given |= {"--attention": attention, "--confidence": confidence, "--sample": search.sample}
    given |= {"--mask-source": mask_source, "--attend": attend, "--uniform": uniform, "--scores": scores}
    given |= {"--alignments": alignments, "--mbr": search.utility, "--n-best": search.n_best > 1}
    check(options.RULES, given)
    lines.refuse(given)
    experiment = experiment_options.experiment(mask_source, attend, uniform, given)
    mistaken.refuse_no_run(run)
    for file in files or []:
        mistaken.refuse_no_file(
            file, f"To translate text, pipe it: echo {{text}} | seq2attn translate {mistaken.shell(run)}"
        )
    if prefix is not None:
        way_out = "--prefix takes a file, one line for each line of input: write the text to one"
        mistaken.refuse_no_file(str(prefix), way_out)
    longest = line_warnings.LONGEST_JSON if format == "jsonl" else line_reader.LONGEST
    reader = line_reader.LineReader(files or [], longest=longest)
    prefixes = None if prefix is None else line_reader.LineReader([str(prefix)])

    inputs = [*(files or ["-"]), *([] if prefix is None else [str(prefix)])]
    size = sum(Path(file).stat().st_size for file in inputs if Path(file).is_file())
    in_chunks = chunks.are_wanted(output, inputs, size >= chunks.LARGE, attention is not None)

    from seq2attn.cli.output.translated_lines import TranslatedLines
    from seq2attn.devices import find_device, keep_freed_memory
    from seq2attn.evaluation.utilities import with_utility
    from seq2attn.inference import MAX_SOURCE, Translator
    from seq2attn.inference.attention_file import AttentionWriter
    from seq2attn.training.distributed import init_distributed

    keep_freed_memory()
    with ExitStack() as stack:
        world = stack.enter_context(init_distributed(find_device(device)))
        translator = Translator.load(
            run,
            device=str(world.device),
            precision=precision,
            settings=settings,
            processes=world.size == 1 and not experiment,
            allow_code=allow_code,
        )
        if option := lines.needing_attention({"--alignments": alignments, "--attention": attention}):
            require_attention(run, translator, "write", f"; leave out {option}")
            note_choice(run, translator)
        if experiment:
            require_attention(run, translator, "change")
        facts: dict[str, object]
        facts = {"search": search, "format": format, "scores": scores, "alignments": alignments}
        facts |= {"set": settings, "precision": precision, "device": world.device.type}
        shows, how = option is not None, lines.arguments()
        facts |= how | {"choice": translator.choice if shows else None, "experiment": experiment}
        facts |= {"coverage": lines.coverage, "confidence": confidence and translator.calibration()}
        search = replace(
            with_utility(search, translator.languages[1]),
            attention="all" if attention_heads == "all" else shows,
            confidence=confidence,
        )
        if not files and line_reader.is_terminal():
            console.note("one line, one translation; Ctrl-D ends")

        weights = None
        if attention is not None:
            file_ = stack.enter_context(result_files.attention(attention))
            weights = stack.enter_context(AttentionWriter(file_, attention))
        warnings = stack.enter_context(LineWarnings(MAX_SOURCE, translator.source_lengths or {}))
        wishes = (warnings, weights, format, scores, alignments, lines.coverage, experiment)
        translated = TranslatedLines(translator, search, how, reader, prefixes, prefix, *wishes)
        translated.colour = output is None and console.has_colour()

        def key() -> str:
            return chunks.fingerprint(run, chunks.of_texts(inputs), facts)

        progress = result_files.shows_progress(files, output)
        translated.write_to(output, key if in_chunks else None, world, progress)
