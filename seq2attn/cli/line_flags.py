"""The flags of how lines of text are treated, as one value: sentences, glossary, items, unread words.

    @with_line_flags
    def translate(run: ..., lines: LineFlags = LineFlags(), prefix: ...) -> None:

gives the command a flag for each field of LineFlags, at the place of `lines`.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from seq2attn.cli import mistaken
from seq2attn.cli.conflicts import Conflict, check

_OTHERS = "--mask-source, --attend, --uniform"
_EXPERIMENT = "an experiment is on the words of one line and one search"
_PUT_IN = "what is put into an output has no probability of its own"
_RANDOM = "outputs that are drawn at random hold no term for certain"
RULES = (
    Conflict("--coverage", "--format moses", "an n-best list of Moses has no place for it"),
    Conflict("--glossary", "--sample, --mbr", _RANDOM),
    *(Conflict(option, "--confidence", _PUT_IN) for option in ("--glossary", "--protect")),
    *(
        Conflict(option, _OTHERS, _EXPERIMENT)
        for option in ("--sentences", "--glossary", "--protect", "--coverage")
    ),
)


@dataclass(frozen=True)
class LineFlags:
    """The values of the flags. None of `sentences` is the default, auto."""

    sentences: Annotated[
        Literal["auto", "split", "whole"] | None,
        typer.Option(
            help="auto: translate a line sentence by sentence if nearly all sources in training were single "
            "sentences. split: always. whole: never.",
            metavar="auto|split|whole",
            show_default="auto",
        ),
    ] = None
    glossary: Annotated[
        Path | None,
        typer.Option(
            help="File of terms: on each line a source term, a tab, and the target term that the translation "
            "must have for it. Each form of a word is a term of its own.",
            metavar="FILE.tsv",
            show_default=False,
        ),
    ] = None
    protect: Annotated[
        bool,
        typer.Option(
            "--protect",
            help="Leave placeholders such as {name}, URLs, e-mail addresses, numbers and tags as they are. A "
            "run that was prepared with --protect always does.",
        ),
    ] = False
    coverage: Annotated[
        bool,
        typer.Option(
            "--coverage",
            help="Write the source words that were hardly read, as NUMBER:WORD, after a tab, or in jsonl "
            "their numbers under the key unread. Their weights add up to less than 0.2. They count from 0.",
        ),
    ] = False

    def refuse(self, others: dict[str, object]) -> None:
        """Raise UsageError for flags that exclude each other or the `others`, and for a missing file."""
        check(RULES, others | {f"--{name}": value for name, value in vars(self).items()})
        if self.glossary is not None:
            mistaken.refuse_no_file(
                str(self.glossary), "--glossary takes a file: on each line a term, a tab and its target term"
            )

    def needing_attention(self, others: Mapping[str, object]) -> str | None:
        """The first option, of `others` and these, that writes attention; None if there is none."""
        options = {**others, "--coverage": self.coverage}
        return next((name for name, value in options.items() if value), None)

    def arguments(self) -> dict[str, Any]:
        """What `Translator.translate_lines` takes."""
        from seq2attn.data.text.glossary import Glossary

        glossary = None if self.glossary is None else Glossary.load(self.glossary)
        return {"sentences": self.sentences or "auto", "glossary": glossary, "protect": self.protect}


def with_line_flags(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the flags in place of its parameter `lines`."""
    names = [field.name for field in fields(LineFlags)]

    @functools.wraps(command)
    def with_lines(**values: Any) -> None:
        lines = LineFlags(**{name: values.pop(name) for name in names})
        command(**values, lines=lines)

    signature = inspect.signature(command, eval_str=True)
    parameters: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        if parameter.name != "lines":
            parameters.append(parameter)
            continue
        parameters += [
            inspect.Parameter(
                field.name,
                parameter.kind,
                default=field.default,
                annotation=LineFlags.__annotations__[field.name],
            )
            for field in fields(LineFlags)
        ]
    with_lines.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    with_lines.__annotations__ = {one.name: one.annotation for one in parameters} | {"return": None}
    return with_lines
