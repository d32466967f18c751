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
    greedy: int  # operations of a step; it waits once, and copies nothing
    beam: int


LIMITS = {
    "first-try": Limits((275, 5, 2), (235, 5, 3), 89, 88),
    "transformer": Limits((967, 5, 2), (981, 5, 3), 271, 288),
    "bahdanau15": Limits((1359, 5, 2), (1373, 5, 3), 96, 94),
    "luong15-local-m": Limits((2477, 5, 2), (2491, 5, 3), 122, 126),
    "gehring17": Limits((784, 5, 2), (798, 5, 3), 194, 195),
    "hard-sample": Limits((364, 5, 3), (324, 5, 4), 89, 90),
    "tu16": Limits((1611, 5, 2), (1625, 5, 3), 102, 104),
    "xu15-hard": Limits((608, 6, 3), (606, 6, 4), 95, 96),
    "video": Limits((670, 6, 5), (639, 6, 6), 94, 93),
    "caption-transformer": Limits((635, 6, 2), (651, 6, 3), 207, 219),
}
STEP_WAITS = 1
SEARCH_WAITS = 22  # besides those of the steps
SEARCH_COPIES = 17
UPDATES = 3


@pytest.mark.parametrize("format", ["bf16", "fp16"])
@pytest.mark.parametrize("preset", LIMITS)
def test_preset_trains_resumes_and_decodes(preset: str, format: str, tmp_path: Path) -> None:
    settings = settings_of(preset, UPDATES)
    whole = workload.train(tmp_path / "whole" / "run", settings, format)
    first = workload.train(tmp_path / "parts" / "run", settings, format, stop_after=2)
    rest = workload.train(tmp_path / "parts" / "run", settings, format)
    assert [*first.losses, *rest.losses] == whole.losses
    assert [*first.norms, *rest.norms] == whole.norms
    assert state(tmp_path / "parts") == state(tmp_path / "whole")
    limits = LIMITS[preset]
    within(whole.last, Summary(*getattr(limits, format)), f"an update in {format}")
    for name, search in workload.decode(tmp_path / "whole" / "run", format).items():
        within(search.step, Summary(getattr(limits, name), 0, STEP_WAITS), f"a step of {name} search")
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
