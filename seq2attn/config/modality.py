"""What the sources of a model are, text or images: a table with a row for each modality.

`ModelConfig.modality`, `Prepared.modality` and every corpus have one of these. What a modality does with its
sources is in `tasks`, in the class that its row names.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Modality:
    """A kind of sources."""

    name: str  # is also a flag in the report of a prepared folder; text has no flag
    data: str  # what a corpus of it holds, for people
    does: str  # what a run of it does
    command: str  # the command that runs it
    task: str  # module and class of `tasks`
    has_vocabulary: bool  # whether sources are tokens
    metrics: tuple[str, ...]  # values of train.metric: what validation measures
    encoder: tuple[str, str] | None  # the setting of model.encoder that chooses it, and its value


TEXT = Modality(
    "text",
    data="text",
    does="translates text",
    command="translate",
    task="translation.TranslationTask",
    has_vocabulary=True,
    metrics=("bleu", "loss"),
    encoder=None,
)
IMAGES = Modality(
    "images",
    data="captioned images",
    does="describes images",
    command="caption",
    task="captioning.CaptioningTask",
    has_vocabulary=False,
    metrics=("bleu", "loss", "cider"),
    encoder=("kind", "image"),
)
MODALITIES = (TEXT, IMAGES)


def of_encoder(settings: Mapping[str, object]) -> Modality:
    """The modality of the sources that an encoder with these settings reads."""
    matches = (one for one in MODALITIES if one.encoder and settings.get(one.encoder[0]) == one.encoder[1])
    return next(matches, TEXT)


def of_report(report: Mapping[str, object]) -> Modality:
    """The modality of a prepared folder, from its report."""
    return next((one for one in MODALITIES if report.get(one.name)), TEXT)
