"""Presets: the head of each file names a paper and where in it, and each differs from its relatives in what
its name says and nothing else.
"""

import re

import pytest

from seq2attn import config
from seq2attn.training.schedules import learning_rate

PRESETS = sorted(config.presets())
SCORES = ("dot", "general", "concat", "scaled-dot")
SYSTEMS = {"sutskever14", "cho14", "bahdanau15", "luong15", "gehring17", "vaswani17"}
FAMILY = {  # what each changes of the attention of keyed-bilinear, and of its decoder
    "keyed-identity": {"score", "key_map", "query_map"},
    "keyed-linear": {"score", "size"},
    "keyed-nonlinear": {"score", "size", "key_map", "query_map"},
    "keyed-values": {"score", "size", "value_map"},
    "sigmoid-score": {"score"},
    "concat-linear": {"score"},
    "concat-location": {"score", "query_input", "query_state", "context_to"},
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
BAHDANAU = {"tu16": {"history"}, "chorowski15": {"history"}, "tu17": {"gate"}}
RELATIVES = [("keyed-bilinear", FAMILY), ("luong15", LUONG), ("bahdanau15", BAHDANAU)]


def test_presets_cover_every_system() -> None:
    assert {
        *SYSTEMS,
        *(f"{name}-paper" for name in SYSTEMS),
        *(f"luong15-{score}" for score in SCORES),
        *("first-try", "transformer"),
    } <= set(PRESETS)


def head_of(name: str) -> list[str]:
    """The first comment of a preset's file; a continuation, which is indented, is joined to its line."""
    text = config.presets()[name].read_text(encoding="utf-8").partition("\n\n")[0]
    return text.replace("\n#     ", " ").splitlines()


@pytest.mark.parametrize("name", PRESETS)
def test_head_begins_with_paper_run_and_measured(name: str) -> None:
    about = config.load(name).about
    assert about
    assert "\n" not in about
    assert (
        max(map(len, config.presets()[name].read_text(encoding="utf-8").partition("\n\n")[0].split("\n")))
        <= 110
    )
    lines = head_of(name)[:4]
    assert all(line.startswith("# ") for line in lines)
    assert [line.split(":")[0] for line in lines[1:]] == ["# Paper", "# Run", "# Measured"]
    assert re.search(rf"seq2attn train( {re.escape(name)}\b|$)", lines[2])


def test_systems_differ_where_their_papers_do() -> None:
    sutskever, cho, bahdanau, luong = (
        config.load(name).model for name in ("sutskever14", "cho14", "bahdanau15", "luong15")
    )
    assert (
        sutskever.decoder.context_source,
        sutskever.decoder.bridge,
        sutskever.encoder.reverse,
        sutskever.encoder.bidirectional,
    ) == ("none", "last", True, False)
    assert (cho.decoder.context_source, set(cho.decoder.context_to), cho.decoder.readout) == (
        "summary",
        {"input", "readout"},
        "maxout",
    )
    assert (bahdanau.decoder.query_state, set(bahdanau.decoder.context_to), bahdanau.attention.score) == (
        "previous",
        {"input", "readout"},
        "additive",
    )
    assert (luong.decoder.query_state, luong.decoder.input_feeding, luong.decoder.readout) == (
        "current",
        True,
        "tanh",
    )
    cells = [model.encoder.cell for model in (cho, bahdanau, sutskever, luong)]
    assert cells == ["gru", "gru", "lstm", "lstm"]


@pytest.mark.parametrize("score", SCORES)
def test_score_variants_differ_in_the_score_alone(score: str) -> None:
    plain, variant = config.flat(config.load("luong15")), config.flat(config.load(f"luong15-{score}"))
    assert variant["model.attention.score"] == score
    differing = {key for key in plain if plain[key] != variant[key]}
    assert differing <= {"about", "model.attention.score", "model.attention.size"}


@pytest.mark.parametrize("name", PRESETS)
def test_head_names_the_paper_and_where_in_it(name: str) -> None:
    paper = head_of(name)[1]
    assert re.search(r"\b(19|20)\d\d, ", paper)
    assert re.search(r"\beq\. \d+|sections? \d|estimator", paper)
    assert re.search(r"https://arxiv\.org/abs/\d{4}\.\d{5}$|https://arxiv\.org/abs/\d{4}\.\d{4}$", paper)


@pytest.mark.parametrize(
    ("base", "name", "changed"),
    [(base, name, changed) for base, names in RELATIVES for name, changed in names.items()],
)
def test_variant_differs_in_what_its_name_says_alone(base: str, name: str, changed: set[str]) -> None:
    plain, variant = config.flat(config.load(base)), config.flat(config.load(name))
    differing = {key.removeprefix("model.").split(".")[-1] for key in plain if plain[key] != variant[key]} - {
        "about"
    }
    assert differing == changed


def test_keyed_has_every_map_and_sends_the_context_everywhere() -> None:
    model = config.load("keyed").model
    assert {model.attention.key_map, model.attention.query_map, model.attention.value_map} == {"nonlinear"}
    assert set(model.decoder.context_to) == {"input", "layer", "readout"}
    assert model.decoder.layers == 2


def test_preset_names_say_what_is_set() -> None:
    attention = {name: config.load(name).model.attention for name in PRESETS}
    for name in ("sparsemax", "entmax15", "hard-topk", "hard-sample", "gumbel"):
        assert attention[name].normaliser == name
    assert attention["sigmoid-weights"].normaliser == attention["sigmoid-score"].score == "sigmoid"
    for name in ("scaled-dot", "cosine", "concat-linear", "concat-location"):
        assert attention[name].score == name
    assert (attention["tu16"].history, attention["chorowski15"].history) == ("fertility", "location-aware")
    assert (
        attention["luong15-local-m"].window,
        attention["luong15-local-p"].window,
        attention["luong15-location"].score,
    ) == ("local-m", "local-p", "location")
    assert (attention["multihead"].heads, attention["keyed-bilinear"].score) == (4, "general")
    assert config.load("tu17").model.decoder.gate == "context"


# The Transformer


@pytest.mark.parametrize("name", ["vaswani17", "vaswani17-paper"])
def test_vaswani17_follows_the_paper(name: str) -> None:
    """Sections 3.1 to 3.5 and 5.3: whatever its size, what it is made of and how its rate goes."""
    settings = config.load(name)
    for stack in (settings.model.encoder, settings.model.decoder):
        assert stack.kind == "transformer"
        assert (stack.activation, stack.norm, stack.prenorm, stack.positions, stack.bias, stack.kv_heads) == (
            "relu",
            "layer",
            False,
            "sinusoidal",
            True,
            None,
        )
        assert stack.feedforward == 4 * stack.size
        assert stack.heads == settings.model.attention.heads
    assert settings.model.attention.score == "scaled-dot"
    assert settings.model.tied == "all"  # section 3.4
    train = settings.train
    assert (train.optimizer, train.beta1, train.beta2, train.eps, train.label_smoothing) == (
        "adam",
        0.9,
        0.98,
        1e-9,
        0.1,
    )
    for step in (1, 100, train.warmup - 1, train.warmup, train.warmup + 1, 10 * train.warmup):
        paper = settings.model.embedding**-0.5 * min(step**-0.5, step * train.warmup**-1.5)  # equation 3
        assert learning_rate(train, step) == pytest.approx(paper, rel=3e-3)


def test_vaswani17_paper_is_the_base_model() -> None:
    settings = config.load("vaswani17-paper")
    stack = settings.model.encoder
    assert stack.kind == "transformer"
    assert stack.model_dump() == settings.model.decoder.model_dump()
    assert (stack.size, stack.layers, stack.heads, stack.feedforward, settings.model.dropout) == (
        512,
        6,
        8,
        2048,
        0.1,
    )
    assert (
        settings.train.warmup,
        settings.train.max_steps,
        settings.train.batch_tokens,
        settings.data.vocab_size,
    ) == (4000, 100000, 25000, 37000)
    small, paper = config.flat(config.load("vaswani17")), config.flat(settings)
    same = {
        key
        for key in small
        if key.startswith(("model.encoder", "model.decoder", "model.attention")) and small[key] == paper[key]
    }
    assert {
        key.split(".")[-1]
        for key in small
        if key.startswith(("model.encoder", "model.decoder")) and key not in same
    } == {"size", "layers", "heads", "feedforward"}


def test_transformer_has_the_size_of_vaswani17() -> None:
    first, today = config.load("vaswani17").model, config.load("transformer").model
    for stack, other in ((first.encoder, today.encoder), (first.decoder, today.decoder)):
        assert stack.kind == other.kind == "transformer"
        assert (stack.size, stack.layers, stack.heads) == (other.size, other.layers, other.heads)
        assert (other.prenorm, other.norm, other.positions, other.activation, other.bias) == (
            True,
            "rms",
            "rotary",
            "swiglu",
            False,
        )
        assert 3 * other.feedforward == pytest.approx(2 * stack.feedforward, rel=0.01)
