"""The convolutional decoder: gated convolutions over the tokens written so far, each layer with an attention
of its own (Gehring 2017).

At step i, with g_i = embedding + position of the last token, h_i = W g_i + b; then layer by layer

    u_i = gated convolution of h_{i-k+1} .. h_i
    d_i = sqrt(1/2) (W_d u_i + b_d + g_i)        the query
    c_i = sqrt(S) sum_j a_ij v_j                 the context, of S real source positions
    h_i = sqrt(1/2) (h_i + sqrt(1/2) (u_i + W_c c_i + b_c))

and the output layer reads W_e h_i + b_e. The equations are those of sections 3.1 to 3.4 in the order of the
authors' program: the context joins the convolution's output before the residual does. Only the program says
that d_i is scaled as other sums are, and how c_i is mapped to a layer's size.

The same layers serve training, where the T tokens of a sentence pass at once, and search, where one token of
each of its W rows does: a row keeps the last kernel - 1 inputs of each convolution.
"""

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from seq2attn.attention import Attention, AttentionHistory, AttentionOutput
from seq2attn.attention.attention import ProjectedMemory
from seq2attn.config import AttentionConfig, ConvDecoderConfig
from seq2attn.kernels.dropout import dropout
from seq2attn.models.interfaces import Decoder, Sizes
from seq2attn.models.layers.gated_conv import ROOT_HALF, GatedConvolution, WeightNormLinear, draw_embeddings
from seq2attn.models.layers.positions import Positions
from seq2attn.models.layers.stack import Stack
from seq2attn.models.memory import DecoderOutput, HiddenStates, Memory, stack_weights
from seq2attn.models.state import Constant


class Weights(NamedTuple):
    """A layer's normalised weights."""

    convolution: Tensor
    query_proj: Tensor
    context_proj: Tensor


class ConvSource(NamedTuple):
    """What every step reads: the memory as each layer projects it, and the weights, normalised once."""

    layers: tuple[ProjectedMemory, ...]
    scale_B: Tensor  # of the context: the root of the number of real positions
    weights: Constant[tuple[Weights, ...]]
    in_proj: Constant[Tensor]
    out_proj: Constant[Tensor]


class ConvState(NamedTuple):
    time: Constant[int]  # number of the step, from 0
    # of each layer, (R, kernel - 1, C): its convolution's inputs of the last steps, zeros before the first
    before: tuple[Tensor, ...]
    history: AttentionHistory | None


class ConvLayer(nn.Module):
    def __init__(
        self,
        config: ConvDecoderConfig,
        attention: AttentionConfig,
        sizes: Sizes,
        keep_prob: float,
        layer_index: int,
    ) -> None:
        super().__init__()
        self.convolution = GatedConvolution(config.size, config.kernel, keep_prob)
        self.query_proj = WeightNormLinear(config.size, sizes.embedding)
        self.attention = Attention(
            attention, sizes.query, sizes.keys, sizes.values, sizes.attention, layer_index=layer_index
        )
        self.context_proj = WeightNormLinear(sizes.values, config.size)

    def weights(self) -> Weights:
        return Weights(
            self.convolution.normalised_weight(),
            self.query_proj.normalised_weight(),
            self.context_proj.normalised_weight(),
        )


class ConvDecoder(Decoder):
    def __init__(
        self,
        config: ConvDecoderConfig,
        attention: AttentionConfig,
        vocabulary: int,
        sizes: Sizes,
        *,
        tied: bool,
        dropout: float,
    ) -> None:
        """With `tied` the output layer's matrix, which is not normalised, is the target embedding."""
        super().__init__()
        embedding, keep_prob = sizes.embedding, 1 - dropout
        self.size, self.kernel, self.dropout = config.size, config.kernel, dropout
        self.target_embedding = nn.Embedding(vocabulary, embedding)
        self.positions = Positions(config.positions, embedding, config.max_positions)
        self.in_proj = WeightNormLinear(embedding, config.size, keep_prob)
        self.layers = Stack[ConvLayer](
            ConvLayer(config, attention, sizes, keep_prob, index) for index in range(config.layers)
        )
        self.out_proj = WeightNormLinear(config.size, embedding)
        self.output = nn.Linear(embedding, vocabulary)
        if tied:
            self.output.weight = self.target_embedding.weight
        # the convolution of the second layer sees what the first one read
        self.context_feeds_later_steps = config.layers > 1 and config.kernel > 1

    def draw_parameters(self, init: str, init_range: float) -> None:
        draw_embeddings(self, init)

    def project_memory(self, memory: Memory) -> ConvSource:
        projected = tuple(
            layer.attention.project_memory(memory.keys_BSK, memory.values_BSV, memory.mask_BS)
            for layer in self.layers
        )
        scale_B = memory.mask_BS.sum(1).to(torch.promote_types(memory.values_BSV.dtype, torch.float32)).sqrt()
        return ConvSource(
            projected,
            scale_B,
            Constant(tuple(layer.weights() for layer in self.layers)),
            Constant(self.in_proj.normalised_weight()),
            Constant(self.out_proj.normalised_weight()),
        )

    def initial_state(self, memory: Memory, width: int = 1) -> ConvState:
        rows = len(memory.mask_BS) * width
        nothing = memory.values_BSV.new_zeros(rows, self.kernel - 1, self.size)
        history = self.layers.first.attention.initial_history(
            rows, memory.mask_BS, memory.values_BSV, memory.stream_B
        )
        return ConvState(Constant(0), (nothing,) * len(self.layers), history)

    def step(
        self, token_R: Tensor, state: ConvState, source: ConvSource, weights: bool = True
    ) -> tuple[DecoderOutput, ConvState]:
        history = None if state.history is None else state.history.by_sentence(len(source.scale_B))
        x_R1E, before, read = self._layers(token_R[:, None], state, source, history, weights)
        weights_BWLHS = stack_weights(read) if weights else None
        weights_RLHS = None if weights_BWLHS is None else weights_BWLHS.flatten(0, 1)
        history = self.layers.first.attention.update_history(state.history, None)
        after = ConvState(Constant(state.time.parts + 1), before, history)
        return DecoderOutput(self.output(x_R1E[:, 0]), weights_RLHS), after

    def hidden_states(self, tokens_BT: Tensor, memory: Memory, weights: bool = False) -> HiddenStates:
        state = self.initial_state(memory)
        history = None if state.history is None else state.history.for_all_steps(tokens_BT.size(1))
        x_BTE, _, read = self._layers(tokens_BT, state, self.project_memory(memory), history, weights)
        return HiddenStates.of_layers(x_BTE, read, weights)

    def _layers(
        self,
        tokens_RT: Tensor,
        state: ConvState,
        source: ConvSource,
        history: AttentionHistory | None,
        weights: bool,
    ) -> tuple[Tensor, tuple[Tensor, ...], list[AttentionOutput]]:
        """T more tokens of each row: the features, and of each layer the inputs that later steps read and the
        output of its attention.
        """
        steps = tokens_RT.size(1)
        embedded = self.positions.add_to(self.target_embedding(tokens_RT), state.time.parts)
        embedded = dropout(embedded, self.dropout, self.training)
        x_RTC = self.in_proj(embedded, source.in_proj.parts)
        read, after = [], []
        for layer, memory, own, before in zip(
            self.layers, source.layers, source.weights.parts, state.before, strict=True
        ):
            inputs = torch.cat([before, dropout(x_RTC, self.dropout, self.training)], 1)
            after.append(inputs[:, steps:])
            y_RTC = layer.convolution(inputs, own.convolution)
            query_RTE = (layer.query_proj(y_RTC, own.query_proj) + embedded) * ROOT_HALF
            query_BTE = query_RTE.reshape(len(source.scale_B), -1, query_RTE.size(-1))
            output = layer.attention(query_BTE, memory, history, weights)
            context = cast(Tensor, output.context)
            context = (context * source.scale_B[:, None, None]).to(context.dtype)
            context = layer.context_proj(context, own.context_proj).reshape(y_RTC.shape)
            x_RTC = (x_RTC + (y_RTC + context) * ROOT_HALF) * ROOT_HALF
            read.append(output)
        x_RTE = dropout(self.out_proj(x_RTC, source.out_proj.parts), self.dropout, self.training)
        return x_RTE, tuple(after), read
