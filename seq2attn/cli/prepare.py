"""`seq2attn prepare`: its options, and the report of a prepared corpus. `data.prepare` does the work."""

import os
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from seq2attn import config
from seq2attn.cli import console, flags, mistaken

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
    options: dict[str, object] = {
        "source": source,
        "target": target,
        "vocab_size": vocab_size or DEFAULT.vocab_size,
        "tokenizer": tokenizer,
        "joint": joint,
        "lowercase": lowercase,
        "max_length": max_length,
        "max_ratio": max_ratio,
        "max_bad": max_bad,
        "max_missing": max_missing,
        "follow_links": follow_links,
    }
    data = config.validate({"data": options}, "prepare").data
    from seq2attn.data.prepare import prepare as prepare_folder

    with console.progress() as progress:
        report = prepare_folder(
            corpus,
            out,
            data,
            valid=valid,
            test=test,
            workers=workers or os.cpu_count() or 1,
            force=force,
            seed=seed,
            shrink=vocab_size is None,
            stage=lambda name: partial(progress, name),
        )
    (_print_images if report.get("images") else _print)(report)
    preset = ("video " if report["clips"] else "xu15-soft ") if report.get("images") else ""
    if "valid" in report["splits"]:
        console.note(f"\nNext: seq2attn train {preset}--data {out}")
    else:
        console.warn(
            "there is no valid split, which training needs: add pairs or a valid split, "
            "or set pairs aside with --valid N"
        )


def _print_images(report: dict[str, Any]) -> None:
    kind = "clips" if report["clips"] else "images"
    language, settings = report["languages"][1] or "captions", report["options"]
    corpus, size = console.printable(report["corpus"]), report["vocabulary"]["target"]
    console.result(f"{corpus}: {kind} to {language}; {settings['tokenizer']} tokens, vocabulary: {size:,}")
    for note in report["notes"]:
        console.result(console.printable(note))
    console.result()
    headers = ["split", kind, "captions", "tokens", "median", "99%", "longest", "unknown"]
    rows: list[list[str]] = []
    for name, split in report["splits"].items():
        facts = split["target"]
        lengths = [f"{facts['length'][quantile]:,}" for quantile in ("50%", "99%", "100%")]
        rows.append(
            [
                name,
                f"{split['images']:,}",
                f"{split['kept']:,}",
                f"{facts['tokens']:,}",
                *lengths,
                f"{facts['unknown_rate']:.2%}",
            ]
        )
    console.table(headers, rows)
    for name, split in report["splits"].items():
        _print_dropped(name, split["dropped"])
        if split.get("images_in_train"):
            count = split["images_in_train"]
            are = f"{kind} are" if count > 1 else f"{kind.removesuffix('s')} is"
            console.result(f"{name}: {count:,} {are} in train too, as equal files: their scores are too good")


def _print_dropped(name: str, dropped: dict[str, Any]) -> None:
    for reason, facts in dropped.items():
        more = ", ..." if facts["pairs"] > len(facts["examples"]) else ""
        places = console.printable(", ".join(facts["examples"]))
        console.result(f"{name}: {facts['pairs']:,} dropped, {reason}: {places}{more}")


def _print(report: dict[str, Any]) -> None:
    settings, sizes = report["options"], report["vocabulary"]
    source, target = (
        language or side for language, side in zip(report["languages"], ("source", "target"), strict=True)
    )
    vocabulary = (
        f"{sizes['source']:,} joint"
        if settings["joint"]
        else f"{sizes['source']:,} {source}, {sizes['target']:,} {target}"
    )
    console.result(
        f"{report['corpus']}: {source} to {target}; {settings['tokenizer']} tokens, vocabulary: {vocabulary}"
    )
    for note in report["notes"]:
        console.result(note)
    console.result()
    headers = ["split", "read", "kept", "side", "tokens", "median", "99%", "longest", "unknown"]
    rows: list[list[str]] = []
    for name, split in report["splits"].items():
        for side, language in (("source", source), ("target", target)):
            facts = split[side]
            pairs = [name, f"{split['read']:,}", f"{split['kept']:,}"] if side == "source" else ["", "", ""]
            lengths = [f"{facts['length'].get(quantile, 0):,}" for quantile in ("50%", "99%", "100%")]
            rows.append([*pairs, language, f"{facts['tokens']:,}", *lengths, f"{facts['unknown_rate']:.2%}"])
    console.table(headers, rows)
    for name, split in report["splits"].items():
        _print_dropped(name, split["dropped"])
        if split.get("sources_in_train"):
            console.result(f"{name}: {split['sources_in_train']:,} source sentences are in train too")
