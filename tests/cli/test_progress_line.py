"""A progress line for a width: how far and how long come first and are never cut; facts go from the
last on.
"""

import itertools

import pytest

from seq2attn.cli.output.progress_line import Clock, fitted

FACTS = "loss 5.694  valid 5.945  BLEU 0.2  2,732 tokens/s  lr 0.00087"


@pytest.mark.parametrize("width", [40, 60, 79, 80, 99, 100, 120, 200])
@pytest.mark.parametrize(
    ("done", "total", "gone", "left"),
    [(1, 2000, 0.4, 720.0), (19_999, 20_000, 86_400.0, 4.0), (200_000, 1_000_000, 90_000, 360_000)],
)
def test_fitted_keeps_step_share_and_time_left_at_any_width(
    width: int, done: int, total: int, gone: float, left: float
) -> None:
    line = fitted(width, "training", done, total, Clock(gone, left), FACTS)
    assert len(line) <= width
    for part in (f"{done:,}/{total:,}", f"{100 * done // total}%", "left"):
        assert part in line, line
    assert "…" not in line


def test_fitted_drops_whole_facts_from_the_last_on() -> None:
    names = FACTS.split("  ")
    before = len(names) + 1
    for width in range(200, 40, -1):
        line = fitted(width, "training", 200, 2000, Clock(12, 200), FACTS)
        there = [fact for fact in names if fact in line]
        assert there == names[: len(there)]
        assert line.endswith(there[-1] if there else "left")
        if width < 100:  # at 100 a bar comes, and takes room
            assert len(there) <= before
            before = len(there)


def test_fitted_at_80_columns() -> None:
    assert (
        fitted(80, "training", 200, 2000, Clock(12, 200), FACTS)
        == "training 200/2,000  10%  0:12 gone, 3:20 left  loss 5.694  valid 5.945  BLEU 0.2"
    )
    assert (
        fitted(60, "training", 200, 2000, Clock(12, 200), FACTS)
        == "training 200/2,000  10%  0:12 gone, 3:20 left  loss 5.694"
    )
    assert fitted(40, "training", 200, 2000, Clock(12, 200), FACTS) == "training 200/2,000  10%  3:20 left"
    assert fitted(25, "training", 200, 2000, Clock(12, 200), FACTS) == "200/2,000  10%  3:20 left"


def test_fitted_draws_a_bar_at_100_columns() -> None:
    assert "#" not in fitted(99, "training", 50, 100, Clock(1, 1))
    assert f"training  {'#' * 12}{'-' * 12} 50/100  50%" in fitted(100, "training", 50, 100, Clock(1, 1))


def test_fitted_omits_unknown_facts() -> None:
    assert fitted(80, "reading", 1234, None, Clock(12)) == "reading 1,234  0:12 gone"
    assert fitted(80, "training", 0, 2000, Clock(0.0)) == "training 0/2,000  0%  0:00 gone"


def test_fitted_under_a_time_limit_takes_the_limit_as_total() -> None:
    """The steps that fit are an estimate that jumps: neither they nor their share are shown."""
    lines = [
        fitted(80, "training", step, total, Clock(gone, 720 - gone, 720))
        for step, total, gone in ((200, 346, 200), (210, 278, 210), (300, 325, 690))
    ]
    assert lines == [
        "training 200  27%  3:20 of 12:00",
        "training 210  29%  3:30 of 12:00",
        "training 300  95%  11:30 of 12:00",
    ]
    assert fitted(80, "training", 301, None, Clock(725, 0, 720)) == "training 301  100%  12:00 of 12:00"


def test_fitted_measures_widths_in_terminal_columns() -> None:
    wide = {"测", "试"}

    def size(text: str) -> int:
        return sum(2 if c in wide else 1 for c in text)

    for width, task in itertools.product((40, 60, 80), ("translating 测试", "translating test")):
        assert (
            size(fitted(width, task, 20, 100, Clock(1, 1), "测试 1  测试 2  测试 3  测试 4", size=size))
            <= width
        )
