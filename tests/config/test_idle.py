"""Settings that do nothing are refused where the user names them, and pass where a file holds them."""

import re
from pathlib import Path

import pytest

from seq2attn import config
from seq2attn.errors import UsageError

A = "model.attention."


def test_settings_of_training_are_refused_for_a_trained_run() -> None:
    for setting in (
        *("data.vocab_size=9", "train.lr=1", "train=3", "about=x", "model.dropout=0", "model.init=uniform"),
        *("model.init_range=1", "model.encoder.weights=x", "model.encoder.frozen=true"),
    ):
        with pytest.raises(UsageError) as refusal:
            config.refuse_training_only(["search.beam=3", setting])
        assert str(refusal.value).startswith(f"settings {setting}: acts before or in training alone")
        assert "\n" not in str(refusal.value)


def test_settings_that_act_in_a_trained_run_are_accepted() -> None:
    every = [key for key in config.flat(config.Config()) if key.split(".")[0] in ("model", "search")]
    spent = config.names_marked(config.TRAINING_ONLY)
    assert len(every) > len(spent) - len(config.DataConfig.model_fields) - len(
        config.TrainConfig.model_fields
    )
    config.refuse_training_only([f"{key}=1" for key in every if key not in spent])
    with pytest.raises(UsageError, match="KEY=VALUE"):
        config.refuse_training_only(["search.beam"])


def test_example_of_a_setting_for_a_trained_run_is_accepted() -> None:
    with pytest.raises(UsageError) as refusal:
        config.refuse_training_only(["search.beam"])
    example = str(refusal.value).split("as in ")[1]
    config.refuse_training_only([example])
    config.change(config.Config(), [example])


# preset, settings whose last does nothing, why, the other way out ("": there is none), settings with which
# it acts
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
    *(
        (
            "luong15",
            ["model.attention.size=64"],
            'model.attention.score="general" has no hidden units',
            "several heads",
            [acts],
        )
        for acts in (f"{A}score=concat", f"{A}heads=4", f"{A}window=local-p")
    ),
    (
        "keyed-identity",
        ["model.attention.size=64"],
        'score="keyed" with an identity map',
        "another score",
        [f"{A}query_map=linear", f"{A}key_map=linear"],
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
        ["train={momentum=0.9}"],
        'train.optimizer is "adam"',
        'set train.optimizer="sgd"',
        ["train.optimizer=sgd"],
    ),
    (
        "luong15",
        ["train.optimizer=sgd", "train.beta2=0.9"],
        'train.optimizer is "sgd"',
        'set train.optimizer="adam"',
        ["train.optimizer=adamw"],
    ),
    ("luong15", ["data.max_missing=0.2"], "it is for images, and the source is text", "", None),
    ("xu15-soft", ["data.max_ratio=2"], "it is for text, and the source is images", "", None),
    (
        "xu15-soft",
        ["train.self_critical.samples=9"],
        "train.self_critical.start_step is not set",
        "set train.self_critical.start_step to a value",
        ["train.self_critical.start_step=9"],
    ),
    (
        "gumbel",
        ["train.reinforce.weight=1"],
        'model.attention.normaliser is "gumbel"',
        'set model.attention.normaliser="hard-sample"',
        ["model.attention.normaliser=hard-sample"],
    ),
    (
        "cho14",
        ["train.reinforce.entropy_weight=0"],
        'model.decoder.context_source is "summary"',
        "choose a model with hard-sample attention",
        None,
    ),
]


@pytest.mark.parametrize(("preset", "settings", "why", "way", "acts"), IDLE)
def test_setting_that_does_nothing_is_refused_where_it_is_named(
    preset: str, settings: list[str], why: str, way: str, acts: list[str] | None
) -> None:
    with pytest.raises(UsageError) as refusal:
        config.load(preset, ["search.beam=2", *settings])
    message = str(refusal.value)
    assert message.startswith(f"settings {settings[-1]}: does nothing, for ")
    assert why in message
    pattern = rf"; leave it out, or .*{re.escape(way)}" if way else "; leave it out$"
    assert re.search(pattern, message)
    assert "\n" not in message
    if acts is not None:
        config.load(preset, [*settings, *acts])


@pytest.mark.parametrize(
    "score",
    [
        name
        for name, traits in config.SCORES.items()
        if not traits.hidden_units and name not in ("keyed", "concat-location")
    ],
)
def test_size_is_refused_where_a_score_has_none(score: str) -> None:
    with pytest.raises(
        UsageError, match=rf'size=64: does nothing, for model\.attention\.score="{score}" has no hidden units'
    ):
        config.load("luong15", [f"model.attention.score={score}", "model.attention.size=64"])


@pytest.mark.parametrize("maps", [("identity", "linear"), ("nonlinear", "identity"), ("linear", "linear")])
def test_size_acts_in_keyed_attention_where_both_sides_are_mapped(maps: tuple[str, str]) -> None:
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


def test_idle_value_of_before_and_default_may_be_named() -> None:
    config.load("luong15", ["train.momentum=0.0", "train.plateau_factor=0.5", "train.reinforce.weight=0.1"])
    config.load("cho14", ["model.attention.score=additive", "model.attention.temperature=1"])


def test_file_may_hold_an_idle_setting(tmp_path: Path) -> None:
    """One change to a preset must not need a second one to what it says of its attention."""
    config.load("luong15-concat", ["model.attention.score=dot"])  # the preset names a size
    config.load("tu16", ["model.decoder.context_source=summary"])
    file = tmp_path / "mine.toml"
    file.write_text("[train]\nmomentum = 0.5\n")
    assert config.load(str(file), ["train.lr=0.5", "train.momentum=0.5"]).train.momentum == 0.5
    with pytest.raises(UsageError, match=r"momentum=0\.6: does nothing"):
        config.load(str(file), ["train.momentum=0.6"])
    file.write_text("[train]\nlr = -1\n")  # valid only with the settings
    with pytest.raises(UsageError, match="does nothing"):
        config.load(str(file), ["train.lr=1", "train.momentum=0.6"])


# the run, a setting that does nothing to it once it is trained, why, settings with which it acts
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


@pytest.mark.parametrize(("run", "setting", "why", "acts"), TRAINED)
def test_setting_that_does_nothing_to_a_trained_run_is_refused(
    run: list[str], setting: str, why: str, acts: list[str]
) -> None:
    def refuse(*settings: str) -> None:
        named = [A + part for part in settings]
        config.refuse_idle(
            named, [(before, config.change(before, named))], trained=True, where="run with --set"
        )

    before = config.change(config.Config(), [A + part for part in run])
    with pytest.raises(
        UsageError, match=rf"^run with --set {re.escape(A + setting)}: does nothing, for .*{re.escape(why)}"
    ):
        refuse(setting)
    refuse(setting, *acts)
    if not setting.startswith("size"):  # it acts in training
        config.refuse_idle([A + setting], [(before, config.change(before, [A + setting]))])


def test_setting_that_acts_in_one_of_several_runs_is_accepted() -> None:
    soft, hard = (
        config.change(config.Config(), [f"{A}normaliser={name}"]) for name in ("softmax", "hard-topk")
    )
    setting = f"{A}temperature=2"
    changes = [(run, config.change(run, [setting])) for run in (hard, soft, hard)]
    config.refuse_idle([setting], changes, trained=True)
    with pytest.raises(UsageError, match="does nothing"):
        config.refuse_idle([setting], changes[::2], trained=True)
