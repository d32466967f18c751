"""`seq2attn align`: word links of given pairs. `tasks.alignment` does the work."""

from seq2attn.cli import align_options as options
from seq2attn.cli import console, flags, mistaken
from seq2attn.cli.conflicts import check
from seq2attn.cli.input import line_reader
from seq2attn.cli.input.pair_reader import PairReader
from seq2attn.cli.output import aligned_pairs, result_files
from seq2attn.errors import UsageError
from seq2attn.explaining.link_settings import LinkSettings
from seq2attn.tasks import alignment


def align(
    run: options.Run,
    source: options.Source = None,
    target: options.Target = None,
    pairs: options.Pairs = None,
    reverse: options.Reverse = None,
    symmetrise: options.Symmetrise = None,
    layer: options.Layer = None,
    head: options.Head = None,
    shift: options.Shift = None,
    threshold: options.Threshold = None,
    output: options.Output = None,
    set_: flags.Settings = None,
    device: flags.Device = "auto",
    precision: flags.Precision = "auto",
    allow_code: flags.AllowCode = False,
    quiet: flags.Quiet = False,
    debug: flags.Debug = False,
) -> None:
    """Align the words of given pairs by attention: one line of links for each pair.

    A link i-j joins source word i and target word j, counted from 0, as other aligners write them (Pharaoh
    format). The model reads the source and is forced on the target. A pair with an empty side gives an empty
    line, and so does one that is too long, with a warning. Lines are written as soon as they are ready.
    """
    values = {"--source": source, "--target": target, "--pairs": pairs, "--reverse": reverse}
    check(options.RULES, values | {"--symmetrise": symmetrise})
    for option, file in (("--source", source), ("--target", target)):
        if file == "-":
            way = "give --pairs -, a source, a tab and a target on each line"
            raise UsageError(f"{option} -: standard input has both sides: {way}")
    result_files.check_place(output, "-o")
    runs = [run, *([] if reverse is None else [reverse])]
    for one in runs:
        mistaken.refuse_no_run(one)
    files = [file for file in (source, target, pairs) if file not in (None, "-")]
    for file in files:
        mistaken.refuse_no_file(str(file), "This option takes a file of lines: write the text to one")
    rule = LinkSettings(layer, head, shift, threshold)
    alignment.check(runs, rule, symmetrise)
    reader = PairReader(source, target, pairs or "-")
    aligner = alignment.open_aligner(runs, rule, symmetrise, set_ or [], device, precision, allow_code)
    if not files and line_reader.is_terminal():
        console.note("one pair a line, a tab between source and target; Ctrl-D ends")
    progress = result_files.shows_progress([str(file) for file in files], output)
    aligned_pairs.write(aligner, reader, output, progress)
