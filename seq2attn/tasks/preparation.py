"""A corpus prepared for training, as `seq2attn prepare` does it."""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seq2attn import config
from seq2attn.errors import UsageError
from seq2attn.progress import StageProgress
from seq2attn.tasks import arguments

if TYPE_CHECKING:
    from seq2attn.data.prepared import Prepared


def prepare(
    corpus: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    valid: int | None = None,
    test: int | None = None,
    workers: int | None = None,
    force: bool = False,
    seed: int = 1,
    align_with: str | os.PathLike[str] | None = None,
    align_reverse: str | os.PathLike[str] | None = None,
    clean_table: str | os.PathLike[str] | None = None,
    progress: StageProgress | None = None,
    **options: Any,
) -> "Prepared":
    """Prepare a corpus for training: train a tokenizer, encode the text, check the images.

    `corpus` is a bundled corpus (phrases, names, scenes or clips), a folder, a file, or hf:OWNER/NAME; or a
    list of corpora of text, each with a weight if its name ends in one: `["a.tsv", "b.tsv:0.3"]`. `out` is
    the folder to create, completely or not at all; `force` replaces a prepared folder there. `valid` and
    `test` are numbers of pairs to set aside, by default a twentieth each, at most 1,000, of a corpus without
    splits.
    `workers` is the number of processes, by default one for each processor. `options` are the settings of
    `data`, as `source="en", target="de", vocab_size=4000, lowercase=True`; unless you set it, `vocab_size`
    fits the number of training pairs. `align="eflomal"` links the words of training pairs, for train.guide.
    `align_with` is a run whose attention links them instead, and `align_reverse` one that translates the
    other way. `keep=["numbers"]` leaves faults of training pairs as they are, and `clean_table` is a table
    (.csv) to write of the pairs after cleaning. `progress(stage, done, total)` is called during the work.

    Returns the prepared folder. Raises UsageError for options that make no sense, and UserError if the corpus
    cannot be read or the folder cannot be written.
    """
    from seq2attn.data.prepare import prepare as prepare_folder
    from seq2attn.data.prepared import Prepared
    from seq2attn.progress import silent
    from seq2attn.tasks.linking import linker_of

    several = list(corpus) if isinstance(corpus, list | tuple) else [corpus]
    corpora = [arguments.path(one, "corpus") for one in several]
    if not corpora:
        raise UsageError("no corpus: name at least one", setting="corpus")
    out = arguments.path(out, "out")
    for name, number, least in (
        ("valid", valid, 0),
        ("test", test, 0),
        ("workers", workers, 1),
        ("seed", seed, 0),
    ):
        if number is not None and number < least:
            raise UsageError(f"{name} {number}: it must be at least {least}", setting=name)
    if align_reverse is not None and align_with is None:
        raise UsageError(
            "align_reverse needs `align_with`: a run of the same direction", setting="align_reverse"
        )
    runs = [
        arguments.path(run, name)
        for name, run in (("align_with", align_with), ("align_reverse", align_reverse))
        if run is not None
    ]
    given = {"vocab_size": "auto"} | {name: value for name, value in options.items() if value is not None}
    settings = config.validate({"data": given}, "prepare").data
    linker = linker_of(settings, runs)
    prepare_folder(
        corpora,
        Path(out),
        settings,
        valid=valid,
        test=test,
        workers=os.cpu_count() or 1 if workers is None else workers,
        force=force,
        seed=seed,
        shrink=settings.vocab_size == "auto",
        stage=(lambda name: silent) if progress is None else lambda name: partial(progress, name),
        linker=linker,
        linked_by=""
        if linker is None
        else f"the attention of {' and '.join(runs)}"
        if runs
        else settings.align,
        clean_table=None if clean_table is None else Path(arguments.path(clean_table, "clean_table")),
    )
    return Prepared(Path(out))
