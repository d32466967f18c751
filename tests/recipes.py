"""Small recurrent models to test on: a sweep that has every setting with many of the others, and any valid one at random."""

import itertools
import random
from itertools import combinations
from typing import Any

from hypothesis import strategies as st

from seq2attn import config

SOURCE, TARGET = 9, 8  # vocabularies
PLACES = ("input", "layer", "readout")
SETS = [places for count in (1, 2, 3) for places in combinations(PLACES, count)]
CELLS = ("rnn", "gru", "lstm")
SCORES = ("additive", "dot", "scaled-dot", "general", "concat")
READOUTS = (("tanh", None), ("maxout", 3), ("linear", 5), ("linear", None))
BRIDGES = ("last", "linear", "mean", "zero")


def make(encoder: dict[str, Any], decoder: dict[str, Any], attention: str = "additive", tied: str = "none", dropout: float = 0.0) -> config.Model:
    """The settings, with sizes made equal where another setting asks for it, and otherwise all different."""
    encoder = {"size": 2, "layers": 1} | encoder
    width = encoder["size"] * (2 if encoder.get("bidirectional", True) else 1)
    decoder = {"layers": 2 if "layer" in decoder.get("context", ()) else 1} | decoder
    if decoder.get("bridge") == "last":
        decoder["layers"] = encoder["layers"] = max(decoder["layers"], encoder["layers"])
    reads = decoder.get("reads", "attention")
    same = decoder.get("bridge") == "last" or (reads == "attention" and "dot" in attention)
    decoder["size"] = width if same else 3
    direct = decoder.get("readout") == "linear" and decoder.get("readout_size") is None
    if direct:
        decoder["input_feeding"] = False
        tied = "none"
    tree = {"embedding": 5, "dropout": dropout, "tied": tied, "encoder": encoder, "decoder": decoder, "attention": {"score": attention, "size": 4}}
    return config.Model.model_validate(tree)


def name(settings: config.Model) -> str:
    e, d = settings.encoder, settings.decoder
    ways = "bi" if e.bidirectional else "rev" if e.reverse else "uni"
    parts = [
        f"{e.cell}{e.layers}{ways}",
        f"{d.cell}{d.layers}",
        d.reads,
        settings.attention.score if d.reads == "attention" else "",
        d.query,
        "+".join(d.context),
    ]
    parts += ["fed" if d.input_feeding else "", d.readout, str(d.readout_size or ""), "emb" if d.readout_embedding else "", d.bridge, f"tied-{settings.tied}"]
    return "-".join(part for part in parts if part)


def sweep() -> list[config.Model]:
    """Cells x queries x places of the context x input feeding, the other settings drawn for each; then the systems without attention."""
    draw = random.Random(1).choice
    ways = ({}, {"layers": 2}, {"bidirectional": False, "size": 4}, {"bidirectional": False, "reverse": True, "size": 3, "layers": 2})

    def one(cell: str, **decoder: Any) -> config.Model:
        kind, size = draw(READOUTS)
        drawn = {"readout": kind, "readout_size": size, "bridge": draw(BRIDGES), "readout_embedding": draw((True, False))}
        return make({"cell": draw(CELLS)} | draw(ways), {"cell": cell} | drawn | decoder, draw(SCORES), draw(("none", "output", "all")))

    found = [
        one(cell, query=query, context=context, input_feeding=feeding)
        for cell, query, context, feeding in itertools.product(CELLS, ("current", "previous"), SETS, (False, True))
    ]
    found += [one(cell, reads="summary", context=context, input_feeding=n % 3 == 0) for n, (cell, context) in enumerate(itertools.product(CELLS, SETS))]
    found += [
        one(cell, reads="nothing", context=(), layers=layers, bridge=bridge, input_feeding=layers == 3)
        for (cell, layers), bridge in zip(itertools.product(CELLS, (1, 3)), itertools.cycle(BRIDGES[:3]), strict=False)
    ]
    return found


SWEEP = sweep()
NAMES = [name(settings) for settings in SWEEP]
FEW = SWEEP[::5]  # for what takes longer


@st.composite
def models(draw: st.DrawFn) -> config.Model:
    """Any valid recurrent model, small."""
    reads = draw(st.sampled_from(["attention", "attention", "summary", "nothing"]))
    kind, size = draw(st.sampled_from(READOUTS))
    bidirectional = draw(st.booleans())
    encoder = {
        "cell": draw(st.sampled_from(CELLS)),
        "layers": draw(st.integers(1, 2)),
        "size": draw(st.integers(1, 4)),
        "bidirectional": bidirectional,
        "reverse": not bidirectional and draw(st.booleans()),
    }
    decoder = {
        "cell": draw(st.sampled_from(CELLS)),
        "layers": draw(st.integers(1, 3)),
        "reads": reads,
        "query": draw(st.sampled_from(["current", "previous"])),
        "context": () if reads == "nothing" else draw(st.sampled_from(SETS)),
        "input_feeding": draw(st.booleans()),
        "readout": kind,
        "readout_size": size,
        "readout_embedding": draw(st.booleans()),
        "bridge": draw(st.sampled_from(BRIDGES)),
    }
    if reads == "nothing" and decoder["bridge"] == "zero":
        decoder["bridge"] = "mean"
    if "layer" in decoder["context"]:
        decoder["layers"] = max(2, decoder["layers"])
    return make(encoder, decoder, draw(st.sampled_from(SCORES)), draw(st.sampled_from(["none", "output", "all"])), dropout=draw(st.sampled_from([0.0, 0.3])))
