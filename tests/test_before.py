"""Runs from before settings and parameters were renamed train, search and attend as they did."""

import before_runs
import pytest

QUICK = ("bahdanau15", "gehring17", "vaswani17", "xu15-hard")  # one of each family


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in before_runs.NAMES],
)
def test_old_run_gives_the_recorded_losses_outputs_and_attention(name: str) -> None:
    assert not list(before_runs.differences(before_runs.recorded(name), before_runs.measure(name)))


def test_old_runs_are_of_every_kind() -> None:
    assert set(QUICK) < set(before_runs.NAMES)
    assert len(before_runs.NAMES) == 34


def test_renamed_settings_move_to_their_sections() -> None:
    old = {
        "train": {"reinforce": 1.0, "lr": 0.1},
        "model": {"attention": {"shown": 2}, "decoder": {"reads": "nothing"}},
    }
    assert before_runs.renamed_settings(old) == {
        "train": {"reinforce": {"weight": 1.0}, "lr": 0.1},
        "model": {"decoder": {"context_source": "none"}},
    }
