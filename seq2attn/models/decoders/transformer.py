"""The Transformer decoder: masked self-attention, attention to the source, and a position-wise network, layer
upon layer (Vaswani 2017).

One walk through the layers serves training, where the T tokens of a sentence ask at once, and search, where
its W rows do: they differ in
what self-attention may look at alone.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from seq2attn.attention import Attention, AttentionHistory, AttentionOutput
from seq2attn.attention.attention import ProjectedMemory
from seq2attn.attention.self_attention import SelfAttention
from seq2attn.config import ModelConfig
from seq2attn.kernels.dropout import dropout
from seq2attn.models.interfaces import Decoder
from seq2attn.models.layers.kv_cache import Cache
from seq2attn.models.layers.positions import Positions
from seq2attn.models.layers.transformer import FeedForward, Sublayer, norm
from seq2attn.models.memory import Features, Memory, Output, Shared, stack_layers, sum_layers

Look = Callable[[SelfAttention, Tensor], Tensor]  # self-attention over what the tokens (B, T, D) may look at


class Layer(nn.Module):
    def __init__(self, model: ModelConfig, number: int) -> None:
        super().__init__()
        assert model.decoder.kind == "transformer"
        settings, size = model.decoder, model.decoder.size
        self.attention = SelfAttention(
            size, settings.heads, settings.kv_heads, settings.positions == "rotary", settings.bias
        )
        sizes = (size, model.memory_size("keys"), model.memory_size("values"), model.attention_size)
        self.source_attention = Attention(
            model.attention, *sizes, out_size=size, bias=settings.bias, number=number
        )
        self.feedforward = FeedForward(settings)
        self.attending, self.reading, self.feeding = (Sublayer(settings, model.dropout) for _ in range(3))

    def forward(
        self,
        x_BTD: Tensor,
        look: Look,
        to_compute_dtype: ProjectedMemory,
        past: AttentionHistory | None,
        weights: bool,
    ) -> tuple[Tensor, AttentionOutput]:
        found = AttentionOutput(None)

        def read(x: Tensor) -> Tensor:
            nonlocal found
            found = self.source_attention(x, to_compute_dtype, past, weights)
            return cast(Tensor, found.context)

        x_BTD = self.reading(self.attending(x_BTD, lambda x: look(self.attention, x)), read)
        return self.feeding(x_BTD, self.feedforward), found


class Source(NamedTuple):
    """What every step reads and none changes: the memory as each layer has projected it."""

    layers: tuple[ProjectedMemory, ...]


class State(NamedTuple):
    """What one step leaves to the next."""

    caches: Shared[tuple[Cache, ...]]  # one a layer
    # bool: the places of the caches that are the row's own past; None where a sentence has one row, whose are
    # all
    seen_RC: Tensor | None
    past: AttentionHistory | None  # what the attention to the source keeps of earlier steps


class TransformerDecoder(Decoder):
    def __init__(self, model: ModelConfig, vocabulary: int) -> None:
        """The decoder of `model.decoder`, over a target vocabulary of this size."""
        super().__init__()
        assert model.decoder.kind == "transformer"
        settings = model.decoder
        self.settings = settings
        self.dropout = model.dropout
        self.target_embedding = nn.Embedding(vocabulary, settings.size)
        self.positions = Positions(settings.positions, settings.size, settings.max_positions)
        self.layers = nn.ModuleList(Layer(model, number) for number in range(settings.layers))
        self.norm = norm(settings) if settings.prenorm else None
        self.output = nn.Linear(settings.size, vocabulary)
        if model.tied != "none":
            self.output.weight = self.target_embedding.weight
        self.context_feeds_later_steps = (
            settings.layers > 1
        )  # the second layer's self-attention sees what the first one read

    def project_memory(self, memory: Memory) -> Source:
        return Source(
            tuple(
                layer.source_attention.project_memory(memory.keys_BSK, memory.values_BSV, memory.mask_BS)
                for layer in self._stack()
            )
        )

    def initial_state(self, memory: Memory, width: int = 1) -> State:
        sentences, like = len(memory.mask_BS), memory.values_BSV
        heads = self._stack()[0].attention
        caches = tuple(Cache.empty(sentences, heads.kv_heads, heads.head_size, like) for _ in self.layers)
        seen = None if width == 1 else memory.mask_BS.new_zeros(sentences * width, 0)
        return State(Shared(caches, sentences, width), seen, self._past(memory, sentences * width))

    def step(
        self, token_R: Tensor, state: State, source: Source, weights: bool = True
    ) -> tuple[Output, State]:
        sentences, width = state.caches.sentences, state.caches.width
        time = state.caches.parts[0].used // width
        x_BWD = self._embed(token_R.view(sentences, width), time, 1)
        turn = self._stack()[0].attention.turn(torch.full((width,), time, device=token_R.device), x_BWD)
        mask = seen_RC = None
        if state.seen_RC is not None:
            own = torch.eye(width, dtype=torch.bool, device=token_R.device).repeat(sentences, 1)
            seen_RC = torch.cat([state.seen_RC, own], 1)
            mask = seen_RC.view(sentences, 1, width, -1)
        before = iter(state.caches.parts)
        caches = []

        def look(attention: SelfAttention, x: Tensor) -> Tensor:
            query, key, value = attention.project(x, turn)
            cache, keys, values = next(before).add(key, value)
            caches.append(cache)
            return attention.read(query, keys, values, mask)

        past = None if state.past is None else state.past.by_sentence(sentences)
        x_BWD, readings = self._walk(x_BWD, look, source, past, weights)
        logits_RN = self.output(x_BWD.flatten(0, 1))
        weights_BWLHS = stack_layers(readings) if weights else None
        weights_RLHS = None if weights_BWLHS is None else weights_BWLHS.flatten(0, 1)
        return Output(logits_RN, weights_RLHS), State(
            Shared(tuple(caches), sentences, width),
            seen_RC,
            self._stack()[0].source_attention.update_history(state.past, None),
        )

    def hidden_states(self, tokens_BT: Tensor, memory: Memory, weights: bool = False) -> Features:
        past = self._past(memory, len(tokens_BT))
        past = None if past is None else past.for_all_steps(tokens_BT.size(1))
        x_BTD = self._embed(tokens_BT, 0, tokens_BT.size(1))
        turn = self._stack()[0].attention.turn(torch.arange(tokens_BT.size(1), device=x_BTD.device), x_BTD)
        x_BTD, readings = self._walk(
            x_BTD, lambda attention, x: attention(x, None, turn), self.project_memory(memory), past, weights
        )
        return Features(
            x_BTD,
            stack_layers(readings) if weights else None,
            sum_layers([reading.log_p for reading in readings]),
            sum_layers([reading.entropy for reading in readings]),
        )

    def _walk(
        self, x_BTD: Tensor, look: Look, source: Source, past: AttentionHistory | None, weights: bool
    ) -> tuple[Tensor, list[AttentionOutput]]:
        """Through all layers: the features, and what each layer read."""
        readings = []
        for layer, to_compute_dtype in zip(self._stack(), source.layers, strict=True):
            x_BTD, reading = layer(x_BTD, look, to_compute_dtype, past, weights)
            readings.append(reading)
        return x_BTD if self.norm is None else self.norm(x_BTD), readings

    def _embed(self, tokens_BT: Tensor, first: int, count: int) -> Tensor:
        x_BTD = self.target_embedding(tokens_BT) * self.settings.size**0.5
        position = self.positions(first, count, x_BTD)
        return dropout(x_BTD if position is None else x_BTD + position, self.dropout, self.training)

    def _past(self, memory: Memory, rows: int) -> AttentionHistory | None:
        return self._stack()[0].source_attention.initial_history(
            rows, memory.mask_BS, memory.values_BSV, memory.stream_B
        )

    def _stack(self) -> list[Layer]:
        return cast(list[Layer], list(cast(Iterable[Layer], self.layers)))
