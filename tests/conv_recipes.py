"""Small convolutional models to test on, as `recipes` has recurrent ones: a plain one, a sweep that has every
value of every setting, any valid one at random, and any one at all.
"""

import itertools
import random
from collections.abc import Sequence
from functools import partial
from typing import Any

import recipes
from hypothesis import strategies as st

from seq2attn import config

SIZE = 6  # of embeddings
SCORES, TIES = recipes.PARALLEL_SCORES, recipes.TIES
POSITIONS = ("learned", "sinusoidal", "none")
HEADS = ((1, None), (2, None), (2, 1), (3, None))
KERNELS = {"encoder": (1, 3, 5), "decoder": (1, 2, 3, 4)}


def side(draw: recipes.Draw, which: str) -> dict[str, Any]:
    tree = {
        "kind": "conv",
        "size": draw((4, 5)),
        "layers": draw((1, 2, 3)),
        "kernel": draw(KERNELS[which]),
        "positions": draw(POSITIONS),
    }
    if tree["positions"] == "learned":
        tree["max_positions"] = draw((3, 9))
    return tree


def attention(draw: recipes.Draw, score: config.ScoreName, normaliser: str, plain: int = 2) -> dict[str, Any]:
    tree = recipes.parallel_attention(draw, score, normaliser, HEADS, plain)
    if tree["heads"] > 1:
        tree.pop("value_map", None)
    tree["size"] = draw((None, 12))
    return tree


make = partial(recipes.of_sections, SIZE)


def plain(
    attention: dict[str, Any] | None = None,
    encoder: dict[str, Any] | None = None,
    dropout: float = 0.0,
    **decoder: Any,
) -> config.ModelConfig:
    stack = {"kind": "conv", "layers": 2, "kernel": 3}
    return make(
        stack | {"size": 5} | (encoder or {}),
        stack | {"size": 4} | decoder,
        {"score": "dot", "values": "sum"} | (attention or {}),
        dropout=dropout,
    )


def sweep() -> list[config.ModelConfig]:
    """Scores x normalisers, all else drawn for each."""
    draw = random.Random(8).choice
    models = []
    for pair in itertools.product(SCORES, recipes.NORMALISERS):
        decoder = side(draw, "decoder")
        models.append(make(side(draw, "encoder"), decoder, attention(draw, *pair), draw(TIES)))
    return models


SWEEP = sweep()
FEW = recipes.cover(SWEEP)  # for what takes longer
# with a true gradient
SMOOTH = recipes.cover([one for one in SWEEP if one.attention.normaliser not in config.HARD])


@st.composite
def models(draw: st.DrawFn) -> config.ModelConfig:
    """Any valid convolutional model, small."""

    def one(values: Sequence[Any]) -> Any:
        return draw(st.sampled_from(list(values)))

    reads = attention(one, one(SCORES), one(recipes.NORMALISERS), plain=1)
    return make(side(one, "encoder"), side(one, "decoder"), reads, one(TIES), dropout=one((0.0, 0.3)))


@st.composite
def anything(draw: st.DrawFn) -> tuple[config.ModelConfig, list[str]]:
    """As `recipes.anything`: settings drawn without a thought for each other, and what the config said until
    it had none left to refuse.
    """

    def one(values: Sequence[Any]) -> Any:
        return draw(st.sampled_from(list(values)))

    stack = {"layers": (1, 2), "kernel": (1, 2, 3), "positions": POSITIONS, "max_positions": (3, 9)}
    sections: dict[str, dict[str, tuple[Any, ...]]] = {
        "encoder": stack,
        "decoder": stack,
        "attention": {
            "score": recipes.SCORES,
            "size": (4, 12),
            "query_input": ("state", "state", "both"),
            "keys": recipes.PARTS,
            "values": recipes.PARTS,
            "value_map": recipes.MAPS,
            "heads": (1, 2, 3, 4),
            "kv_heads": (1, 2),
            "history": ("none", "none", "coverage"),
            "normaliser": recipes.NORMALISERS,
            "window": recipes.WINDOWS,
        },
    }
    tree: dict[str, Any] = {
        "embedding": SIZE,
        "encoder": {"kind": "conv", "size": 4},
        "decoder": {"kind": "conv", "size": 5},
        "attention": {},
    }
    loose = {
        "model.tied": one(TIES),
        "model.dropout": one((0.0, 0.3)),
        "model.init": one(("glorot", "uniform", "bahdanau15")),
    }
    return recipes.settle(tree, loose | recipes.draw_some(draw, sections))
