"""A model's settings and weights under the reference's names: the one place where the tests know the
package's parameter names.

Every parameter must find its place, so that none can hide from the reference.
"""

from typing import Any

import numpy as np
import reference
from torch import Tensor, nn

from seq2attn import config
from seq2attn.attention import Attention
from seq2attn.attention.scores import Score
from seq2attn.attention.self_attention import SelfAttention
from seq2attn.models.layers.cells import Cell
from seq2attn.models.layers.gated_conv import WeightNorm
from seq2attn.models.layers.transformer import FeedForward
from seq2attn.models.seq2seq import Seq2Seq


def array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().double().cpu().numpy()


def affine(layer: nn.Linear) -> dict[str, np.ndarray]:
    return {"w": array(layer.weight), "b": None if layer.bias is None else array(layer.bias)}


def cell(module: Cell) -> dict[str, np.ndarray]:
    """What is fed back is more columns of the input, after the embedding's or the lower layer's."""
    columns = [array(module.input_to_gates.weight)] + (
        [] if module.feedback is None else [array(module.feedback.weight)]
    )
    return {
        "w_ih": np.concatenate(columns, 1),
        "b_ih": array(module.input_to_gates.bias),
        "w_hh": array(module.hidden_to_gates.weight),
        "b_hh": array(module.hidden_to_gates.bias),
    }


def mapping(kind: str, module: nn.Module) -> dict[str, Any]:
    """x, W x, or tanh(W x + b)."""
    p = {key: array(value) for key, value in module.named_parameters()}
    assert set(p) == {"identity": set(), "linear": {"weight"}, "nonlinear": {"weight", "bias"}}[kind]
    return {"kind": kind} | {key[0]: value for key, value in p.items()}


def score(settings: config.AttentionConfig, module: Score) -> dict[str, Any]:
    """History features join a score inside its tanh, by a matrix, or are added to it, by one row of numbers.
    Maps of queries and keys are w and u in the reference; other parameters have the same names there.
    """
    p: dict[str, Any] = {key: array(value) for key, value in module.named_parameters()}
    name, past = settings.score, p.pop("history_proj.weight", None)
    assert (past is None) == (settings.history == "none")
    inside = {} if past is None else {"past": past if hasattr(module, "v") else past[0]}
    if name == "keyed":
        return inside | {
            "query": mapping(settings.query_map, module.query or nn.Identity()),
            "key": mapping(settings.key_map, module.key or nn.Identity()),
        }  # type: ignore[arg-type]
    if name == "concat-linear":
        assert set(p) == {"query.weight", "key.weight"}
        return inside | {"w": np.concatenate([p["query.weight"][0], p["key.weight"][0]])}
    if name == "sigmoid":
        assert set(p) == {"query.weight", "query.bias", "key.weight"}
        return inside | {"p": p["query.weight"][0], "u": p["key.weight"][0], "r": p["query.bias"][0]}
    names = {
        "query.weight": "w",
        "query.bias": "b",
        "key.weight": "u",
        "positions.weight": "w",
        "positions.bias": "b",
        "weight": "w",
    }
    return inside | {names.get(key, key): value for key, value in p.items()}


def attention(settings: config.AttentionConfig, module: Attention) -> dict[str, Any]:
    named: dict[str, Any] = {"score": score(settings, module.score)}
    terms = (
        {}
        if module.history_feature is None
        else {key: array(value) for key, value in module.history_feature.named_parameters()}
    )
    match settings.history:
        case "fertility":
            named["past"] = {"u": terms.pop("fertility.weight")[0], "n": settings.max_fertility}
        case "location-aware":
            named["past"] = {"f": terms.pop("filters")[:, 0]}
        case _:
            named["past"] = {}
    assert not terms
    if settings.window == "local-p":
        window = {key: array(value) for key, value in module.window.named_parameters()}  # type: ignore[union-attr]
        named["window"] = {"w": window.pop("query.weight"), "v": window.pop("v")}
        assert not window
    if module.out is None:
        return named | {"value_map": mapping(settings.value_map, module.value or nn.Identity())}
    projections = {"query": module.query, "key": module.key, "value": module.value, "out": module.out}
    for name, one in projections.items():
        if one is not None:
            named |= {name: array(one.weight)} | ({} if one.bias is None else {name + "_b": array(one.bias)})
    return named


def self_attention(settings: config.TransformerConfig, module: SelfAttention) -> dict[str, Any]:
    """One matrix holds queries, keys and values, head after head. The pairs that rotary positions turn lie
    half a head apart there, side by side in the paper.
    """
    size, kv_heads = settings.size // settings.heads, settings.kv_heads or settings.heads
    pairs = np.arange(size).reshape(2, -1).T.flatten() if settings.positions == "rotary" else np.arange(size)
    named, first = {"out": array(module.out.weight)}, 0
    if settings.bias:
        named["out_b"] = array(module.out.bias)
    for name, heads in (("query", settings.heads), ("key", kv_heads), ("value", kv_heads)):
        rows = (
            first
            + (np.arange(heads)[:, None] * size + (pairs if name != "value" else np.arange(size))).flatten()
        )
        named[name] = array(module.qkv.weight)[rows]
        if settings.bias:
            named[name + "_b"] = array(module.qkv.bias)[rows]
        first += heads * size
    return named


def feed_forward(settings: config.TransformerConfig, module: FeedForward) -> dict[str, Any]:
    units = settings.feedforward
    named = {"w1": array(module.up.weight)[:units], "w2": array(module.down.weight)}
    if settings.activation == "swiglu":
        named["v"] = array(module.up.weight)[units:]
    if settings.bias:
        named |= {"b1": array(module.up.bias)[:units], "b2": array(module.down.bias)}
        if settings.activation == "swiglu":
            named["c"] = array(module.up.bias)[units:]
    return named


def norm(module: nn.Module | None) -> dict[str, Any] | None:
    return (
        None
        if module is None
        else {"gain" if name == "weight" else name: array(value) for name, value in module.named_parameters()}
    )


def transformer(
    settings: config.TransformerConfig, side: Any, attends: config.AttentionConfig | None
) -> dict[str, Any]:
    layers = []
    for layer in side.layers:
        one = {
            "attention": self_attention(settings, layer.self_attn),
            "attending": norm(layer.self_attn_norm),
        }
        if attends is not None:
            one |= {
                "source_attention": attention(attends, layer.cross_attn),
                "reading": norm(layer.cross_attn_norm),
            }
        layers.append(
            one | {"feedforward": feed_forward(settings, layer.ffn), "feeding": norm(layer.ffn_norm)}
        )
    vectors = side.positions.vectors
    return {
        "positions": None if vectors is None else array(vectors.weight),
        "layers": layers,
        "norm": norm(side.norm),
    }


def normalised(module: WeightNorm) -> dict[str, np.ndarray]:
    return {"v": array(module.weight), "g": array(module.gain), "b": array(module.bias)}


def convolutional(side: Any, layers: list[Any]) -> dict[str, Any]:
    vectors = side.positions.vectors
    return {
        "positions": None if vectors is None else array(vectors.weight),
        "into": normalised(side.in_proj),
        "layers": layers,
        "out": normalised(side.out_proj),
    }


def convolutional_layer(settings: config.AttentionConfig, layer: Any) -> dict[str, Any]:
    names = {"convolution": "convolution", "asking": "query_proj", "answer": "context_proj"}
    maps = {theirs: normalised(getattr(layer, ours)) for theirs, ours in names.items()}
    return maps | {"attention": attention(settings, layer.attention)}


def gate(kind: str, module: nn.Linear, embedding: int, state: int) -> dict[str, Any]:
    w, b = array(module.weight), array(module.bias)
    if kind == "scalar":
        return {"w": w[0], "b": b[0]}
    return {
        "w": w[:, :embedding],
        "u": w[:, embedding : embedding + state],
        "c": w[:, embedding + state :],
        "b": b,
    }


def weights(model: Seq2Seq, settings: config.ModelConfig) -> dict[str, Any]:
    encoder, decoder = model.encoder, model.decoder
    named = {
        "source_embedding": array(encoder.embedding.weight),
        "encoder": encoder_weights(settings, encoder),
        "target_embedding": array(decoder.target_embedding.weight),
        **decoder_weights(settings, decoder),
        "output": affine(decoder.output),
    }
    if decoder.pointer is not None:
        gate = decoder.pointer.gate
        named["pointer"] = {"w": array(gate.weight[0]), "b": array(gate.bias)[0]}
    assert size(named) == sum(p.numel() for _, p in model.named_parameters(remove_duplicate=False)), (
        "a parameter has no name in the reference"
    )
    if decoder.pointer is not None:
        named["pointer"]["target_of"] = decoder.pointer.target_of.tolist()
    return named


def encoder_weights(settings: config.ModelConfig, encoder: Any) -> Any:
    match settings.encoder:
        case config.RNNEncoderConfig():
            return [[cell(direction) for direction in layer] for layer in encoder.layers]
        case config.TransformerEncoderConfig():
            return transformer(settings.encoder, encoder, None)
        case config.ConvEncoderConfig():
            return convolutional(encoder, [normalised(layer) for layer in encoder.layers])
    raise NotImplementedError


def decoder_weights(settings: config.ModelConfig, decoder: Any) -> dict[str, Any]:
    match settings.decoder:
        case config.RNNDecoderConfig():
            return recurrent_decoder_weights(settings, settings.decoder, decoder)
        case config.TransformerDecoderConfig():
            return {"decoder": transformer(settings.decoder, decoder, settings.attention)}
        case config.ConvDecoderConfig():
            return {
                "decoder": convolutional(
                    decoder, [convolutional_layer(settings.attention, layer) for layer in decoder.layers]
                )
            }
    raise NotImplementedError


def recurrent_decoder_weights(
    settings: config.ModelConfig, chosen: config.RNNDecoderConfig, decoder: Any
) -> dict[str, Any]:
    parts = 2 if chosen.cell == "lstm" else 1
    maps = [] if decoder.bridge is None else [affine(layer) for layer in decoder.bridge]
    return {
        "bridge": [
            dict(zip("hc", maps[start : start + parts], strict=False)) for start in range(0, len(maps), parts)
        ],
        "decoder": [cell(layer) for layer in decoder.cells],
        "attention": None if decoder.attention is None else attention(settings.attention, decoder.attention),
        "gate": None
        if decoder.gate is None
        else gate(chosen.gate, decoder.gate, settings.embedding, chosen.size),
        "readout": None if decoder.readout is None else affine(decoder.readout),
        "projection": None if decoder.output_proj is None else array(decoder.output_proj.weight),
    }


def size(tree: Any) -> int:
    if isinstance(tree, np.ndarray | np.float64):
        return int(tree.size)
    return (
        sum(size(part) for part in (tree.values() if isinstance(tree, dict) else tree))
        if isinstance(tree, dict | list)
        else 0
    )


def layers(settings: config.TransformerConfig) -> reference.Layers:
    return reference.Layers(
        heads=settings.heads,
        kv_heads=settings.kv_heads or settings.heads,
        activation=settings.activation,
        norm=settings.norm,
        prenorm=settings.prenorm,
        positions=settings.positions,
    )


def recipe(settings: config.ModelConfig) -> reference.Recipe:
    e, d, a = settings.encoder, settings.decoder, settings.attention
    chosen: dict[str, Any] = {"context_source": d.context_source}
    match e:
        case config.RNNEncoderConfig():
            chosen |= {"encoder_cell": e.cell, "reverse": e.reverse}
        case config.TransformerEncoderConfig():
            chosen |= {"encoder": layers(e)}
        case config.ConvEncoderConfig():
            chosen |= {"encoder": reference.Blocks(e.positions)}
    match d:
        case config.RNNDecoderConfig():
            names = (
                "cell",
                "query_state",
                "context_to",
                "input_feeding",
                "readout",
                "readout_embedding",
                "bridge",
                "gate",
            )
            chosen |= {name: getattr(d, name) for name in names}
        case config.TransformerDecoderConfig():
            chosen |= {"decoder": layers(d)}
        case config.ConvDecoderConfig():
            chosen |= {"decoder": reference.Blocks(d.positions)}
    names = (
        "score",
        "query_input",
        "keys",
        "values",
        "heads",
        "kv_heads",
        "history",
        "normaliser",
        "temperature",
        "k",
        "at_inference",
        "window",
        "half_width",
    )
    return reference.Recipe(**chosen, **{name: getattr(a, name) for name in names})
