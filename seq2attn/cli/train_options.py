"""The options of `seq2attn train`, as typer annotations."""

from pathlib import Path
from typing import Annotated

import typer

from seq2attn.config import Precision
from seq2attn.tasks.fitted import FIRST_PRESET
from seq2attn.tasks.from_run import MOST_SUBWORDS

Preset = Annotated[
    str | None,
    typer.Argument(
        metavar="PRESET or FILE.toml",
        help="Settings to train with: a preset of `--list`, or a TOML file, which may begin with "
        'preset = "NAME".',
        show_default=f"{FIRST_PRESET}; with --data settings that fit the data",
    ),
]
Data = Annotated[
    str | None,
    typer.Option(
        help="Prepared folder, or a corpus (bundled name, file, folder, hf:NAME), which is prepared first.",
        metavar="PREPARED or CORPUS",
        show_default="phrases",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        help="Run directory to create.", metavar="RUN", show_default="runs/CORPUS or runs/CORPUS-PRESET"
    ),
]
Source = Annotated[
    str | None,
    typer.Option(
        help="Source side of a raw corpus: file ending, column or key, such as en.",
        metavar="NAME",
        show_default=False,
    ),
]
Target = Annotated[
    str | None,
    typer.Option(help="Target side of a raw corpus, such as de.", metavar="NAME", show_default=False),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Change a setting, as in train.lr=0.001. Repeatable. `--show` explains all settings.",
        metavar="KEY=VALUE",
    ),
]
From = Annotated[
    str | None,
    typer.Option(
        "--from",
        help="Start from the model, tokenizers and weights of a trained run, on new --data. PRESET then sets "
        "training, search and dropout alone.",
        metavar="RUN",
        show_default=False,
    ),
]
ExtendVocabulary = Annotated[
    int,
    typer.Option(
        help="With --from, number of subwords to add to each vocabulary, learned on the new data.",
        min=0,
        max=MOST_SUBWORDS,
        metavar="N",
    ),
]
Replay = Annotated[
    float,
    typer.Option(
        help="With --from, share of the pairs of each epoch that are of that run's training data, against "
        "forgetting.",
        min=0,
        max=0.99,
        metavar="SHARE",
    ),
]
Format = Annotated[
    Precision | None,
    typer.Option(
        help="Number format. auto is bf16 if the device supports it natively, otherwise fp16 on a GPU with "
        "tensor cores and fp32 elsewhere.",
        show_default="auto",
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        help="Seed of the random numbers. The same seed gives the same training.",
        min=0,
        max=2**31 - 1,
        metavar="N",
        show_default="1",
    ),
]
MaxSteps = Annotated[
    int | None,
    typer.Option(
        help="Maximum number of training steps (updates of the weights).",
        min=1,
        metavar="STEPS",
        show_default="the preset's",
    ),
]
MaxMinutes = Annotated[
    float | None,
    typer.Option(
        help="Maximum training time in minutes. It includes validation and excludes the final test.",
        metavar="MINUTES",
    ),
]
Compile = Annotated[
    bool,
    typer.Option(
        "--compile",
        help="Fuse the operations of a Transformer or convolutional model by torch.compile, for a GPU. The "
        "first update takes a minute or more longer.",
    ),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Continue the training in --out. The result equals that of an uninterrupted training.",
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace the run in --out.")]
List = Annotated[
    bool,
    typer.Option(
        "--list",
        help="List the presets and exit. `--list hard` lists the presets whose name or description "
        "contains that word.",
    ),
]
Show = Annotated[
    bool,
    typer.Option(
        "--show",
        help="Print the preset's paper, its measured scores and every setting with its meaning, and exit.",
    ),
]
Glossary = Annotated[bool, typer.Option("--glossary", help="Explain terms and exit.")]
