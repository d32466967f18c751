"""The runs of `evaluate`: their task, their models, and their outputs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from seq2attn import config
from seq2attn.cli import console, outline
from seq2attn.cli.outline import Outline
from seq2attn.cli.output.report import System, TestSet
from seq2attn.config import Config
from seq2attn.errors import UsageError, UserError
from seq2attn.inference.options import SAMPLES, SearchOptions

if TYPE_CHECKING:
    from seq2attn.inference import Captioner, Translator
    from seq2attn.runs.directory import Run


def are_of_images(runs: list[str], splits: Sequence[str] | None, data: Path | None) -> bool:
    """Whether the runs describe images.

    It imports torch only for a run whose config.json it cannot read by itself. Raises UsageError if some
    describe images and others translate text. Raises UserError if a run, the data or one of the `splits`
    (None: files are scored) is missing or does not fit.
    """
    members = [member for run in runs for member in outline.of_run(run)]
    known = [member for member in members if member is not None]
    if len(known) < len(members):
        known = [_opened_outline(path) for run in runs for path in _paths(run)]
    kinds = {member.path: member.images for member in known}
    if len({*kinds.values()}) > 1:
        captioner, translator = (
            next(path for path in kinds if kinds[path] == kind) for kind in (True, False)
        )
        raise UsageError(
            f"{captioner} describes images and {translator} translates text: evaluate them one by one"
        )
    if splits is not None:
        first = known[0] if known else None
        if data is not None:
            outline.check_splits(data, splits, first)
        elif first is not None and Path(first.corpus, "prepared.json").is_file():
            outline.check_splits(Path(first.corpus), splits, first)
        elif first is not None and splits:
            outline.check_corpus(first, splits)
    return any(kinds.values())


def _paths(run: str) -> list[str]:
    from seq2attn.runs.loading import run_paths

    return run_paths(run)


def _opened_outline(path: str) -> Outline:
    """The outline of a run whose config.json only `open_run` can read."""
    from seq2attn.runs.directory import open_run

    run = open_run(path)
    data = run.config.data
    return Outline(path, run.config.model.images, run.corpus, data.source, data.target)


def write_lowercase(runs: Sequence[str], predictors: "Sequence[Translator | Captioner]") -> bool:
    """Whether one of the runs writes only lower case. Then all systems are scored without case."""
    lower = [
        run for run, predictor in zip(runs, predictors, strict=True) if predictor.target_tokenizer.lowercase
    ]
    if lower:
        console.note(f"{lower[0]} writes lower case: everything is scored without case (case:lc)")
    return bool(lower)


def refuse_text_options(values: Mapping[str, object], run: str) -> None:
    """Raise UsageError for options of text that are given for a run that describes images."""
    way_out = "prepare other images with their captions (`seq2attn prepare`), and name the folder with --data"
    ways_out = {
        "--source": way_out,
        "--reference": way_out,
        "--by-length": "images have no length to group by: leave it out",
        "--gold": "images have no word alignments: leave it out; "
        "pointing accuracy is printed if the prepared data has boxes",
    }
    for option, way in ways_out.items():
        if values[option]:
            raise UsageError(f"{option} is for text, and {run} describes images: {way}")


def load(
    runs: list[str],
    images: bool,
    device: str,
    precision: str,
    settings: list[str],
    must_attend: bool,
    allow_code: bool,
) -> "Sequence[Translator | Captioner]":
    if not runs:
        return []
    from seq2attn.devices import keep_freed_memory
    from seq2attn.inference import Captioner, Translator

    keep_freed_memory()
    if images:
        return [
            Captioner.load(run, device, precision, settings, processes=True, allow_code=allow_code)
            for run in runs
        ]
    translators = [Translator.load(run, device, precision, settings, processes=True) for run in runs]
    for run, translator in zip(runs, translators, strict=True):
        if must_attend and not translator.attends:
            source = translator.config.model.decoder.context_source
            raise UserError(
                f"{run}: has no attention (model.decoder.context_source is {source}), "
                "so there is nothing to compare with --gold"
            )
    return translators


def system(run: str, predictor: "Translator | Captioner", test: TestSet, search: SearchOptions) -> System:
    """The run with its outputs for the test set. It closes the processes of the predictor."""
    folder = Path(run) if Path(run).is_dir() else None
    settings = predictor.config
    result = System(run, [], folder, _search(settings, search), _changed_settings(run, settings, search))
    test.take(result, predictor, search)
    predictor.close()
    return result


def _search(settings: Config, search: SearchOptions) -> dict[str, object]:
    """The options of the search that gave the outputs, the run's own settings included."""
    # The lengths are the run's own or those of --set, which is recorded apart.
    left_out = {"min_length", "max_length", *search.excluded()}
    own = settings.search.model_dump()
    values = {name: value for name, value in (own | search.given()).items() if name in own.keys() - left_out}
    return values | ({"mbr": search.utility, "samples": search.samples or SAMPLES} if search.utility else {})


def _changed_settings(run: str, settings: Config, search: SearchOptions) -> dict[str, object]:
    """The settings that --set or options changed from those of the (first) run, and how --mbr chose."""
    own = config.flat(first_run(run).config)
    given = search.given()
    now = dict(config.flat(settings)) | {
        f"search.{name}": value for name, value in given.items() if f"search.{name}" in own
    }
    return {key: value for key, value in now.items() if value != own[key]} | {
        key: given[name] for key, name in (("mbr", "utility"), ("samples", "samples")) if name in given
    }


def first_run(run: str) -> "Run":
    """The run, or the first member of an ensemble."""
    from seq2attn.runs.directory import open_run

    return open_run(run if Path(run).is_dir() else run.split(",")[0].strip())
