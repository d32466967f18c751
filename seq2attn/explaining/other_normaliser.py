"""A model whose attention to the source has another temperature or another normaliser.

It shares all numbers with the model that it is made of, which stays as it is.
"""

from seq2attn.attention.normalisers import build_normaliser
from seq2attn.config import AttentionConfig
from seq2attn.explaining.replaced_weights import attentions, twin
from seq2attn.models.seq2seq import Seq2Seq


def with_normaliser(
    model: Seq2Seq, config: AttentionConfig, temperature: float = 1.0, normaliser: str | None = None
) -> Seq2Seq:
    """The model, of that `config`, with another normaliser. `temperature` divides the scores beside the
    temperature that the model has.
    """
    other = twin(model)
    changes = {"normaliser": normaliser, "temperature": config.temperature * temperature}
    for layer, attention in enumerate(attentions(other)):
        if normaliser is None:
            attention.normalise.temperature *= temperature
        else:
            first_head = layer * attention.heads
            attention.normalise = build_normaliser(config.model_copy(update=changes), first_head)
            window = attention.window
            attention.needs_step = attention.normalise.draws or (window is not None and window.needs_step)
        attention.can_fuse = False
    return other
