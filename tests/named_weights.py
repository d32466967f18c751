"""A model's settings and weights under the reference's names: the one place where the tests know the package's parameter names.

Every parameter must find its place, so that none can hide from the reference.
"""

from typing import Any

import numpy as np
import reference
from torch import Tensor, nn

from seq2attn import config
from seq2attn.attention import Attention, Score
from seq2attn.models.cells import Cell
from seq2attn.models.seq2seq import Seq2Seq


def array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().double().cpu().numpy()


def affine(layer: nn.Linear) -> dict[str, np.ndarray]:
    return {"w": array(layer.weight), "b": None if layer.bias is None else array(layer.bias)}


def cell(module: Cell) -> dict[str, np.ndarray]:
    """What is fed back is more columns of the input, after the embedding's or the lower layer's."""
    columns = [array(module.input.weight)] + ([] if module.fed is None else [array(module.fed.weight)])
    return {"w_ih": np.concatenate(columns, 1), "b_ih": array(module.input.bias), "w_hh": array(module.state.weight), "b_hh": array(module.state.bias)}


def mapping(kind: str, module: nn.Module) -> dict[str, Any]:
    """x, W x, or tanh(W x + b)."""
    p = {key: array(value) for key, value in module.named_parameters()}
    assert set(p) == {"identity": set(), "linear": {"weight"}, "nonlinear": {"weight", "bias"}}[kind]
    return {"kind": kind} | {key[0]: value for key, value in p.items()}


def score(settings: config.Attention, module: Score) -> dict[str, Any]:
    """Past weights join additive and concat inside the tanh, by a matrix; every other score by one row of numbers."""
    p: dict[str, Any] = {key: array(value) for key, value in module.named_parameters()}
    name, past = settings.score, p.pop("past.weight", None)
    assert (past is None) == (settings.past == "none")
    inside = {} if past is None else {"past": past if name in ("additive", "concat") else past[0]}
    if name == "keyed":
        return inside | {"query": mapping(settings.query_map, module.query), "key": mapping(settings.key_map, module.key)}  # type: ignore[arg-type]
    if name == "concat-linear":
        assert set(p) == {"query.weight", "key.weight"}
        return inside | {"w": np.concatenate([p["query.weight"][0], p["key.weight"][0]])}
    if name == "sigmoid":
        assert set(p) == {"query.weight", "query.bias", "key.weight"}
        return inside | {"p": p["query.weight"][0], "u": p["key.weight"][0], "r": p["query.bias"][0]}
    renamed = {
        "additive": {"query.weight": "w", "query.bias": "b", "key.weight": "u", "v": "v"},
        "concat": {"weight": "w", "v": "v"},
        "general": {"key.weight": "w"},  # the key is brought to the query's size: q . (W k)
        "cosine": {"p": "p"},
        "location": {"positions.weight": "w"},
        "concat-location": {"positions.weight": "w", "positions.bias": "b"},
    }.get(name, {})
    assert set(p) == set(renamed), name
    return inside | {renamed[key]: value for key, value in p.items()}


def attention(settings: config.Attention, module: Attention) -> dict[str, Any]:
    named: dict[str, Any] = {"score": score(settings, module.score)}
    terms = {} if module.term is None else {key: array(value) for key, value in module.term.named_parameters()}
    match settings.past:
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
    if settings.heads == 1:
        return named | {"value_map": mapping(settings.value_map, module.value or nn.Identity())}
    projections = {"query": module.query, "key": module.key, "value": module.value, "out": module.out}
    return named | {name: array(one.weight) for name, one in projections.items() if one is not None}


def gate(kind: str, module: nn.Linear, embedding: int, state: int) -> dict[str, Any]:
    w, b = array(module.weight), array(module.bias)
    if kind == "scalar":
        return {"w": w[0], "b": b[0]}
    return {"w": w[:, :embedding], "u": w[:, embedding : embedding + state], "c": w[:, embedding + state :], "b": b}


def weights(model: Seq2Seq, settings: config.Model) -> dict[str, Any]:
    encoder, decoder = model.encoder, model.decoder
    parts = 2 if settings.decoder.cell == "lstm" else 1
    maps = [] if decoder.bridge is None else [affine(layer) for layer in decoder.bridge]
    named = {
        "source_embedding": array(encoder.embedding.weight),
        "encoder": [[cell(direction) for direction in layer] for layer in encoder.layers],
        "bridge": [dict(zip("hc", maps[start : start + parts], strict=False)) for start in range(0, len(maps), parts)],
        "target_embedding": array(decoder.target_embedding.weight),
        "decoder": [cell(layer) for layer in decoder.cells],
        "attention": None if decoder.attention is None else attention(settings.attention, decoder.attention),
        "gate": None if decoder.gate is None else gate(settings.decoder.gate, decoder.gate, settings.embedding, settings.decoder.size),
        "readout": None if decoder.readout is None else affine(decoder.readout),
        "projection": None if decoder.down is None else array(decoder.down.weight),
        "output": affine(decoder.output),
    }
    assert size(named) == sum(p.numel() for _, p in model.named_parameters(remove_duplicate=False)), "a parameter has no name in the reference"
    return named


def size(tree: Any) -> int:
    if isinstance(tree, np.ndarray | np.float64):
        return int(tree.size)
    return sum(size(part) for part in (tree.values() if isinstance(tree, dict) else tree)) if isinstance(tree, dict | list) else 0


def recipe(settings: config.Model) -> reference.Recipe:
    e, d, a = settings.encoder, settings.decoder, settings.attention
    return reference.Recipe(
        encoder_cell=e.cell,
        reverse=e.reverse,
        cell=d.cell,
        reads=d.reads,
        score=a.score,
        query=d.query,
        context=d.context,
        input_feeding=d.input_feeding,
        readout=d.readout,
        readout_embedding=d.readout_embedding,
        bridge=d.bridge,
        gate=d.gate,
        queries=a.queries,
        keys=a.keys,
        values=a.values,
        heads=a.heads,
        past=a.past,
        normaliser=a.normaliser,
        temperature=a.temperature,
        k=a.k,
        decoding=a.decoding,
        window=a.window,
        half_width=a.half_width,
    )
