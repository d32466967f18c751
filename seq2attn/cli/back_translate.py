"""`seq2attn back-translate`: its options, and what was written. `tasks.back_translation` does the work."""

from seq2attn.cli import back_translate_options as options
from seq2attn.cli import console, flags, mistaken
from seq2attn.cli.output import result_files
from seq2attn.cli.search_flags import check_search, with_search_flags
from seq2attn.inference.options import DEFAULTS, SearchOptions
from seq2attn.tasks import back_translation
from seq2attn.tasks.back_translation import BEST, TAG, Request


@with_search_flags(without=("n_best",))
def back_translate(
    run: options.Run,
    files: options.Files,
    output: options.Output,
    tag: options.Tag = TAG,
    best: options.Best = BEST,
    search: SearchOptions = DEFAULTS,
    set_: flags.Settings = None,
    device: flags.Device = "auto",
    precision: flags.Precision = "auto",
    allow_code: flags.AllowCode = False,
    quiet: flags.Quiet = False,
    debug: flags.Debug = False,
) -> None:
    """Make training pairs from text of one language: translate it by a run, and write both sides.

    The output of the run is the source of a pair, and the line is its target, so that the pairs are for a
    model that translates the other way. `seq2attn prepare` gives the tag a token of its own. After a kill the
    same command continues.
    """
    settings = set_ or []
    check_search(search, run, settings, precision)
    result_files.check_place(output, "-o")
    Request(run, tuple(files), output, tag, best, search).check()
    mistaken.refuse_no_run(run)
    with console.progress() as progress:
        done = back_translation.back_translate(
            run,
            files,
            output,
            tag=tag,
            best=best,
            options=search,
            settings=settings,
            device=device,
            precision=precision,
            allow_code=allow_code,
            progress=progress,
        )
    if done is not None:
        console.result(f"{done.pairs:,} pairs of {done.lines:,} lines in {done.path}")
        for reason, count in done.dropped.items():
            console.result(f"{count:,} dropped, {reason}")
