"""Presets: the head of each file names a paper and where in it, and each differs from its relatives in what its name says and nothing else."""

import re

import pytest

from seq2attn import config

PRESETS = sorted(config.presets())
FAMILY = {  # what each changes of the attention of keyed-bilinear, and of its decoder
    "keyed-identity": {"score", "key_map", "query_map"},
    "keyed-linear": {"score", "size"},
    "keyed-nonlinear": {"score", "size", "key_map", "query_map"},
    "keyed-values": {"score", "size", "value_map"},
    "sigmoid-score": {"score"},
    "concat-linear": {"score"},
    "concat-location": {"score", "queries", "query", "context"},
    "scaled-dot": {"score"},
    "multihead": {"score", "size", "heads"},
    "cosine": {"score"},
    "sparsemax": {"normaliser"},
    "entmax15": {"normaliser"},
    "sigmoid-weights": {"normaliser"},
    "hard-topk": {"normaliser"},
    "hard-sample": {"normaliser"},
    "gumbel": {"normaliser"},
}
LUONG = {"luong15-location": {"score"}, "luong15-local-m": {"window"}, "luong15-local-p": {"window"}}
BAHDANAU = {"tu16": {"past"}, "chorowski15": {"past"}, "tu17": {"gate"}}
RELATIVES = [("keyed-bilinear", FAMILY), ("luong15", LUONG), ("bahdanau15", BAHDANAU)]


@pytest.mark.parametrize("name", PRESETS)
def test_the_head_names_the_paper_and_where_in_it(name: str) -> None:
    paper = config.presets()[name].read_text(encoding="utf-8").splitlines()[1]
    assert re.search(r"\b(19|20)\d\d, ", paper)
    assert re.search(r"\beq\. \d+|section \d|estimator", paper)
    assert re.search(r"https://arxiv\.org/abs/\d{4}\.\d{5}$|https://arxiv\.org/abs/\d{4}\.\d{4}$", paper)


@pytest.mark.parametrize(("base", "name", "changed"), [(base, name, changed) for base, names in RELATIVES for name, changed in names.items()])
def test_a_variant_differs_in_what_its_name_says_alone(base: str, name: str, changed: set[str]) -> None:
    plain, variant = config.flat(config.load(base)), config.flat(config.load(name))
    differing = {key.removeprefix("model.").split(".")[-1] for key in plain if plain[key] != variant[key]} - {"about"}
    assert differing == changed


def test_the_full_keyed_form_has_every_map_and_sends_the_context_everywhere() -> None:
    model = config.load("keyed").model
    assert {model.attention.key_map, model.attention.query_map, model.attention.value_map} == {"nonlinear"}
    assert set(model.decoder.context) == {"input", "layer", "readout"}
    assert model.decoder.layers == 2


def test_names_say_what_is_set() -> None:
    attention = {name: config.load(name).model.attention for name in PRESETS}
    for name in ("sparsemax", "entmax15", "hard-topk", "hard-sample", "gumbel"):
        assert attention[name].normaliser == name
    assert attention["sigmoid-weights"].normaliser == attention["sigmoid-score"].score == "sigmoid"
    for name in ("scaled-dot", "cosine", "concat-linear", "concat-location"):
        assert attention[name].score == name
    assert (attention["tu16"].past, attention["chorowski15"].past) == ("fertility", "location-aware")
    assert (attention["luong15-local-m"].window, attention["luong15-local-p"].window, attention["luong15-location"].score) == ("local-m", "local-p", "location")
    assert (attention["multihead"].heads, attention["keyed-bilinear"].score) == (4, "general")
    assert config.load("tu17").model.decoder.gate == "context"
