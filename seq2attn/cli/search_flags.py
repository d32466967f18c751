"""The options of a search that `translate` and `caption` share.

Wrong options are refused before a run is loaded. The others become keywords for a translator or captioner.
This module knows neither texts nor images.
"""

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from seq2attn import config
from seq2attn.cli import flags
from seq2attn.cli.conflicts import Conflict, Needs, check, set_options
from seq2attn.errors import UsageError, UserError

if TYPE_CHECKING:
    from seq2attn.inference.predictor import Predictor

PRECISIONS = get_args(config.Precision)

SETTINGS = (
    "beam",
    "length_penalty",
    "max_length",
    "min_length",
    "no_repeat_ngram",
)  # names that are both options and settings
RULES: tuple[Conflict | Needs, ...] = (
    Needs(
        "--samples", "--mbr", "it is the number of samples that --mbr chooses from; --sample draws --n-best N"
    ),
    Conflict("--mbr", "--sample", "--sample gives the samples themselves, --mbr the best of its own samples"),
    Conflict("--mbr", "--beam, --set search.beam", "it draws samples and does not search"),
    Conflict("--mbr", "--length-penalty, --set search.length_penalty", "it chooses by utility alone"),
    Conflict("--sample", "--beam, --set search.beam", "samples are drawn, not searched for"),
    *(
        Needs(name, "--sample, --mbr", "it changes how samples are drawn")
        for name in ("--temperature", "--top-k", "--top-p")
    ),
    *(
        Conflict(f"--{name.replace('_', '-')}", f"--set search.{name}", "both are the same setting")
        for name in SETTINGS
    ),
)


def check_mbr(mbr: str | None, samples: int | None, n_best: int = 1) -> None:
    """Raise UsageError for an unknown utility, or for fewer samples than outputs."""
    if mbr is not None and mbr not in flags.UTILITIES:
        raise UsageError(f"--mbr {mbr}: choose {' or '.join(flags.UTILITIES)}")
    count = samples or flags.SAMPLES
    if mbr is not None and n_best > count:
        raise UsageError(
            f"--n-best {n_best}: --mbr draws only {count} samples; set --samples {n_best} or more"
        )


class SearchFlags(NamedTuple):
    """Options of a search. None: the run's own setting, or a default for the device."""

    n_best: int
    beam: int | None
    length_penalty: float | None
    max_length: int | None
    min_length: int | None
    no_repeat_ngram: int | None
    sample: bool
    temperature: float | None
    top_k: int | None
    top_p: float | None
    mbr: str | None
    samples: int | None
    seed: int
    batch_tokens: int | None

    def check(self, run: str, settings: list[str], precision: str) -> None:
        """Raise UsageError for values and combinations that make no sense."""
        if precision not in PRECISIONS:
            raise UsageError(f"--precision {precision}: choose {', '.join(PRECISIONS)}")
        values = {f"--{name.replace('_', '-')}": value for name, value in self._asdict().items()}
        check(RULES, values | set_options(settings))
        check_mbr(self.mbr, self.samples, self.n_best)
        if self.temperature is not None and not 0 < self.temperature < math.inf:
            raise UsageError(f"--temperature {self.temperature}: it must be above 0")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise UsageError(f"--top-p {self.top_p}: it must be above 0 and at most 1")
        if self.length_penalty is not None and not self.length_penalty < math.inf:
            raise UsageError(f"--length-penalty {self.length_penalty}: it must be a number")
        self._check_lengths(_search(run, settings))

    def _check_lengths(self, search: config.SearchConfig) -> None:
        shortest = search.min_length if self.min_length is None else self.min_length
        longest = search.max_length if self.max_length is None else self.max_length
        if longest is not None and shortest > longest:
            raise UsageError(f"--min-length {shortest} and --max-length {longest}: no length is between them")
        beam = self.beam or search.beam
        if self.n_best > beam and self.n_best > 1 and not (self.sample or self.mbr):
            raise UsageError(
                f"--n-best {self.n_best}: a beam of {beam} gives at most {beam} outputs; "
                f"set --beam {self.n_best} or more"
            )

    def keywords(self, language: str | None) -> dict[str, Any]:
        """Keywords for `Translator.translate` and `Captioner.caption`.

        `language` is the language of the outputs, in which --mbr measures utility.
        """
        utility = None
        if self.mbr is not None:
            from seq2attn.evaluation import text

            utility = text.utility(self.mbr, language)
        keywords = {name: value for name, value in self._asdict().items() if name != "mbr"}
        return keywords | {
            "temperature": 1.0 if self.temperature is None else self.temperature,
            "top_k": self.top_k or 0,
            "top_p": 1.0 if self.top_p is None else self.top_p,
            "utility": utility,
        }


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


def _search(run: str, settings: list[str]) -> config.SearchConfig:
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
