"""The attention of one layer or one head of a decoder, of many, without loading a run again."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from seq2attn.models.seq2seq import Seq2Seq


@contextmanager
def looking_at(models: Sequence[Seq2Seq], layer: int | None, head: int | None) -> Iterator[None]:
    """Within it the models give out the weights of that layer and that head, each from 1; None is the mean of
    all."""
    with ExitStack() as stack:
        for model in models:
            stack.enter_context(_looking_at(model.decoder, layer, head))
        yield


@contextmanager
def _looking_at(decoder: Any, layer: int | None, head: int | None) -> Iterator[None]:
    """Every kind of decoder has its `settings`, and `shown`, the head whose weights it gives out."""
    before = decoder.settings, decoder.shown
    if decoder.settings.kind != "rnn":
        decoder.settings = decoder.settings.model_copy(update={"weights_of": layer})
    decoder.shown = head
    try:
        yield
    finally:
        decoder.settings, decoder.shown = before
