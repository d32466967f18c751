"""Dropout of whole words and of attention weights, put into a model for the time of a training.

train.word_dropout: with probability p a token is dropped at all its places in a sentence (Gal and Ghahramani
2016, section 4.2; Sennrich and Zhang 2019). Its embedding is 0 there, and those of other tokens are divided
by 1 - p. Source and target input are sentences of their own. train.attention_dropout: a weight of
self-attention, or of the attention to the source, is 0 with probability p as it reads the values, and
otherwise divided by 1 - p. The weights that a model returns, copies by, or remembers are not changed.

Both act in training mode alone, and draw from torch's generator.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from seq2attn.attention import Attention
from seq2attn.attention.self_attention import SelfAttention
from seq2attn.config import TrainConfig
from seq2attn.models.seq2seq import Seq2Seq

Hook = Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor | None]


@contextmanager
def regularised(model: Seq2Seq, settings: TrainConfig) -> Iterator[None]:
    """The model with what the settings drop; at the end it drops no more than before."""
    with ExitStack() as stack:
        if settings.word_dropout:
            for embedding in word_embeddings(model):
                handle = embedding.register_forward_hook(dropped_words(settings.word_dropout))
                stack.callback(handle.remove)
        if settings.attention_dropout:
            for module in model.modules():
                if isinstance(module, Attention | SelfAttention):
                    stack.callback(setattr, module, "dropout", module.dropout)
                    module.dropout = settings.attention_dropout
        yield


def word_embeddings(model: Seq2Seq) -> list[nn.Embedding]:
    """Those of source tokens, if sources are text, and of target tokens."""
    sides = getattr(model.encoder, "embedding", None), model.decoder.target_embedding
    return [side for side in sides if isinstance(side, nn.Embedding)]


def dropped_words(p: float) -> Hook:
    """A hook of an embedding, which drops words while the embedding is in training mode."""

    def hook(module: nn.Module, inputs: tuple[Tensor, ...], embedded: Tensor) -> Tensor | None:
        return embedded * kept_words(inputs[0], p, embedded.dtype)[..., None] if module.training else None

    return hook


def kept_words(ids: Tensor, p: float, dtype: torch.dtype) -> Tensor:
    """The factors of the embeddings of sentences (B, T): 0 with probability p, else 1 / (1 - p). Equal tokens
    of a sentence have equal factors.
    """
    ids_BT = ids if ids.dim() == 2 else ids[:, None]
    first_BT = (ids_BT[:, :, None] == ids_BT[:, None]).int().argmax(-1)  # where a token first occurs
    draw_BT = torch.rand(ids_BT.shape, device=ids.device).gather(1, first_BT)
    return ((draw_BT >= p).to(dtype) / (1 - p)).view(ids.shape)
