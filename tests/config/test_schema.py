"""Properties of every declaration: a sentence, bounds that hold, conditions whose breach is refused."""

import ast
import dataclasses
import json
import re
import typing
from collections.abc import Iterator
from typing import Any

import annotated_types
import pytest
from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from source_trees import ROOT

from seq2attn import config
from seq2attn.config import idle
from seq2attn.config.fields import Declared, declared
from seq2attn.config.marks import IgnoredUnless, When, marks_of
from seq2attn.errors import UsageError

DECLARED = list(declared())
SETTINGS = [one for one in DECLARED if not one.is_section]


def name_of(one: object) -> str:
    return f"{one.name}-{one.kind}" if isinstance(one, Declared) else ""


def kind_of(one: Declared) -> list[str]:
    """Settings that choose the kind of encoder or decoder that has a setting."""
    side = one.name.split(".")[1] if one.kind else ""
    return [f"model.{side}.kind={one.kind}"] if one.kind else []


def other_values(field: FieldInfo) -> Iterator[Any]:
    """Values that are not the default, and that the type alone allows."""
    default = field.default
    values: list[Any] = list(config.choices(field.annotation))
    values += [
        not default,
        *(2, 4, 8, 3, 1, 0.25, 2.5, 0.5, "some"),
        *([part] for part in config.choices(field.annotation)),
        [2],
        [0.25, 0.5, 0.75],
    ]
    type_: TypeAdapter[Any] = TypeAdapter(typing.Annotated[field.annotation, "", *field.metadata])
    for value in values:
        try:
            type_.validate_python(value, strict=not isinstance(value, list))
        except ValidationError:
            continue
        if value != default and (type(value) is type(default) or default is None or isinstance(value, list)):
            yield value


# Scores


def test_every_score_has_a_row() -> None:
    names = set(typing.get_args(config.ScoreName))
    missing = sorted(names - config.SCORES.keys())
    assert not missing, f"config/scores.py: SCORES has no row for {', '.join(missing)}"
    unknown = sorted(config.SCORES.keys() - names)
    assert not unknown, f"config/scores.py: ScoreName has no {', '.join(unknown)}"


def test_scores_are_listed_in_their_table_and_in_the_reference_alone() -> None:
    """Other code reads the table, so that a new score is a class, a row, a preset and a function."""
    names, lists = set(config.SCORES), []
    for path in (path for folder in ("seq2attn", "tests") for path in sorted((ROOT / folder).rglob("*.py"))):
        text = path.read_text(encoding="utf-8")
        if sum(f'"{name}"' in text for name in names) <= len(names) / 2:
            continue  # it takes long to parse all
        for node in ast.walk(ast.parse(text)):
            match node:
                case (
                    ast.Tuple(elts=items) | ast.List(elts=items) | ast.Set(elts=items) | ast.Dict(keys=items)
                ):
                    values = {item.value for item in items if isinstance(item, ast.Constant)}
                    if len(values & names) > len(names) / 2:
                        lists.append(str(path.relative_to(ROOT)))
    assert set(lists) == {"seq2attn/config/scores.py", "tests/reference/attention.py"}


# Sentences


@pytest.mark.parametrize("one", DECLARED, ids=name_of)
def test_every_setting_and_section_has_a_sentence(one: Declared) -> None:
    text = one.field.description
    assert text, "a setting without a description"
    assert re.match(r"[A-Z].*\.$", text), text
    assert not re.match(r"(?i)(of|what|how|which|whether|where|this|a|the)\b", text), text
    assert "  " not in text
    assert "\n" not in text


@pytest.mark.parametrize("one", SETTINGS, ids=name_of)
def test_a_setting_that_may_be_unset_says_what_then_happens(one: Declared) -> None:
    can_be_none = type(None) in typing.get_args(one.field.annotation)
    assert can_be_none == ("not set: " in (one.field.description or ""))


@pytest.mark.parametrize("name", ["first-try", "transformer", "gehring17", "video"])
def test_description_names_every_allowed_value(name: str) -> None:
    settings = config.load(name)
    for key in config.flat(settings):
        for one in SETTINGS:
            if one.name == key and (
                not one.kind or one.kind == getattr(settings.model, key.split(".")[1]).kind
            ):
                for value in config.choices(one.field.annotation):
                    assert re.search(rf"(?<![\w-]){value}(?![\w-])", config.description(settings, key))


def test_description_of_a_setting_says_when_it_acts() -> None:
    assert config.description(config.Config(), "model.attention.k") == (
        "Positions: number of source positions that are read at each step. "
        'Acts only with normaliser="hard-topk" or "hard-sample".'
    )
    assert config.description(config.Config(), "train.flip").endswith(" For images.")
    assert config.description(config.Config(), "train.self_critical.samples").endswith(
        " For images. Acts only with start_step set."
    )


# Bounds


def bounds(annotation: Any, metadata: typing.Sequence[Any] = ()) -> Iterator[tuple[Any, float]]:
    """(Bound, a number just beyond it) of every bound in a type."""
    for bound in metadata:
        if isinstance(bound, FieldInfo):
            yield from bounds(None, bound.metadata)
        elif dataclasses.is_dataclass(bound):
            match bound:
                case annotated_types.Ge():
                    yield bound, bound.ge - 1
                case annotated_types.Le():
                    yield bound, bound.le + 1
                case annotated_types.Gt():
                    yield bound, bound.gt
                case annotated_types.Lt():
                    yield bound, bound.lt
    if typing.get_origin(annotation) is typing.Annotated:
        yield from bounds(typing.get_args(annotation)[0], typing.get_args(annotation)[1:])
    else:
        for part in typing.get_args(annotation):
            yield from bounds(part)


@pytest.mark.parametrize(
    ("one", "bound", "beyond"),
    [(one, *pair) for one in SETTINGS for pair in bounds(one.field.annotation, one.field.metadata)],
    ids=name_of,
)
def test_every_bound_is_refused_beyond_it(one: Declared, bound: object, beyond: float) -> None:
    written = [beyond] * 3 if typing.get_origin(one.field.annotation) is tuple else beyond
    with pytest.raises(UsageError) as refusal:
        config.change(config.Config(), [*kind_of(one), f"{one.name}={written}"])
    assert re.match(
        rf"settings: {re.escape(one.name)}: it must be (at least|at most|above|below) ", str(refusal.value)
    )


# Conditions


CONDITIONS = [(one, mark) for one in DECLARED for mark in marks_of(one.field) if isinstance(mark, When)]
# What a condition's owner needs beside it, or what stands for an owner that is no setting itself.
BESIDE = {
    "model.encoder.norm": ["model.encoder.weights=some.safetensors"],
    "model.encoder.clips=true": ["model.encoder.max_frames=2"],
    "model.encoder.clips=false": ["model.encoder.max_frames=1"],
    "model.attention.score=concat-location": ["model.attention.query_input=both"],
}


def written(key: str, value: object) -> list[str]:
    setting = f"{key}={value if isinstance(value, str) else json.dumps(value)}"
    if key.endswith(".clips"):
        return BESIDE[setting]
    return [*BESIDE.get(setting, []), setting]


def with_condition(one: Declared, broken: When | None) -> list[str]:
    """Settings with which every condition holds, except one. Without clips nothing temporal is set."""
    section = one.name.rpartition(".")[0]
    settings = kind_of(one)
    for mark in marks_of(one.field):
        if isinstance(mark, When) and mark is not broken and not (broken and broken.name == "clips"):
            settings += written(f"{section}.{mark.name}", mark.values[0])
    return settings


def breaches(one: Declared, mark: When) -> list[object]:
    """Values of the condition's owner with which the setting does nothing."""
    section = one.name.rpartition(".")[0]
    if mark.name == "clips":
        return [False]
    owner = next(o.field for o in SETTINGS if o.name == f"{section}.{mark.name}" and o.kind == one.kind)
    every = list(config.choices(owner.annotation)) or list(config.BACKBONES)
    assert set(mark.values) < set(every), "a condition that names no value of its owner"
    return [value for value in every if value not in mark.values]


def valid_value(one: Declared) -> Any:
    """A value that is not the default, with which the config is valid where all conditions hold."""
    for value in other_values(one.field):
        settings = [*with_condition(one, None), *BESIDE.get(one.name, []), *written(one.name, value)]
        try:
            config.change(config.Config(), settings)
        except UsageError:
            continue
        return value
    raise AssertionError(f"no value of {one.name} was accepted")


@pytest.mark.parametrize(("one", "mark"), CONDITIONS, ids=name_of)
def test_a_setting_is_refused_where_its_condition_is_broken(one: Declared, mark: When) -> None:
    value = valid_value(one)
    for owner in breaches(one, mark):
        section = one.name.rpartition(".")[0]
        base = [*with_condition(one, mark), *written(f"{section}.{mark.name}", owner)]
        config.change(
            config.Config(), [*base, *written(one.name, one.field.default)]
        )  # the default may be named
        tree = config.change(config.Config(), base).model_dump(mode="json")
        part = tree
        for name in section.split("."):
            part = part[name]
        part[one.name.rpartition(".")[2]] = value
        for refused in (
            lambda base=base: config.change(config.Config(), [*base, *written(one.name, value)]),
            lambda base=base: config.load("first-try", [*base, *written(one.name, value)]),
            lambda tree=tree: config.validate(tree, "config.json"),
        ):
            with pytest.raises(UsageError) as refusal:
                refused()
            message = str(refusal.value)
            assert re.search(rf": {re.escape(one.name)} is for ", message)
            assert mark.why or f'{section}.{mark.name}="{mark.values[0]}"' in message
            assert mark.why or f"leave it at {json.dumps(one.field.default)}" in message
            assert "\n" not in message


def test_conditions_are_those_that_the_model_reads() -> None:
    """A condition that is left out, or names another value, makes its setting silently useless."""
    keyed, learned = {("score", ("keyed",))}, {("positions", ("learned",))}
    resnets = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
    clips, temporal = ("clips", (True,)), ("temporal", ("rnn", "transformer"))
    attention = {
        "query_map": keyed,
        "key_map": keyed,
        "max_positions": {("score", ("location", "concat-location"))},
        "max_fertility": {("history", ("fertility",))},
        "filters": {("history", ("location-aware",))},
        "kernel": {("history", ("location-aware",))},
        "k": {("normaliser", ("hard-topk", "hard-sample"))},
        "expectation_prob": {("normaliser", ("hard-sample",))},
        "at_inference": {("normaliser", ("hard-sample",))},
        "half_width": {("window", ("local-m", "local-p"))},
    }
    image = {
        "blocks": {("backbone", ("resnet",))},
        "channels": {("backbone", ("resnet",))},
        "stages": {("backbone", resnets)},
        "norm": {("backbone", resnets)},
        "temporal": {clips},
        "temporal_layers": {clips, temporal},
        "temporal_heads": {clips, ("temporal", ("transformer",))},
    }
    expected = {("model.attention", None, name): conditions for name, conditions in attention.items()}
    expected |= {("model.encoder", "image", name): conditions for name, conditions in image.items()}
    expected |= {
        (f"model.{side}", kind, "max_positions"): learned
        for side in ("encoder", "decoder")
        for kind in ("conv", "transformer")
    }
    declarations: dict[tuple[str, str | None, str], set[tuple[str, tuple[object, ...]]]] = {}
    for one, mark in CONDITIONS:
        section, _, name = one.name.rpartition(".")
        declarations.setdefault((section, one.kind, name), set()).add((mark.name, mark.values))
    assert declarations == expected


# Conditions whose breach is refused only where the user names the setting

IGNORED = [
    (outer, one, mark)
    for outer in DECLARED
    for mark in marks_of(outer.field)
    if isinstance(mark, IgnoredUnless)
    for one in SETTINGS
    if one.name == outer.name or one.name.startswith(f"{outer.name}.")
]
IMAGE = ["model.encoder.kind=image"]
FROZEN = [*IMAGE, "model.encoder.backbone=timm:some", "model.encoder.weights=some.safetensors"]
OWNERS = {  # the owner of a condition: settings with which it holds, and with which it does not
    "model.modality.name": (IMAGE, []),
    "model.decoder.context_source": ([], ["model.decoder.context_source=summary"]),
    "model.encoder.frozen": (IMAGE, [*FROZEN, "model.encoder.frozen=true"]),
    "train.self_critical.start_step": ([*IMAGE, "train.self_critical.start_step=9"], IMAGE),
    "train.optimizer=adam": ([], ["train.optimizer=sgd"]),
    "train.optimizer=sgd": (["train.optimizer=sgd"], ["train.optimizer=adamw"]),
    "train.schedule": (["train.schedule=plateau"], []),
    "model.init": (["model.init=uniform"], []),
    "model.attention.normaliser": (
        ["model.attention.normaliser=hard-sample"],
        ["model.attention.normaliser=gumbel"],
    ),
}


@pytest.mark.parametrize(("outer", "one", "mark"), IGNORED, ids=name_of)
def test_an_idle_setting_says_why_where_its_condition_is_broken(
    outer: Declared, one: Declared, mark: IgnoredUnless
) -> None:
    owner = mark.full_name(outer.name.rpartition(".")[0])
    holding, breaking = OWNERS.get(owner) or OWNERS[f"{owner}={mark.values[0]}"]
    if owner == "model.modality.name" and mark.values == ("text",):
        holding, breaking = breaking, holding
    breached = idle.reason(config.change(config.Config(), breaking), one.name)
    assert breached is not None
    assert "; leave it out" in breached
    assert mark.why.partition("{}")[0] in breached if mark.why else owner in breached
    if mark.way is None:
        assert f"or set {owner}" in breached
    elif mark.way:
        assert breached.endswith(f"or {mark.way}")
    way_out = idle.reason(config.change(config.Config(), holding), one.name)
    assert way_out is None or owner not in way_out


def test_ignored_settings_are_those_that_training_ignores() -> None:
    images, text = ("model.modality.name", ("images",)), ("model.modality.name", ("text",))
    thawed, attends = ("model.encoder.frozen", (False,)), ("model.decoder.context_source", ("attention",))
    adam, plateau, started = (
        ("optimizer", ("adam", "adamw", "muon")),
        ("schedule", ("plateau",)),
        ("start_step", ()),
    )
    expected = {
        "data.protect": {text},
        "data.joint": {text},
        "data.keep": {text},
        "data.normalise": {text},
        "data.align": {text},
        "data.max_ratio": {text},
        "data.max_bad": {text},
        "data.max_missing": {images},
        "data.follow_links": {images},
        "model.attention": {attends},
        "model.decoder.query_state": {attends},
        "model.init_range": {("init", ("uniform",))},
        "train.beta1": {adam},
        "train.beta2": {adam},
        "train.eps": {adam},
        "train.momentum": {("optimizer", ("sgd",))},
        "train.plateau_factor": {plateau},
        "train.plateau_patience": {plateau},
        "train.reinforce": {attends, ("model.attention.normaliser", ("hard-sample",))},
        "train.captions_per_image": {images},
        "train.max_crop": {images},
        "train.flip": {images},
        "train.color_jitter": {images},
        "train.unfreeze_step": {images, thawed},
        "train.backbone_lr_factor": {images, thawed},
        "train.self_critical": {images},
        "train.self_critical.samples": {started},
        "train.self_critical.baseline": {started},
    }
    declarations: dict[str, set[tuple[str, tuple[object, ...]]]] = {}
    for outer, _, mark in IGNORED:
        declarations.setdefault(outer.name, set()).add((mark.name, mark.values))
    assert declarations == expected


# Stages of a run


def test_settings_that_a_resumed_run_may_change() -> None:
    """How long it trains, how often it validates and how it searches; all else would make another run."""
    leaves = {one.name for one in SETTINGS}
    assert leaves & set(config.names_marked(config.MAY_CHANGE_ON_RESUME)) == {
        "about",
        *(f"train.{name}" for name in ("max_steps", "max_minutes", "patience", "log_every", "precision")),
        *("train.validate_every", "train.validate_sentences", "train.save_every"),
        *("train.deterministic", "train.cuda_graphs", "train.compile", "train.shard"),
        *(f"search.{name}" for name in config.SearchConfig.model_fields),
    }


def test_settings_that_act_in_training_alone() -> None:
    leaves = {one.name for one in SETTINGS}
    training = {name for name in leaves if name.split(".")[0] in ("about", "data", "train")}
    assert leaves & set(config.names_marked(config.TRAINING_ONLY)) == training | {
        *("model.dropout", "model.init", "model.init_range", "model.encoder.weights", "model.encoder.frozen")
    }


def test_config_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValueError, match="frozen"):
        config.load("luong15").train.lr = 1.0  # type: ignore[misc]


@pytest.mark.parametrize("name", config.presets())
def test_preset_survives_json_and_typed_settings(name: str) -> None:
    settings = config.load(name, ["train.seed=7"])
    assert (
        config.validate(json.loads(json.dumps(settings.model_dump(mode="json"))), "config.json") == settings
    )
    typed = [
        f"{key}={json.dumps(value, ensure_ascii=False)}"
        for key, value in config.flat(settings).items()
        if value is not None
    ]
    assert config.load(name, typed) == settings
