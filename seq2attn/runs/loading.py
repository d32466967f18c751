"""Runs as models and tokenizers. Settings may be changed if they change no shape of a parameter.

This module knows no search.
"""

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, cast, get_args

import torch

from seq2attn.config import (
    MOST_PARAMETERS,
    Changes,
    Config,
    Modality,
    Precision,
    as_typed,
    change,
    estimate_parameters,
    flat,
    refuse_idle,
    refuse_training_only,
)
from seq2attn.copying.vocabulary import tokens_of_the_same_text
from seq2attn.data.tokenizer import UNK, Tokenizer
from seq2attn.devices import FLOATS, emulation, find_device
from seq2attn.errors import UsageError, UserError
from seq2attn.models.seq2seq import Seq2Seq, build
from seq2attn.notes import note
from seq2attn.runs.directory import Run, open_run
from seq2attn.runs.half_weights import to_half
from seq2attn.runs.headers import read_shapes
from seq2attn.runs.tensors import load_weights, named_tensors

SMALL = 2_000_000  # parameters that a model may have more than its file, before all shapes are compared


class LoadedRuns(NamedTuple):
    """Runs of one target vocabulary and their models, in evaluation mode on one device, in the same order."""

    runs: list[Run]
    models: list[Seq2Seq]
    target_tokenizer: Tokenizer
    tokenizers: dict[bytes, Tokenizer]  # by content of the file: equal files share one tokenizer


def run_paths(run: str | os.PathLike[str]) -> list[str]:
    """The run directories that an argument names: one, or several joined by commas.

    Raises UsageError if it names none, UserError if a name cannot be a path.
    """
    if os.path.isdir(run):
        paths = [os.fspath(run)]
    else:
        paths = [path.strip() for path in os.fspath(run).split(",") if path.strip()]
    if not paths:
        raise UsageError("no run is named: give a run directory, or several joined by commas")
    for path in paths:
        try:
            os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            pass  # `open_run` reports it
        except (OSError, ValueError) as error:  # no access; too long; a NUL or half of a surrogate pair
            reason = getattr(error, "strerror", None) or "no name of a run directory"
            raise UserError(f"{path}: {reason}") from None
    return paths


def load_runs(
    run: str | os.PathLike[str], device: str, precision: str, settings: Changes, modality: Modality
) -> LoadedRuns:
    """The runs that `run` names, with `settings` changed. Their sources must be of that modality.

    Raises UserError if a run is missing, incomplete, damaged, from a newer version, of another kind of source
    or of another target vocabulary. Raises UsageError for settings that are wrong, that only training uses,
    that have no effect on any of the runs, or that change the shape of a parameter.
    """
    if precision not in get_args(Precision):
        raise UsageError(
            f"precision {precision}: choose {', '.join(get_args(Precision))}", setting="precision"
        )
    torch_device = find_device(device)
    if line := emulation(cast(Precision, precision), torch_device):
        note(line)
    settings = as_typed(settings)
    stored = [open_run(path) for path in run_paths(run)]
    for one in stored:
        if (own := one.config.model.modality) != modality:
            raise UserError(f"{one.path}: it {own.does}: use `seq2attn {own.command}`")
    runs = [_changed(one, settings) for one in stored]
    changes = [(before.config, after.config) for before, after in zip(stored, runs, strict=True)]
    refuse_idle(settings, changes, trained=True, where=f"{stored[0].path} with")
    first, models = runs[0], []
    if first.config.search.cuda_graphs and torch_device.type != "cuda":
        note(f"search.cuda_graphs changes nothing here: the device is {torch_device.type}")
    for other in runs:
        if other.target_tokenizer.read_bytes() != first.target_tokenizer.read_bytes():
            raise UserError(
                f"{other.path}: its target vocabulary is not that of {first.path}; "
                "an ensemble needs runs trained on one prepared folder"
            )
        models.append(_load_model(other).to(torch_device))
    tokenizers: dict[bytes, Tokenizer] = {}
    target_tokenizer = load_tokenizer(first.target_tokenizer, first.target_size, tokenizers).of_target
    for one, model in zip(runs, models, strict=True):
        if model.decoder.pointer is not None:
            source = load_tokenizer(one.source_tokenizer, one.source_size, tokenizers)
            share_vocabularies(model, source, target_tokenizer)
    if precision in FLOATS and not any(one.config.model.own_code for one in runs):
        to_half(models, FLOATS[precision])
    return LoadedRuns(runs, models, target_tokenizer, tokenizers)


def load_tokenizer(path: Path, size: int, known: dict[bytes, Tokenizer]) -> Tokenizer:
    """The tokenizer at `path`, or that of an equal file in `known`, to which a new one is added.

    Raises UserError if its vocabulary does not have `size` tokens.
    """
    content = path.read_bytes()
    if content not in known:
        known[content] = Tokenizer.load(path)
    if known[content].size != size:
        raise UserError(
            f"{path}: has {known[content].size} tokens where the run's config.json says {size}; "
            "restore both from one run, or train again"
        )
    return known[content]


def share_vocabularies(model: Seq2Seq, source: Tokenizer, target: Tokenizer) -> None:
    """Tell a model that copies which target token each source token is. Others stay as they are."""
    if (pointer := model.decoder.pointer) is not None:
        pointer.share_vocabulary(tokens_of_the_same_text(source.vocabulary, target.vocabulary, UNK))


def _changed(run: Run, settings: Sequence[str]) -> Run:
    """The run with settings changed.

    Raises UsageError, which names the setting, if it is wrong or changes the shape of a parameter.
    """
    if not settings:
        return run
    refuse_training_only(settings)
    changed = replace(run, config=change(run.config, settings, f"{run.path} with {' '.join(settings)}"))
    shapes = _shapes(run)
    if _shapes(changed) != shapes:
        wrong = next(
            setting
            for count, setting in enumerate(settings, 1)
            if count == len(settings) or not _fits(run, settings[:count], shapes)
        )
        raise UsageError(
            f"{run.path} with {wrong}: the setting changes the shape of the model's parameters, "
            "so the trained weights do not fit; leave it out, or train a new model"
        )
    return changed


def refuse_other_shapes(run: Run, settings: Config) -> None:
    """Raise UsageError for settings of a model that the run's weights do not fit, by name or shape."""
    if _shapes(replace(run, config=settings)) == _shapes(run):
        return
    before, after = flat(run.config), flat(settings)
    keys = [key for key in {**before, **after} if key.startswith("model.")]
    names = [key for key in keys if before.get(key) != after.get(key)]
    raise UsageError(
        f"{run.path} with other {', '.join(names)}: the weights do not fit, as shapes of parameters change; "
        "leave it out, or train a new model"
    )


def _fits(run: Run, settings: Sequence[str], shapes: object) -> bool:
    try:
        return _shapes(replace(run, config=change(run.config, settings))) == shapes
    except UsageError:  # they may be right together with those that follow
        return True


def _shapes(run: Run) -> dict[str, torch.Size]:
    with torch.device("meta"):
        model = build(run.config.model, run.source_size, run.target_size, draw=False)
    return {name: tensor.shape for name, tensor in named_tensors(model).items()}


def _load_model(run: Run) -> Seq2Seq:
    _refuse_oversized(run)
    # Modules draw their first weights in the constructor: the caller's random state must not notice.
    with torch.random.fork_rng(devices=[]):
        model = build(run.config.model, run.source_size, run.target_size, draw=False)
    load_weights(run, model)
    return model.eval()


def _refuse_oversized(run: Run) -> None:
    """Raise UserError if the settings describe a far larger model than the file of weights holds.

    The header of the file tells, before anything of that size is allocated. Other differences are found when
    the weights are loaded: to build every model without memory first (torch's "meta" device) would take a
    third of a second at each start.
    """
    largest = max(run.source_size, run.target_size)
    if estimate_parameters(run.config.model, largest) > MOST_PARAMETERS:
        problem = f"damaged (a vocabulary of {largest:.2g} tokens)"
        raise UserError(f"{run.path / 'config.json'}: {problem}; restore it, or train again")
    if run.config.model.foreign:  # what is not ours may not be able to be built without memory
        return
    stored = read_shapes(run.weights)
    if estimate_parameters(run.config.model, largest) < 3 * sum(map(math.prod, stored.values())) + SMALL:
        return
    shapes = _shapes(run)
    for name in sorted(shapes.keys() | stored.keys()):
        if name not in shapes or name not in stored or list(shapes[name]) != stored[name]:
            raise UserError(
                f"{run.weights}: does not fit the run's config.json at {name}; "
                "restore both from one run, or train again"
            )
