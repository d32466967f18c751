"""Runs opened to be used: settings changed that hold no weights, models made, weights and tokenizers loaded.
It knows no search.
"""

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, get_args

import torch

from seq2attn.config import MOST_PARAMETERS, Precision, change, estimate_parameters, refuse_idle, refuse_spent
from seq2attn.data.tokenizer import Tokenizer
from seq2attn.devices import find_device
from seq2attn.errors import UsageError, UserError
from seq2attn.inference.forks import at_work
from seq2attn.models.seq2seq import Seq2Seq, build
from seq2attn.runs.directory import Run, load_weights, open_run, read_shapes
from seq2attn.runs.directory import weights as weights_of

SMALL = 2_000_000  # numbers that a model may have more than its weights say, before it is compared with them


class Loaded(NamedTuple):
    """Runs of one target vocabulary, their models in evaluation on one device, in one order."""

    runs: list[Run]
    models: list[Seq2Seq]
    target_tokenizer: Tokenizer
    tokenizers: dict[bytes, Tokenizer]  # one for equal files, so that members know they read alike


def names(run: str | os.PathLike[str]) -> list[str]:
    """The run directories that an argument names: one, or several joined by commas.

    Raises UsageError where there is none, UserError for what can be no name of one.
    """
    paths = (
        [os.fspath(run)]
        if os.path.isdir(run)
        else [path.strip() for path in os.fspath(run).split(",") if path.strip()]
    )
    if not paths:
        raise UsageError("no run is named: give a run directory, or several joined by commas")
    for path in paths:
        try:
            os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            pass  # said when it is opened
        except (
            OSError,
            ValueError,
        ) as error:  # not to be looked into; too long, with a NUL or half of a surrogate pair
            raise UserError(
                f"{path}: {getattr(error, 'strerror', None) or 'no name of a run directory'}"
            ) from None
    return paths


def opened(
    run: str | os.PathLike[str], device: str, precision: str, settings: Iterable[str], images: bool
) -> Loaded:
    """The runs, whose sources are `images` or texts. Raises UserError and UsageError as `Translator.load`
    says.
    """
    with at_work("cpu" if device == "cpu" else "cuda"):
        return _opened(run, device, precision, settings, images)


def _opened(
    run: str | os.PathLike[str], device: str, precision: str, settings: Iterable[str], images: bool
) -> Loaded:
    if precision not in get_args(Precision):
        raise UsageError(f"precision is {precision}: choose {', '.join(get_args(Precision))}")
    where = find_device(device)
    paths = names(run)
    settings = list(settings)
    stored = [open_run(path) for path in paths]
    for one in stored:
        if one.config.model.images != images:
            raise UserError(
                f"{one.path}: it describes images: use `seq2attn caption`"
                if not images
                else f"{one.path}: it translates text: use `seq2attn translate`"
            )
    runs = [_changed(run, settings) for run in stored]
    changes = [(before.config, after.config) for before, after in zip(stored, runs, strict=True)]
    refuse_idle(settings, changes, trained=True, where=f"{stored[0].path} with --set")
    first, models = runs[0], []
    for other in runs:
        if other.target_tokenizer.read_bytes() != first.target_tokenizer.read_bytes():
            raise UserError(
                f"{other.path}: its target vocabulary is not that of {first.path}; an ensemble needs runs trained on one prepared folder"
            )
        models.append(_model(other).to(where))
    tokenizers: dict[bytes, Tokenizer] = {}
    target_tokenizer = tokenizer(first.target_tokenizer, first.target_size, tokenizers)
    if where.type == "cpu" and precision == "bf16":
        halve(models)
    return Loaded(runs, models, target_tokenizer, tokenizers)


def _changed(run: Run, settings: Sequence[str]) -> Run:
    """The run with settings changed. Raises UsageError, naming the setting, for what makes no sense and where
    the run has not the weights for it.
    """
    if not settings:
        return run
    refuse_spent(settings)
    changed = replace(run, config=change(run.config, settings, f"{run.path} with --set"))
    own = _shapes(run)
    if _shapes(changed) != own:
        wrong = next(
            setting
            for count, setting in enumerate(settings, 1)
            if count == len(settings) or not _fits(run, settings[:count], own)
        )
        raise UsageError(
            f"{run.path} with --set {wrong}: its weights are not those of such a model; leave it out, or train one"
        )
    return changed


def _fits(run: Run, settings: Sequence[str], own: object) -> bool:
    try:
        return _shapes(replace(run, config=change(run.config, settings))) == own
    except UsageError:  # they may be right with those that follow
        return True


def _shapes(run: Run) -> dict[str, torch.Size]:
    with torch.device("meta"):
        model = build(run.config.model, run.source_size, run.target_size, draw=False)
    return {name: tensor.shape for name, tensor in weights_of(model).items()}


def _model(run: Run) -> Seq2Seq:
    _refuse_other_weights(run)
    # modules draw first weights when they are made, and these are replaced at once
    with torch.random.fork_rng(devices=[]):
        model = build(run.config.model, run.source_size, run.target_size, draw=False)
    load_weights(run, model)
    return model.eval()


def _refuse_other_weights(run: Run) -> None:
    """Raise UserError where the settings ask for a far larger model than the weights are of, by the header of
    their file, before anything of that size is made.

    What is not far larger is compared when it is made: shapes without memory (torch's "meta" device) would
    take a third of a second at each start.
    """
    encoder, largest = run.config.model.encoder, max(run.source_size, run.target_size)
    if estimate_parameters(run.config.model, largest) > MOST_PARAMETERS:
        raise UserError(
            f"{run.path / 'config.json'}: damaged (a vocabulary of {largest:.2g} pieces); restore it, or train again"
        )
    # somebody else's backbone may not know how to be made without memory
    if encoder.kind == "image" and not encoder.residual:
        return
    stored = read_shapes(run.weights)
    if estimate_parameters(run.config.model, largest) < 3 * sum(map(math.prod, stored.values())) + SMALL:
        return
    own = _shapes(run)
    for name in sorted(own.keys() | stored.keys()):
        if name not in own or name not in stored or list(own[name]) != stored[name]:
            raise UserError(
                f"{run.weights}: does not fit the run's config.json at {name}; restore both from one run, or train again"
            )


def halve(models: Sequence[Seq2Seq]) -> None:
    """Put all weights in bfloat16, where every model of an ensemble may be computed so: a number once made is
    not made again at each of its uses.
    """
    if all(model.encoder.supports_half_weights and model.decoder.supports_half_weights for model in models):
        for model in models:
            model.to(torch.bfloat16)


def tokenizer(path: Path, size: int, known: dict[bytes, Tokenizer]) -> Tokenizer:
    content = path.read_bytes()
    if content not in known:
        known[content] = Tokenizer.load(path)
    if known[content].size != size:
        raise UserError(
            f"{path}: has {known[content].size} pieces where the run's config.json says {size}; restore both from one run, or train again"
        )
    return known[content]
