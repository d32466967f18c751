"""`seq2attn prepare`: its options, and the report of a prepared corpus. `tasks.preparation` does the work."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from seq2attn import config
from seq2attn.cli import console, flags, mistaken
from seq2attn.tasks.task import task_of
from seq2attn.tasks.training import FIRST_PRESET

if TYPE_CHECKING:
    from seq2attn.data.prepared import Prepared

DEFAULT = config.DataConfig()


def prepare(
    corpus: Annotated[
        str,
        typer.Argument(
            metavar="CORPUS",
            help="Bundled corpus (phrases, scenes or clips); a folder with train.en, train.de, "
            "..., or of captioned images; a .tsv .csv .jsonl .json .parquet file; or hf:OWNER/NAME[:CONFIG].",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="Prepared folder to create.", show_default=False)
    ],
    source: Annotated[
        str | None,
        typer.Option(
            help="Source side: file ending, column or key. COLUMN:LANGUAGE also names its language.",
            metavar="NAME",
            show_default=False,
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(help="Target side: file ending, column or key.", metavar="NAME", show_default=False),
    ] = None,
    vocab_size: Annotated[
        int | None,
        typer.Option(
            help="Vocabulary size, in tokens; for char and word the maximum.",
            min=5,
            max=1_000_000,
            metavar="TOKENS",
            show_default=f"{DEFAULT.vocab_size}, less for a small corpus",
        ),
    ] = None,
    tokenizer: Annotated[
        Literal["unigram", "bpe", "char", "word"] | None,
        typer.Option(
            help="Unit of tokens: subwords (unigram, bpe), characters or words.",
            show_default="unigram; word for captions",
        ),
    ] = DEFAULT.tokenizer,
    joint: Annotated[
        bool, typer.Option("--joint/--separate", help="One vocabulary for both sides, or one for each.")
    ] = DEFAULT.joint,
    lowercase: Annotated[
        bool, typer.Option("--lowercase", help="Lower-case both sides.")
    ] = DEFAULT.lowercase,
    max_length: Annotated[
        int,
        typer.Option(
            help="Maximum length of a side of a training pair, in tokens. Longer pairs are dropped.",
            min=1,
            max=1_000_000,
            metavar="TOKENS",
        ),
    ] = DEFAULT.max_length,
    max_ratio: Annotated[
        float,
        typer.Option(
            help="Maximum ratio of the lengths of both sides of a training pair. Other pairs are dropped.",
            min=1,
            max=1_000_000,
            metavar="RATIO",
        ),
    ] = DEFAULT.max_ratio,
    max_bad: Annotated[
        float,
        typer.Option(
            help="Maximum fraction of table rows to skip because they have other columns, no text or "
            "invalid JSON.",
            min=0,
            max=0.99,
            metavar="SHARE",
        ),
    ] = DEFAULT.max_bad,
    max_missing: Annotated[
        float,
        typer.Option(
            help="Maximum fraction of captioned images to skip because they are missing or damaged.",
            min=0,
            max=0.99,
            metavar="SHARE",
        ),
    ] = DEFAULT.max_missing,
    follow_links: Annotated[
        bool, typer.Option("--follow-links", help="Follow links to images outside the corpus folder.")
    ] = DEFAULT.follow_links,
    valid: Annotated[
        int | None,
        typer.Option(
            help="Number of pairs to set aside for validation.",
            min=0,
            max=1_000_000_000,
            metavar="PAIRS",
            show_default="1000 or a twentieth, if the corpus has no splits",
        ),
    ] = None,
    test: Annotated[
        int | None,
        typer.Option(
            help="Number of pairs to set aside for testing.",
            min=0,
            max=1_000_000_000,
            metavar="PAIRS",
            show_default="as --valid",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            help="Number of processes.", min=1, max=256, metavar="N", show_default="one for each processor"
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the prepared folder in OUT.")] = False,
    seed: flags.Seed = 1,
    quiet: flags.Quiet = False,
    debug: flags.Debug = False,
) -> None:
    """Prepare a corpus for training: train a tokenizer, encode the text, check the images.

    Give raw text, without tokenization. A folder holds line-aligned text in SPLIT.LANG (train, valid, test*;
    also .gz), or images and their captions: metadata.jsonl or .csv, Flickr's *.token.txt, captions.txt or
    results.csv, COCO's captions_*.json, or Karpathy's dataset_*.json. In a file, a column "image" names the
    images.

    A corpus without splits is divided; no source sentence or image is in two splits. OUT is created
    completely or not at all.
    """
    mistaken.refuse_no_data(corpus)
    from seq2attn.tasks.preparation import prepare as prepare_folder

    with console.progress() as progress:
        prepared = prepare_folder(
            corpus,
            out,
            source=source,
            target=target,
            vocab_size=vocab_size,
            tokenizer=tokenizer,
            joint=joint,
            lowercase=lowercase,
            max_length=max_length,
            max_ratio=max_ratio,
            max_bad=max_bad,
            max_missing=max_missing,
            follow_links=follow_links,
            valid=valid,
            test=test,
            workers=workers,
            force=force,
            seed=seed,
            progress=progress,
        )
    _print(prepared)


def _print(prepared: "Prepared") -> None:
    """Print the report of the prepared folder, and what to do next."""
    task, report = task_of(prepared.modality), prepared.report
    summary = task.summary(report)
    console.result(console.printable(summary.title))
    for note in report["notes"]:
        console.result(console.printable(note))
    console.result()
    console.table(summary.headers, summary.rows)
    for name, split in report["splits"].items():
        for reason, facts in split["dropped"].items():
            more = ", ..." if facts["pairs"] > len(facts["examples"]) else ""
            places = console.printable(", ".join(facts["examples"]))
            console.result(f"{name}: {facts['pairs']:,} dropped, {reason}: {places}{more}")
        if name in summary.overlaps:
            console.result(summary.overlaps[name])
    if "valid" in report["splits"]:
        preset = task.first_preset(prepared)
        words = "" if preset == FIRST_PRESET else f"{preset} "
        console.note(f"\nNext: seq2attn train {words}--data {prepared.path}")
    else:
        console.warn(
            "there is no valid split, which training needs: add pairs or a valid split, "
            "or set pairs aside with --valid N"
        )
