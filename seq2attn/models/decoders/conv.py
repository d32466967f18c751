"""The convolutional decoder: gated convolutions over the tokens written so far, each layer with an attention
of its own (Gehring 2017).

At step i, with g_i = embedding + position of the last token, h_i = W g_i + b; then layer by layer

    u_i = gated convolution of h_{i-k+1} .. h_i
    d_i = sqrt(1/2) (W_d u_i + b_d + g_i)        the query
    c_i = sqrt(S) sum_j a_ij v_j                 the context, of S real source positions
    h_i = sqrt(1/2) (h_i + sqrt(1/2) (u_i + W_c c_i + b_c))

and the output layer reads W_e h_i + b_e. The equations are those of sections 3.1 to 3.4, in the order of the
authors' program: the context is added to the output of the convolution first, and the residual after it. The
program alone shows that d_i is scaled as the other sums are, and how c_i is mapped to the size of a layer.

In a search the state of a row holds the last kernel - 1 inputs of each convolution.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seq2attn.attention import Attention
from seq2attn.config import ConvDecoderConfig
from seq2attn.config.sizes import SharedSettings
from seq2attn.kernels.dropout import dropout
from seq2attn.models.decoders.parallel import ParallelDecoder, ParallelSource, SourceReader
from seq2attn.models.layers.gated_conv import ROOT_HALF, ConvSide, GatedConv, WeightNorm, WeightNormLinear
from seq2attn.models.layers.positions import Positions
from seq2attn.models.layers.stack import Stack
from seq2attn.models.memory import Memory
from seq2attn.models.state import Constant


class ConvConstants(NamedTuple):
    """What every step reads beside the memory."""

    scale_B: Tensor  # the factor on the context: the root of the number of real positions
    matrices: Constant[dict[WeightNorm, Tensor]]  # the normalised matrix of each module


class ConvPast(NamedTuple):
    """What the layers need of the earlier tokens of R rows."""

    time: Constant[int | Tensor]  # number of the next step, from 0; a tensor (1) in a CUDA graph
    # for each layer (R, kernel - 1, C): the last inputs of its convolution, zeros before the first step
    before: tuple[Tensor, ...]


class ConvLayer(nn.Module):
    def __init__(self, config: ConvDecoderConfig, shared: SharedSettings, layer_index: int) -> None:
        super().__init__()
        self.convolution = GatedConv(config.size, config.kernel, 1 - shared.dropout)
        self.query_proj = WeightNormLinear(config.size, shared.embedding)
        self.attention = Attention(shared.attention, *shared.sizes, layer_index=layer_index)
        self.context_proj = WeightNormLinear(shared.sizes.values, config.size)


class ConvDecoder(ConvSide, ParallelDecoder):
    def __init__(self, config: ConvDecoderConfig, shared: SharedSettings, vocabulary: int) -> None:
        """If `shared.tied`, the output layer's matrix, which is not normalised, is the target embedding."""
        super().__init__()
        embedding, self.kernel, self.dropout = shared.embedding, config.kernel, shared.dropout
        self.target_embedding = nn.Embedding(vocabulary, embedding)
        self.positions = Positions(config.positions, embedding, config.max_positions)
        self.in_proj = WeightNormLinear(embedding, config.size, 1 - shared.dropout)
        self.layers = Stack[ConvLayer](ConvLayer(config, shared, i) for i in range(config.layers))
        self.out_proj = WeightNormLinear(config.size, embedding)
        self.output = self.output_layer(embedding, vocabulary, shared.tied)
        # the convolution of the second layer reads the contexts of the first
        self.context_feeds_later_steps = config.layers > 1 and config.kernel > 1

    def attentions(self) -> list[Attention]:
        return [layer.attention for layer in self.layers]

    def project_memory(self, memory: Memory) -> ParallelSource:
        scale_B = memory.mask_BS.sum(1).to(torch.promote_types(memory.values_BSV.dtype, torch.float32)).sqrt()
        constants = ConvConstants(scale_B, Constant(self.normalised_weights()))
        return super().project_memory(memory)._replace(constants=constants)

    def layers_forward(
        self, tokens_RT: Tensor, past: ConvPast | None, reader: SourceReader
    ) -> tuple[Tensor, ConvPast]:
        scale_B, matrices = reader.source.constants.scale_B, reader.source.constants.matrices.parts
        time, before = (0, None) if past is None else (past.time.parts, past.before)
        embedded = self.positions.add_to(self.target_embedding(tokens_RT), time)
        embedded = dropout(embedded, self.dropout, self.training)
        x_RTC = self.in_proj(embedded, matrices[self.in_proj])
        steps, after = tokens_RT.size(1), []
        for index, layer in enumerate(self.layers):
            inputs = dropout(x_RTC, self.dropout, self.training)
            if before is None:
                inputs = F.pad(inputs, (0, 0, self.kernel - 1, 0))
            else:
                inputs = torch.cat([before[index], inputs], 1)
            after.append(inputs[:, steps:])
            y_RTC = layer.convolution(inputs, matrices[layer.convolution])
            query_RTE = (layer.query_proj(y_RTC, matrices[layer.query_proj]) + embedded) * ROOT_HALF
            # T steps of a sentence, or in a search the W rows of one: both are queries of the sentence
            query_BTE = query_RTE.reshape(len(scale_B), -1, query_RTE.size(-1))
            context = reader.contexts(layer.attention, query_BTE)
            context = (context * scale_B[:, None, None]).to(context.dtype)
            context = layer.context_proj(context, matrices[layer.context_proj]).reshape(y_RTC.shape)
            x_RTC = (x_RTC + (y_RTC + context) * ROOT_HALF) * ROOT_HALF
        x_RTE = dropout(self.out_proj(x_RTC, matrices[self.out_proj]), self.dropout, self.training)
        return x_RTE, ConvPast(Constant(time + steps), tuple(after))
