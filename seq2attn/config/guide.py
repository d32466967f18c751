"""Which attention is guided in training: the settings of train.guide_*, with their defaults filled in.

With a shift of 1 the guided head learns which words the last written word stands for, and that word is known.
With a shift of 0 it must guess the word that comes next. A recurrent decoder has one attention, which must
read what it writes next: there the shift is 0. In a decoder of several layers one head can be spared.
"""

from typing import NamedTuple

from seq2attn.config.schema import Config, ModelConfig, TrainConfig


class GuidedHead(NamedTuple):
    """A layer and a head, from 1, and the step that has a target word's links: 0 writes it, 1 reads it."""

    layer: int
    head: int
    shift: int


def guided_head(model: ModelConfig, train: TrainConfig) -> GuidedHead:
    """The attention that train.guide acts on."""
    layer = train.guide_layer or max(1, model.attention_layers - 1)  # the last but one (Garg 2019)
    shift = train.guide_shift
    if shift is None:
        shift = int(model.decoder.kind != "rnn")
    return GuidedHead(layer, train.guide_head or 1, shift)


def with_guided_head(config: Config) -> Config:
    """The same settings, in which no choice of the guide is left open."""
    layer, head, shift = guided_head(config.model, config.train)
    update = {"guide_layer": layer, "guide_head": head, "guide_shift": shift}
    return config.model_copy(update={"train": config.train.model_copy(update=update)})
