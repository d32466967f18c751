"""`calibrate`: how sure a run may be of each word that it writes, learned on the validation set."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from seq2attn.errors import UsageError
from seq2attn.notes import note
from seq2attn.progress import Progress, StageProgress, Stages, stages
from seq2attn.tasks import arguments, evaluated_runs, evaluation_inputs
from seq2attn.tasks.task import task_of

if TYPE_CHECKING:
    from seq2attn.inference import Captioner, Translator
    from seq2attn.inference.predictor import Predictor
    from seq2attn.inference.results import Caption, Translation
    from seq2attn.tasks.calibration_report import CalibrationReport
    from seq2attn.tasks.caption_test_set import CaptionTestSet
    from seq2attn.tasks.test_set import TestSet
    from seq2attn.tasks.text_test_set import TextTestSet

LIMIT = 2000  # sources of each split
VALID = "valid"
_BLOCK = 256  # texts between two reports of progress


def calibrate(
    run: str | os.PathLike[str],
    *,
    data: str | os.PathLike[str] | None = None,
    split: str = "test",
    limit: int = LIMIT,
    device: str = "auto",
    allow_code: bool = False,
    progress: StageProgress | None = None,
) -> "CalibrationReport":
    """Learn how probable it is that a word of the run's output is right, as `seq2attn calibrate` does.

    A logistic regression is fitted on the run's own output for the first `limit` sources of the split
    "valid", and written to RUN/confidence.json. From then on `translate` and `caption` take confidence=True.
    The report has its figures on the split `split`. Both are of the prepared folder `data`; by default that
    of the run. `progress(stage, done, total)` is called during the work.

    Raises UsageError for arguments that make no sense, UserError if the run or the data are missing or do not
    fit, or if nearly all words of "valid" are right, or nearly all wrong.
    """
    return calibrate_run(
        arguments.path(run, "run"),
        None if data is None else Path(arguments.path(data, "data")),
        split,
        limit,
        device,
        allow_code,
        stages(progress),
    )


def calibrate_run(
    run: str, data: Path | None, split: str, limit: int, device: str, allow_code: bool, work: Stages
) -> "CalibrationReport":
    """See `calibrate`; `work` reports the progress."""
    arguments.count(limit, "limit", "source")
    if split == VALID:
        problem = f"split {VALID}: the calibration is fitted on it: name a split that it has not seen"
        raise UsageError(problem, setting="split")
    evaluated_runs.refuse_several(run, "a calibration", "run")
    splits = [VALID, split]
    modality = evaluated_runs.modality_of([run], splits, data)
    assert modality is not None
    from seq2attn.runs import calibration as files
    from seq2attn.runs import directory

    # before they are loaded: a training may write other weights meanwhile
    directory.refuse_read_only(Path(run))
    weights = files.checksum(Path(run))
    predictor = task_of(modality).load(run, device, allow_code=allow_code)
    tests = evaluation_inputs.test_sets_of_splits([run], modality, data, splits, False, work)
    from seq2attn.evaluation.calibration import Words, fit_calibration, label
    from seq2attn.tasks.calibration_report import CalibrationReport

    with work() as show:
        sides = list[Words]()
        for test in tests:

            def progress(done: int, total: int | None, stage: str = f"output for {test.name}") -> None:
                show(stage, done, total)

            outputs, references = _outputs(predictor, test, limit, progress)
            side = label(outputs, references, predictor.target_tokenizer.lowercase)
            if not sides:  # the validation set
                result = fit_calibration(side)
            sides.append(side)
    valid, scored = sides
    report = CalibrationReport(run, tests[1].where, split, valid, scored, result)
    files.save(Path(run), result.calibration, weights)
    note(f"{run}: confidence of words comes from {Path(run) / files.NAME} from now on")
    return report


def _outputs(
    predictor: "Predictor[Any, Any]", test: "TestSet", limit: int, progress: Progress
) -> "tuple[list[Translation] | list[Caption], list[list[str]]]":
    """The best output for the first sources of a test set, with its features, and their references."""
    if hasattr(test, "split"):
        return _captions(cast("Captioner", predictor), cast("CaptionTestSet", test), limit, progress)
    translator, texts = cast("Translator", predictor), cast("TextTestSet", test)
    assert texts.sources is not None
    sources = texts.sources[:limit]
    outputs: list[Translation] = []
    for start in range(0, len(sources), _BLOCK):
        progress(start, len(sources))
        block = sources[start : start + _BLOCK]
        ranked = translator.translate(block, first=start, attention=False, confidence="features")
        outputs += [translations[0] for translations in ranked]
    progress(len(sources), len(sources))
    return outputs, [[reference] for reference in texts.references[0][:limit]]


def _captions(
    captioner: "Captioner", test: "CaptionTestSet", limit: int, progress: Progress
) -> "tuple[list[Caption], list[list[str]]]":
    from seq2attn.evaluation.captioning import image_blocks, load_images

    assert test.split is not None
    test.refuse_other_kind(captioner)
    count = min(limit, len(test))
    outputs: list[Caption] = []
    for block in image_blocks(captioner, count):
        progress(block.start, count)
        images = load_images(captioner, test.split, block)
        ranked = captioner.caption(images, first=block.start, attention=False, confidence="features")
        outputs += [captions[0] for captions in ranked]
    progress(count, count)
    return outputs, test.references[:count]
