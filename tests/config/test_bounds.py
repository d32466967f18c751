"""Settings of absurd size are refused in a line, before anything of that size is made."""

import typing
from typing import Any

import pytest
import torch

from seq2attn import config
from seq2attn.errors import UsageError
from seq2attn.models.seq2seq import build


def numbers() -> list[tuple[str, str | None]]:
    """Every setting that is a number, or a list of some, with the kind that it is for."""
    return [
        (name, kind)
        for name, kind, field in config.fields()
        if int in _types(field.annotation) or float in _types(field.annotation)
    ]


def _types(annotation: object) -> set[object]:
    parts = typing.get_args(annotation)
    return {annotation} if not parts else set().union(*map(_types, parts))


def absurd(key: str, kind: str | None, value: object) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    *parents, last = key.split(".")
    section = tree
    for parent in parents:
        section = section.setdefault(parent, {})
    section[last] = value
    if kind is not None:
        section["kind"] = kind
    return tree


@pytest.mark.parametrize("value", [10**12, 10**30, -1, -(10**30), float("inf"), float("nan"), 1e300])
def test_every_number_has_bounds(value: float) -> None:
    fields = numbers()
    assert len(fields) > 90
    for key, kind in fields:
        for tree in (absurd(key, kind, value), absurd(key, kind, [value])):
            with pytest.raises(UsageError) as error:
                config.validate(tree, "x.toml")
            assert "\n" not in str(error.value)
            assert len(str(error.value)) < 300


def test_message_names_the_bound_the_setting_and_the_value() -> None:
    with pytest.raises(
        UsageError, match=r"^settings: model.encoder.layers: it must be at most 256, not 1000000$"
    ):
        config.load("first-try", ["model.encoder.layers=1000000"])
    with pytest.raises(UsageError, match=r"search.beam: it must be at most 1,024, not 100000$"):
        config.load("first-try", ["search.beam=100000"])


@pytest.mark.parametrize(
    "value",
    [
        "9" * 40,
        "9" * 5000,
        "0x" + "f" * 9000,
        "1e400",
        "-1e400",
        "nan",
        "[" * 5000,
        "true",
        '"' + "x" * 5000 + '"',
    ],
)
def test_absurd_number_is_refused_in_a_short_line(value: str) -> None:
    for key in ("model.embedding", "train.lr", "train.warmup", "search.max_length"):
        with pytest.raises(UsageError) as error:
            config.load("first-try", [f"{key}={value}"])
        assert key in str(error.value)
        assert len(str(error.value)) < 300


def test_sizes_that_are_too_large_together_are_refused() -> None:
    for settings in (
        ["model.encoder.size=16384"],
        ["model.embedding=16384", "data.vocab_size=1000000"],
        ["model.decoder.size=8000", "model.decoder.layers=256"],
        [
            "model.encoder.kind=conv",
            "model.encoder.size=16384",
            "model.encoder.layers=256",
            "model.encoder.kernel=999",
        ],
    ):
        with pytest.raises(UsageError, match="parameters"):
            config.load("first-try", settings)


@pytest.mark.parametrize("name", config.presets())
def test_estimate_of_parameters_is_near_the_model(name: str) -> None:
    settings = config.load(name)
    vocabulary = settings.data.vocab_size
    with torch.device("meta"):
        model = build(settings.model, 0 if settings.model.images else vocabulary, vocabulary, draw=False)
    real = sum(parameter.numel() for parameter in model.parameters())
    assert real / 2 < config.estimate_parameters(settings.model, vocabulary) < real * 2 + 1e6


def test_large_model_of_research_is_within_the_bounds() -> None:
    """Twelve layers on either side, 250,000 pieces: 0.8 billion parameters."""
    sides = {"size": 1024, "layers": 12, "heads": 16, "feedforward": 8192}
    settings = [
        f"model.{side}.{name}={value}" for side in ("encoder", "decoder") for name, value in sides.items()
    ]
    large = config.load("vaswani17", [*settings, "model.embedding=1024", "data.vocab_size=250000"])
    assert 8e8 < config.estimate_parameters(large.model, 250_000) < 9e8
    with pytest.raises(UsageError, match="at most 1,000,000,000"):
        config.load("vaswani17", [*settings, "model.embedding=1024", "data.vocab_size=1000000"])


def test_accumulated_batches_are_bounded() -> None:
    with pytest.raises(UsageError, match=r"train\.accumulate"):
        config.change(config.Config(), ["train.accumulate=1001"])
