"""One preset of every family on the device, in both half precisions: updates, validation, save, resume,
greedy search and beam search; and how many operations, copies and waits they take.

The numbers of LIMITS may only fall. A new operation, copy or wait that is worth its time raises its number.
"""

from pathlib import Path
from typing import NamedTuple

import pytest
from simulated import workload
from simulated.counts import Summary
from small import settings_of


class Limits(NamedTuple):
    """The most that an update and a step of a search may take: operations, copies, waits."""

    bf16: tuple[int, int, int]  # an update
    fp16: tuple[int, int, int]
    greedy: int  # operations of a step; it copies one number, and waits for nothing
    beam: int


LIMITS = {
    "first-try": Limits((194, 5, 2), (208, 5, 3), 80, 79),
    "transformer": Limits((964, 5, 2), (978, 5, 3), 240, 257),
    "bahdanau15": Limits((819, 5, 2), (833, 5, 3), 82, 80),
    "luong15-local-m": Limits((1276, 5, 2), (1290, 5, 3), 106, 110),
    "gehring17": Limits((780, 5, 2), (794, 5, 3), 161, 162),
    "hard-sample": Limits((283, 5, 3), (297, 5, 4), 82, 83),
    "tu16": Limits((1070, 5, 2), (1084, 5, 3), 87, 89),
    "xu15-hard": Limits((582, 6, 3), (598, 6, 4), 87, 88),
    "video": Limits((595, 6, 5), (611, 6, 6), 85, 84),
    "caption-transformer": Limits((632, 6, 2), (648, 6, 3), 188, 200),
}
STEP_WAITS = 0
STEP_COPIES = 1  # how many sentences are unfinished; the next step reads it
SEARCH_WAITS = 21  # besides those of the steps
SEARCH_COPIES = 18
UPDATES = 2


@pytest.mark.parametrize("format", ["bf16", "fp16"])
@pytest.mark.parametrize("preset", LIMITS)
def test_preset_trains_resumes_and_decodes(preset: str, format: str, tmp_path: Path) -> None:
    settings = settings_of(preset, UPDATES)
    whole = workload.train(tmp_path / "whole" / "run", settings, format)
    first = workload.train(tmp_path / "parts" / "run", settings, format, stop_after=1)
    rest = workload.train(tmp_path / "parts" / "run", settings, format)
    assert [*first.losses, *rest.losses] == whole.losses
    assert [*first.norms, *rest.norms] == whole.norms
    assert state(tmp_path / "parts") == state(tmp_path / "whole")
    limits = LIMITS[preset]
    within(whole.last, Summary(*getattr(limits, format)), f"an update in {format}")
    for name, search in workload.decode(tmp_path / "whole" / "run", format).items():
        within(
            search.step, Summary(getattr(limits, name), STEP_COPIES, STEP_WAITS), f"a step of {name} search"
        )
        within(search.besides, Summary(10_000, SEARCH_COPIES, SEARCH_WAITS), f"the rest of {name} search")


def within(count: Summary, limit: Summary, what: str) -> None:
    """Fail where something was counted more often than its limit allows."""
    print(f"{what}: {count}")
    above = [
        f"{n:g} {name}, at most {most:g}"
        for name, n, most in zip(Summary._fields, count, limit, strict=True)
        if n > most
    ]
    assert not above, f"{what} takes {'; '.join(above)}"


def state(folder: Path) -> bytes:
    """The tensors of the last state of training."""
    (file,) = (folder / "run" / "training").glob("*.safetensors")
    return file.read_bytes()
