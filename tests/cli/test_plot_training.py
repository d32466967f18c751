"""`plot-training`, and `plot-alignment --over-training`: files, curves, and refusals in one line."""

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny

import seq2attn
from seq2attn.cli import app
from seq2attn.errors import UsageError
from seq2attn.inference.heads import Heads
from seq2attn.runs.choice import AttentionChoice, remember
from seq2attn.runs.directory import ATTENTION
from seq2attn.tasks import curves, film

Call = Callable[..., tuple[int, str]]
PAIR = {
    "target_words": ["le", "chat"],
    "target_subwords": ["▁le", "▁chat"],
    "source_words": ["the", "cat"],
    "source_subwords": ["▁the", "▁cat"],
}


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    monkeypatch.chdir(tmp_path)

    def run(line: str) -> tuple[int, str]:
        code = app.run(line.split())
        return code, capsys.readouterr().err

    return run


def logged(path: Path, heads: int = 2, scores: tuple[str, ...] = ("bleu",), elapsed: bool = True) -> Path:
    """A run with logs of two validations."""
    run = tiny.save_run(path, attention={"heads": heads} if heads > 1 else {})
    lines: list[dict] = [{"step": step, "loss": 4 / step, "speed": 100.0 + step} for step in (1, 2, 3, 4)]
    lines += [
        {"step": step, "valid_loss": 3 / step, "best": True, **dict.fromkeys(scores, 10.0 * step)}
        for step in (2, 4)
    ]
    lines = [line | ({"elapsed": 60.0 * line["step"]} if elapsed else {}) for line in lines]
    write(run / "metrics.jsonl", lines)
    first = {"step": 2, "format": 1, "layers": 1, "heads": heads, "pairs": [PAIR]}
    write(run / ATTENTION, [first, weights(2, heads, 1), weights(4, heads, 2)])
    return run


def weights(step: int, heads: int, seed: int) -> dict:
    numbers = np.random.default_rng(seed).integers(0, 256, heads * 9).astype(np.uint8)
    return {"step": step, "largest": [1], "weights": [base64.b64encode(numbers.tobytes()).decode()]}


def write(path: Path, lines: list[dict]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


# Curves


def test_plot_training_writes_every_kind_of_file(call: Call, tmp_path: Path) -> None:
    logged(tmp_path / "a"), logged(tmp_path / "b")
    starts = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF", "html": b"<!DOCTYPE html>"}
    for ending, start in starts.items():
        assert call(f"plot-training a b -o out.{ending}") == (0, f"wrote out.{ending}\n")
        assert (tmp_path / f"out.{ending}").read_bytes().startswith(start)
    assert ">a<" in (tmp_path / "out.svg").read_text()
    assert "40" in (tmp_path / "out.html").read_text()


def test_plot_training_holds_the_numbers_of_the_log(tmp_path: Path) -> None:
    names, charts, table = curves.of_runs([str(logged(tmp_path / "a"))])
    assert names == ["a"]
    assert [chart.title.split(",")[0] for chart in charts] == [
        "loss",
        "BLEU of the validation sample",
        "target tokens a second",
    ]
    pale, strong = charts[0].curves
    assert (list(pale.x), list(pale.y), pale.pale) == ([1, 2, 3, 4], [4, 2, 4 / 3, 1], True)
    assert (list(strong.x), list(strong.y), strong.dots) == ([2, 4], [1.5, 0.75], True)
    assert table[1] == ["a", "4", "0.75", "40", "102"]


def test_plot_training_leaves_out_what_no_log_has(tmp_path: Path) -> None:
    runs = [str(logged(tmp_path / "a", scores=())), str(logged(tmp_path / "b", scores=("bleu", "cider")))]
    _, charts, table = curves.of_runs(runs)
    assert [curve.run for chart in charts for curve in chart.curves if "BLEU" in chart.title] == [1]
    assert len(charts) == 4
    assert table[1][3:5] == ["–", "–"]
    assert len(curves.of_runs(runs[:1])[1]) == 2


def test_plot_training_by_time_is_in_minutes(tmp_path: Path) -> None:
    run = str(logged(tmp_path / "a"))
    chart = curves.of_runs([run], "time").charts[0]
    assert (chart.across, list(chart.curves[0].x)) == ("minutes of training", [1, 2, 3, 4])
    assert len(seq2attn.plot_training(run, by="time").axes) == 3


def test_plot_training_names_what_is_wrong(call: Call, tmp_path: Path) -> None:
    run = logged(tmp_path / "a", elapsed=False)
    lines = (run / "metrics.jsonl").read_text()
    cases = {
        "plot-training a": (2, "name the file to write with -o"),
        "plot-training a -o x.gif": (2, "its name must end in .png, .svg, .pdf or .html"),
        "plot-training none -o x.png": (1, "none"),
        "plot-training a --by time -o x.png": (1, "have no time in them"),
        f"plot-training {'a ' * 13} -o x.png": (2, "13 runs: give 1 to 12"),
    }
    for line, (code, problem) in cases.items():
        own, error = call(line)
        assert (own, error.count("\n")) == (code, 1), error
        assert problem in error
    for damage, problem in {
        '{"step": 5, "loss": "x"}\n': "is no number",
        '{"loss": 1}\n': "no object with a step",
        '{"step": 5, "lo': "damaged",
        "[]\n": "no object with a step",
        '{"step": NaN, "loss": 1}\n': "step nan: it is from 0 to 9,007,199,254,740,992",
        '{"step": -1, "loss": 1}\n': "step -1: it is from 0",
        '{"step": 5, "loss": %s}\n' % ("9" * 400): "too large a number",
        '{"step": %s, "loss": 1}\n' % ("9" * 400): "too large a number",
    }.items():
        (run / "metrics.jsonl").write_text(lines + damage)
        code, error = call("plot-training a -o x.png")
        assert (code, error.count("\n")) == (1, 1)
        assert "a/metrics.jsonl, line 7: damaged" in error
        assert problem in error
    (run / "metrics.jsonl").unlink()
    assert "has no metrics.jsonl" in call("plot-training a -o x.png")[1]
    with pytest.raises(UsageError, match="by epoch: choose steps or time"):
        seq2attn.plot_training([run], by="epoch")


def test_plot_training_leaves_out_numbers_that_are_not_finite(tmp_path: Path) -> None:
    run = logged(tmp_path / "a")
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 5, "loss": NaN, "elapsed": 400}\n{"step": 6, "loss": Infinity}\n')
        file.write('{"step": 7, "loss": 1e300, "elapsed": Infinity}\n{"step": 8, "loss": -1e308}\n')
    assert list(curves.of_runs([str(run)]).charts[0].curves[0].x) == [1, 2, 3, 4]
    assert curves.of_runs([str(run)], "time").charts[0].across == "minutes of training"


@pytest.mark.parametrize("value", [0.0, 5e-324, 1e100, -1e100])
def test_plot_training_draws_any_number(value: float, tmp_path: Path) -> None:
    run = logged(tmp_path / "a")
    write(run / "metrics.jsonl", [{"step": step, "loss": value * step} for step in (0, 1)])
    assert app.run(["plot-training", str(run), "-o", str(tmp_path / "x.html"), "--quiet"]) == 0


# The film


def test_over_training_writes_every_kind_of_file(call: Call, tmp_path: Path) -> None:
    logged(tmp_path / "a")
    starts = {"png": b"\x89PNG", "gif": b"GIF89a", "html": b"<!DOCTYPE html>"}
    for ending, start in starts.items():
        assert call(f"plot-alignment a --over-training -o out.{ending}") == (0, f"wrote out.{ending}\n")
        assert (tmp_path / f"out.{ending}").read_bytes().startswith(start)
    assert "Attention of a over its training" in (tmp_path / "out.html").read_text()


def test_over_training_shows_what_is_chosen_or_remembered(call: Call, tmp_path: Path) -> None:
    run = logged(tmp_path / "a")
    second = film.of_run(str(run), Heads.parse(None, "2"))
    mean = film.of_run(str(run), Heads.parse(None, None))
    assert (second.attention, mean.attention) == ("head 2", "")
    assert not np.allclose(second.scenes[0].weights, mean.scenes[0].weights)
    remember(run, AttentionChoice(head=2))
    own = film.of_run(str(run), Heads.parse(None, None))
    assert own.attention == "head 2"
    assert np.allclose(own.scenes[0].weights, second.scenes[0].weights)
    assert call("plot-alignment a --over-training --head 1 -o x.html")[0] == 0
    assert "training: head 1<" in (tmp_path / "x.html").read_text()


def test_over_training_names_what_does_not_fit(call: Call, tmp_path: Path) -> None:
    run = logged(tmp_path / "a")
    film_of = "plot-alignment a --over-training"
    cases = {
        film_of: (2, "--over-training needs a file"),
        f"{film_of} -o x.mp4": (2, "--over-training is written as .html, .gif, .png, .svg or .pdf"),
        f"{film_of} -o x.png --source cats": (2, "--over-training and --source: it draws what the training"),
        f"{film_of} -o x.png cats": (2, "--over-training and TEXT"),
        f"{film_of} -o x.png --set search.beam=2": (2, "--over-training and --set"),
        f"{film_of} -o x.png --attention-of encoder": (2, "--over-training and --attention-of"),
        f"{film_of} -o x.png --head 3": (2, "--head 3: the attention of a has 2 heads"),
        f"{film_of} -o x.png --heads all": (2, "a film shows one attention"),
        f"{film_of} -o x.png --size 8x5": (2, "--over-training has a size of its own"),
        f"{film_of} -o x.gif --dpi 80": (2, "--dpi is for a .png"),
        f"{film_of} -o x.html --colormap Greys": (2, "--colormap"),
        "plot-alignment --over-training -o x.png": (2, "--over-training needs a RUN"),
        "plot-alignment none --over-training -o x.png": (1, "none"),
        "plot-alignment a -o x.gif --source cats": (2, "must end in .png, .svg, .pdf or .html"),
    }
    for line, (code, problem) in cases.items():
        own, error = call(line)
        assert (own, error.count("\n")) == (code, 1), (line, error)
        assert problem in error, error
    log = (run / "metrics.jsonl").read_text()
    (run / "metrics.jsonl").write_text('{"step": 2, "speed": 5}\n')
    assert call(f"{film_of} -o x.gif") == (
        1,
        "seq2attn: a/metrics.jsonl: has no loss and no score, only speed; restore it\n",
    )
    (run / "metrics.jsonl").write_text(log)
    text = (run / ATTENTION).read_text()
    (run / ATTENTION).write_text(text.replace('"step": 4', '"step": 1'))
    code, error = call(f"{film_of} -o x.png")
    assert (code, error.count("\n")) == (1, 1)
    assert re.search(rf"a/{ATTENTION}, line 3: damaged \(step 1 comes after step 2\)", error)
    (run / ATTENTION).unlink()
    code, error = call(f"{film_of} -o x.png")
    assert (code, error.count("\n")) == (1, 1)
    assert f"a: has no {ATTENTION}: it was trained by an older seq2attn" in error
