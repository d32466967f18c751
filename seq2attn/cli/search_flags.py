"""What `translate` and `caption` are asked to search for: the options as they were given, what makes no sense
of them, and how a searcher takes them.

All that is refused here is refused before anything is loaded. Knows neither texts nor images.
"""

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from seq2attn import config
from seq2attn.cli import flags
from seq2attn.errors import UsageError, UserError

PRECISIONS = ("auto", "fp32", "bf16", "fp16")

if TYPE_CHECKING:
    from seq2attn.inference.predictor import Predictor


class Asked(NamedTuple):
    """None: not said, so the run's own, or what fits the device."""

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

    def refuse(self, run: str, settings: list[str], precision: str) -> None:
        """Raise UsageError for what makes no sense."""
        flags.refuse_utility(
            settings, self.mbr, self.samples, self.n_best, self.beam, self.length_penalty, self.sample
        )
        if precision not in PRECISIONS:
            raise UsageError(f"--precision {precision}: choose {', '.join(PRECISIONS)}")
        self._refuse_draws(settings)
        if self.length_penalty is not None and not self.length_penalty < math.inf:
            raise UsageError(f"--length-penalty {self.length_penalty}: it must be a number")
        given = ("beam", "length_penalty", "max_length", "min_length", "no_repeat_ngram")
        flags.refuse_twice(settings, **{name: getattr(self, name) for name in given})
        search = _search(run, settings)
        shortest = search.min_length if self.min_length is None else self.min_length
        longest = search.max_length if self.max_length is None else self.max_length
        if longest is not None and shortest > longest:
            raise UsageError(f"--min-length {shortest} and --max-length {longest}: no length is between them")
        width = self.beam or search.beam
        if self.n_best > width and not self.draws and self.n_best > 1:
            raise UsageError(
                f"--n-best {self.n_best}: a beam of {width} finds at most {width}; set --beam {self.n_best} or more"
            )

    def _refuse_draws(self, settings: list[str]) -> None:
        if self.draws and (self.beam is not None or flags.sets(settings, "search.beam")):
            raise UsageError(
                f"--{'set search.' if self.beam is None else ''}beam and --sample: a sample is drawn, not searched for; leave one out"
            )
        for name, value in (
            ("--temperature", self.temperature),
            ("--top-k", self.top_k),
            ("--top-p", self.top_p),
        ):
            if value is not None and not self.draws:
                raise UsageError(f"{name} is about random draws: it needs --sample, or --mbr")
        if self.temperature is not None and not 0 < self.temperature < math.inf:
            raise UsageError(f"--temperature {self.temperature}: it must be above 0")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise UsageError(f"--top-p {self.top_p}: it must be above 0 and at most 1")

    @property
    def draws(self) -> bool:
        return self.sample or self.mbr is not None

    def keywords(self, language: str | None) -> dict[str, Any]:
        """As `Translator.translate` and `Captioner.caption` take them; `language` is that of the outputs,
        whose likeness --mbr measures.
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


def require_attention(run: str, searcher: "Predictor[Any, Any]", what: str, way: str = "") -> None:
    """Raise UserError where a model has no attention for `what` is asked of it, with the way out."""
    if not searcher.attends:
        reads = searcher.config.model.decoder.context_source
        how = (
            "a fixed summary"
            if reads == "summary"
            else "nothing"
            if reads == "none"
            else "the mean of all frames"
        )
        setting = 'encoder.temporal="mean' if reads == "attention" else f'decoder.context_source="{reads}'
        raise UserError(f'{run}: has no attention to {what}: its decoder reads {how} (model.{setting}"){way}')


def _search(run: str, settings: list[str]) -> config.SearchConfig:
    """The run's search settings, changed, without loading it; what is wrong with the run is said when it is
    opened.
    """
    from seq2attn.runs.directory import open_run

    first = Path(run) if os.path.isdir(run) else Path(run.split(",")[0].strip())
    try:
        stored = open_run(first, trained=False).config
    except (OSError, ValueError, UserError):
        return config.SearchConfig()
    return config.change(stored, settings, f"{first} with {' '.join(settings)}").search
