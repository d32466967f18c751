"""The families of encoders and decoders that the laws are run over: three of text, the pairs that mix them,
and the encoders of images and clips.
"""

import copy
import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import conv_recipes
import pytest
import recipes
import transformer_recipes
from hypothesis import strategies as st
from pairwise import few, pairwise

from seq2attn import config

SIZE = 8  # of embeddings and of every encoder's states
SIDE = 32  # of images, pixels
STACK = {"heads": 2, "feedforward": 12, "layers": 2}
DECODERS: dict[str, dict[str, Any]] = {
    "rnn": {"size": 6},
    "conv": {"kind": "conv", "size": 5, "layers": 2},
    "transformer": {"kind": "transformer", "size": SIZE, **STACK},
}
ENCODERS = DECODERS | {"rnn": {"size": SIZE // 2}}
ATTENTIONS: dict[str, dict[str, Any]] = {
    "additive": {"score": "additive", "size": 8},
    "heads": {"score": "scaled-dot", "heads": 2, "size": 8, "values": "sum"},
    "sparse": {"score": "general", "size": 8, "keys": "sum", "normaliser": "sparsemax"},
    "window": {"score": "additive", "size": 8, "window": "local-m", "half_width": 1},
    "hard": {"score": "general", "size": 8, "normaliser": "hard-sample", "at_inference": "sample"},
}
# a recurrent decoder whose steps wait for what was read
LOOP = {"query_state": "previous", "context_to": ("input", "readout"), "input_feeding": True}
STILLS: dict[str, dict[str, Any]] = {
    "plain": {},
    "attending": {"self_attention": 2, "positions": "sinusoidal"},
    "published": {
        "backbone": "resnet18",
        "blocks": (1, 1, 1),
        "channels": 32,
        "stages": 1,
        "norm": "batch",
        "weights": "x",
        "positions": "learned",
    },
}
TIMES: dict[str, dict[str, Any]] = {
    "mean": {"positions": "sinusoidal"},
    "rnn": {"temporal_layers": 2, "positions": "learned"},
    "transformer": {"temporal_heads": 2, "positions": "sinusoidal"},
}
CLIPS = {time: {"max_frames": 5, "temporal": time} | options for time, options in TIMES.items()}


class Family(NamedTuple):
    plain: Callable[..., config.ModelConfig]  # of changes of attention and encoder, of dropout and decoder
    sweep: list[config.ModelConfig]  # every setting with many of the others
    few: list[config.ModelConfig]  # some of the sweep that have every setting
    smooth: list[config.ModelConfig]  # the same among those with a true gradient
    models: Callable[[], st.SearchStrategy[config.ModelConfig]]  # any valid one
    anything: Callable[[], st.SearchStrategy[tuple[config.ModelConfig, list[str]]]]  # as `recipes.anything`
    name: Callable[[config.ModelConfig], str]


def recurrent(
    attention: dict[str, Any] | None = None,
    encoder: dict[str, Any] | None = None,
    dropout: float = 0.0,
    **decoder: Any,
) -> config.ModelConfig:
    return recipes.make(
        {"cell": "gru"} | (encoder or {}), {"cell": "gru"} | decoder, attention, "none", dropout
    )


def transformer(
    attention: dict[str, Any] | None = None,
    encoder: dict[str, Any] | None = None,
    dropout: float = 0.0,
    **decoder: Any,
) -> config.ModelConfig:
    stack = {"kind": "transformer", "size": SIZE, **STACK}
    reads = {"score": "scaled-dot", "heads": 2} | (attention or {})
    return transformer_recipes.make(stack | (encoder or {}), stack | decoder, reads, dropout=dropout)


FAMILIES = {
    name: Family(plain, part.SWEEP, part.FEW, part.SMOOTH, part.models, part.anything, naming.name)
    for name, plain, part, naming in (
        ("recurrent", recurrent, recipes, recipes),
        ("convolutional", conv_recipes.plain, conv_recipes, transformer_recipes),
        ("transformer", transformer, transformer_recipes, transformer_recipes),
    )
}


def pair_tree(encoder: str, decoder: str, attention: str = "additive", **changes: Any) -> dict[str, Any]:
    """The settings of an encoder with a decoder, of any two kinds; `changes` are of the decoder."""
    loop = LOOP if decoder == "rnn" and attention in ("heads", "window") else {}
    tree = {
        "embedding": SIZE,
        "dropout": 0.0,
        "encoder": ENCODERS[encoder],
        "decoder": DECODERS[decoder] | changes | loop,
        "attention": ATTENTIONS[attention],
    }
    return copy.deepcopy(tree)


def pair(*kinds: str, **changes: Any) -> config.ModelConfig:
    return config.ModelConfig.model_validate(pair_tree(*kinds, **changes))


def of_images(decoder: str = "rnn", dropout: float = 0.0, **encoder: Any) -> config.ModelConfig:
    """A model of images, or of clips where `max_frames` is given."""
    images = {"kind": "image", "image_size": SIDE, "blocks": (1, 1), "channels": 8, "size": SIZE}
    return config.ModelConfig.model_validate(
        {
            "embedding": SIZE,
            "dropout": dropout,
            "encoder": images | encoder,
            "decoder": DECODERS[decoder],
            "attention": {"size": 8},
        }
    )


def pairs() -> Iterator[Any]:
    """Every two of encoder, decoder and attention."""
    for attention, decoder, encoder in pairwise(ATTENTIONS, DECODERS, ENCODERS):
        yield pytest.param(pair(encoder, decoder, attention), id=f"pair-{encoder}-{decoder}-{attention}")


def images() -> Iterator[Any]:
    """Every encoder of images and every decoder."""
    for (name, encoder), decoder in zip((STILLS | CLIPS).items(), itertools.cycle(DECODERS), strict=False):
        yield pytest.param(of_images(decoder, **encoder), id=f"image-{name}-{decoder}")


def texts(part: str) -> list[Any]:
    """A part of each family of text: sweep, few or smooth."""
    return [
        pytest.param(model, id=f"{name}-{family.name(model)}")
        for name, family in FAMILIES.items()
        for model in getattr(family, part)
    ]


def copying() -> Iterator[Any]:
    """Models that copy: of every family, by one head or several, and by sparse weights."""
    models = {
        "recurrent": recurrent(),
        "loop": recurrent({"heads": 2, "size": 8}, **LOOP),
        "projected": recipes.make({"cell": "lstm"}, {"cell": "lstm", "readout_size": 7}, tied="output"),
        "sparse": recurrent({"normaliser": "sparsemax"}),
        "window": transformer({"window": "local-m", "half_width": 1}),
        "transformer": transformer(),
        "convolutional": FAMILIES["convolutional"].plain(),
        "pair": pair("transformer", "rnn", "heads"),
    }
    for name, model in models.items():
        tree = model.model_dump() | {"pointer": True}
        yield pytest.param(config.ModelConfig.model_validate(tree), id=f"copying-{name}")


def with_slow_ones(sweep: list[Any], quick: list[Any]) -> list[Any]:
    """The sweep. The quick ones are these, and as many more as it takes for every score to meet every
    normaliser; all others are slow.
    """

    def meeting(one: Any) -> set[Any]:
        model = one.values[0]
        return {(model.decoder.context_source, model.attention.score, model.attention.normaliser)}

    before = set().union(*map(meeting, quick))
    models = {id(one.values[0]) for one in quick + few(sweep, lambda one: meeting(one) - before)}
    return [
        one if id(one.values[0]) in models else pytest.param(*one.values, id=one.id, marks=pytest.mark.slow)
        for one in sweep
    ]


PAIRS, IMAGES, COPYING = list(pairs()), list(images()), list(copying())
SWEEP, FEW, SMOOTH = (texts(part) for part in ("sweep", "few", "smooth"))
SWEEP = with_slow_ones(SWEEP, FEW + SMOOTH)
