"""The options of `seq2attn prepare`, as typer annotations."""

from pathlib import Path
from typing import Annotated, Literal, get_args

import typer

from seq2attn import config

DEFAULT = config.DataConfig()

Corpus = Annotated[
    list[str],
    typer.Argument(
        metavar="CORPUS",
        help="Bundled corpus (phrases, names, scenes or clips); a folder with train.en, train.de, "
        "..., or of captioned images; a .tsv .csv .jsonl .json .parquet file; or hf:OWNER/NAME[:CONFIG]. "
        "Several of text become one; NAME:0.3 gives one a weight.",
        show_default=False,
    ),
]
Out = Annotated[Path, typer.Argument(metavar="OUT", help="Prepared folder to create.", show_default=False)]
Source = Annotated[
    str | None,
    typer.Option(
        help="Source side: file ending, column or key. COLUMN:LANGUAGE also names its language.",
        metavar="NAME",
        show_default=False,
    ),
]
Target = Annotated[
    str | None,
    typer.Option(help="Target side: file ending, column or key.", metavar="NAME", show_default=False),
]
VocabSize = Annotated[
    int | None,
    typer.Option(
        help="Vocabulary size, in tokens; for char and word the maximum.",
        min=5,
        max=1_000_000,
        metavar="TOKENS",
        show_default="fits the number of training pairs",
    ),
]
Tokenizer = Annotated[
    Literal["unigram", "bpe", "char", "word"] | None,
    typer.Option(
        help="Unit of tokens: subwords (unigram, bpe), characters or words.",
        show_default="unigram; word for captions",
    ),
]
Protect = Annotated[
    bool,
    typer.Option(
        "--protect",
        help="Teach the model to copy placeholders such as {name}, URLs, e-mail addresses, numbers and tags: "
        "those that both sides of a pair have become markers.",
    ),
]
Joint = Annotated[
    bool, typer.Option("--joint/--separate", help="One vocabulary for both sides, or one for each.")
]
Lowercase = Annotated[bool, typer.Option("--lowercase", help="Lower-case both sides.")]
MaxLength = Annotated[
    int,
    typer.Option(
        help="Maximum length of a side of a training pair, in tokens. Longer pairs are dropped.",
        min=1,
        max=1_000_000,
        metavar="TOKENS",
    ),
]
MaxRatio = Annotated[
    float,
    typer.Option(
        help="Maximum ratio of the lengths of both sides of a training pair. Other pairs are dropped.",
        min=1,
        max=1_000_000,
        metavar="RATIO",
    ),
]
MaxBad = Annotated[
    float,
    typer.Option(
        help="Maximum fraction of table rows to skip because they have other columns, no text or "
        "invalid JSON.",
        min=0,
        max=0.99,
        metavar="SHARE",
    ),
]
Keep = Annotated[
    list[str] | None,
    typer.Option(
        help="Fault of training pairs to leave as it is; repeat it for several: "
        f"{', '.join(get_args(config.Reason)[:-1])}. all: no cleaning.",
        metavar="REASON",
        show_default=False,
    ),
]
Normalise = Annotated[
    Literal["source", "both", "none"],
    typer.Option(help="Sides whose variants of dashes, quotes and spaces are read as plain ones."),
]
CleanTable = Annotated[
    Path | None,
    typer.Option(
        help="Table (.csv) to write of the pairs after cleaning, with their splits.",
        metavar="FILE",
        show_default=False,
    ),
]
MaxMissing = Annotated[
    float,
    typer.Option(
        help="Maximum fraction of captioned images to skip because they are missing or damaged.",
        min=0,
        max=0.99,
        metavar="SHARE",
    ),
]
FollowLinks = Annotated[
    bool, typer.Option("--follow-links", help="Follow links to images outside the corpus folder.")
]
Valid = Annotated[
    int | None,
    typer.Option(
        help="Number of pairs to set aside for validation.",
        min=0,
        max=1_000_000_000,
        metavar="PAIRS",
        show_default="1000 or a twentieth, if the corpus has no splits",
    ),
]
Test = Annotated[
    int | None,
    typer.Option(
        help="Number of pairs to set aside for testing.",
        min=0,
        max=1_000_000_000,
        metavar="PAIRS",
        show_default="as --valid",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        help="Number of processes.", min=1, max=256, metavar="N", show_default="one for each processor"
    ),
]
Align = Annotated[
    bool,
    typer.Option(
        "--align", help="Link the words of training pairs by the Python package eflomal, for train.guide."
    ),
]
AlignWith = Annotated[
    str | None,
    typer.Option(
        "--align-with",
        help="Run whose attention links the words of training pairs, for train.guide.",
        metavar="RUN",
        show_default=False,
    ),
]
AlignReverse = Annotated[
    str | None,
    typer.Option(
        "--align-reverse",
        help="With --align-with, a run that translates the other way. The links of both become one.",
        metavar="RUN",
        show_default=False,
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace the prepared folder in OUT.")]
