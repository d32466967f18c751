"""A model's settings and weights under the reference's names: the one place where the tests know the package's parameter names.

Every parameter must find its place, so that none can hide from the reference.
"""

from typing import Any

import numpy as np
import reference
from torch import Tensor, nn

from seq2attn import config
from seq2attn.attention import Score
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


def score(name: str, module: Score) -> dict[str, np.ndarray]:
    p: dict[str, Any] = {key: array(value) for key, value in module.named_parameters()}
    renamed = {
        "additive": {"query.weight": "w", "query.bias": "b", "key.weight": "u", "v": "v"},
        "concat": {"weight": "w", "v": "v"},
        "general": {"key.weight": "w"},  # the key is brought to the query's size: q . (W k)
    }.get(name, {})
    assert set(p) == set(renamed)
    return {renamed[key]: value for key, value in p.items()}


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
        "score": {} if decoder.score is None else score(settings.attention.score, decoder.score),
        "readout": None if decoder.readout is None else affine(decoder.readout),
        "projection": None if decoder.down is None else array(decoder.down.weight),
        "output": affine(decoder.output),
    }
    assert size(named) == sum(p.numel() for _, p in model.named_parameters(remove_duplicate=False)), "a parameter has no name in the reference"
    return named


def size(tree: Any) -> int:
    if tree is None:
        return 0
    if isinstance(tree, np.ndarray):
        return int(tree.size)
    return sum(size(part) for part in (tree.values() if isinstance(tree, dict) else tree))


def recipe(settings: config.Model) -> reference.Recipe:
    e, d = settings.encoder, settings.decoder
    return reference.Recipe(
        encoder_cell=e.cell,
        reverse=e.reverse,
        cell=d.cell,
        reads=d.reads,
        score=settings.attention.score,
        query=d.query,
        context=d.context,
        input_feeding=d.input_feeding,
        readout=d.readout,
        readout_embedding=d.readout_embedding,
        bridge=d.bridge,
    )
