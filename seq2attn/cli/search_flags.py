"""The flags of a search, declared once for `translate`, `caption` and `evaluate`.

    @with_search_flags()
    def translate(run: ..., search: SearchOptions = DEFAULTS, prefix: ...) -> None:

gives the command a flag for each option in FLAGS, at the place of `search`, and calls it with the options.
`SearchOptions.check` has the rules. This module knows neither texts nor images.
"""

import functools
import inspect
import os
from collections.abc import Callable, Collection
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from seq2attn import config
from seq2attn.cli import console, flags
from seq2attn.cli.conflicts import Conflict, check, set_options
from seq2attn.errors import UsageError, UserError
from seq2attn.inference.options import (
    BATCH_TOKENS,
    BOUNDS,
    NO_OPTIONS,
    RULES,
    SAMPLES,
    UTILITIES,
    Excludes,
    SearchOptions,
)

if TYPE_CHECKING:
    from seq2attn.inference.predictor import Predictor

PRECISIONS = get_args(config.Precision)
# names that are both options and settings of a run
SETTINGS = tuple(name for name in config.SearchConfig.model_fields if name not in NO_OPTIONS)
THE_RUNS = "the run's"


def _flag(flag: str, help: str, metavar: str | None = None, default: str | None = None, **more: Any) -> Any:
    """An option of typer with the bounds of `BOUNDS`; `default` is the help's word for None."""
    least, most = BOUNDS.get(flag[2:].replace("-", "_"), (None, None))
    display = {} if metavar is None else {"metavar": metavar, "show_default": default or False}
    return typer.Option(flag, help=help, **({"min": least, "max": most} | display | more))


Beam = Annotated[
    int | None,
    _flag(
        "--beam", "Beam size: number of hypotheses that the search keeps. 1 is greedy search.", "N", THE_RUNS
    ),
]
MaxLength = Annotated[
    int | None, _flag("--max-length", "Maximum length of an output, in tokens.", "N", THE_RUNS)
]
# By the name of the option, in the order of --help. The defaults are those of `SearchOptions`.
FLAGS: dict[str, Any] = {
    "beam": Beam,
    "length_penalty": Annotated[
        float | None,
        _flag(
            "--length-penalty",
            "Divide the log probability of a hypothesis by its length in tokens to the power of X.",
            "X",
            THE_RUNS,
            min=0,
            max=config.MOST_PENALTY,
        ),
    ],
    "n_best": Annotated[
        int, _flag("--n-best", "Outputs for each input, best first.", "N", show_default=True)
    ],
    "max_length": MaxLength,
    "min_length": Annotated[
        int | None, _flag("--min-length", "Minimum length of an output, in tokens.", "N", THE_RUNS)
    ],
    "no_repeat_ngram": Annotated[
        int | None,
        _flag(
            "--no-repeat-ngram",
            "Never repeat a sequence of N tokens within an output. 0 allows repetition.",
            "N",
            THE_RUNS,
        ),
    ],
    "sample": Annotated[bool, _flag("--sample", "Draw outputs at random instead of searching for the best.")],
    "temperature": Annotated[
        float | None,
        _flag(
            "--temperature",
            "Divide the logits by X before sampling; below 1 prefers likely tokens. With --sample or --mbr.",
            "X",
            "1.0",
        ),
    ],
    "top_k": Annotated[
        int | None,
        _flag(
            "--top-k", "Sample from the N most likely tokens only. With --sample or --mbr.", "N", "all", min=1
        ),
    ],
    "top_p": Annotated[
        float | None,
        _flag(
            "--top-p",
            "Sample from the fewest tokens whose probabilities sum to P (nucleus). With --sample or --mbr.",
            "P",
            "1.0",
        ),
    ],
    "utility": Annotated[
        str | None,
        _flag(
            "--mbr",
            "Minimum Bayes risk: draw samples and write the sample with the highest mean sentence chrF or "
            "BLEU against all samples.",
            "|".join(UTILITIES),
        ),
    ],
    "samples": Annotated[
        int | None, _flag("--samples", "Number of samples for each input. With --mbr.", "N", str(SAMPLES))
    ],
    "replace_unknown": Annotated[
        bool,
        _flag(
            "--replace-unknown",
            "Replace each unknown token of an output by the source word with the largest attention weight.",
        ),
    ],
    "seed": flags.Seed,
    "batch_tokens": Annotated[
        int | None,
        _flag(
            "--batch-tokens",
            "Maximum number of source tokens in a batch, padding included. It changes speed and "
            "memory, not the output.",
            "N",
            f"{BATCH_TOKENS:,} on a CPU; by free memory on CUDA",
        ),
    ],
}
NAMES = {
    "utility": "--mbr",
    "mask": "--mask-source",
    "from_run": "--from",
}  # flags of options that have another name in Python


def flag_of(name: str) -> str:
    """The flag of an option: --n-best for n_best."""
    return NAMES.get(name, f"--{name.replace('_', '-')}")


def with_search_flags(
    without: Collection[str] = (), **help: str
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A decorator that puts the flags of FLAGS in place of a command's parameter `search`.

    The command is called with a SearchOptions whose `utility` is a name. `without` names the options that the
    command has no flag for; `help` has other words for the help of some.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        names = [name for name in FLAGS if name not in without]

        @functools.wraps(command)
        def with_options(**values: Any) -> None:
            options = SearchOptions(**{name: values.pop(name) for name in names})
            command(**values, search=options)

        signature = inspect.signature(command, eval_str=True)
        parameters: list[inspect.Parameter] = []
        for parameter in signature.parameters.values():
            if parameter.name != "search":
                parameters.append(parameter)
                continue
            parameters += [_parameter(name, help.get(name)) for name in names]
        # Both are where typer looks.
        with_options.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        with_options.__annotations__ = {one.name: one.annotation for one in parameters} | {"return": None}
        return with_options

    return decorate


def _parameter(name: str, help: str | None) -> inspect.Parameter:
    kind, option = get_args(FLAGS[name])
    if help is not None:
        option = copy(option)
        option.help = help
    return inspect.Parameter(
        name,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        default=getattr(SearchOptions, name),
        annotation=Annotated[kind, option],
    )


def set_rules(names: Collection[str]) -> tuple[Conflict, ...]:
    """What excludes a setting of the search in --set: what excludes the option, and the option itself."""
    return (
        *(
            Conflict(flag_of(rule.option), f"--set search.{rule.other}", rule.why)
            for rule in RULES
            if isinstance(rule, Excludes) and rule.other in SETTINGS
        ),
        *(
            Conflict(flag_of(name), f"--set search.{name}", "both are the same setting")
            for name in SETTINGS
            if name in names
        ),
    )


def given_flags(search: SearchOptions) -> dict[str, object]:
    """The values of the flags, for `conflicts.check`."""
    return {flag_of(name): value for name, value in search.given().items() if name in FLAGS}


def check_search(search: SearchOptions, run: str, settings: list[str], precision: str) -> None:
    """Raise UsageError for values and combinations that make no sense, before a run is loaded."""
    if precision not in PRECISIONS:
        raise UsageError(f"--precision {precision}: choose {', '.join(PRECISIONS)}")
    search.check()
    check(set_rules(FLAGS), given_flags(search) | set_options(settings))
    search.resolved(search_settings(run, settings))


def require_attention(run: str, predictor: "Predictor[Any, Any]", purpose: str, way_out: str = "") -> None:
    """Raise UserError if the model has no attention; `purpose` says what it is needed for."""
    if predictor.attends:
        return
    source = predictor.config.model.decoder.context_source
    if source == "attention":
        reads, setting = "the mean of all frames", 'encoder.temporal="mean"'
    else:
        reads, setting = (
            ("a fixed summary" if source == "summary" else "nothing"),
            f'decoder.context_source="{source}"',
        )
    raise UserError(
        f"{run}: has no attention to {purpose}: its decoder reads {reads} (model.{setting}){way_out}"
    )


def note_choice(run: str, predictor: "Predictor[Any, Any]") -> None:
    """Note which attention is shown if the run remembers one."""
    if predictor.choice is not None:
        console.note(f"{run}: the attention is that of {predictor.choice}, as attention.json says")


def search_settings(run: str, settings: list[str]) -> config.SearchConfig:
    """The run's search settings, changed by --set.

    Returns the defaults for a run that cannot be read, because the code that loads it reports the reason.
    """
    from seq2attn.runs.directory import open_run

    first = Path(run) if os.path.isdir(run) else Path(run.split(",")[0].strip())
    try:
        stored = open_run(first, trained=False).config
    except (OSError, ValueError, UserError):
        return config.SearchConfig()
    return config.change(stored, settings, f"{first} with {' '.join(settings)}").search
