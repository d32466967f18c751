"""Settings: every preset is one, wrong ones are refused by name before any work starts, and what is written reads back the same."""

import contextlib
import json
import re
import tomllib
import typing

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


# Attention

A = "model.attention."
OWNED = {  # setting: (a value that is not its default, the choice with which it acts, one with which it does not)
    "query_map": ("identity", "score=keyed", "score=general"),
    "key_map": ("nonlinear", "score=keyed", "score=additive"),
    "positions": ("9", "score=location", "score=concat"),
    "max_fertility": ("3.5", "past=fertility", "past=coverage"),
    "filters": ("3", "past=location-aware", "past=fertility"),
    "kernel": ("3", "past=location-aware", "past=none"),
    "k": ("2", "normaliser=hard-topk", "normaliser=gumbel"),
    "expected": ("0.25", "normaliser=hard-sample", "normaliser=hard-topk"),
    "decoding": ("sample", "normaliser=hard-sample", "normaliser=softmax"),
    "half_width": ("3", "window=local-m", "window=none"),
}


def of_attention(*settings: str) -> config.Attention:
    return config.change(config.Config(), [A + setting for setting in settings]).model.attention


def test_every_setting_of_one_choice_is_tested() -> None:
    assert set(OWNED) == {name for name, _, _ in config._ACTS}
    for name, owner, kinds in config._ACTS:
        choices = typing.get_args(config.Attention.model_fields[owner].annotation)
        assert set(kinds) < set(choices), name
        assert config.Attention.model_fields[owner].default not in kinds, name


@pytest.mark.parametrize(("name", "value", "acts", "idle"), [(name, *row) for name, row in OWNED.items()])
def test_a_setting_of_one_choice_is_refused_with_the_others(name: str, value: str, acts: str, idle: str, tmp_path) -> None:
    owner, chosen = idle.split("=")
    default = config.Attention.model_fields[name].default
    expected = str(of_attention(acts, f"{name}={value}").model_dump()[name])
    assert (expected, str(default)) == (value, str(of_attention(acts).model_dump()[name]))
    of_attention(idle, f"{name}={json.dumps(default)}")  # what does nothing may be said
    file = tmp_path / "mine.toml"
    file.write_text(f"[model.attention]\n{owner} = {json.dumps(chosen)}\n{name} = {value if value[0].isdigit() else json.dumps(value)}\n")
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
    with pytest.raises(UsageError, match=r'model\.attention\.k is for model\.attention\.normaliser="hard-topk" or "hard-sample": with "softmax"'):
        of_attention("k=2")
    of_attention("normaliser=hard-sample", "k=2", "expected=0")
    of_attention("score=concat-location", "queries=both", "positions=9")
    of_attention("window=local-p", "half_width=3")


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (["past=location-aware", "kernel=4"], ["kernel is 4", "odd"]),
        (["score=concat-location"], ['score="concat-location"', 'queries="both"']),
        (["score=concat-location", "queries=embedding"], ['score="concat-location"', 'queries="both"']),
        (["score=location", "keys=embeddings"], ["keys is what a score compares", 'score="location"']),
        (["window=local-p", "normaliser=hard-topk"], ['window="local-p"', 'normaliser="hard-topk"', "local-m"]),
        (["window=local-p", "normaliser=hard-sample"], ['window="local-p"', 'normaliser="hard-sample"']),
        (["window=local-p", "normaliser=gumbel"], ['window="local-p"', 'normaliser="gumbel"']),
        (["normaliser=hard-sample", "k=2"], ["k is 2", "expected=0", "k=1"]),
        (["normaliser=hard-sample", "k=2", "expected=0", "decoding=expected"], ["k is 2", "another decoding"]),
        (["heads=4", "value_map=linear"], ["heads is 4", "value_map"]),
        (["heads=3"], ["heads=3", "512"]),
        (["heads=4", "size=10"], ["heads=4", "10", "512"]),
        (["keys=sum"], ['keys="sum"', "512", "model.embedding is 256"]),
        (["values=sum"], ['values="sum"', "512", "model.embedding is 256"]),
        (["score=dot", "keys=embeddings"], ['score="dot"', "512", "256", "general"]),
        (["score=cosine", "queries=both"], ['score="cosine"', "768", "512"]),
        (["score=keyed", "key_map=identity", "query_map=identity", "queries=embedding"], ['score="keyed"', "256", "512"]),
        (["score=dott"], ["score", "dott"]),
        (["normaliser=sparse"], ["normaliser", "sparse"]),
        (["heads=0"], ["heads"]),
        (["k=0", "normaliser=hard-topk"], ["k"]),
        (["half_width=0", "window=local-m"], ["half_width"]),
        (["temperature=0"], ["temperature"]),
        (["expected=1", "normaliser=hard-sample"], ["expected"]),
        (["max_fertility=0", "past=fertility"], ["max_fertility"]),
        (["filter=3", "past=location-aware"], ["filter: no such setting", "did you mean model.attention.filters"]),
    ],
)
def test_attention_that_contradicts_itself_is_refused_by_name(settings: list[str], named: list[str]) -> None:
    with pytest.raises(UsageError) as refusal:
        of_attention(*settings)
    message = str(refusal.value)
    assert message.startswith("--set: ")
    assert "\n" not in message
    for name in [A, *named]:
        assert name in message


@pytest.mark.parametrize(
    "settings",
    [
        ["heads=4"],
        ["heads=4", "score=dot", "keys=embeddings", "queries=both"],  # each head's projections make the sizes equal
        ["score=keyed", "key_map=identity"],
        ["score=keyed", "key_map=identity", "query_map=identity"],
        ["score=dot", "keys=embeddings", "queries=embedding"],
        ["score=location", "keys=embeddings", "past=fertility"],  # whose fertility is read off the keys
        ["values=embeddings", "value_map=nonlinear"],
        ["window=local-m", "normaliser=hard-topk", "k=3"],
        ["window=local-p", "normaliser=sigmoid"],
        ["normaliser=hard-sample", "k=2", "expected=0", "decoding=sample"],
        ["past=coverage", "normaliser=sparsemax", "temperature=2"],
    ],
)
def test_attention_that_agrees_is_taken(settings: list[str]) -> None:
    chosen = of_attention(*settings)
    assert of_attention(*(f"{key}={json.dumps(value)}" for key, value in chosen.model_dump(mode="json").items() if value is not None)) == chosen


@pytest.mark.parametrize("bridge", ["mean", "zero"])
@pytest.mark.parametrize("attention", [["keys=embeddings"], ["score=location"]])
def test_an_encoder_that_nothing_reads_is_refused_by_name(bridge: str, attention: list[str]) -> None:
    settings = ["model.attention.values=embeddings", f"model.decoder.bridge={bridge}"]
    with pytest.raises(UsageError, match=f'model.attention.values="embeddings" with model.decoder.bridge="{bridge}": nothing reads'):
        config.change(config.Config(), [*settings, *(f"model.attention.{setting}" for setting in attention)])
    config.change(config.Config(), settings)
    config.change(config.Config(), [settings[0], "model.attention.keys=embeddings", "model.decoder.bridge=linear"])


@pytest.mark.parametrize("choice", ["scalar", "context"])
@pytest.mark.parametrize("reads", ["summary", "nothing"])
def test_a_gate_without_attention_is_refused_by_name(choice: str, reads: str) -> None:
    context = [] if reads == "nothing" else ["input"]
    settings = [f"model.decoder.reads={reads}", f"model.decoder.context={json.dumps(context)}"]
    config.change(config.Config(), settings)
    with pytest.raises(UsageError, match=rf'model\.decoder\.gate is on what attention reads, and model\.decoder\.reads is "{reads}"'):
        config.change(config.Config(), [*settings, f"model.decoder.gate={choice}"])
    assert config.change(config.Config(), [f"model.decoder.gate={choice}"]).model.decoder.gate == choice


def test_attention_is_not_held_to_sizes_where_nothing_attends() -> None:
    settings = ["model.decoder.reads=summary", "model.attention.score=dot", "model.decoder.size=300"]
    assert config.change(config.Config(), settings).model.memory_size("values") == 512


def test_sizes_of_what_is_compared_and_read() -> None:
    model = config.change(config.Config(), ["model.attention.keys=embeddings", "model.attention.queries=both"]).model
    assert (model.memory_size("keys"), model.memory_size("values"), model.query_size, model.attention_size) == (256, 512, 768, 512)
    model = config.change(config.Config(), ["model.embedding=512", "model.attention.values=sum", "model.attention.size=64"]).model
    assert (model.memory_size("keys"), model.memory_size("values"), model.query_size, model.attention_size) == (512, 512, 512, 64)
    assert config.change(config.Config(), ["model.attention.queries=embedding"]).model.query_size == 256


def test_a_config_of_before_these_settings_loads_as_what_it_was() -> None:
    """A run that was trained when attention had a score and a size alone, and training no draws."""
    tree = config.load("luong15").model_dump(mode="json")
    old = json.loads(json.dumps(tree))
    old["model"]["attention"] = {key: tree["model"]["attention"][key] for key in ("score", "size")}
    del old["model"]["decoder"]["gate"]
    for name in ("reinforce", "entropy", "baseline"):
        del old["train"][name]
    loaded = config.validate(old, "config.json")
    assert loaded == config.load("luong15")
    plain = {"queries": "state", "keys": "states", "values": "states", "value_map": "identity", "heads": 1, "past": "none", "normaliser": "softmax"}
    found = loaded.model.attention.model_dump()
    assert {key: found[key] for key in plain} == plain
    assert (found["temperature"], found["window"], loaded.model.decoder.gate) == (1.0, "none", "none")


def test_what_trains_draws_is_a_setting_of_training() -> None:
    for setting in ("train.reinforce=-1", "train.entropy=-0.1", "train.baseline=1"):
        with pytest.raises(UsageError, match=setting.split("=")[0].replace(".", r"\.")):
            config.load("luong15", [setting])
    train = config.load("luong15", ["train.reinforce=0", "train.entropy=0", "train.baseline=0"]).train
    assert (train.reinforce, train.entropy, train.baseline) == (0, 0, 0)


# A trained run


@pytest.mark.parametrize("setting", ["data.vocab_size=9", "train.lr=1", "train=3", "about=x", "model.dropout=0", "model.init=uniform", "model.init_range=1"])
def test_settings_that_training_has_used_up_are_refused_by_name(setting: str) -> None:
    with pytest.raises(UsageError, match=f"^--set {re.escape(setting)}: acts before or in training alone") as refusal:
        config.refuse_spent(["search.beam=3", setting])
    assert "\n" not in str(refusal.value)


def test_settings_that_act_in_a_trained_run_are_not_refused() -> None:
    every = [key for key in config.flat(config.Config()) if key.split(".")[0] in ("model", "search")]
    config.refuse_spent([f"{key}=1" for key in every if key not in config.SPENT])
    assert set(config.SPENT) <= {"data", "train", *config.flat(config.Config())}
    with pytest.raises(UsageError, match="KEY=VALUE"):
        config.refuse_spent(["search.beam"])


def test_a_change_names_where_it_was_made() -> None:
    with pytest.raises(UsageError, match=r"^run with --set: model\.attention\.k is for"):
        config.change(config.Config(), ["model.attention.k=2"], "run with --set")


def test_lengths_between_which_nothing_lies_are_refused() -> None:
    with pytest.raises(UsageError, match=r"search\.min_length is 5 and search\.max_length 4"):
        config.load("first-try", ["search.min_length=5", "search.max_length=4"])
    config.load("first-try", ["search.min_length=5", "search.max_length=5"])
