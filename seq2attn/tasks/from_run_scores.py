"""What a training that starts from a run has gained on its new data, and what it cost on the old ones."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from seq2attn.data.prepared import Prepared
from seq2attn.errors import UserError
from seq2attn.evaluation.text import Score
from seq2attn.inference.options import DEFAULTS
from seq2attn.notes import note
from seq2attn.progress import Stages
from seq2attn.tasks.evaluation_inputs import test_sets_of_splits
from seq2attn.tasks.from_run import FromRun
from seq2attn.tasks.task import task_of
from seq2attn.tasks.test_set import System, TestSet

LOSS = 1.0  # of BLEU on the old test set, from which on replay is recommended


class Change(NamedTuple):
    """A score of the old run and of the new one on one test set."""

    split: str
    data: str  # of the new or of the old training, for people
    is_new: bool
    before: Score
    after: Score


def changes(
    start: FromRun,
    run: Path,
    prepared: Prepared,
    outputs: Mapping[str, Sequence[str]],
    device: str,
    stages: Stages,
) -> Iterator[Change]:
    """The first score of the test split of the new data, and then of the old ones, if these are here.

    Without a split of the name "test" it is that of all test splits.

    `outputs` are those of the new run on the splits of the new data, by split; what is missing is made.
    """
    yield from _on(prepared, True, start, run, outputs, device, stages)
    try:
        old = Prepared(start.old_data(stages))
    except UserError as error:
        note(f"the old test set is not scored: {error}")
        return
    if old.path.resolve() != prepared.path.resolve():
        yield from _on(old, False, start, run, {}, device, stages)


def advise(scores: Sequence[Change], start: FromRun) -> None:
    """Note what to do if the run forgets much."""
    lost = [one for one in scores if not one.is_new and one.before.value - one.after.value >= LOSS]
    if lost and not start.replay:
        fall = f"{lost[0].before.name} fell from {lost[0].before.value:.2f} to {lost[0].after.value:.2f}"
        note(f"on the old test set {fall}: `replay` 0.2 mixes old training pairs in")


def _on(
    prepared: Prepared,
    is_new: bool,
    start: FromRun,
    run: Path,
    outputs: Mapping[str, Sequence[str]],
    device: str,
    stages: Stages,
) -> Iterator[Change]:
    if not any(name.startswith("test") for name in prepared.splits):
        return
    tests = test_sets_of_splits([str(run)], prepared.modality, prepared.path, (), False, stages)
    for test in filter(len, tests):
        test.forces = False
        before = _score(test, start.run, None, prepared, device, stages)
        after = _score(test, str(run), outputs.get(test.name), prepared, device, stages)
        yield Change(test.name, prepared.report["corpus"], is_new, before, after)


def _score(
    test: TestSet, run: str, outputs: Sequence[str] | None, prepared: Prepared, device: str, stages: Stages
) -> Score:
    """The first score of a run, whose outputs are made if they are not there."""
    test.lowercase = prepared.target_tokenizer.lowercase
    system = System(run, list(outputs or ()))
    if outputs is None:
        with closing(task_of(prepared.modality).load(run, device)) as predictor:
            test.take(system, predictor, DEFAULTS, stages)
    test.score([system])
    return system.scores[0]
