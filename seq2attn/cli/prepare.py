"""`seq2attn prepare`: its options, and the report of a prepared corpus. `tasks.preparation` does the work."""

from typing import TYPE_CHECKING

from seq2attn import config
from seq2attn.cli import console, flags, mistaken
from seq2attn.cli import prepare_options as options
from seq2attn.data.corpus_weights import split_weight
from seq2attn.tasks.task import task_of

if TYPE_CHECKING:
    from seq2attn.data.prepared import Prepared

DEFAULT = config.DataConfig()


def prepare(
    corpus: options.Corpus,
    out: options.Out,
    source: options.Source = None,
    target: options.Target = None,
    vocab_size: options.VocabSize = None,
    tokenizer: options.Tokenizer = DEFAULT.tokenizer,
    protect: options.Protect = DEFAULT.protect,
    joint: options.Joint = DEFAULT.joint,
    lowercase: options.Lowercase = DEFAULT.lowercase,
    max_length: options.MaxLength = DEFAULT.max_length,
    max_ratio: options.MaxRatio = DEFAULT.max_ratio,
    max_bad: options.MaxBad = DEFAULT.max_bad,
    keep: options.Keep = None,
    normalise: options.Normalise = DEFAULT.normalise,
    clean_table: options.CleanTable = None,
    max_missing: options.MaxMissing = DEFAULT.max_missing,
    follow_links: options.FollowLinks = DEFAULT.follow_links,
    valid: options.Valid = None,
    test: options.Test = None,
    workers: options.Workers = None,
    align: options.Align = False,
    align_with: options.AlignWith = None,
    align_reverse: options.AlignReverse = None,
    force: options.Force = False,
    seed: flags.Seed = 1,
    quiet: flags.Quiet = False,
    debug: flags.Debug = False,
) -> None:
    """Prepare a corpus for training: train a tokenizer, encode the text, check the images.

    Give raw text, without tokenization. A folder holds line-aligned text in SPLIT.LANG (train, valid, test*;
    also .gz), or images and their captions: metadata.jsonl or .csv, Flickr's *.token.txt, captions.txt or
    results.csv, COCO's captions_*.json, or Karpathy's dataset_*.json. In a file, a column "image" names the
    images.

    Training pairs of text are cleaned: faults are mended or dropped, and counted. --keep leaves one be. A
    corpus without splits is divided; no source sentence or image is in two splits. Several corpora of text
    become one: `prepare a.tsv b.tsv:0.3 OUT` reads 30% of the pairs of b.tsv in each epoch. OUT is created
    completely or not at all.
    """
    for name in corpus:
        mistaken.refuse_no_data(split_weight(name).name)
    for run in filter(None, (align_with, align_reverse)):
        mistaken.refuse_no_run(run)
    from seq2attn.tasks.preparation import prepare as prepare_folder

    with console.progress() as progress:
        prepared = prepare_folder(
            corpus,
            out,
            source=source,
            target=target,
            vocab_size=vocab_size,
            tokenizer=tokenizer,
            protect=protect,
            joint=joint,
            lowercase=lowercase,
            max_length=max_length,
            max_ratio=max_ratio,
            max_bad=max_bad,
            keep=keep or None,
            normalise=normalise,
            clean_table=clean_table,
            max_missing=max_missing,
            follow_links=follow_links,
            valid=valid,
            test=test,
            workers=workers,
            force=force,
            seed=seed,
            align="eflomal" if align else None,
            align_with=align_with,
            align_reverse=align_reverse,
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
        reasons = [("dropped", *one) for one in split["dropped"].items()]
        for what, reason, facts in reasons + [("mended", *one) for one in split.get("mended", {}).items()]:
            more = ", ..." if facts["pairs"] > len(facts["examples"]) else ""
            places = console.printable(", ".join(facts["examples"]))
            console.result(f"{name}: {facts['pairs']:,} {what}, {reason}: {places}{more}")
        if name in summary.overlaps:
            console.result(summary.overlaps[name])
    if "valid" in report["splits"]:
        console.note(f"\nNext: seq2attn train --data {prepared.path}")
    else:
        console.warn(
            "there is no valid split, which training needs: add pairs or a valid split, "
            "or set pairs aside with --valid N"
        )
