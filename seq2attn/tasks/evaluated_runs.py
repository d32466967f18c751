"""The runs of an evaluation: their modality, their models, and their outputs."""

import hashlib
import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seq2attn import config
from seq2attn.config import Config, Modality
from seq2attn.errors import UsageError, UserError
from seq2attn.inference.options import NO_OPTIONS, SAMPLES, SearchOptions
from seq2attn.notes import note
from seq2attn.progress import Stages
from seq2attn.tasks import outline
from seq2attn.tasks.outline import Outline
from seq2attn.tasks.task import task_of
from seq2attn.tasks.test_set import System, TestSet

if TYPE_CHECKING:
    from seq2attn.inference.predictor import Predictor
    from seq2attn.runs.directory import Run


def modality_of(runs: Sequence[str], splits: Sequence[str] | None, data: Path | None) -> Modality | None:
    """The modality of the runs; None if there are none.

    It imports torch only for a run whose config.json it cannot read by itself. Raises UsageError if the runs
    are of several modalities. Raises UserError if a run, the data or one of the `splits` (None: files are
    scored) is missing or does not fit.
    """
    members = [member for run in runs for member in outline.of_run(run)]
    known = [member for member in members if member is not None]
    if len(known) < len(members):
        known = [_opened_outline(path) for run in runs for path in _paths(run)]
    first = known[0] if known else None
    of_modality = {member.modality.name: member for member in reversed(known)}
    if len(of_modality) > 1:
        one, other = [of_modality[name] for name in sorted(of_modality)][:2]
        raise UsageError(
            f"{one.path} {one.modality.does} and {other.path} {other.modality.does}: evaluate them one by one"
        )
    if splits is not None:
        if data is not None:
            outline.check_splits(data, splits, first)
        elif first is not None and Path(first.corpus, "prepared.json").is_file():
            outline.check_splits(Path(first.corpus), splits, first)
        elif first is not None and splits:
            outline.check_corpus(first, splits)
    return None if first is None else first.modality


def _paths(run: str) -> list[str]:
    from seq2attn.runs.loading import run_paths

    return run_paths(run)


def _opened_outline(path: str) -> Outline:
    """The outline of a run whose config.json only `open_run` can read."""
    from seq2attn.runs.directory import open_run

    run = open_run(path)
    data = run.config.data
    return Outline(path, run.config.model.modality, run.corpus, data.source, data.target)


def name_code(runs: Sequence[str]) -> bool:
    """Whether a run, or a member of an ensemble, names code of the user's own."""
    from seq2attn.runs.directory import open_run

    return any(open_run(path).config.model.own_code for run in runs for path in _paths(run))


def write_lowercase(runs: Sequence[str], predictors: "Sequence[Predictor[Any, Any]]") -> bool:
    """Whether one of the runs writes only lower case. Then all systems are scored without case."""
    lower = [
        run for run, predictor in zip(runs, predictors, strict=True) if predictor.target_tokenizer.lowercase
    ]
    if lower:
        note(f"{lower[0]} writes lower case: everything is scored without case (case:lc)")
    return bool(lower)


def load(
    runs: Sequence[str],
    modality: Modality,
    device: str,
    precision: str,
    settings: Sequence[str],
    must_attend: bool,
    allow_code: bool,
) -> "list[Predictor[Any, Any]]":
    from seq2attn.devices import keep_freed_memory

    keep_freed_memory()
    task = task_of(modality)
    predictors = [
        task.load(run, device, precision, settings, processes=True, allow_code=allow_code) for run in runs
    ]
    for run, predictor in zip(runs, predictors, strict=True):
        if must_attend and not predictor.attends:
            source = predictor.config.model.decoder.context_source
            raise UserError(
                f"{run}: has no attention (model.decoder.context_source is {source}), "
                "so there is nothing to compare with `gold`"
            )
    return predictors


def refuse_several(run: str, what: str, setting: str) -> None:
    """Raise UsageError for several runs, joined by commas, where `what` is of one."""
    if "," in run and not Path(run).is_dir():
        raise UsageError(f"{setting} {run}: {what} is of one run: name one of them", setting=setting)


def note_choice(run: str, predictor: "Predictor[Any, Any]", system: System) -> None:
    """Note which attention was scored, if any was, where the run remembers one."""
    if (system.alignment or system.pointing) and predictor.choice is not None:
        note(f"{run}: the attention is that of {predictor.choice}, as attention.json says")


def system(
    run: str, predictor: "Predictor[Any, Any]", test: TestSet, search: SearchOptions, stages: Stages
) -> System:
    """The run with its outputs for the test set. It closes the processes of the predictor."""
    folder = Path(run) if Path(run).is_dir() else None
    settings, opened = predictor.config, first_run(run)
    changed = _changed_settings(opened, settings, search)
    if predictor.precision != "fp32":
        changed["precision"] = predictor.precision
    result = System(run, [], folder, _search(settings, search), changed)
    result.configuration, result.seed = (
        _configuration(opened, changed) if folder else None,
        settings.train.seed,
    )
    result.precision = predictor.precision
    with closing(predictor):
        test.take(result, predictor, search, stages)
    return result


def _configuration(opened: "Run", changed: dict[str, object]) -> str:
    """What the run has in common with the runs that differ from it in the seed alone."""
    settings = dict(config.flat(opened.config)) | changed
    of_all_seeds = {name: value for name, value in settings.items() if name != "train.seed"}
    corpus = Path(opened.corpus)
    place = str(corpus.resolve()) if corpus.exists() else opened.corpus
    # The same place may have held other data: tokenizers tell.
    tokenizers = [hashlib.sha256(file.read_bytes()).hexdigest() for file in opened.tokenizers]
    return json.dumps([of_all_seeds, place, tokenizers], default=str)


def _search(settings: Config, search: SearchOptions) -> dict[str, object]:
    """The options of the search that gave the outputs, the run's own settings included."""
    # The lengths are the run's own or those that were set, which are recorded apart.
    left_out = {"min_length", "max_length", *search.excluded()}
    own = settings.search.model_dump(exclude=NO_OPTIONS)
    values = {name: value for name, value in (own | search.given()).items() if name in own.keys() - left_out}
    if search.utility is not None:
        values |= {"mbr": _utility_name(search), "samples": search.samples or SAMPLES}
    return values | _others(search)


def _changed_settings(opened: "Run", settings: Config, search: SearchOptions) -> dict[str, object]:
    """The settings that the caller changed from those of the (first) run, and how `utility` chose."""
    own = config.flat(opened.config)
    given = search.given()
    now = dict(config.flat(settings)) | {
        f"search.{name}": value for name, value in given.items() if f"search.{name}" in own
    }
    changed = {key: value for key, value in now.items() if value != own[key]}
    if search.utility is not None:
        changed["mbr"] = _utility_name(search)
    if search.samples is not None:
        changed["samples"] = search.samples
    return changed | _others(search)


def _others(search: SearchOptions) -> dict[str, object]:
    """The options that no run sets, of samples and of unknown words: those that the caller set."""
    names = ("sample", "temperature", "top_k", "top_p", "replace_unknown")
    values = {name: getattr(search, name) for name in names}
    return {name: value for name, value in values.items() if value is not None and value is not False}


def _utility_name(search: SearchOptions) -> str:
    """The name of the utility, which may be a function of the caller."""
    utility = search.utility
    return utility if isinstance(utility, str) else getattr(utility, "__name__", type(utility).__name__)


def first_run(run: str) -> "Run":
    """The run, or the first member of an ensemble."""
    from seq2attn.runs.directory import open_run

    return open_run(run if Path(run).is_dir() else run.split(",")[0].strip())
