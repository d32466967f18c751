"""The settings of a training for which nobody names a preset: model and length that fit the corpus.

Small corpora need small vocabularies and batches, much dropout and many epochs (Sennrich and Zhang 2019,
Revisiting Low-Resource Neural Machine Translation; Gowda and May 2020). `data.vocabulary_size` chooses the
vocabulary. The numbers here follow these papers.
"""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from seq2attn import config
from seq2attn.config import Config, DataConfig
from seq2attn.data.bundled import TEXT as BUNDLED_TEXT
from seq2attn.errors import UserError
from seq2attn.tasks.task import Sources, task_of
from seq2attn.tasks.training_checks import report_of

if TYPE_CHECKING:
    from seq2attn.data.prepared import Prepared

FIRST_PRESET = "first-try"  # of the bundled texts, whose sentences are short
OF_TEXT = "transformer"
VOCABULARY = "data.vocab_size=auto"
PADDING = 1.1  # tokens of a batch, padding included, for each token of it
VALIDATIONS = 20  # of a training that is not stopped early
PATIENCE = 6  # of them without gain


class Row(NamedTuple):
    """What suits corpora of some number of training pairs."""

    most: float  # training pairs
    dropout: float
    batch_tokens: int
    lr: float
    epochs: int


ROWS = (
    Row(10_000, 0.4, 2048, 1e-3, 80),
    Row(50_000, 0.3, 4096, 1.5e-3, 40),
    Row(200_000, 0.2, 4096, 1.5e-3, 20),
    Row(1_000_000, 0.1, 8192, 1.5e-3, 8),
    Row(float("inf"), 0.1, 16_384, 1.5e-3, 4),
)


class Fit(NamedTuple):
    """A preset with changes, and the reasons for people."""

    preset: str
    changes: tuple[str, ...]  # as `section.key=value`
    reasons: tuple[str, ...]


def fits(data: str) -> bool:
    """Whether the settings of a training without a preset are to fit these data."""
    return data not in BUNDLED_TEXT


def first_preset(data: str, changes: Sequence[str]) -> str:
    """The preset on which the choice builds: it depends on what the data hold.

    That of text if the data cannot be read: who reads them next says what is wrong.
    """
    from seq2attn.data.sources import open_corpus

    if data.startswith("hf:"):
        return OF_TEXT
    try:
        sources: Sources | None = report_of(data)
        if sources is None:
            options = of_data(changes)
            sides = options.source, options.target
            sources = open_corpus(data, *sides, options.max_bad, options.follow_links)
    except UserError:
        return OF_TEXT
    return preset_of(sources)


def preset_of(sources: Sources) -> str:
    if sources.modality.has_vocabulary:
        return OF_TEXT
    return task_of(sources.modality).first_preset(sources)


def before_data(data: str, preset: str, changes: Sequence[str], where: str) -> Config:
    """The settings before the data are prepared. Raises UsageError for changes that make no sense."""
    report = report_of(data)
    joint = of_data(changes, where).joint if report is None else report.joint
    return with_changes(config.load(preset, [VOCABULARY, *of_vocabularies(preset, joint)]), changes, where)


def of_data(changes: Sequence[str], where: str = "settings") -> DataConfig:
    """The settings of data alone."""
    return config.load(FIRST_PRESET, [one for one in changes if one.lstrip().startswith("data.")], where).data


def of_vocabularies(preset: str, joint: bool) -> tuple[str, ...]:
    """The changes for one vocabulary for each side, if that is wanted."""
    if joint or config.load(preset).model.tied != "all":
        return ()
    return ("data.joint=false", "model.tied=output")


def with_changes(choice: Config, changes: Sequence[str], where: str) -> Config:
    settings = config.change(choice, changes, where)
    config.refuse_idle(changes, [(choice, settings)], where=where)
    return settings


def with_data(prepared: "Prepared", changes: Sequence[str], where: str) -> tuple[Config, tuple[str, ...]]:
    """The settings for a prepared folder, and the reasons for people. `changes` have the last word."""
    fit = of_report(prepared)
    own = of_vocabularies(fit.preset, prepared.joint)
    return with_changes(
        config.load(fit.preset, (VOCABULARY, *own, *fit.changes)), changes, where
    ), fit.reasons


def of_report(prepared: "Prepared") -> Fit:
    """What suits a prepared folder."""
    facts = prepared.report["splits"]["train"]
    preset = preset_of(prepared)
    if not prepared.modality.has_vocabulary:
        return of_images(preset, facts["images"], facts["kept"], prepared.clips)
    return of_text(facts["kept"], facts["target"]["tokens"])


def of_text(pairs: int, tokens: int) -> Fit:
    """What suits so many training pairs, whose targets have so many tokens."""
    row = next(row for row in ROWS if pairs <= row.most)
    steps = rounded(row.epochs * tokens * PADDING / row.batch_tokens)
    changes = {
        "model.dropout": row.dropout,
        "train.batch_tokens": row.batch_tokens,
        "train.lr": row.lr,
        **of_length(steps),
    }
    share = "small" if row is ROWS[0] else "large" if row in ROWS[-2:] else "middling"
    reason = (
        f"{pairs:,} training pairs are a {share} corpus: preset {OF_TEXT} with dropout {row.dropout:g}, "
        f"batches of {row.batch_tokens:,} tokens and {steps:,} steps, about {row.epochs} epochs"
    )
    return Fit(OF_TEXT, as_settings(changes), (reason,))


def of_images(preset: str, images: int, captions: int, clips: bool) -> Fit:
    """What suits so many training images, or clips, with so many captions together."""
    own = config.load(preset).train
    assert own.batch_tokens != "auto"
    unit = "clips" if clips else "images"
    return Fit(preset, (), (f"{images:,} training {unit}: preset {preset}",))


def of_length(steps: int) -> dict[str, object]:
    """The settings of a training of so many steps, which ends early where nothing is gained."""
    every = max(1, steps // VALIDATIONS)
    return {
        "train.max_steps": steps,
        "train.warmup": min(400, max(1, steps // 10)),
        "train.validate_every": every,
        "train.patience": PATIENCE,
    }


def rounded(steps: float) -> int:
    """A number of steps, to hundreds; 100 at least."""
    return max(100, 100 * round(steps / 100))


def as_settings(changes: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(f"{key}={json.dumps(value)}" for key, value in changes.items())
