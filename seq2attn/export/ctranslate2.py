"""A Transformer for CTranslate2 (https://github.com/OpenNMT/CTranslate2), by its converter and specification.

Parts that CTranslate2 does not have are converted to parts that compute the same: positions become a table,
the linear maps of a score are multiplied into those of queries and keys, and heads that share keys and values
get a copy each.
"""

from collections.abc import Callable
from typing import Any, cast

import ctranslate2
import numpy as np
import torch
from ctranslate2.converters import Converter
from ctranslate2.specs import TransformerSpec, common_spec, transformer_spec
from torch import Tensor, nn

from seq2attn.attention import Attention
from seq2attn.attention.self_attention import SelfAttention
from seq2attn.config import ModelConfig, TransformerConfig
from seq2attn.data.tokenizer import BOS, EOS, SPECIALS, UNK, Tokenizer
from seq2attn.models.decoders.transformer import TransformerDecoder
from seq2attn.models.encoders.transformer import TransformerEncoder
from seq2attn.models.layers.positions import Positions
from seq2attn.models.layers.transformer import EPS, FeedForward
from seq2attn.models.seq2seq import Seq2Seq

VERSION: str = ctranslate2.__version__
# rows of a table of positions: more than the longest source and the longest output of `translate`
POSITIONS = 2304
ACTIVATIONS = {
    "relu": common_spec.Activation.RELU,
    "gelu": common_spec.Activation.GELU,
    "silu": common_spec.Activation.SWISH,
    "swiglu": common_spec.Activation.SWISH,
}


class ModelConverter(Converter):  # type: ignore[misc]
    def __init__(self, model: Seq2Seq, settings: ModelConfig, source: Tokenizer, target: Tokenizer) -> None:
        """A Transformer that `limits.refuse` accepts, with its settings and the tokenizers of both sides."""
        self.encoder, self.decoder = (
            cast(TransformerEncoder, model.encoder),
            cast(TransformerDecoder, model.decoder),
        )
        self.settings, self.source, self.target = settings, source, target

    @torch.no_grad()
    def _load(self) -> TransformerSpec:
        assert self.settings.encoder.kind == self.settings.decoder.kind == "transformer"
        # the attention that CTranslate2 returns: the mean over the heads of the last layer
        alignment = {"alignment_layer": -1, "alignment_heads": self.settings.decoder.heads}
        spec = TransformerSpec(
            transformer_spec.TransformerEncoderSpec(**_stack(self.settings.encoder)),
            transformer_spec.TransformerDecoderSpec(**_stack(self.settings.decoder), **alignment),
        )
        spec.encoder.embeddings[0].weight = _copy(self.encoder.embedding.weight)
        spec.decoder.embeddings.weight = _copy(self.decoder.target_embedding.weight)
        for side, stack, settings in (
            (spec.encoder, self.encoder, self.settings.encoder),
            (spec.decoder, self.decoder, self.settings.decoder),
        ):
            if stack.norm is not None:
                _norm(side.layer_norm, stack.norm)
            if (table := _table(stack.positions, settings)) is not None:
                side.position_encodings.encodings = table
        for layer, encoded in zip(spec.encoder.layer, self.encoder.layers, strict=True):
            _self_attention(layer.self_attention, encoded.self_attn, encoded.self_attn_norm)
            _feedforward(layer.ffn, encoded.ffn, encoded.ffn_norm)
        for layer, decoded in zip(spec.decoder.layer, self.decoder.layers, strict=True):
            _self_attention(layer.self_attention, decoded.self_attn, decoded.self_attn_norm)
            _source_attention(layer.attention, decoded.cross_attn, decoded.cross_attn_norm)
            _feedforward(layer.ffn, decoded.ffn, decoded.ffn_norm)
        _map(spec.decoder.projection, self.decoder.output.weight, self.decoder.output.bias)
        spec.register_source_vocabulary(self.source.vocabulary)
        spec.register_target_vocabulary(self.target.vocabulary)
        spec.config.unk_token, spec.config.bos_token, spec.config.eos_token = (
            SPECIALS[UNK],
            SPECIALS[BOS],
            SPECIALS[EOS],
        )
        spec.config.decoder_start_token = SPECIALS[BOS]
        spec.config.add_source_eos = True
        spec.config.layer_norm_epsilon = EPS
        return spec


def _stack(settings: TransformerConfig) -> dict[str, Any]:
    return {
        "num_layers": settings.layers,
        "num_heads": settings.heads,
        "num_heads_kv": settings.kv_heads or settings.heads,
        "pre_norm": settings.prenorm,
        "rms_norm": settings.norm == "rms",
        "activation": ACTIVATIONS[settings.activation],
        "ffn_glu": settings.activation == "swiglu",
        "rotary_dim": settings.size // settings.heads if settings.positions == "rotary" else None,
        "rotary_interleave": False,  # the two numbers of a pair are half a head apart
    }


def _table(positions: Positions, settings: TransformerConfig) -> Tensor | None:
    """The vectors (POSITIONS, D) that are added at each position; None for rotary positions.

    They are zeros for a model without positions, because CTranslate2 adds sinusoids if there is no table.
    """
    if settings.positions == "rotary":
        return None
    zeros = torch.zeros(POSITIONS, settings.size)
    table = positions(0, POSITIONS, zeros)
    return zeros if table is None else _copy(table)


def _self_attention(spec: Any, own: SelfAttention, norm: nn.Module) -> None:
    _norm(spec.layer_norm, norm)
    _map(spec.linear[0], own.qkv.weight, own.qkv.bias)
    _map(spec.linear[1], own.out.weight, own.out.bias)


def _source_attention(spec: Any, own: Attention, norm: nn.Module) -> None:
    query_map, key_map, value_map, out = (
        cast(nn.Linear, linear) for linear in (own.query, own.key, own.value, own.out)
    )
    query = _heads(query_map, own.score.project_query, own.heads, own.heads)
    key = _heads(key_map, own.score.project_keys, own.kv_heads, own.heads)
    value = _heads(value_map, nn.Identity(), own.kv_heads, own.heads)
    _norm(spec.layer_norm, norm)
    _map(spec.linear[0], *query)
    _map(
        spec.linear[1],
        torch.cat([key[0], value[0]]),
        None if key[1] is None or value[1] is None else torch.cat([key[1], value[1]]),
    )
    _map(spec.linear[2], out.weight, out.bias)
    spec.queries_scale = own.score.scale(query_map.out_features // own.heads) / own.normalise.temperature
    spec.num_heads_kv = np.int32(own.heads)


def _heads(
    linear: nn.Linear, then: Callable[[Tensor], Tensor], parts: int, heads: int
) -> tuple[Tensor, Tensor | None]:
    """The weight and bias of `heads` heads that share `parts` parts of a linear map.

    Each part is followed by the map `then`, A x + b, so that the weight is A W and the bias A c + b.
    """
    columns = linear.weight.unflatten(0, (parts, -1)).mT
    shift = then(columns.new_zeros(parts, 1, columns.size(-1)))
    weight = (then(columns) - shift).mT.repeat_interleave(heads // parts, 0).flatten(0, 1)
    bias = shift if linear.bias is None else then(linear.bias.view(parts, 1, -1))
    has_bias = linear.bias is not None or bool(shift.any())
    return weight, bias.repeat_interleave(heads // parts, 0).flatten() if has_bias else None


def _feedforward(spec: Any, own: FeedForward, norm: nn.Module) -> None:
    _norm(spec.layer_norm, norm)
    _map(spec.linear_1, own.down.weight, own.down.bias)
    into = [spec.linear_0, spec.linear_0_noact] if own.activation == "swiglu" else [spec.linear_0]
    biases = [None] * len(into) if own.up.bias is None else own.up.bias.chunk(len(into))
    for part, weight, bias in zip(into, own.up.parts(), biases, strict=True):
        _map(part, weight, bias)


def _map(spec: Any, weight: Tensor, bias: Tensor | None) -> None:
    spec.weight = _copy(weight)
    if bias is not None:
        spec.bias = _copy(bias)


def _norm(spec: Any, own: nn.Module) -> None:
    gain, shift = cast(Tensor, own.weight), getattr(own, "bias", None)
    spec.gamma = _copy(gain)
    if "beta" in vars(spec):
        spec.beta = torch.zeros_like(spec.gamma) if shift is None else _copy(shift)


def _copy(tensor: Tensor) -> Tensor:
    """A copy, because quantisation changes tensors in place."""
    return tensor.detach().to("cpu", torch.float32, copy=True).contiguous()
