"""Configs from presets, files, trees and typed settings."""

import contextlib
import gzip
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seq2attn import config
from seq2attn.errors import UsageError, UserError

ENCODER, DECODER = "model.encoder.kind=transformer", "model.decoder.kind=transformer"


def leaves(tree: dict[str, object], prefix: str = ""):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


@pytest.mark.parametrize("name", config.presets())
def test_preset_holds_only_settings_that_there_are(name: str) -> None:
    """Each line of a preset is a setting, and says the same as what is loaded."""
    flat = config.flat(config.load(name))
    for key, value in leaves(tomllib.loads(config.presets()[name].read_text(encoding="utf-8"))):
        assert flat[key] == value


def test_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean luong15-dot"):
        config.load("luong15-dott")
    with pytest.raises(UsageError, match="--list"):
        config.load("xyz")


# Files


def test_file_is_read_and_named_in_errors(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[train]\nlr = 0.5\n")
    assert config.load(str(file)).train.lr == 0.5
    file.write_text("[train\n")
    with pytest.raises(UserError, match="not a TOML file") as refusal:
        config.load(str(file))
    assert str(file) in str(refusal.value)
    assert refusal.value.exit_code == 2
    file.write_bytes(b"about = '\xff'\n")
    with pytest.raises(UserError, match="not a TOML file"):
        config.load(str(file))
    file.write_text("[train]\nlrr = 0.5\n")
    with pytest.raises(UsageError, match=r"mine\.toml: train\.lrr: no such setting; did you mean train\.lr"):
        config.load(str(file))


def test_file_of_settings_is_text_of_a_bounded_length(tmp_path: Path) -> None:
    (tmp_path / "packed.toml").write_bytes(gzip.compress(b"[train]\nlr = 0.1\n"))
    with pytest.raises(UserError, match=r"packed\.toml: not a TOML file: it is not UTF-8 text; unpack it"):
        config.load(str(tmp_path / "packed.toml"))
    (tmp_path / "long.toml").write_bytes(b"#" * 2_000_000)
    with pytest.raises(UserError, match="not a TOML file of settings: longer than"):
        config.load(str(tmp_path / "long.toml"))


def test_valid_file_is_not_blamed_for_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^settings: train\.lrr: no such setting; did you mean train\.lr"):
        config.load("luong15", ["train.lrr=1"])
    with pytest.raises(UsageError, match=r"^--set: train\.lrr: no such setting"):
        config.load("luong15", ["train.lrr=1"], "--set")
    file = tmp_path / "mine.toml"
    file.write_text("[train]\nlr = -1\n")
    with pytest.raises(UsageError, match=r"mine\.toml: train\.lr"):
        config.load(str(file), ["train.clip_norm=1"])
    assert config.load(str(file), ["train.lr=1"]).train.lr == 1


def test_tree_that_is_no_section_names_the_file() -> None:
    with pytest.raises(UsageError, match=r"^run/config\.json"):
        config.validate([], "run/config.json")


def test_change_names_where_it_was_made() -> None:
    with pytest.raises(UsageError, match=r"^run with --set: model\.attention\.k is for"):
        config.change(config.Config(), ["model.attention.k=2"], "run with --set")


# Typed settings


@pytest.mark.parametrize(
    ("setting", "key", "value"),
    [
        ("train.lr=3e-4", "train.lr", 3e-4),
        ("train.lr=1", "train.lr", 1.0),
        (" train.lr = 0.5 ", "train.lr", 0.5),
        ("model.encoder.cell=gru", "model.encoder.cell", "gru"),
        ('model.encoder.cell="gru"', "model.encoder.cell", "gru"),
        ('model.decoder.context_to=["input","readout"]', "model.decoder.context_to", ["input", "readout"]),
        ("model.decoder.context_to=input", "model.decoder.context_to", ["input"]),
        ('model.decoder.context_to="input"', "model.decoder.context_to", ["input"]),
        ("model.decoder.context_to=input , readout", "model.decoder.context_to", ["input", "readout"]),
        ("data.joint=false", "data.joint", False),
        ("about=what = it is", "about", "what = it is"),
        ("train.batch_tokens=8_192", "train.batch_tokens", 8192),
    ],
)
def test_typed_value_is_read_as_toml_or_as_a_bare_word(setting: str, key: str, value: object) -> None:
    assert config.flat(config.load("luong15", [setting]))[key] == value


def test_later_setting_wins() -> None:
    assert config.load("luong15", ["train.seed=2", "train.seed=3"]).train.seed == 3


@given(st.sampled_from(["", *config.flat(config.load("luong15"))]), st.text(max_size=20))
def test_any_text_is_accepted_or_refused_as_a_setting(key: str, value: str) -> None:
    with contextlib.suppress(UserError):
        assert isinstance(config.load("luong15", [f"{key}={value}"]), config.Config)


# Kinds of encoders and decoders


def test_kind_starts_from_its_own_defaults() -> None:
    """The settings of another kind are gone: `luong15` has two layers of 256 units and reads both ways."""
    model = config.load("luong15", [ENCODER, DECODER]).model
    assert model.encoder == config.TransformerEncoderConfig()
    assert model.decoder == config.TransformerDecoderConfig()
    assert model.attention == config.load("luong15").model.attention
    back = config.change(
        config.Config(model=model), ["model.encoder.kind=rnn", "model.decoder.kind=rnn"]
    ).model
    assert (back.encoder, back.decoder) == (config.RNNEncoderConfig(), config.RNNDecoderConfig())


def test_same_kind_again_changes_nothing() -> None:
    for kind in ("rnn", '"rnn"'):
        assert config.load("luong15", [f"model.encoder.kind={kind}"]) == config.load("luong15")
    changed = config.load("transformer", ["model.encoder.layers=5", "model.encoder.kind=transformer"])
    assert changed.model.encoder.kind == "transformer"
    assert changed.model.encoder.layers == 5


def test_settings_of_a_kind_may_come_in_any_order() -> None:
    settings = [ENCODER, DECODER, "model.encoder.layers=5", "model.decoder.positions=rotary"]
    for order in (settings, settings[::-1]):
        model = config.load("luong15", order).model
        assert (model.encoder.layers, model.decoder.positions) == (5, "rotary")  # type: ignore[union-attr]
    # the later of two
    assert (
        config.change(config.Config(), [ENCODER, "model.encoder.kind=rnn"]).model.encoder
        == config.RNNEncoderConfig()
    )


def test_file_without_a_kind_is_recurrent(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[model.encoder]\nsize = 64\n")
    assert config.load(str(file)).model.encoder == config.RNNEncoderConfig(size=64)
    file.write_text('[model]\nembedding = 64\n[model.encoder]\nkind = "transformer"\nsize = 64\n')
    assert config.load(str(file)).model.encoder == config.TransformerEncoderConfig(size=64)
    assert config.load(str(file)).model.decoder == config.RNNDecoderConfig()


def test_settings_that_a_file_leaves_out_have_defaults_that_change_no_model() -> None:
    """A tree with a score and a size alone is softmax attention with one head over states."""
    tree = config.load("luong15").model_dump(mode="json")
    attention = tree["model"]["attention"]
    tree["model"]["attention"] = {key: attention[key] for key in ("score", "size")}
    del tree["model"]["decoder"]["gate"], tree["train"]["reinforce"]
    loaded = config.validate(tree, "config.json")
    assert loaded == config.load("luong15")
    a = loaded.model.attention
    assert (a.query_input, a.keys, a.values, a.value_map, a.heads) == (
        "state",
        "states",
        "states",
        "identity",
        1,
    )
    assert (a.history, a.normaliser, a.temperature, a.window) == ("none", "softmax", 1.0, "none")
    assert loaded.model.decoder.gate == "none"  # type: ignore[union-attr]
