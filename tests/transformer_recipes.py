"""Small Transformers to test on, as `recipes` has recurrent models: a sweep that has every value of every
setting, any valid one at random, and any one at all.
"""

import itertools
import random
from collections.abc import Sequence
from functools import partial
from typing import Any

import recipes
from hypothesis import strategies as st

from seq2attn import config

# with the keys and values that they share
HEADS = ((1, None), (2, None), (2, 1), (4, None), (4, 1), (4, 2), (4, 4))
ACTIVATIONS = ("relu", "gelu", "silu", "swiglu")
NORMS = ("layer", "rms")
POSITIONS = ("sinusoidal", "learned", "rotary", "none")
SCORES, TIES = recipes.PARALLEL_SCORES, recipes.TIES
SIZE = 8


def side(draw: recipes.Draw, **fixed_settings: Any) -> dict[str, Any]:
    """Any settings of an encoder or a decoder."""
    heads, kv_heads = draw(HEADS)
    tree = {
        "kind": "transformer",
        "size": SIZE,
        "layers": draw((1, 2)),
        "heads": heads,
        "kv_heads": kv_heads,
        "feedforward": draw((5, 12)),
    }
    tree |= {
        "activation": draw(ACTIVATIONS),
        "norm": draw(NORMS),
        "prenorm": draw((False, True)),
        "bias": draw((True, False)),
    }
    return tree | positions(draw, draw(POSITIONS)) | fixed_settings


def positions(draw: recipes.Draw, kind: str) -> dict[str, Any]:
    return {"positions": kind} | ({"max_positions": draw((3, 9))} if kind == "learned" else {})


def attention(draw: recipes.Draw, score: config.ScoreName, normaliser: str, plain: int = 2) -> dict[str, Any]:
    tree = recipes.parallel_attention(draw, score, normaliser, HEADS, plain)
    tree.pop("value_map", None)
    tree["size"] = draw((None, 4, 12)) if tree["heads"] < 4 else draw((None, 12))
    return tree


make = partial(recipes.of_sections, SIZE)


def name(settings: config.ModelConfig) -> str:
    def differing(section: config.Section) -> list[str]:
        fields = type(section).model_fields
        return [
            f"{key}={value}"
            for key, value in section
            if key not in ("kind", "size") and value != fields[key].default
        ]

    parts = [settings.attention.score, settings.attention.normaliser]
    parts += [part for part in differing(settings.attention) if not part.startswith(("score", "normaliser"))]
    return "-".join(
        [
            *parts,
            "ENC",
            *differing(settings.encoder),
            "DEC",
            *differing(settings.decoder),
            f"tied={settings.tied}",
        ]
    )


def sweep() -> list[config.ModelConfig]:
    """Scores x normalisers, beside heads x positions x norms, all else drawn for each."""
    draw = random.Random(6).choice
    pairs = list(itertools.product(SCORES, recipes.NORMALISERS))
    stacks = list(itertools.product(HEADS, POSITIONS, NORMS, (False, True)))
    random.Random(4).shuffle(pairs)
    random.Random(5).shuffle(stacks)
    cases = []
    for pair, ((heads, kv_heads), where, norm, prenorm) in zip(itertools.cycle(pairs), stacks, strict=False):
        fixed = {
            "heads": heads,
            "kv_heads": kv_heads if heads > 1 else None,
            "norm": norm,
            "prenorm": prenorm,
        }
        encoder = side(draw) if len(cases) % 2 else side(draw, **fixed)
        decoder = side(draw, **fixed) if len(cases) % 2 else side(draw)
        (decoder if len(cases) % 2 else encoder).update({"max_positions": 1024} | positions(draw, where))
        cases.append(make(encoder, decoder, attention(draw, *pair), draw(TIES)))
    return cases


SWEEP = sweep()
FEW = recipes.cover(SWEEP)  # for what takes longer
# with a true gradient
SMOOTH = recipes.cover([one for one in SWEEP if one.attention.normaliser not in config.HARD])


@st.composite
def models(draw: st.DrawFn) -> config.ModelConfig:
    """Any valid Transformer, small."""

    def one(values: Sequence[Any]) -> Any:
        return draw(st.sampled_from(list(values)))

    decoder = side(one)
    return make(
        side(one),
        decoder,
        attention(one, one(SCORES), one(recipes.NORMALISERS), plain=1),
        one(TIES),
        dropout=one((0.0, 0.3)),
    )


@st.composite
def anything(draw: st.DrawFn) -> tuple[config.ModelConfig, list[str]]:
    """As `recipes.anything`: settings drawn without a thought for each other, and what the config said until
    it had none left to refuse.
    """

    def one(values: Sequence[Any]) -> Any:
        return draw(st.sampled_from(list(values)))

    stack = {
        "layers": (1, 2),
        "heads": (1, 2, 3, 4),
        "kv_heads": (1, 2, 3),
        "feedforward": (5,),
        "activation": ACTIVATIONS,
        "norm": NORMS,
        "prenorm": (False, True),
        "positions": POSITIONS,
        "max_positions": (3, 9),
        "bias": (False, True),
    }
    sections: dict[str, dict[str, tuple[Any, ...]]] = {
        "encoder": stack,
        "decoder": stack,
        "attention": {
            "score": recipes.SCORES,
            "size": (4, 12),
            "query_map": recipes.MAPS,
            "key_map": recipes.MAPS,
            "max_positions": (3, 256),
            "query_input": ("state", "state", "embedding", "both"),
            "keys": recipes.PARTS,
            "values": recipes.PARTS,
            "value_map": recipes.MAPS,
            "heads": (1, 2, 3, 4),
            "kv_heads": (1, 2, 3),
            "history": ("none", *recipes.PASTS),
            "normaliser": recipes.NORMALISERS,
            "temperature": (1.0, 0.5),
            "k": (1, 2),
            "expectation_prob": (0.0, 0.5),
            "at_inference": ("argmax", "expected", "sample"),
            "window": recipes.WINDOWS,
            "half_width": (1, 10),
        },
    }
    kind = {"kind": "transformer", "size": 8, "layers": 1}
    tree: dict[str, Any] = {"embedding": 8, "encoder": dict(kind), "decoder": dict(kind), "attention": {}}
    loose = {"model.tied": one(TIES), "model.dropout": one((0.0, 0.3))}
    return recipes.settle(tree, loose | recipes.draw_some(draw, sections))
