"""Settings: every preset is one, wrong ones are refused by name before any work starts, and what is written
reads back the same.
"""

import contextlib
import gzip
import json
import re
import tomllib
import typing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seq2attn import config
from seq2attn.errors import UsageError, UserError

PRESETS = sorted(config.presets())
SYSTEMS = {"sutskever14", "cho14", "bahdanau15", "luong15", "gehring17", "vaswani17"}


def test_presets_are_there() -> None:
    expected = (
        SYSTEMS
        | {f"{name}-paper" for name in SYSTEMS}
        | {f"luong15-{score}" for score in ("dot", "general", "concat", "scaled-dot")}
        | {"first-try", "transformer"}
    )
    assert expected <= set(PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_preset_loads_and_says_what_it_is(name: str) -> None:
    text = config.presets()[name].read_text(encoding="utf-8")
    settings = config.load(name)
    assert settings.about
    assert "\n" not in settings.about
    comments = [line for line in text.splitlines()[:4] if line.startswith("# ")]
    assert [line.split(":")[0] for line in comments[1:]] == ["# Paper", "# Run", "# Measured"]
    assert re.search(rf"seq2attn train( {re.escape(name)}\b|$)", comments[2])


@pytest.mark.parametrize("name", PRESETS)
def test_preset_names_only_what_it_has(name: str) -> None:
    """Each line of a preset is a setting, and says the same as what is loaded."""
    flat = config.flat(config.load(name))
    for key, value in leaves(tomllib.loads(config.presets()[name].read_text(encoding="utf-8"))):
        assert flat[key] == value


@pytest.mark.parametrize("name", PRESETS)
def test_round_trip_through_json(name: str) -> None:
    settings = config.load(name, ["train.seed=7"])
    assert (
        config.validate(json.loads(json.dumps(settings.model_dump(mode="json"))), "config.json") == settings
    )


@pytest.mark.parametrize("name", PRESETS)
def test_flat_settings_rebuild_the_config(name: str) -> None:
    """What `--show` prints can be typed back with --set, setting by setting."""
    settings = config.load(name)
    typed = [
        f"{key}={json.dumps(value, ensure_ascii=False)}"
        for key, value in config.flat(settings).items()
        if value is not None
    ]
    assert config.load(name, typed) == settings


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
    assert (cho.encoder.cell, bahdanau.encoder.cell, sutskever.encoder.cell, luong.encoder.cell) == (
        "gru",
        "gru",
        "lstm",
        "lstm",
    )


@pytest.mark.parametrize("score", ["dot", "general", "concat", "scaled-dot"])
def test_score_variants_differ_in_the_score_alone(score: str) -> None:
    plain, variant = config.flat(config.load("luong15")), config.flat(config.load(f"luong15-{score}"))
    assert variant["model.attention.score"] == score
    differing = {key for key in plain if plain[key] != variant[key]}
    assert differing <= {"about", "model.attention.score", "model.attention.size"}


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        (
            ["model.attention.score=dot", "model.decoder.size=300", "model.decoder.bridge=linear"],
            ["model.attention.score", "300", "512"],
        ),
        (["model.decoder.size=300"], ["model.decoder.bridge", "300", "512"]),
        (["model.decoder.layers=3"], ["model.decoder.bridge", "3", "2"]),
        (["model.encoder.reverse=true"], ["model.encoder.reverse", "model.encoder.bidirectional"]),
        (["model.decoder.context_source=none"], ["model.decoder.context_source", "model.decoder.context_to"]),
        (["model.decoder.context_to=[]"], ["model.decoder.context_to", "model.decoder.context_source"]),
        (['model.decoder.context_to=["readout", "readout"]'], ["model.decoder.context_to", "twice"]),
        (
            ["model.decoder.context_to=['layer']", "model.decoder.layers=1", "model.encoder.layers=1"],
            ["layer", "model.decoder.layers"],
        ),
        (["model.decoder.readout=linear"], ["model.decoder.input_feeding", "model.decoder.readout_size"]),
        (
            ["model.decoder.readout=linear", "model.decoder.input_feeding=false"],
            ["model.decoder.readout", "model.tied"],
        ),
        (["model.tied=all", "data.joint=false"], ["model.tied", "data.joint"]),
    ],
)
def test_contradictions_are_refused_by_name(setting: list[str], named: list[str]) -> None:
    with pytest.raises(UsageError) as refusal:
        config.load("luong15", setting)
    message = str(refusal.value)
    assert "\n" not in message
    for name in named:
        assert name in message


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("train.learning_rate=1", "train.learning_rate: no such setting"),
        ("train.batch_token=1", "train.batch_token: no such setting; did you mean train.batch_tokens?"),
        # not train.max_crop, which is as near
        ("model.drop=0.1", "model.drop: no such setting; did you mean model.dropout?"),
        ("train.valid=3", "did you mean train.validate_every or train.validate_sentences?"),
        ("model.encoder.sise=3", "did you mean model.encoder.size?"),
        ("modle.dropout=0.1", "no such setting"),
        ("train.lr=fast", "train.lr"),
        ("train.max_steps=1.5", "train.max_steps"),
        ("train.max_steps=0", "train.max_steps"),
        ("train.max_steps=true", "train.max_steps"),
        ("train.lr=nan", "train.lr"),
        ("train.lr=inf", "train.lr"),
        ("model.dropout=1.0", "model.dropout"),
        ("model.encoder.cell=gpu", "model.encoder.cell"),
        ("model.encoder.bidirectional=1", "model.encoder.bidirectional"),
        ("train.lr", "KEY=VALUE"),
        ("=1", "KEY=VALUE"),
        ("about.x=1", "about is a value, not a section"),
        ("model=3", "model"),
    ],
)
def test_wrong_settings_are_refused_in_one_line(setting: str, message: str) -> None:
    with pytest.raises(UsageError) as refusal:
        config.load("luong15", [setting])
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert refusal.value.exit_code == 2


@pytest.mark.parametrize(
    ("setting", "key", "value"),
    [
        ("train.lr=3e-4", "train.lr", 3e-4),
        ("train.lr=1", "train.lr", 1.0),
        (" train.lr = 0.5 ", "train.lr", 0.5),
        ("model.encoder.cell=gru", "model.encoder.cell", "gru"),
        ('model.encoder.cell="gru"', "model.encoder.cell", "gru"),
        ('model.decoder.context_to=["input","readout"]', "model.decoder.context_to", ["input", "readout"]),
        ("data.joint=false", "data.joint", False),
        ("about=what = it is", "about", "what = it is"),
        ("train.batch_tokens=8_192", "train.batch_tokens", 8192),
    ],
)
def test_set_values(setting: str, key: str, value: object) -> None:
    assert config.flat(config.load("luong15", [setting]))[key] == value


def test_later_settings_win() -> None:
    assert config.load("luong15", ["train.seed=2", "train.seed=3"]).train.seed == 3


@given(st.sampled_from(["", *config.flat(config.load("luong15"))]), st.text(max_size=20))
def test_any_setting_is_taken_or_refused(key: str, value: str) -> None:
    with contextlib.suppress(UserError):
        assert isinstance(config.load("luong15", [f"{key}={value}"]), config.Config)


def test_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean luong15-dot"):
        config.load("luong15-dott")
    with pytest.raises(UsageError, match="--list"):
        config.load("xyz")


def test_files(tmp_path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[train]\nlr = 0.5\n")
    assert config.load(str(file)).train.lr == 0.5
    file.write_text("[train\n")
    with pytest.raises(UserError, match="not a TOML file") as refusal:
        config.load(str(file))
    assert str(file) in str(refusal.value)
    file.write_bytes(b"about = '\xff'\n")
    with pytest.raises(UserError, match="not a TOML file"):
        config.load(str(file))
    file.write_text("[train]\nlrr = 0.5\n")
    with pytest.raises(UsageError, match=r"mine\.toml: train\.lrr: no such setting; did you mean train\.lr"):
        config.load(str(file))


def test_a_wrong_setting_is_not_blamed_on_a_file_that_is_right(tmp_path) -> None:
    with pytest.raises(UsageError, match=r"^settings: train\.lrr: no such setting; did you mean train\.lr"):
        config.load("luong15", ["train.lrr=1"])
    file = tmp_path / "mine.toml"
    file.write_text("[train]\nlr = -1\n")
    with pytest.raises(UsageError, match=r"mine\.toml: train\.lr"):
        config.load(str(file), ["train.clip_norm=1"])
    assert config.load(str(file), ["train.lr=1"]).train.lr == 1


def test_settings_that_are_none_name_the_file() -> None:
    with pytest.raises(UsageError, match=r"^run/config\.json"):
        config.validate([], "run/config.json")


def test_frozen() -> None:
    settings = config.load("luong15")
    with pytest.raises(ValueError, match="frozen"):
        settings.train.lr = 1.0  # type: ignore[misc]


def leaves(tree: dict[str, object], prefix: str = ""):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


# Attention

A = "model.attention."
# setting: (a value that is not its default, the choice with which it acts, one with which it does not)
OWNED = {
    "query_map": ("identity", "score=keyed", "score=general"),
    "key_map": ("nonlinear", "score=keyed", "score=additive"),
    "max_positions": ("9", "score=location", "score=concat"),
    "max_fertility": ("3.5", "history=fertility", "history=coverage"),
    "filters": ("3", "history=location-aware", "history=fertility"),
    "kernel": ("3", "history=location-aware", "history=none"),
    "k": ("2", "normaliser=hard-topk", "normaliser=gumbel"),
    "expectation_prob": ("0.25", "normaliser=hard-sample", "normaliser=hard-topk"),
    "at_inference": ("sample", "normaliser=hard-sample", "normaliser=softmax"),
    "half_width": ("3", "window=local-m", "window=none"),
}


def of_attention(*settings: str) -> config.AttentionConfig:
    return config.change(config.Config(), [A + setting for setting in settings]).model.attention


def test_every_setting_of_one_choice_is_tested() -> None:
    assert set(OWNED) == {name for name, _, _ in config._ACTS}
    for name, owner, kinds in config._ACTS:
        choices = typing.get_args(config.AttentionConfig.model_fields[owner].annotation)
        assert set(kinds) < set(choices), name
        assert config.AttentionConfig.model_fields[owner].default not in kinds, name


@pytest.mark.parametrize(("name", "value", "acts", "idle"), [(name, *row) for name, row in OWNED.items()])
def test_a_setting_of_one_choice_is_refused_with_the_others(
    name: str, value: str, acts: str, idle: str, tmp_path
) -> None:
    owner, chosen = idle.split("=")
    default = config.AttentionConfig.model_fields[name].default
    expected = str(of_attention(acts, f"{name}={value}").model_dump()[name])
    assert (expected, str(default)) == (value, str(of_attention(acts).model_dump()[name]))
    of_attention(idle, f"{name}={json.dumps(default)}")  # what does nothing may be said
    file = tmp_path / "mine.toml"
    file.write_text(
        f"[model.attention]\n{owner} = {json.dumps(chosen)}\n{name} = {value if value[0].isdigit() else json.dumps(value)}\n"
    )
    tree = config.Config().model_dump(mode="json")
    tree["model"]["attention"] |= {owner: chosen, name: type(default)(value)}
    for refused in (
        lambda: of_attention(idle, f"{name}={value}"),
        lambda: config.load("luong15", [A + idle, f"{A}{name}={value}"]),
        lambda: config.load(str(file)),
        lambda: config.validate(tree, "config.json"),
    ):
        with pytest.raises(UsageError) as refusal:
            refused()
        message = str(refusal.value)
        key, choice = acts.split("=")
        assert f'{A}{name} is for {A}{key}="{choice}"' in message
        assert f'with "{chosen}" it does nothing; leave it at {default}' in message
        assert "\n" not in message


def test_all_owners_of_a_setting_are_named() -> None:
    with pytest.raises(
        UsageError,
        match=r'model\.attention\.k is for model\.attention\.normaliser="hard-topk" or "hard-sample": with "softmax"',
    ):
        of_attention("k=2")
    of_attention("normaliser=hard-sample", "k=2", "expectation_prob=0")
    of_attention("score=concat-location", "query_input=both", "max_positions=9")
    of_attention("window=local-p", "half_width=3")


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (["history=location-aware", "kernel=4"], ["kernel is 4", "odd"]),
        (["score=concat-location"], ['score="concat-location"', 'query_input="both"']),
        (
            ["score=concat-location", "query_input=embedding"],
            ['score="concat-location"', 'query_input="both"'],
        ),
        (["score=location", "keys=embeddings"], ["keys is what a score compares", 'score="location"']),
        (
            ["window=local-p", "normaliser=hard-topk"],
            ['window="local-p"', 'normaliser="hard-topk"', "local-m"],
        ),
        (["window=local-p", "normaliser=hard-sample"], ['window="local-p"', 'normaliser="hard-sample"']),
        (["window=local-p", "normaliser=gumbel"], ['window="local-p"', 'normaliser="gumbel"']),
        (["normaliser=hard-sample", "k=2"], ["k is 2", "expectation_prob=0", "k=1"]),
        (
            ["normaliser=hard-sample", "k=2", "expectation_prob=0", "at_inference=expected"],
            ["k is 2", "another model.attention.at_inference"],
        ),
        (["heads=4", "value_map=linear"], ["heads is 4", "value_map"]),
        (["heads=3"], ["heads=3", "512"]),
        (["heads=4", "size=10"], ["heads=4", "10", "512"]),
        (["keys=sum"], ['keys="sum"', "512", "model.embedding is 256"]),
        (["values=sum"], ['values="sum"', "512", "model.embedding is 256"]),
        (["score=dot", "keys=embeddings"], ['score="dot"', "512", "256", "general"]),
        (["score=cosine", "query_input=both"], ['score="cosine"', "768", "512"]),
        (
            ["score=keyed", "key_map=identity", "query_map=identity", "query_input=embedding"],
            ['score="keyed"', "256", "512"],
        ),
        (["score=dott"], ["score", "dott"]),
        (["normaliser=sparse"], ["normaliser", "sparse"]),
        (["heads=0"], ["heads"]),
        (["k=0", "normaliser=hard-topk"], ["k"]),
        (["half_width=0", "window=local-m"], ["half_width"]),
        (["temperature=0"], ["temperature"]),
        (["expectation_prob=1", "normaliser=hard-sample"], ["expectation_prob"]),
        (["max_fertility=0", "history=fertility"], ["max_fertility"]),
        (
            ["filter=3", "history=location-aware"],
            ["filter: no such setting", "did you mean model.attention.filters"],
        ),
    ],
)
def test_attention_that_contradicts_itself_is_refused_by_name(settings: list[str], named: list[str]) -> None:
    with pytest.raises(UsageError) as refusal:
        of_attention(*settings)
    message = str(refusal.value)
    assert message.startswith("settings: ")
    assert "\n" not in message
    for name in [A, *named]:
        assert name in message


@pytest.mark.parametrize(
    "settings",
    [
        ["heads=4"],
        # each head's projections make the sizes equal
        ["heads=4", "score=dot", "keys=embeddings", "query_input=both"],
        ["score=keyed", "key_map=identity"],
        ["score=keyed", "key_map=identity", "query_map=identity"],
        ["score=dot", "keys=embeddings", "query_input=embedding"],
        ["score=location", "keys=embeddings", "history=fertility"],  # whose fertility is read off the keys
        ["values=embeddings", "value_map=nonlinear"],
        ["window=local-m", "normaliser=hard-topk", "k=3"],
        ["window=local-p", "normaliser=sigmoid"],
        ["normaliser=hard-sample", "k=2", "expectation_prob=0", "at_inference=sample"],
        ["history=coverage", "normaliser=sparsemax", "temperature=2"],
    ],
)
def test_attention_that_agrees_is_taken(settings: list[str]) -> None:
    chosen = of_attention(*settings)
    assert (
        of_attention(
            *(
                f"{key}={json.dumps(value)}"
                for key, value in chosen.model_dump(mode="json").items()
                if value is not None
            )
        )
        == chosen
    )


@pytest.mark.parametrize("bridge", ["mean", "zero"])
@pytest.mark.parametrize("attention", [["keys=embeddings"], ["score=location"]])
def test_an_encoder_that_nothing_reads_is_refused_by_name(bridge: str, attention: list[str]) -> None:
    settings = ["model.attention.values=embeddings", f"model.decoder.bridge={bridge}"]
    with pytest.raises(
        UsageError,
        match=f'model.attention.values="embeddings" with model.decoder.bridge="{bridge}": nothing reads',
    ):
        config.change(config.Config(), [*settings, *(f"model.attention.{setting}" for setting in attention)])
    config.change(config.Config(), settings)
    config.change(
        config.Config(), [settings[0], "model.attention.keys=embeddings", "model.decoder.bridge=linear"]
    )


@pytest.mark.parametrize("choice", ["scalar", "context"])
@pytest.mark.parametrize("reads", ["summary", "none"])
def test_a_gate_without_attention_is_refused_by_name(choice: str, reads: str) -> None:
    context = [] if reads == "none" else ["input"]
    settings = [f"model.decoder.context_source={reads}", f"model.decoder.context_to={json.dumps(context)}"]
    config.change(config.Config(), settings)
    with pytest.raises(
        UsageError,
        match=rf'model\.decoder\.gate scales the context of attention, and model\.decoder\.context_source is "{reads}"',
    ):
        config.change(config.Config(), [*settings, f"model.decoder.gate={choice}"])
    assert config.change(config.Config(), [f"model.decoder.gate={choice}"]).model.decoder.gate == choice


def test_attention_is_not_held_to_sizes_where_nothing_attends() -> None:
    settings = ["model.decoder.context_source=summary", "model.attention.score=dot", "model.decoder.size=300"]
    assert config.change(config.Config(), settings).model.memory_size("values") == 512


def test_sizes_of_what_is_compared_and_read() -> None:
    model = config.change(
        config.Config(), ["model.attention.keys=embeddings", "model.attention.query_input=both"]
    ).model
    assert (
        model.memory_size("keys"),
        model.memory_size("values"),
        model.query_size,
        model.attention_size,
    ) == (256, 512, 768, 512)
    model = config.change(
        config.Config(), ["model.embedding=512", "model.attention.values=sum", "model.attention.size=64"]
    ).model
    assert (
        model.memory_size("keys"),
        model.memory_size("values"),
        model.query_size,
        model.attention_size,
    ) == (512, 512, 512, 64)
    assert config.change(config.Config(), ["model.attention.query_input=embedding"]).model.query_size == 256


def test_a_config_of_before_these_settings_loads_as_what_it_was() -> None:
    """A run that was trained when attention had a score and a size alone, and training no draws."""
    tree = config.load("luong15").model_dump(mode="json")
    old = json.loads(json.dumps(tree))
    old["model"]["attention"] = {key: tree["model"]["attention"][key] for key in ("score", "size")}
    del old["model"]["decoder"]["gate"]
    del old["train"]["reinforce"]
    loaded = config.validate(old, "config.json")
    assert loaded == config.load("luong15")
    plain = {
        "query_input": "state",
        "keys": "states",
        "values": "states",
        "value_map": "identity",
        "heads": 1,
        "history": "none",
        "normaliser": "softmax",
    }
    found = loaded.model.attention.model_dump()
    assert {key: found[key] for key in plain} == plain
    assert (found["temperature"], found["window"], loaded.model.decoder.gate) == (1.0, "none", "none")


def test_what_trains_draws_is_a_setting_of_training() -> None:
    for setting in (
        "train.reinforce.weight=-1",
        "train.reinforce.entropy_weight=-0.1",
        "train.reinforce.baseline_decay=1",
    ):
        with pytest.raises(UsageError, match=setting.split("=")[0].replace(".", r"\.")):
            config.load("hard-sample", [setting])
    train = config.load(
        "hard-sample",
        ["train.reinforce.weight=0", "train.reinforce.entropy_weight=0", "train.reinforce.baseline_decay=0"],
    ).train
    assert (train.reinforce.weight, train.reinforce.entropy_weight, train.reinforce.baseline_decay) == (
        0,
        0,
        0,
    )


# Kinds of encoders and decoders

ENCODER, DECODER = "model.encoder.kind=transformer", "model.decoder.kind=transformer"


def test_a_kind_starts_from_its_own_defaults() -> None:
    """What another kind was set to is gone: `luong15` has two layers of 256 units and reads both ways."""
    model = config.load("luong15", [ENCODER, DECODER]).model
    assert model.encoder == config.TransformerEncoderConfig(kind="transformer")
    assert model.decoder == config.TransformerDecoderConfig(kind="transformer")
    assert model.attention == config.load("luong15").model.attention
    back = config.change(
        config.Config(model=model), ["model.encoder.kind=rnn", "model.decoder.kind=rnn"]
    ).model
    assert (back.encoder, back.decoder) == (config.RNNEncoderConfig(), config.RNNDecoderConfig())


def test_the_same_kind_again_changes_nothing() -> None:
    for kind in ("rnn", '"rnn"'):
        assert config.load("luong15", [f"model.encoder.kind={kind}"]) == config.load("luong15")
    changed = config.load("transformer", ["model.encoder.layers=5", "model.encoder.kind=transformer"])
    assert changed.model.encoder.layers == 5


def test_what_is_set_beside_a_kind_holds_in_any_order() -> None:
    settings = [ENCODER, DECODER, "model.encoder.layers=5", "model.decoder.positions=rotary"]
    for order in (settings, settings[::-1]):
        model = config.load("luong15", order).model
        assert (model.encoder.layers, model.decoder.positions) == (5, "rotary")  # type: ignore[union-attr]
    # the later of two
    assert (
        config.change(config.Config(), [ENCODER, "model.encoder.kind=rnn"]).model.encoder
        == config.RNNEncoderConfig()
    )


def test_a_file_that_names_no_kind_is_recurrent_and_one_that_does_is_not(tmp_path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[model.encoder]\nsize = 64\n")
    assert config.load(str(file)).model.encoder == config.RNNEncoderConfig(size=64)
    file.write_text('[model]\nembedding = 64\n[model.encoder]\nkind = "transformer"\nsize = 64\n')
    assert config.load(str(file)).model.encoder == config.TransformerEncoderConfig(
        kind="transformer", size=64
    )
    assert config.load(str(file)).model.decoder == config.RNNDecoderConfig()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["model.encoder.kind=gru"], 'model.encoder.kind: choose rnn, conv, transformer, image, not "gru"'),
        (["model.decoder.kind=3"], 'model.decoder.kind: choose rnn, conv, transformer, not "3"'),
        (["model.encoder.kind=[1]"], "model.encoder.kind: choose rnn, conv, transformer"),
        (
            ["model.encoder=transformer"],
            'model.encoder is a section, not "transformer": set model.encoder.kind',
        ),
        (["model.decoder=3"], "model.decoder is a section, not 3: set model.decoder.kind"),
        (
            [ENCODER, "model.encoder.head=2"],
            "model.encoder.head: no such setting; did you mean model.encoder.heads?",
        ),
        (
            [DECODER, "model.decoder.bridges=last"],
            "model.decoder.bridges: no such setting; did you mean model.decoder.bridge?",
        ),  # of another kind, but that is what was meant
        (
            [ENCODER, "model.encoder.cell=gru"],
            'model.encoder.cell is for model.encoder.kind="rnn": with "transformer" there is no such setting; leave it out',
        ),
        (
            ["model.decoder.heads=2"],
            'model.decoder.heads is for model.decoder.kind="transformer": with "rnn" there is no such setting',
        ),
        (
            ["model.encoder.positions=none"],
            'model.encoder.positions is for model.encoder.kind="conv" or "transformer" or "image": with "rnn"',
        ),
        (
            [ENCODER, "model.encoder.heads=3"],
            "model.encoder.heads=3 must divide model.encoder.size, 256, without rest",
        ),
        (
            [DECODER, "model.decoder.kv_heads=3"],
            "model.decoder.kv_heads=3 must divide model.decoder.heads, 4, without rest",
        ),
        (
            [DECODER, "model.decoder.kv_heads=8"],
            "model.decoder.kv_heads=8 must divide model.decoder.heads, 4, without rest",
        ),
        (
            [ENCODER, "model.encoder.heads=1", "model.encoder.kv_heads=1"],
            "model.encoder.kv_heads is what several heads share: with model.encoder.heads=1 it does nothing",
        ),
        (
            ["model.attention.kv_heads=1"],
            "model.attention.kv_heads is what several heads share: with model.attention.heads=1 it does nothing",
        ),
        (
            ["model.attention.heads=4", "model.attention.kv_heads=3"],
            "model.attention.kv_heads=3 must divide model.attention.heads, 4",
        ),
        (
            [ENCODER, "model.encoder.positions=rotary", "model.encoder.heads=256"],
            'model.encoder.positions="rotary" turns pairs of numbers: a head has 1, which is odd',
        ),
        (
            [DECODER, "model.decoder.max_positions=9"],
            'model.decoder.max_positions is for model.decoder.positions="learned": with "sinusoidal" it does nothing',
        ),
        (
            [ENCODER, "model.encoder.positions=rotary", "model.encoder.max_positions=9"],
            'model.encoder.max_positions is for model.encoder.positions="learned"',
        ),
        (
            ["model.decoder.kind=conv", "model.decoder.positions=none", "model.decoder.max_positions=9"],
            'model.decoder.max_positions is for model.decoder.positions="learned"',
        ),
        ([ENCODER, "model.encoder.size=128"], "model.encoder.size is 128 and model.embedding 256"),
        ([DECODER, "model.decoder.size=128"], "model.decoder.size is 128 and model.embedding 256"),
        (
            [DECODER, "model.attention.history=coverage"],
            'model.attention.history="coverage" reads the weights of earlier steps, and a transformer decoder takes all steps at once',
        ),
        ([DECODER, "model.attention.history=fertility"], 'model.attention.history="fertility"'),
        (
            [DECODER, "model.attention.query_input=embedding"],
            'model.attention.query_input="embedding" is for a recurrent decoder',
        ),
        (
            [DECODER, "model.attention.score=concat-location", "model.attention.query_input=both"],
            'model.attention.score="concat-location" is for a recurrent decoder',
        ),
        (
            [DECODER, "model.attention.value_map=linear"],
            "model.attention.value_map: a transformer decoder maps the values already",
        ),
        (
            [DECODER, "model.attention.heads=3"],
            "model.attention.heads=3 must divide the attention's size, 256",
        ),
        (
            [DECODER, "model.attention.size=10", "model.attention.heads=4"],
            "model.attention.heads=4 must divide the attention's size, 10",
        ),
        ([DECODER, "model.attention.keys=sum"], 'model.attention.keys="sum" adds states and embeddings'),
        (
            [ENCODER, DECODER, "model.attention.keys=embeddings", "model.attention.values=embeddings"],
            'model.attention.values="embeddings": nothing reads the encoder',
        ),
        ([ENCODER, "model.decoder.bridge=last"], 'model.decoder.bridge="last" copies a recurrent encoder'),
        ([ENCODER, "model.encoder.positions=relative"], "model.encoder.positions"),
        ([ENCODER, "model.encoder.activation=silu"], "model.encoder.activation"),
        ([ENCODER, "model.encoder.norm=batch"], "model.encoder.norm"),
        ([ENCODER, "model.encoder.feedforward=0"], "model.encoder.feedforward"),
    ],
)
def test_a_transformer_that_cannot_be_is_refused_by_name(settings: list[str], message: str) -> None:
    with pytest.raises(UsageError) as refusal:
        config.change(config.Config(), settings)
    assert f"settings: {message}" in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "settings",
    [
        [ENCODER, DECODER, "model.encoder.kv_heads=4", "model.decoder.kv_heads=1"],
        [ENCODER, "model.encoder.positions=learned", "model.encoder.max_positions=9"],
        # maps make the sizes equal, with one head too
        [DECODER, "model.attention.score=dot", "model.attention.size=64"],
        [
            DECODER,
            "model.attention.normaliser=hard-topk",
            "model.attention.k=3",
            "model.attention.window=local-m",
        ],
        [DECODER, "model.attention.normaliser=hard-sample", "model.attention.at_inference=sample"],
        [ENCODER, DECODER, "model.attention.keys=sum", "model.attention.values=embeddings"],
        [
            ENCODER,
            "model.attention.heads=4",
            "model.attention.kv_heads=2",
            "model.attention.history=coverage",
        ],
        ["model.decoder.context_source=summary", "model.attention.heads=4", "model.attention.kv_heads=2"],
    ],
)
def test_a_transformer_that_can_be_is_taken(settings: list[str]) -> None:
    chosen = config.change(config.Config(), settings)
    assert config.validate(json.loads(json.dumps(chosen.model_dump(mode="json"))), "config.json") == chosen


def test_sizes_of_a_transformer() -> None:
    model = config.change(config.Config(), [ENCODER, DECODER, "model.attention.size=64"]).model
    assert (model.width, model.decoder_size, model.query_size, model.attention_size) == (256, 256, 256, 64)
    assert (model.memory_size("keys"), model.memory_size("values"), model.projects) == (256, 256, True)
    model = config.change(
        config.Config(), [DECODER, "model.attention.keys=embeddings", "model.encoder.size=100"]
    ).model
    assert (model.width, model.memory_size("keys"), model.memory_size("values"), model.projects) == (
        200,
        256,
        200,
        True,
    )
    assert not config.Config().model.projects


# A trained run


@pytest.mark.parametrize(
    "setting",
    [
        "data.vocab_size=9",
        "train.lr=1",
        "train=3",
        "about=x",
        "model.dropout=0",
        "model.init=uniform",
        "model.init_range=1",
    ],
)
def test_settings_that_training_has_used_up_are_refused_by_name(setting: str) -> None:
    with pytest.raises(
        UsageError, match=f"^settings {re.escape(setting)}: acts before or in training alone"
    ) as refusal:
        config.refuse_spent(["search.beam=3", setting])
    assert "\n" not in str(refusal.value)


def test_settings_that_act_in_a_trained_run_are_not_refused() -> None:
    every = [key for key in config.flat(config.Config()) if key.split(".")[0] in ("model", "search")]
    config.refuse_spent([f"{key}=1" for key in every if key not in config.names_marked(config.TRAINING_ONLY)])
    assert set(config.names_marked(config.TRAINING_ONLY)) <= {
        "data",
        "train",
        *(name for name, _, _ in config.fields()),
    }
    with pytest.raises(UsageError, match="KEY=VALUE"):
        config.refuse_spent(["search.beam"])


def test_a_change_names_where_it_was_made() -> None:
    with pytest.raises(UsageError, match=r"^run with settings: model\.attention\.k is for"):
        config.change(config.Config(), ["model.attention.k=2"], "run with --set")


def test_lengths_between_which_nothing_lies_are_refused() -> None:
    with pytest.raises(UsageError, match=r"search\.min_length is 5 and search\.max_length 4"):
        config.load("first-try", ["search.min_length=5", "search.max_length=4"])
    config.load("first-try", ["search.min_length=5", "search.max_length=5"])


# What does nothing


# preset, settings whose last does nothing, why, the other way out ("": there is none), settings with which it
# acts
IDLE = [
    (
        "cho14",
        ["model.attention.temperature=2"],
        'model.decoder.context_source is "summary"',
        "choose a model with attention",
        ["model.decoder.context_source=attention"],
    ),
    (
        "cho14",
        ["model.decoder.query_state=previous"],
        'model.decoder.context_source is "summary"',
        "choose a model with attention",
        ["model.decoder.context_source=attention"],
    ),
    (
        "sutskever14",
        ["model.attention.heads=4"],
        'model.decoder.context_source is "none"',
        "choose a model with attention",
        None,
    ),
    (
        "luong15",
        ["model.attention.size=64"],
        'model.attention.score="general" has no hidden units',
        "several heads",
        ["model.attention.score=concat"],
    ),
    (
        "luong15",
        ["model.attention.size=64"],
        'model.attention.score="general" has no hidden units',
        "several heads",
        ["model.attention.heads=4"],
    ),
    (
        "luong15",
        ["model.attention.size=64"],
        'model.attention.score="general" has no hidden units',
        "several heads",
        ["model.attention.window=local-p"],
    ),
    (
        "keyed-identity",
        ["model.attention.size=64"],
        'score="keyed" with an identity map',
        "another score",
        None,
    ),
    (
        "luong15",
        ["model.attention.query_input=embedding", "model.decoder.query_state=previous"],
        'model.attention.query_input="embedding"',
        "",
        ["model.decoder.gate=scalar"],
    ),
    (
        "luong15",
        ["train.momentum=0.9"],
        'train.optimizer is "adam"',
        'set train.optimizer="sgd"',
        ["train.optimizer=sgd"],
    ),
    (
        "luong15",
        ["train={momentum=0.9}"],
        'train.optimizer is "adam"',
        'set train.optimizer="sgd"',
        ["train.optimizer=sgd"],
    ),
    ("luong15", ["data.max_missing=0.2"], "it is for images, and the source is text", "", None),
    ("luong15", ["data.follow_links=true"], "it is for images, and the source is text", "", None),
    ("xu15-soft", ["data.max_ratio=2"], "it is for text, and the source is images", "", None),
    (
        "xu15-soft",
        ["train.self_critical.samples=9"],
        "train.self_critical.start_step is not set",
        "set train.self_critical.start_step to a step",
        ["train.self_critical.start_step=9"],
    ),
    *(
        ("luong15", [f"train.{setting}"], "it is for images", "", None)
        for setting in (
            "captions_per_image=2",
            "max_crop=0.1",
            "flip=true",
            "unfreeze_step=5",
            "backbone_lr_factor=0.1",
        )
    ),
    *(
        (
            "luong15",
            ["train.optimizer=sgd", setting],
            'train.optimizer is "sgd"',
            'set train.optimizer="adam"',
            ["train.optimizer=adamw"],
        )
        for setting in ("train.beta1=0.8", "train.beta2=0.9", "train.eps=1e-5")
    ),
    *(
        (
            "luong15",
            [setting],
            'train.schedule is "cosine"',
            'set train.schedule="plateau"',
            ["train.schedule=plateau"],
        )
        for setting in ("train.plateau_factor=0.1", "train.plateau_patience=5")
    ),
    *(
        (
            "gumbel",
            [setting],
            'model.attention.normaliser is "gumbel"',
            "hard-sample",
            ["model.attention.normaliser=hard-sample"],
        )
        for setting in (
            "train.reinforce.weight=1",
            "train.reinforce.entropy_weight=0",
            "train.reinforce.baseline_decay=0.5",
        )
    ),
    (
        "cho14",
        ["train.reinforce.entropy_weight=0"],
        'model.decoder.context_source is "summary"',
        "with hard-sample attention",
        None,
    ),
    (
        "luong15",
        ["model.init_range=0.5"],
        'model.init is "glorot"',
        'set model.init="uniform"',
        ["model.init=uniform"],
    ),
]


@pytest.mark.parametrize(("preset", "settings", "why", "way", "acts"), IDLE)
def test_a_setting_that_would_do_nothing_is_refused_where_it_is_named(
    preset: str, settings: list[str], why: str, way: str, acts: list[str] | None
) -> None:
    with pytest.raises(UsageError) as refusal:
        config.load(preset, ["search.beam=2", *settings])
    message = str(refusal.value)
    assert message.startswith(f"settings {settings[-1]}: does nothing, for ")
    assert f"{why}" in message
    assert (
        message.endswith("; leave it out")
        if not way
        else re.search(rf"; leave it out, or .*{re.escape(way)}", message)
    )
    assert "\n" not in message
    if acts is not None:
        config.load(preset, [*settings, *acts])


@pytest.mark.parametrize(
    "score", ["dot", "scaled-dot", "general", "concat-linear", "sigmoid", "cosine", "location"]
)
def test_a_size_that_no_score_has_is_refused(score: str) -> None:
    with pytest.raises(
        UsageError, match=rf'size=64: does nothing, for model\.attention\.score="{score}" has no hidden units'
    ):
        config.load("luong15", [f"model.attention.score={score}", "model.attention.size=64"])


@pytest.mark.parametrize("maps", [("identity", "linear"), ("nonlinear", "identity"), ("linear", "linear")])
def test_a_size_acts_in_keyed_attention_where_both_sides_are_mapped(maps: tuple[str, str]) -> None:
    settings = [
        "model.attention.score=keyed",
        "model.attention.size=64",
        *(f"model.attention.{side}_map={m}" for side, m in zip(("key", "query"), maps, strict=True)),
    ]
    if "identity" not in maps:
        config.load("luong15", settings)
        return
    with pytest.raises(UsageError, match="with an identity map"):
        config.load("luong15", settings)


def test_what_stood_there_and_defaults_may_be_said() -> None:
    config.load("luong15", ["train.momentum=0.0", "train.plateau_factor=0.5", "train.reinforce.weight=0.1"])
    config.load("cho14", ["model.attention.score=additive", "model.attention.temperature=1"])


def test_files_may_hold_what_does_nothing(tmp_path) -> None:
    """One change to a preset must not need a second one to what it says of its attention."""
    config.load("luong15-concat", ["model.attention.score=dot"])  # the preset says a size
    config.load("tu16", ["model.decoder.context_source=summary"])
    file = tmp_path / "mine.toml"
    file.write_text("[train]\nmomentum = 0.5\n")
    assert config.load(str(file), ["train.lr=0.5", "train.momentum=0.5"]).train.momentum == 0.5
    with pytest.raises(UsageError, match=r"momentum=0\.6: does nothing"):
        config.load(str(file), ["train.momentum=0.6"])
    file.write_text("[train]\nlr = -1\n")  # right with --set alone
    with pytest.raises(UsageError, match="does nothing"):
        config.load(str(file), ["train.lr=1", "train.momentum=0.6"])


# what the run is, a setting that does nothing to it once it is trained, why, settings with which it acts
TRAINED = [
    (["normaliser=hard-topk"], "temperature=2", "reads the best at any temperature", ["normaliser=softmax"]),
    (["normaliser=gumbel"], "temperature=2", "reads the best at any temperature", ["normaliser=sparsemax"]),
    (
        ["normaliser=hard-sample"],
        "temperature=2",
        'or set model.attention.at_inference="sample"',
        ["at_inference=sample"],
    ),
    (
        ["normaliser=hard-sample"],
        "temperature=2",
        "reads the best at any temperature",
        ["at_inference=expected"],
    ),
    (
        ["normaliser=hard-sample"],
        "expectation_prob=0",
        'it acts in training alone; leave it out, or set model.attention.at_inference="expected"',
        ["k=2"],
    ),
    (["score=general"], "size=64", "has no hidden units; leave it out", ["heads=4"]),
]


@pytest.mark.parametrize(("made", "setting", "why", "acts"), TRAINED)
def test_a_setting_that_does_nothing_to_a_trained_run_is_refused(
    made: list[str], setting: str, why: str, acts: list[str]
) -> None:
    def refuse(*settings: str) -> None:
        named = [A + part for part in settings]
        config.refuse_idle(
            named, [(before, config.change(before, named))], trained=True, where="run with --set"
        )

    before = config.change(config.Config(), [A + part for part in made])
    with pytest.raises(
        UsageError, match=rf"^run with --set {re.escape(A + setting)}: does nothing, for .*{re.escape(why)}"
    ):
        refuse(setting)
    refuse(setting, *acts)
    if not setting.startswith("size"):  # training knows it
        config.refuse_idle([A + setting], [(before, config.change(before, [A + setting]))])


def test_a_setting_that_acts_in_one_of_several_runs_is_taken() -> None:
    soft, hard = (
        config.change(config.Config(), [f"{A}normaliser={name}"]) for name in ("softmax", "hard-topk")
    )
    setting = f"{A}temperature=2"
    changes = [(run, config.change(run, [setting])) for run in (hard, soft, hard)]
    config.refuse_idle([setting], changes, trained=True)
    with pytest.raises(UsageError, match="does nothing"):
        config.refuse_idle([setting], changes[::2], trained=True)


def test_idle_settings_are_settings() -> None:
    """The table names what there is, whatever is chosen."""
    every = {name for name, _, _ in config.fields()}
    for preset in PRESETS:
        for trained in (False, True):
            for names, _, _ in config._idle(config.load(preset), trained):
                assert all(
                    name in every or (name.endswith(".") and any(key.startswith(name) for key in every))
                    for name in names
                )


# What is typed


@pytest.mark.parametrize(
    ("value", "context"),
    [
        ("input", ["input"]),
        ('"input"', ["input"]),
        ("input,readout", ["input", "readout"]),
        ("input , readout", ["input", "readout"]),
        ("[]", None),
    ],
)
def test_bare_words_are_a_list_where_a_list_is_wanted(value: str, context: list[str] | None) -> None:
    if context is None:
        with pytest.raises(UsageError, match="name a place"):
            config.load("bahdanau15", [f"model.decoder.context_to={value}"])
    else:
        assert (
            list(config.load("bahdanau15", [f"model.decoder.context_to={value}"]).model.decoder.context_to)
            == context
        )  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "model.decoder.context_to=3",
            'model.decoder.context_to: write a list, of any of ["input", "layer", "readout"], not 3',
        ),
        (
            "model.decoder.context_to=inptu",
            'model.decoder.context_to: choose input, layer or readout, not "inptu"',
        ),
        ("train=3", "train is a section, not 3: set what is in it, which `seq2attn train --show` lists"),
        ("train.lr=fast", 'train.lr: write a number, not "fast"'),
        ("train.lr=nan", "train.lr: write a number, not NaN"),
        ("train.lr=-1", "train.lr: it must be above 0.0, not -1"),
        ("train.max_steps=1.5", "train.max_steps: write a whole number, not 1.5"),
        ("train.max_steps=many", 'train.max_steps: write a whole number, not "many"'),
        ("train.max_steps=0", "train.max_steps: it must be at least 1, not 0"),
        ("model.dropout=1", "model.dropout: it must be below 1.0, not 1"),
        ("model.encoder.bidirectional=1", "model.encoder.bidirectional: write true or false, not 1"),
        ("data.source=3", "data.source: write text, in quotes, not 3"),
        ("model.encoder.cell=gpu", 'model.encoder.cell: choose rnn, gru or lstm, not "gpu"'),
    ],
)
def test_what_to_write_instead_is_said(setting: str, message: str) -> None:
    with pytest.raises(UsageError) as refusal:
        config.load("luong15", [setting])
    assert str(refusal.value) == f"settings: {message}"


def test_no_message_speaks_of_python() -> None:
    messages = []
    for key, _, _ in config.fields():
        for value in (
            "3",
            "-1",
            "0.5",
            "true",
            "[]",
            "[1]",
            "{x = 1}",
            "{}",
            "word",
            "nan",
            "1979-05-27",
            "''",
        ):
            try:
                config.load("transformer" if "heads" in key else "luong15", [f"{key}={value}"])
            except UsageError as refusal:
                messages.append(str(refusal))
    assert len(messages) > 500
    assert not [
        message
        for message in messages
        if re.search(r"tuple|dictionary|instance|a valid|pydantic|Input", message)
    ]


@pytest.mark.parametrize(
    ("preset", "typed", "meant"),
    [
        ("luong15", "at_inference", "model.attention.at_inference"),
        ("luong15", "At_Inference", "model.attention.at_inference"),
        ("luong15", "heads", "model.attention.heads"),
        ("luong15", "history", "model.attention.history"),
        ("luong15", "GATE", "model.decoder.gate"),
        ("luong15", "model.gate", "model.decoder.gate"),
        ("luong15", "train.LR", "train.lr"),
        ("luong15", "decoder.size", "model.decoder.size"),
        ("luong15", "attention.heads", "model.attention.heads"),
        ("luong15", "size", "model.encoder.size, model.decoder.size or model.attention.size"),
        ("luong15", "droput", "model.dropout"),
        ("luong15", "vocab-size", "data.vocab_size"),
        ("luong15", "modle.dropout", "model.dropout"),
        # of no kind in use, and there is no other
        ("luong15", "prenorm", "model.encoder.prenorm or model.decoder.prenorm"),
        ("transformer", "heads", "model.encoder.heads, model.decoder.heads or model.attention.heads"),
        ("transformer", "model.attention.layers", "model.encoder.layers or model.decoder.layers"),
        ("transformer", "kernel", "model.attention.kernel"),
        ("gehring17", "kernel", "model.encoder.kernel, model.decoder.kernel or model.attention.kernel"),
    ],
)
def test_a_misspelt_setting_is_known_by_its_last_name(preset: str, typed: str, meant: str) -> None:
    with pytest.raises(UsageError) as refusal:
        config.load(preset, [f"{typed}=1"])
    assert str(refusal.value) == f"settings: {typed}: no such setting; did you mean {meant}?"


def test_what_is_like_nothing_is_not_guessed_at() -> None:
    with pytest.raises(
        UsageError, match=r"^settings: xyzzy: no such setting; `seq2attn train PRESET --show` lists all$"
    ):
        config.load("luong15", ["xyzzy=1"])


def test_the_example_for_a_trained_run_works_there() -> None:
    with pytest.raises(UsageError) as refusal:
        config.refuse_spent(["search.beam"])
    example = str(refusal.value).split("as in ")[1]
    config.refuse_spent([example])
    config.change(config.Config(), [example])


def test_a_file_that_is_no_toml_is_wrong_usage(tmp_path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[train\n")
    with pytest.raises(UserError) as refusal:
        config.load(str(file))
    assert refusal.value.exit_code == 2


@pytest.mark.parametrize(
    ("settings", "said", "unsaid"),
    [
        (["k=2"], "set model.attention.expectation_prob=0, or set model.attention.k=1", "decoding"),
        (
            ["k=2", "at_inference=expected"],
            "set model.attention.expectation_prob=0 and choose another model.attention.at_inference than expected, or set",
            "draws",
        ),
        (
            ["k=2", "at_inference=expected", "expectation_prob=0"],
            "choose another model.attention.at_inference than expected, or set model.attention.k=1",
            "expectation_prob=0",
        ),
    ],
)
def test_several_draws_say_what_stands_in_their_way(settings: list[str], said: str, unsaid: str) -> None:
    with pytest.raises(UsageError) as refusal:
        of_attention("normaliser=hard-sample", *settings)
    assert said in str(refusal.value)
    assert unsaid not in str(refusal.value)


def test_a_file_of_settings_is_text_of_a_bounded_length(tmp_path: Path) -> None:
    (tmp_path / "packed.toml").write_bytes(gzip.compress(b"[train]\nlr = 0.1\n"))
    with pytest.raises(UserError, match=r"packed\.toml: not a TOML file: it is not UTF-8 text; unpack it"):
        config.load(str(tmp_path / "packed.toml"))
    (tmp_path / "long.toml").write_bytes(b"#" * 2_000_000)
    with pytest.raises(UserError, match="not a TOML file of settings: longer than"):
        config.load(str(tmp_path / "long.toml"))
