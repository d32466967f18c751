"""The convolutional decoder: gated convolutions over the tokens written so far, each layer with an attention
of its own (Gehring 2017).

At step i, with g_i = embedding + position of the last token, h_i = W g_i + b; then layer by layer

    u_i = gated convolution of h_{i-k+1} .. h_i
    d_i = sqrt(1/2) (W_d u_i + b_d + g_i)        what asks
    c_i = sqrt(S) sum_j a_ij v_j                 what is read: the source's values, of which S are real
    h_i = sqrt(1/2) (h_i + sqrt(1/2) (u_i + W_c c_i + b_c))

and what the output layer reads is W_e h_i + b_e. The equations are those of sections 3.1 to 3.4 in the order
of the authors' own program: what is read
joins the convolution's output before the residual does. That d_i is scaled as other sums are, and how c_i
comes back to a layer's size, is said there alone.

One walk through the layers serves training, where the T tokens of a sentence pass at once, and search, where
one token of each of its W rows does:
a row keeps the last inputs of each convolution, as many as it will look back to.
"""

from collections.abc import Iterable
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from seq2attn.attention import Attention, AttentionHistory, AttentionOutput
from seq2attn.attention.attention import ProjectedMemory
from seq2attn.config import ModelConfig
from seq2attn.kernels.dropout import dropout
from seq2attn.models.interfaces import Decoder
from seq2attn.models.layers.gated_conv import ROOT_HALF, Convolution, Map
from seq2attn.models.layers.positions import Positions
from seq2attn.models.memory import Features, Fixed, Memory, Output, stack_layers, sum_layers


class Matrices(NamedTuple):
    """A layer's normalised weights."""

    convolution: Tensor
    asking: Tensor
    answer: Tensor


class Source(NamedTuple):
    """What every step reads and none changes: the memory as each layer has projected it, and the weights,
    normalised once.
    """

    layers: tuple[ProjectedMemory, ...]
    scale_B: Tensor  # of what is read: the root of the number of real positions
    matrices: Fixed[tuple[Matrices, ...]]
    into: Fixed[Tensor]
    out: Fixed[Tensor]


class State(NamedTuple):
    """What one step leaves to the next; dim 0 of tensors is the row."""

    time: Fixed[int]  # number of the step, from 0
    # of each layer, (R, kernel - 1, C): its convolution's inputs of the last steps, zeros before the first
    before: tuple[Tensor, ...]
    past: AttentionHistory | None  # what the attentions keep of earlier steps


class Layer(nn.Module):
    def __init__(self, model: ModelConfig, number: int) -> None:
        super().__init__()
        assert model.decoder.kind == "conv"
        channels, values = model.decoder.size, model.memory_size("values")
        self.convolution = Convolution(channels, model.decoder.kernel, 1 - model.dropout)
        self.asking = Map(channels, model.embedding)
        self.attention = Attention(
            model.attention,
            model.query_size,
            model.memory_size("keys"),
            values,
            model.attention_size,
            number=number,
        )
        self.answer = Map(values, channels)

    def matrices(self) -> Matrices:
        return Matrices(self.convolution.matrix(), self.asking.matrix(), self.answer.matrix())


class ConvDecoder(Decoder):
    def __init__(self, model: ModelConfig, vocabulary: int) -> None:
        """The decoder of `model.decoder`, over a target vocabulary of this size. The output layer is plain:
        its matrix may be the embedding's.
        """
        super().__init__()
        assert model.decoder.kind == "conv"
        settings, embedding, kept = model.decoder, model.embedding, 1 - model.dropout
        self.settings = settings
        self.dropout = model.dropout
        self.target_embedding = nn.Embedding(vocabulary, embedding)
        self.positions = Positions(settings.positions, embedding, settings.max_positions)
        self.into = Map(embedding, settings.size, kept)
        self.layers = nn.ModuleList(Layer(model, number) for number in range(settings.layers))
        self.out = Map(settings.size, embedding)
        self.output = nn.Linear(embedding, vocabulary)
        if model.tied != "none":
            self.output.weight = self.target_embedding.weight
        # the second layer's convolution sees what the first one read
        self.context_feeds_later_steps = settings.layers > 1 and settings.kernel > 1

    def project_memory(self, memory: Memory) -> Source:
        layers = self._stack()
        to_compute_dtype = tuple(
            layer.attention.project_memory(memory.keys_BSK, memory.values_BSV, memory.mask_BS)
            for layer in layers
        )
        scale_B = memory.mask_BS.sum(1).to(torch.promote_types(memory.values_BSV.dtype, torch.float32)).sqrt()
        matrices = Fixed(tuple(layer.matrices() for layer in layers))
        return Source(
            to_compute_dtype, scale_B, matrices, Fixed(self.into.matrix()), Fixed(self.out.matrix())
        )

    def initial_state(self, memory: Memory, width: int = 1) -> State:
        rows = len(memory.mask_BS) * width
        nothing = memory.values_BSV.new_zeros(rows, self.settings.kernel - 1, self.settings.size)
        past = self._stack()[0].attention.initial_history(
            rows, memory.mask_BS, memory.values_BSV, memory.stream_B
        )
        return State(Fixed(0), (nothing,) * self.settings.layers, past)

    def step(
        self, token_R: Tensor, state: State, source: Source, weights: bool = True
    ) -> tuple[Output, State]:
        past = None if state.past is None else state.past.by_sentence(len(source.scale_B))
        x_R1E, readings, before = self._advance(token_R[:, None], state, source, past, weights)
        after = self._stack()[0].attention.update_history(state.past, None)
        weights_BWLHS = stack_layers(readings) if weights else None
        weights_RLHS = None if weights_BWLHS is None else weights_BWLHS.flatten(0, 1)
        return Output(self.output(x_R1E[:, 0]), weights_RLHS), State(
            Fixed(state.time.parts + 1), before, after
        )

    def hidden_states(self, tokens_BT: Tensor, memory: Memory, weights: bool = False) -> Features:
        state = self.initial_state(memory)
        past = None if state.past is None else state.past.for_all_steps(tokens_BT.size(1))
        x_BTE, readings, _ = self._advance(tokens_BT, state, self.project_memory(memory), past, weights)
        return Features(
            x_BTE,
            stack_layers(readings) if weights else None,
            sum_layers([reading.log_p for reading in readings]),
            sum_layers([reading.entropy for reading in readings]),
        )

    def _advance(
        self, tokens_RT: Tensor, state: State, source: Source, past: AttentionHistory | None, weights: bool
    ) -> tuple[Tensor, list[AttentionOutput], tuple[Tensor, ...]]:
        """T tokens of each row on: the features, what each layer read, and what later steps look back to."""
        steps = tokens_RT.size(1)
        embedded = self.target_embedding(tokens_RT)
        position = self.positions(state.time.parts, steps, embedded)
        embedded = dropout(embedded if position is None else embedded + position, self.dropout, self.training)
        x_RTC = self.into(embedded, source.into.parts)
        readings, after = [], []
        for layer, to_compute_dtype, matrices, before in zip(
            self._stack(), source.layers, source.matrices.parts, state.before, strict=True
        ):
            seen = torch.cat([before, dropout(x_RTC, self.dropout, self.training)], 1)
            after.append(seen[:, steps:])
            y_RTC = layer.convolution(seen, matrices.convolution)
            query_RTE = (layer.asking(y_RTC, matrices.asking) + embedded) * ROOT_HALF
            found = layer.attention(
                query_RTE.reshape(len(source.scale_B), -1, query_RTE.size(-1)),
                to_compute_dtype,
                past,
                weights,
            )
            context = cast(Tensor, found.context)
            answer = layer.answer(
                (context * source.scale_B[:, None, None]).to(context.dtype), matrices.answer
            )
            x_RTC = (x_RTC + (y_RTC + answer.reshape(y_RTC.shape)) * ROOT_HALF) * ROOT_HALF
            readings.append(found)
        x_RTE = dropout(self.out(x_RTC, source.out.parts), self.dropout, self.training)
        return x_RTE, readings, tuple(after)

    def _stack(self) -> list[Layer]:
        return cast(list[Layer], list(cast(Iterable[Layer], self.layers)))
