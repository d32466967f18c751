"""Small recurrent models to test on: a sweep that has every setting with many of the others, any valid one at
random, and any one at all.
"""

import itertools
import random
import re
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

from hypothesis import strategies as st
from pairwise import few
from pydantic import ValidationError

from seq2attn import config
from seq2attn.errors import UsageError

SOURCE, TARGET = 9, 8  # vocabularies
PLACES = ("input", "layer", "readout")
SETS = [places for count in (1, 2, 3) for places in combinations(PLACES, count)]
CELLS = ("rnn", "gru", "lstm")
READOUTS = (("tanh", None), ("maxout", 3), ("linear", 5), ("linear", None))
BRIDGES = ("last", "linear", "mean", "zero")
GATES = ("none", "scalar", "context")
SCORES = tuple(config.SCORES)
# the others ask with the embedding beside the state, as only a recurrent decoder does
PARALLEL_SCORES = tuple(score for score in SCORES if score != "concat-location")
TIES = ("none", "output", "all")
NORMALISERS = ("softmax", "sparsemax", "entmax15", "sigmoid", "hard-topk", "hard-sample", "gumbel")
PASTS = ("none", "coverage", "fertility", "location-aware")
WINDOWS = ("none", "local-m", "local-p")
MAPS = ("identity", "linear", "nonlinear")
PARTS = ("states", "embeddings", "sum")

Draw = Callable[[Sequence[Any]], Any]


def make(
    encoder: dict[str, Any],
    decoder: dict[str, Any],
    attention: dict[str, Any] | None = None,
    tied: str = "none",
    dropout: float = 0.0,
) -> config.ModelConfig:
    """The settings, with sizes made equal where another setting asks for it, and otherwise all different."""
    encoder = {"layers": 1} | encoder
    decoder = {"layers": 2 if "layer" in decoder.get("context_to", ()) else 1} | decoder
    if decoder.get("bridge") == "last":
        decoder["layers"] = encoder["layers"] = max(decoder["layers"], encoder["layers"])
    if decoder.get("readout") == "linear" and decoder.get("readout_size") is None:
        decoder["input_feeding"] = False
        tied = "none"
    directions = 2 if encoder.get("bidirectional", True) else 1
    refused: ValidationError | None = None
    for units in (encoder.get("size", 2), 2, 4, 8):
        width = units * directions
        for embedding, size in itertools.product((5, 6, 4, width), (3, width, 6, 5)):
            tree = {
                "embedding": embedding,
                "dropout": dropout,
                "tied": tied,
                "encoder": encoder | {"size": units},
            }
            try:
                return config.ModelConfig.model_validate(
                    tree | {"decoder": decoder | {"size": size}, "attention": {"size": 4} | (attention or {})}
                )
            except ValidationError as error:
                refused = error
    assert refused is not None
    raise refused


def of_sections(
    embedding: int,
    encoder: dict[str, Any],
    decoder: dict[str, Any],
    attention: dict[str, Any],
    tied: str = "none",
    dropout: float = 0.0,
) -> config.ModelConfig:
    """The settings, with the sections as they are."""
    return config.ModelConfig.model_validate(
        {
            "embedding": embedding,
            "dropout": dropout,
            "tied": tied,
            "encoder": encoder,
            "decoder": decoder,
            "attention": attention,
        }
    )


def attention(draw: Draw, score: config.ScoreName, normaliser: str, plain: int = 2) -> dict[str, Any]:
    """Any attention with this score and this normaliser; every other part is left out `plain` times as often
    as it takes one of its other values.
    """

    def one(first: Any, *others: Any) -> Any:
        return draw((first,) * plain * len(others) + others)

    tree = {
        "score": score,
        "normaliser": normaliser,
        "heads": one(1, 2),
        "history": one(*PASTS),
        "temperature": one(1.0, 0.7),
    }
    tree |= {"query_input": one("state", "embedding", "both"), "keys": one(*PARTS), "values": one(*PARTS)}
    if score == "keyed":
        tree |= {"query_map": draw(MAPS), "key_map": draw(MAPS)}
    if "location" in score:
        tree["max_positions"] = draw((3, 9))
        if tree["history"] != "fertility":  # nothing else reads a key
            tree["keys"] = "states"
        if score == "concat-location":
            tree["query_input"] = "both"
    equal = config.SCORES[score].equal_sizes or (
        score == "keyed" and tree["query_map"] == tree["key_map"] == "identity"
    )
    # [e; s] is longer than x, and may be as long as h alone
    if equal and tree["heads"] == 1 and tree["query_input"] == "both":
        tree["keys"] = tree["values"] = "states"
    if tree["heads"] == 1:
        tree["value_map"] = one(*MAPS)
    if tree["history"] == "location-aware":
        tree |= {"filters": 2, "kernel": draw((1, 3, 5))}
    if tree["history"] == "fertility":
        tree["max_fertility"] = draw((2.0, 3.0))
    hard = normaliser in config.HARD
    tree["window"] = one("none", "local-m") if hard else one(*WINDOWS)
    if tree["window"] != "none":
        tree["half_width"] = draw((1, 2))
    if normaliser == "hard-topk":
        tree["k"] = draw((1, 2, 3))
    if normaliser == "hard-sample":
        tree |= draw(
            (
                {"expectation_prob": 0.4, "at_inference": "argmax"},
                {"expectation_prob": 0.4, "at_inference": "expected"},
                {"expectation_prob": 0.0, "k": 2},
                {"at_inference": "sample"},
            )
        )
    return tree


def parallel_attention(
    draw: Draw,
    score: config.ScoreName,
    normaliser: str,
    heads: Sequence[tuple[int, int | None]],
    plain: int = 2,
) -> dict[str, Any]:
    """Any attention for a decoder that computes all steps at once: it asks for no past and no embedding."""
    tree = attention(draw, score, normaliser, plain)
    for name in ("history", "filters", "kernel", "max_fertility", "query_input"):
        tree.pop(name, None)
    if "location" in score:
        tree["keys"] = "states"
        tree["values"] = draw(("states", "sum"))  # or else nothing reads the encoder
    if tree["values"] == tree["keys"] == "embeddings":
        tree["keys"] = "sum"
    tree["heads"], tree["kv_heads"] = draw(heads)
    return tree


def fit(encoder: dict[str, Any], decoder: dict[str, Any], attention: dict[str, Any]) -> None:
    """Change what cannot stand together: a copied state needs the encoder's size; an encoder that nobody
    reads is none.
    """
    if decoder.get("bridge") == "last" and attention["query_input"] == "both":
        decoder["bridge"] = "linear"
    compared = (
        attention["keys"]
        if "location" not in attention["score"] or attention["history"] == "fertility"
        else None
    )
    if (
        attention["values"] == "embeddings"
        and compared in (None, "embeddings")
        and decoder.get("bridge") in ("mean", "zero")
    ):
        decoder["bridge"] = "linear"


def name(settings: config.ModelConfig) -> str:
    e, d, a = settings.encoder, settings.decoder, settings.attention
    ways = "bi" if e.bidirectional else "rev" if e.reverse else "uni"
    parts = [f"{e.cell}{e.layers}{ways}", f"{d.cell}{d.layers}", d.query_state, "+".join(d.context_to)]
    parts += [
        "fed" if d.input_feeding else "",
        d.readout,
        str(d.readout_size or ""),
        "emb" if d.readout_embedding else "",
        d.bridge,
        f"tied-{settings.tied}",
    ]
    if d.context_source == "attention":
        plain = config.AttentionConfig()
        others = [
            f"{key}={value}"
            for key, value in a
            if key not in ("score", "normaliser", "size") and value != getattr(plain, key)
        ]
        parts = [a.score, a.normaliser, *others, "" if d.gate == "none" else f"gate={d.gate}", *parts]
    else:
        parts = [d.context_source, *parts]
    return "-".join(part for part in parts if part)


def sweep() -> list[config.ModelConfig]:
    """Scores x normalisers, beside cells x queries x places of the context x input feeding, all else drawn
    for each; then the systems without attention.
    """
    draw = random.Random(2).choice
    ways = (
        {},
        {"layers": 2},
        {"bidirectional": False, "size": 4},
        {"bidirectional": False, "reverse": True, "size": 3, "layers": 2},
    )

    def one(cell: str, attention: dict[str, Any] | None = None, **decoder: Any) -> config.ModelConfig:
        kind, size = draw(READOUTS)
        encoder = {"cell": draw(CELLS)} | draw(ways)
        decoder = {
            "cell": cell,
            "readout": kind,
            "readout_size": size,
            "bridge": draw(BRIDGES),
            "readout_embedding": draw((True, False)),
        } | decoder
        if attention is not None:
            decoder["gate"] = draw(("none", *GATES))
            fit(encoder, decoder, attention)
        return make(encoder, decoder, attention, draw(TIES))

    recurrences = list(itertools.product(CELLS, ("current", "previous"), SETS, (False, True)))
    pairs = list(itertools.product(SCORES, NORMALISERS))
    random.Random(1).shuffle(pairs)
    cases = [
        one(cell, attention(draw, *pair), query_state=query, context_to=context, input_feeding=feeding)
        for (cell, query, context, feeding), pair in zip(recurrences, itertools.cycle(pairs), strict=False)
    ]
    # all steps at once, where it matters which step it is
    windowed = attention(lambda values: values[0], "additive", "softmax") | {
        "window": "local-m",
        "half_width": 1,
    }
    cases += [
        one("gru", windowed, query_state=query, context_to=("readout",), input_feeding=False)
        for query in ("current", "previous")
    ]
    cases += [
        one(cell, context_source="summary", context_to=context, input_feeding=n % 3 == 0)
        for n, (cell, context) in enumerate(itertools.product(CELLS, SETS))
    ]
    cases += [
        one(
            cell,
            context_source="none",
            context_to=(),
            layers=layers,
            bridge=bridge,
            input_feeding=layers == 3,
        )
        for (cell, layers), bridge in zip(
            itertools.product(CELLS, (1, 3)), itertools.cycle(BRIDGES[:3]), strict=False
        )
    ]
    # every map, whatever was drawn: a new score changes all draws
    keyed = {"heads": 1, "history": "none", "keys": "states", "values": "states", "query_input": "state"}
    keyed |= {"score": "keyed", "normaliser": "softmax", "temperature": 1.0, "window": "none"}
    cases += [
        one(
            "gru",
            keyed | {"query_map": query, "key_map": key, "value_map": "identity"},
            query_state="current",
            context_to=("readout",),
            input_feeding=False,
        )
        for query, key in zip(MAPS, reversed(MAPS), strict=True)
    ]
    return cases


SWEEP = sweep()
NAMES = [name(settings) for settings in SWEEP]


def cover(models: Sequence[config.ModelConfig]) -> list[config.ModelConfig]:
    """A few of the models that have every value of every setting between them that the models have."""

    def values(settings: config.ModelConfig) -> set[tuple[str, Any]]:
        sections = [
            settings.encoder,
            settings.decoder,
            *([settings.attention] if settings.decoder.context_source == "attention" else []),
        ]
        return {("tied", settings.tied)} | {
            (f"{type(section).__name__}.{key}", value) for section in sections for key, value in section
        }

    return few(models, values)


FEW = cover(SWEEP)  # for what takes longer
# with a true gradient
SMOOTH = cover(
    [
        one
        for one in SWEEP
        if one.decoder.context_source != "attention" or one.attention.normaliser not in config.HARD
    ]
)


@st.composite
def models(draw: st.DrawFn, attends: bool = False) -> config.ModelConfig:
    """Any valid recurrent model, small."""

    def one(values: Sequence[Any]) -> Any:
        return draw(st.sampled_from(list(values)))

    reads = "attention" if attends else one(["attention", "attention", "attention", "summary", "none"])
    kind, size = one(READOUTS)
    bidirectional = draw(st.booleans())
    encoder = {
        "cell": one(CELLS),
        "layers": draw(st.integers(1, 2)),
        "size": draw(st.integers(1, 4)),
        "bidirectional": bidirectional,
        "reverse": not bidirectional and draw(st.booleans()),
    }
    decoder = {
        "cell": one(CELLS),
        "layers": draw(st.integers(1, 3)),
        "context_source": reads,
        "query_state": one(["current", "previous"]),
        "context_to": () if reads == "none" else one(SETS),
        "input_feeding": draw(st.booleans()),
        "readout": kind,
        "readout_size": size,
        "readout_embedding": draw(st.booleans()),
        "bridge": one(BRIDGES),
    }
    if reads == "none" and decoder["bridge"] == "zero":
        decoder["bridge"] = "mean"
    if "layer" in decoder["context_to"]:
        decoder["layers"] = max(2, decoder["layers"])
    asks = None
    if reads == "attention":
        asks = attention(one, one(SCORES), one(NORMALISERS), plain=1)
        decoder["gate"] = one(GATES)
        fit(encoder, decoder, asks)
    return make(encoder, decoder, asks, one(TIES), dropout=one([0.0, 0.3]))


@st.composite
def anything(draw: st.DrawFn) -> tuple[config.ModelConfig, list[str]]:
    """Any tree of a model's settings, every value of the right kind; and while the config refuses it, one
    setting less, of those that the refusal names.

    Returns the model that is accepted in the end, and every refusal on the way.
    """

    def one(values: Sequence[Any]) -> Any:
        return draw(st.sampled_from(list(values)))

    sections: dict[str, dict[str, tuple[Any, ...]]] = {
        "encoder": {
            "cell": CELLS,
            "layers": (1, 2),
            "bidirectional": (True, False),
            "reverse": (False, True),
        },
        "decoder": {
            "cell": CELLS,
            "layers": (1, 2),
            "context_source": ("attention", "attention", "attention", "summary", "nothing"),
            "query_state": ("current", "previous"),
            "context_to": ((), *SETS, ("input", "input")),
            "gate": GATES,
            "input_feeding": (False, True),
            "readout": ("linear", "tanh", "maxout"),
            "readout_size": (None, 4),
            "readout_embedding": (False, True),
            "bridge": BRIDGES,
        },
        "attention": {
            "score": SCORES,
            "size": (None, 4),
            "query_map": MAPS,
            "key_map": MAPS,
            "max_positions": (3, 256),
            "query_input": ("state", "embedding", "both"),
            "keys": PARTS,
            "values": PARTS,
            "value_map": MAPS,
            "heads": (1, 2, 3),
            "history": PASTS,
            "max_fertility": (2.0, 3.0),
            "filters": (2, 10),
            "kernel": (2, 3, 7),
            "normaliser": NORMALISERS,
            "temperature": (1.0, 0.5),
            "k": (1, 2),
            "expectation_prob": (0.0, 0.5),
            "at_inference": ("argmax", "expected", "sample"),
            "window": WINDOWS,
            "half_width": (1, 10),
        },
    }
    tree: dict[str, Any] = {
        "embedding": one((4, 6, 8)),
        "encoder": {"size": one((2, 4))},
        "decoder": {"size": one((4, 6, 8))},
        "attention": {},
    }
    loose = {
        "model.tied": one(TIES),
        "model.dropout": one((0.0, 0.3)),
        "model.init": one(("glorot", "uniform", "bahdanau15")),
    }
    kinds = ("score", "history", "normaliser", "window")  # what other settings depend on
    return settle(tree, loose | draw_some(draw, sections, kinds))


def draw_some(
    draw: st.DrawFn, sections: dict[str, dict[str, tuple[Any, ...]]], always: Sequence[str] = ()
) -> dict[str, Any]:
    """A value for each setting of the sections that is in `always`, and for some of the others."""
    return {
        f"model.{section}.{key}": draw(st.sampled_from(values))
        for section, settings in sections.items()
        for key, values in settings.items()
        if key in always or draw(st.booleans())
    }


def settle(tree: dict[str, Any], loose: dict[str, Any]) -> tuple[config.ModelConfig, list[str]]:
    """The model of a tree with `loose` settings; while the config refuses it, the first of them that the
    refusal names is left out. And every refusal on the way.
    """
    refusals = []
    while True:
        for key, value in loose.items():
            *parents, last = key.split(".")[1:]
            (tree[parents[0]] if parents else tree)[last] = value
        try:
            return config.validate({"model": tree}, "any").model, refusals
        except UsageError as error:
            refusals.append(str(error))
        named = [key for key in re.findall(r"model(?:\.[a-z_]+)+", refusals[-1]) if key in loose]
        assert named, f"names no setting that could be left out: {refusals[-1]}"
        *parents, last = named[0].split(".")[1:]
        del (tree[parents[0]] if parents else tree)[last], loose[named[0]]
