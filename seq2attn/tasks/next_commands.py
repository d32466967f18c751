"""Commands of a shell to try with a run that was just trained: use it, score it, and plot its attention."""

from pathlib import Path


def of_translator(run: Path, example: str, attends: bool, has_tests: bool) -> list[str]:
    text = "'" + example.replace("'", "'\\''") + "'"
    plot = f"seq2attn plot-alignment {run} --source {text}" if attends else None
    return _commands(run, f"echo {text} | seq2attn translate {run}", plot, has_tests)


def of_captioner(run: Path, attends: bool, has_tests: bool) -> list[str]:
    plot = f"seq2attn plot-alignment {run} --image IMAGE -o overlay.png" if attends else None
    return _commands(run, f"seq2attn caption {run} IMAGE...", plot, has_tests)


def _commands(run: Path, answer: str, plot: str | None, has_tests: bool) -> list[str]:
    # without test splits, there is the validation split to score
    score = f"seq2attn evaluate {run}{'' if has_tests else ' --split valid'}"
    return [answer, score, *([] if plot is None else [plot])]
