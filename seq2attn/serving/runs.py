"""The runs that the server has: their names, their languages, and which one answers a request.

Each is loaded once. This module knows no request and no search.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seq2attn.errors import UsageError
from seq2attn.runs.loading import run_paths
from seq2attn.serving.errors import Refusal, short
from seq2attn.serving.examples import example_of
from seq2attn.serving.languages import code_of
from seq2attn.tasks.loading import load

_NAME = re.compile(r"[\w.+-]{1,64}", re.ASCII)
# What a run gives: text of text, or text of pictures. By the command that runs it elsewhere.
KINDS = {"translate": "text", "caption": "images"}


@dataclass(frozen=True, eq=False)
class ServedRun:
    """A run with its name. `predictor` is a `Translator` or a `Captioner`, as `kind` says."""

    name: str
    predictor: Any
    example: str | None = None  # a text that a page begins with

    @property
    def kind(self) -> str:
        return KINDS[self.predictor.config.model.modality.command]

    @property
    def source(self) -> str:
        return code_of(self.predictor.languages[0])

    @property
    def target(self) -> str:
        return code_of(self.predictor.languages[1])

    @property
    def summary(self) -> str:
        """What the run does, for people."""
        languages = " to ".join(code for code in self.predictor.languages if code)
        return f"{self.predictor.config.model.modality.does}" + (f" ({languages})" if languages else "")

    @property
    def trained_beam(self) -> int:
        """The beam of the run's own settings."""
        beam: int = self.predictor.config.search.beam
        return beam


def names_of(words: Sequence[str]) -> dict[str, str]:
    """The run that each name stands for. A word is NAME=RUN, or a run alone, which has its folder's name.

    Raises UsageError for a name that cannot be one, and for two runs of one name.
    """
    runs: dict[str, str] = {}
    for word in words:
        name, equals, path = word.partition("=")
        if not equals or os.path.exists(word):
            name, path = "+".join(Path(one).resolve().name for one in run_paths(word)), word
        if not _NAME.fullmatch(name):
            problem = f"{word}: {name!r} is no name of a run: use letters, digits and . _ + -"
            raise UsageError(f"{problem}, as in first={path or 'RUN'}")
        if name in runs:
            both = f"{runs[name]} and {path}: both runs are named {name}"
            raise UsageError(f"{both}; give one of them another name, as in second={path}")
        runs[name] = path
    return runs


class ServedRuns:
    """The runs by name, in the order in which they were named: the first that fits answers."""

    def __init__(self, runs: Iterable[ServedRun]) -> None:
        self._runs = {run.name: run for run in runs}

    @classmethod
    def load(cls, runs: Mapping[str, str], **arguments: Any) -> "ServedRuns":
        """`arguments` and errors: see `tasks.loading.load`."""
        served = []
        for name, path in runs.items():
            predictor = load(path, **arguments)
            predictor.group = 1  # a single sentence is what most requests have
            reads_text = predictor.config.model.modality.has_vocabulary
            example = example_of(predictor.run) if reads_text and predictor.run is not None else None
            served.append(ServedRun(name, predictor, example))
        return cls(served)

    def __iter__(self) -> Iterator[ServedRun]:
        return iter(self._runs.values())

    def of(self, kind: str) -> list[ServedRun]:
        return [run for run in self if run.kind == kind]

    def named(self, name: object, kind: str | None = None) -> ServedRun:
        """The run of that name; without a name, the first of the kind.

        Raises Refusal, which names the runs that there are.
        """
        choice = [run for run in self if kind is None or run.kind == kind]
        if name is None and choice:
            return choice[0]
        match = next((run for run in choice if run.name == name), None)
        if match is None:
            what = "" if kind is None else f" of {kind}"
            there = ", ".join(run.name for run in choice)
            hint = f"choose {there}" if choice else f"this server has no run{what}"
            raise Refusal(400, f"run {short(name)}: {hint}" if name is not None else f"run: {hint}")
        return match

    @property
    def sources(self) -> list[str]:
        """The languages that runs of text read."""
        return list(dict.fromkeys(run.source for run in self.of("text")))

    @property
    def targets(self) -> dict[str, list[str]]:
        """By source language: the languages that it is translated to."""
        return {
            source: list(dict.fromkeys(run.target for run in self.of("text") if run.source == source))
            for source in self.sources
        }

    def between(self, source: str, target: object) -> ServedRun:
        """The first run of text from one language to the other. Raises Refusal."""
        targets = self.targets.get(source, [])
        if target not in targets:
            choice = ", ".join(targets)
            raise Refusal(400, f"target {short(target)} is not supported from {source}; choose {choice}")
        return next(run for run in self.of("text") if (run.source, run.target) == (source, target))
