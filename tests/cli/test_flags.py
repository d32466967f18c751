"""Flags of a search: help names the defaults of the options, and one row gives a flag to each command."""

from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from seq2attn.cli import search_flags
from seq2attn.inference import BATCH_TOKENS, SearchOptions


def command(**arguments: object) -> tuple[typer.Typer, list[object]]:
    """A program of one command with the flags of a search; the list gets what the command is called with."""
    app, calls = typer.Typer(rich_markup_mode=None), []

    @app.command()
    @search_flags.with_search_flags(**arguments)  # type: ignore[arg-type]
    def run(
        name: str,
        search: SearchOptions = SearchOptions(),  # noqa: B008
        last: Annotated[bool, typer.Option("--last", help="The last.")] = False,
    ) -> None:
        calls.append((name, search, last))

    return app, calls


def test_flags_become_the_options_of_one_search() -> None:
    app, calls = command()
    assert CliRunner().invoke(app, ["x"]).exit_code == 0
    line = ["x", "--mbr", "chrf", "--samples", "9", "--top-p", ".5", "--n-best", "2", "--seed", "7", "--last"]
    assert CliRunner().invoke(app, line).exit_code == 0
    options = SearchOptions(utility="chrf", samples=9, top_p=0.5, n_best=2, seed=7)
    assert calls == [("x", SearchOptions(), False), ("x", options, True)]


def test_flags_stand_in_the_place_of_the_search() -> None:
    app, _ = command(n_best="As many as you like.", without=("seed", "beam"))
    out = CliRunner().invoke(app, ["--help"]).stdout
    words = ["--length-penalty", "As many as you like.", "--max-length", "--batch-tokens", "--last"]
    assert sorted(map(out.index, words)) == [out.index(word) for word in words]
    assert "--beam" not in out
    assert "--seed" not in out


def test_help_gives_the_default_of_batch_tokens() -> None:
    assert BATCH_TOKENS == 3072
    out = " ".join(CliRunner().invoke(command()[0], ["--help"]).stdout.split())
    assert "(3,072 on a CPU; by free memory on CUDA)" in out


@pytest.mark.parametrize("name", ["beam", "min_length", "samples"])
def test_flags_have_the_bounds_of_the_options(name: str) -> None:
    least, _ = search_flags.BOUNDS[name]
    assert least is not None
    done = CliRunner().invoke(command()[0], ["x", search_flags.flag_of(name), str(least - 1)])
    assert done.exit_code == 2
