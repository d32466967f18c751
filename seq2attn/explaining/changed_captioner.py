"""A captioner of one image whose attention an experiment changes.

It shares all numbers with the captioner that it is made of, which stays as it is.
"""

from collections.abc import Sequence
from typing import Any

import torch

from seq2attn.explaining.changed_translator import attention_of, without_graphs
from seq2attn.explaining.changed_weights import ChangedWeights, Sentence
from seq2attn.explaining.experiment import Experiment
from seq2attn.explaining.replaced_weights import numbered, twin
from seq2attn.inference import Captioner
from seq2attn.models.memory import Memory


class ChangedCaptioner(Captioner):
    """A captioner whose model treats each image as number 1."""

    def encode(self, sources: Sequence[Sequence[Any]], seeds: Sequence[int]) -> list[Memory]:
        number_B = torch.ones(len(sources[0]), dtype=torch.long, device=self.device)
        return [numbered(memory, number_B) for memory in super().encode(sources, seeds)]


def changed_captioner(
    captioner: Captioner, experiment: Experiment, places: Sequence[int], unit: str
) -> ChangedCaptioner:
    """The captioner of one model with an experiment, whose source words are places of the image.

    `places` has the number of the place of each source position, from 1; `unit` names one in errors. Raises
    UsageError for an experiment that does not fit the image or the model, UserError for a model without
    attention.
    """
    experiment.check()
    model, about = captioner.models[0], attention_of(captioner.models[0])
    experiment.check_model(about.layers, about.heads, about.hard)
    experiment.check_words(max(places), set(places), unit=unit)
    changed = ChangedWeights([Sentence(experiment, list(places))], about, captioner.device)
    other = ChangedCaptioner(
        twin(model, changed.replace, changed.hide),
        captioner.target_tokenizer,
        without_graphs(captioner.config),
        languages=captioner.languages,
        precision=captioner.format,
    )
    other.choice = captioner.choice
    return other
