"""`audit`: which attention of a run can be trusted, and how it compares with attributions."""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from seq2attn.errors import UsageError, UserError
from seq2attn.notes import note, warn
from seq2attn.progress import Progress, StageProgress, Stages, stages
from seq2attn.tasks import arguments, evaluated_runs, evaluation_inputs
from seq2attn.tasks.alignment import refuse_one_direction
from seq2attn.tasks.task import task_of

if TYPE_CHECKING:
    from seq2attn.explaining.audit import Reverse, Side
    from seq2attn.inference import Translator
    from seq2attn.inference.predictor import Predictor
    from seq2attn.tasks.audit_report import AuditReport
    from seq2attn.tasks.caption_test_set import CaptionTestSet
    from seq2attn.tasks.test_set import TestSet
    from seq2attn.tasks.text_test_set import TextTestSet

LIMIT = 500  # pairs of each split
VALID = "valid"


def audit(
    run: str | os.PathLike[str],
    *,
    data: str | os.PathLike[str] | None = None,
    split: str = "test",
    limit: int = LIMIT,
    reverse: str | os.PathLike[str] | None = None,
    remember: bool = False,
    seed: int = 1,
    device: str = "auto",
    allow_code: bool = False,
    progress: StageProgress | None = None,
) -> "AuditReport":
    """Score every layer and head of a run's attention, and attributions, as `seq2attn audit` does.

    What is chosen is chosen on the first `limit` pairs of the split "valid", and scored on those of `split`,
    of the prepared folder `data`; by default that of the run. `reverse` is a run of the other direction. With
    `remember` the run shows the best attention from then on. `progress(stage, done, total)` is called during
    the work.

    Raises UsageError for arguments that make no sense, UserError if the run has no attention, if a run or
    data are missing or do not fit, or if no pair is left.
    """
    return audited(
        arguments.path(run, "run"),
        None if data is None else Path(arguments.path(data, "data")),
        split,
        limit,
        None if reverse is None else arguments.path(reverse, "reverse"),
        remember,
        seed,
        device,
        allow_code,
        stages(progress),
    )


def audited(
    run: str,
    data: Path | None,
    split: str,
    limit: int,
    reverse: str | None,
    remember: bool,
    seed: int,
    device: str,
    allow_code: bool,
    work: Stages,
) -> "AuditReport":
    """See `audit`; `work` reports the progress."""
    arguments.count(limit, "limit", "pair")
    for one, name in ((run, "run"), (reverse, "reverse")):
        if one is not None:
            evaluated_runs.refuse_several(one, "an audit", name)
    if split == VALID:
        problem = f"split {VALID}: the audit chooses on it: name a split that it has not seen"
        raise UsageError(problem, setting="split")
    splits = [VALID, split]
    modality = evaluated_runs.modality_of([run], splits, data)
    assert modality is not None
    if remember:
        from seq2attn.runs.directory import refuse_read_only

        refuse_read_only(Path(run))
    predictor = _load(run, modality, device, allow_code)
    tests = evaluation_inputs.test_sets_of_splits([run], modality, data, splits, False, work)
    from seq2attn.explaining import audit as explaining
    from seq2attn.explaining.choice import remember as write_choice
    from seq2attn.tasks.audit_report import AuditReport

    back = None if reverse is None else _load(reverse, modality, device, allow_code)
    if back is not None and not modality.has_vocabulary:
        raise UsageError("reverse is for texts: images have no other direction", setting="reverse")
    sides = [_side(predictor, test, limit) for test in tests]
    both: Reverse | None = None
    if back is not None:
        refuse_one_direction([run, reverse or ""], [cast("Translator", one) for one in (predictor, back)])
        texts = [cast("TextTestSet", test) for test in tests]
        sides, both = _turned(predictor, back, texts, sides, limit)
    for side, test in zip(sides, tests, strict=True):
        if not side.pairs:
            raise UserError(f"{test.where}: no pair to audit: one of the sides is blank in each")
    try:
        before = predictor.choice
    except UserError as error:
        before = None
        if not remember:
            warn(str(error))
    with work() as show:

        def stage(name: str) -> Progress:
            return partial(show, name)

        result = explaining.audit(predictor, *sides, reverse=both, seed=seed, stage=stage)
    report = AuditReport(run, tests[1].where, split, result, before, reverse)
    if remember:
        write_choice(Path(run), result.best)
        note(f"{run} shows {result.best} from now on ({Path(run) / 'attention.json'})")
    return report


def _load(run: str, modality: Any, device: str, allow_code: bool) -> "Predictor[Any, Any]":
    predictor = task_of(modality).load(run, device, allow_code=allow_code)
    if not predictor.attends:
        source = predictor.config.model.decoder.context_source
        why = f"model.decoder.context_source is {source}"
        if source == "attention":
            why = "model.encoder.temporal is mean"
        raise UserError(f"{run}: has no attention to audit ({why})")
    return predictor


def _side(predictor: "Predictor[Any, Any]", test: "TestSet", limit: int) -> "Side":
    """The first pairs of a test set, with gold links or boxes if it has any."""
    from seq2attn.explaining import pairs
    from seq2attn.explaining.audit import Side

    if hasattr(test, "split"):
        return _side_of_images(predictor, cast("CaptionTestSet", test), limit)
    texts = cast("TextTestSet", test)
    assert texts.sources is not None
    of_texts = pairs.of_texts(cast(Any, predictor), texts.sources[:limit], texts.references[0][:limit])
    gold = texts.gold
    return Side(of_texts, None if gold is None else [gold[pair.number] for pair in of_texts])


def _side_of_images(predictor: "Predictor[Any, Any]", test: "CaptionTestSet", limit: int) -> "Side":
    from seq2attn.evaluation.captioning import grid_pointing
    from seq2attn.explaining import pairs
    from seq2attn.explaining.audit import Side

    split, captioner = test.split, cast(Any, predictor)
    assert split is not None
    test.refuse_other_kind(captioner)
    of_images = pairs.of_images(captioner, split, limit)
    if split.boxes is None or captioner.clips:
        return Side(of_images)
    numbers = [pair.number for pair in of_images]
    return Side(of_images, None, partial(grid_pointing, captioner, split, numbers))


def _turned(
    predictor: "Predictor[Any, Any]",
    back: "Predictor[Any, Any]",
    tests: "Sequence[TextTestSet]",
    sides: "Sequence[Side]",
    limit: int,
) -> "tuple[list[Side], Reverse]":
    """The pairs that both runs can read, and those of the reverse run."""
    from seq2attn.explaining import pairs
    from seq2attn.explaining.audit import Reverse, Side

    ahead, turned = [], []
    for test, side in zip(tests, sides, strict=True):
        assert test.sources is not None
        reverse = pairs.of_texts(cast(Any, back), test.references[0][:limit], test.sources[:limit])
        numbers = {pair.number for pair in reverse} & {pair.number for pair in side.pairs}
        pairs_ahead = [pair for pair in side.pairs if pair.number in numbers]
        gold = None
        if side.gold is not None:
            of_pair = zip(side.gold, side.pairs, strict=True)
            gold = [links for links, pair in of_pair if pair.number in numbers]
        ahead.append(Side(pairs_ahead, gold))
        turned.append([pair for pair in reverse if pair.number in numbers])
    return ahead, Reverse(back, *turned)
