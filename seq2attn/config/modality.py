"""What the sources of a model are, text or images, in the words of messages.

`ModelConfig.modality` and `Prepared.modality` return one of these. What a modality does with its sources is
in `tasks`.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Modality:
    """A kind of sources."""

    name: str
    data: str  # what a corpus of it holds, for people
    does: str  # what a run of it does
    command: str  # the command that runs it
    has_vocabulary: bool  # whether sources are tokens


TEXT = Modality("text", "text", "translates text", "translate", has_vocabulary=True)
IMAGES = Modality("images", "captioned images", "describes images", "caption", has_vocabulary=False)
_OF_ENCODER = {"image": IMAGES}  # by model.encoder.kind; every other encoder reads text


def of_encoder(kind: object) -> Modality:
    """The modality of the sources that this kind of encoder reads."""
    return _OF_ENCODER.get(kind, TEXT) if isinstance(kind, str) else TEXT
