"""Settings: every preset is one, wrong ones are refused by name before any work starts, and what is written reads back the same."""

import contextlib
import json
import re
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seq2attn import config
from seq2attn.errors import UsageError, UserError

PRESETS = sorted(config.presets())
SYSTEMS = {"sutskever14", "cho14", "bahdanau15", "luong15"}


def test_presets_are_there() -> None:
    expected = SYSTEMS | {f"{name}-paper" for name in SYSTEMS} | {f"luong15-{score}" for score in ("dot", "general", "concat", "scaled-dot")} | {"first-try"}
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
    assert config.validate(json.loads(json.dumps(settings.model_dump(mode="json"))), "config.json") == settings


@pytest.mark.parametrize("name", PRESETS)
def test_flat_settings_rebuild_the_config(name: str) -> None:
    """What `--show` prints can be typed back with --set, setting by setting."""
    settings = config.load(name)
    typed = [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in config.flat(settings).items() if value is not None]
    assert config.load(name, typed) == settings


def test_systems_differ_where_their_papers_do() -> None:
    sutskever, cho, bahdanau, luong = (config.load(name).model for name in ("sutskever14", "cho14", "bahdanau15", "luong15"))
    assert (sutskever.decoder.reads, sutskever.decoder.bridge, sutskever.encoder.reverse, sutskever.encoder.bidirectional) == ("nothing", "last", True, False)
    assert (cho.decoder.reads, set(cho.decoder.context), cho.decoder.readout) == ("summary", {"input", "readout"}, "maxout")
    assert (bahdanau.decoder.query, set(bahdanau.decoder.context), bahdanau.attention.score) == ("previous", {"input", "readout"}, "additive")
    assert (luong.decoder.query, luong.decoder.input_feeding, luong.decoder.readout) == ("current", True, "tanh")
    assert (cho.encoder.cell, bahdanau.encoder.cell, sutskever.encoder.cell, luong.encoder.cell) == ("gru", "gru", "lstm", "lstm")


@pytest.mark.parametrize("score", ["dot", "general", "concat", "scaled-dot"])
def test_score_variants_differ_in_the_score_alone(score: str) -> None:
    plain, variant = config.flat(config.load("luong15")), config.flat(config.load(f"luong15-{score}"))
    assert variant["model.attention.score"] == score
    differing = {key for key in plain if plain[key] != variant[key]}
    assert differing <= {"about", "model.attention.score", "model.attention.size"}


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        (["model.attention.score=dot", "model.decoder.size=300", "model.decoder.bridge=linear"], ["model.attention.score", "300", "512"]),
        (["model.decoder.size=300"], ["model.decoder.bridge", "300", "512"]),
        (["model.decoder.layers=3"], ["model.decoder.bridge", "3", "2"]),
        (["model.encoder.reverse=true"], ["model.encoder.reverse", "model.encoder.bidirectional"]),
        (["model.decoder.reads=nothing"], ["model.decoder.reads", "model.decoder.context"]),
        (["model.decoder.context=[]"], ["model.decoder.context", "model.decoder.reads"]),
        (['model.decoder.context=["readout", "readout"]'], ["model.decoder.context", "twice"]),
        (["model.decoder.context=['layer']", "model.decoder.layers=1", "model.encoder.layers=1"], ["layer", "model.decoder.layers"]),
        (["model.decoder.readout=linear"], ["model.decoder.input_feeding", "model.decoder.readout_size"]),
        (["model.decoder.readout=linear", "model.decoder.input_feeding=false"], ["model.decoder.readout", "model.tied"]),
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
        ('model.decoder.context=["input","readout"]', "model.decoder.context", ["input", "readout"]),
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
    with pytest.raises(UsageError, match=r"^--set: train\.lrr: no such setting; did you mean train\.lr"):
        config.load("luong15", ["train.lrr=1"])
    file = tmp_path / "mine.toml"
    file.write_text("[train]\nlr = -1\n")
    with pytest.raises(UsageError, match=r"mine\.toml: train\.lr"):
        config.load(str(file), ["train.clip=1"])
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


def test_lengths_between_which_nothing_lies_are_refused() -> None:
    with pytest.raises(UsageError, match=r"search\.min_length is 5 and search\.max_length 4"):
        config.load("first-try", ["search.min_length=5", "search.max_length=4"])
    config.load("first-try", ["search.min_length=5", "search.max_length=5"])
