"""Settings, runs and options of absurd size: refused in a line, before anything of that size is made."""

import json
import shutil
import typing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tiny
import torch

import seq2attn
from seq2attn import config
from seq2attn.cli import app
from seq2attn.errors import UsageError, UserError
from seq2attn.inference import Translator, predictor
from seq2attn.runs import loading
from seq2attn.runs.headers import read_shapes

KINDS = {
    "model.encoder.kind": ("rnn", "conv", "transformer", "image"),
    "model.decoder.kind": ("rnn", "conv", "transformer"),
}


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
    found = numbers()
    assert len(found) > 90
    for key, kind in found:
        for tree in (absurd(key, kind, value), absurd(key, kind, [value])):
            with pytest.raises(UsageError) as error:
                config.validate(tree, "x.toml")
            assert "\n" not in str(error.value)
            assert len(str(error.value)) < 300


def test_a_bound_is_named_with_the_setting_and_the_value() -> None:
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
def test_what_is_typed_as_a_number_is_a_short_line(value: str) -> None:
    for key in ("model.embedding", "train.lr", "train.warmup", "search.max_length"):
        with pytest.raises(UsageError) as error:
            config.load("first-try", [f"{key}={value}"])
        assert key in str(error.value)
        assert len(str(error.value)) < 300


def test_sizes_that_are_fine_one_by_one_are_too_large_together() -> None:
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
def test_the_estimate_of_parameters_is_near_the_truth(name: str) -> None:
    settings = config.load(name)
    pieces = settings.data.vocab_size
    with torch.device("meta"):
        model = loading.build(settings.model, 0 if settings.model.images else pieces, pieces, draw=False)
    real = sum(parameter.numel() for parameter in model.parameters())
    assert real / 2 < config.estimate_parameters(settings.model, pieces) < real * 2 + 1e6


# Runs


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_run(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture
def changed(sound: Path, tmp_path: Path) -> Any:
    def change(key: str, value: object) -> Path:
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        shutil.copytree(sound, tmp_path / "run")
        file = tmp_path / "run" / "config.json"
        tree = section = json.loads(file.read_text())
        *parents, last = key.split(".")
        for parent in parents:
            section = section[parent]
        section[last] = value
        file.write_text(json.dumps(tree))
        return tmp_path / "run"

    return change


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("config.model.encoder.layers", 10**6),
        ("config.model.encoder.layers", 200),
        ("config.model.decoder.layers", 200),
        ("config.model.encoder.size", 10**6),
        ("config.model.encoder.size", 5000),
        ("config.model.embedding", 10**4),
        ("config.model.attention.size", 10**4),
        ("vocabulary.source", 10**6),
        ("vocabulary.target", 10**12),
        ("vocabulary.source", 10**30),
        ("config.search.beam", 10**5),
        ("config.search.max_length", 10**12),
        ("config.search.no_repeat_ngram", 10**9),
    ],
)
def test_nothing_large_is_made_of_a_run_whose_weights_are_of_another_size(
    changed: Any, monkeypatch: pytest.MonkeyPatch, key: str, value: int
) -> None:
    path = changed(key, value)
    build = loading.build

    def in_small(settings: config.ModelConfig, *sizes: int, **options: Any) -> Any:
        assert (
            torch.empty(1).device.type == "meta"
            or config.estimate_parameters(settings, max(sizes)) < 3_000_000
        ), "a large model was made"
        return build(settings, *sizes, **options)

    monkeypatch.setattr(loading, "build", in_small)
    with pytest.raises(UserError) as error:
        seq2attn.load(path, device="cpu")
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_sound_run_has_the_weights_that_its_settings_say(sound: Path) -> None:
    run = loading.open_run(sound)
    assert {name: list(shape) for name, shape in loading._shapes(run).items()} == read_shapes(run.weights)
    assert torch.random.get_rng_state().equal((torch.manual_seed(1), torch.random.get_rng_state())[1])
    seq2attn.load(sound, device="cpu")
    # loading draws nothing of the caller's
    assert torch.random.get_rng_state().equal((torch.manual_seed(1), torch.random.get_rng_state())[1])


# Options


@pytest.mark.parametrize(
    "options",
    [
        {"beam": 10**5},
        {"beam": 10**30},
        {"beam": -1},
        {"beam": 2.5},
        {"beam": True},
        {"n_best": 10**6, "sample": True},
        {"max_length": 10**12},
        {"max_length": 0},
        {"min_length": 10**9},
        {"no_repeat_ngram": 10**9},
        {"batch_tokens": 0},
        {"batch_tokens": -1},
        {"length_penalty": 1e400},
        {"length_penalty": float("nan")},
        {"temperature": float("nan"), "sample": True},
        {"top_p": float("nan"), "sample": True},
        {"top_k": -5, "sample": True},
        {"prefixes": [5]},
        {"beam": "5"},
    ],
)
def test_absurd_options_of_python_are_refused_by_name(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as error:
        tiny.translator().translate(["rain"], **options)
    assert next(iter(options)).rstrip("es") in str(error.value)


@pytest.mark.parametrize("texts", [[5], [None], [b"rain"], "rain", [["rain"]]])
def test_texts_are_strings(texts: Any) -> None:
    with pytest.raises(UsageError):
        tiny.translator().translate(texts)


ABSURD = ("9" * 40, "1e400", "nan", "inf", "-9", "-" + "9" * 40, "")
TRANSLATE = (
    "beam",
    "n-best",
    "max-length",
    "min-length",
    "no-repeat-ngram",
    "batch-tokens",
    "length-penalty",
    "seed",
)
COMMANDS = {
    "translate": (["run"], TRANSLATE),
    "caption": (["run"], TRANSLATE),
    "evaluate": (
        ["run"],
        ("beam", "no-repeat-ngram", "batch-tokens", "length-penalty", "seed", "gold-first"),
    ),
    "prepare": (
        ["corpus.tsv", "out"],
        ("vocab-size", "max-length", "max-ratio", "max-missing", "valid", "test", "workers", "seed"),
    ),
    "train": (["--data", "nowhere"], ("max-steps", "max-minutes", "seed")),
    "plot-alignment": (["run", "--source", "rain"], ("number", "caption", "line", "layer", "head")),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_absurd_numbers_on_the_command_line_are_wrong_usage(
    command: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    arguments, names = COMMANDS[command]
    for name in names:
        for value in ABSURD:
            # how many layers there are is known when the run is
            if command == "plot-alignment" and value.isdecimal():
                continue
            code = app.run([command, *arguments, f"--{name}={value}"])
            out, err = capsys.readouterr()
            assert (code, out) == (2, ""), (name, value, err)
            assert err.count("\n") == 1
            assert "internal error" not in err


def test_a_wide_search_is_as_good_as_a_narrow_one_is_at_its_width() -> None:
    translator = tiny.translator()
    wide = translator.translate(
        ["the small dog", "rain falls"], beam=predictor.WIDE + 44, max_length=6, attention=False
    )
    for texts in (["the small dog"], ["rain falls", "a big cat", "the small dog"]):
        again = translator.translate(texts, beam=predictor.WIDE + 44, max_length=6, attention=False)
        assert again[-1][0] == wide[0][0] if len(texts) > 1 else again[0][0] == wide[0][0]


def test_a_search_that_could_take_gigabytes_says_so_before_it_begins() -> None:
    translator = tiny.translator()
    long = "the small dog " * 600
    with pytest.raises(
        UsageError,
        match=r"beam is 1000: .* GB; make `beam` or `max_length` smaller, or leave out the attention",
    ):
        translator.translate(["rain", long], beam=1000)
    assert translator.translate(["rain"], beam=1000, max_length=3)[0][0].text is not None


def test_a_large_model_of_research_is_within_the_bounds() -> None:
    """Twelve layers on either side, 250,000 pieces: 0.8 billion parameters."""
    sides = {"size": 1024, "layers": 12, "heads": 16, "feedforward": 8192}
    settings = [
        f"model.{side}.{name}={value}" for side in ("encoder", "decoder") for name, value in sides.items()
    ]
    large = config.load("vaswani17", [*settings, "model.embedding=1024", "data.vocab_size=250000"])
    assert 8e8 < config.estimate_parameters(large.model, 250_000) < 9e8
    with pytest.raises(UsageError, match="at most 1,000,000,000"):
        config.load("vaswani17", [*settings, "model.embedding=1024", "data.vocab_size=1000000"])


def test_a_large_gpu_takes_a_wide_search_that_a_small_one_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = {"total_memory": 4 * 2**30}
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(**facts))
    gpu = torch.device("cuda", 0)
    assert predictor._max_numbers(gpu) == predictor._max_numbers(torch.device("cpu")) == predictor.MAX_NUMBERS
    facts["total_memory"] = 80 * 2**30
    assert predictor._max_numbers(gpu) * 4 == 20 * 2**30


def test_run_names_of_any_kind_are_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "nothing").touch()
    for name in (
        ",",
        ",,",
        "a,,b",
        "a\0b",
        "r\udcff",
        "\ud800",
        "x" * 5000,
        "",
        " ",
        "\n",
        "a,b,",
        "../" * 2000,
    ):
        with pytest.raises(UserError) as error:
            seq2attn.load(name)
        assert "internal" not in str(error.value)
        with (tmp_path / "nothing").open() as nothing:
            monkeypatch.setattr("sys.stdin", nothing)
            assert app.run(["translate", name]) in (1, 2)
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1), name
        assert "internal error" not in err


def test_processes_can_be_asked_for_where_a_run_is_loaded(sound: Path) -> None:
    loaded = seq2attn.load(sound, device="cpu", processes=True)
    assert isinstance(loaded, Translator)
    assert (
        loaded.translate(["rain"])[0][0].text
        == seq2attn.load(sound, device="cpu").translate(["rain"])[0][0].text
    )  # type: ignore[union-attr]
    loaded.close()


def test_an_update_is_of_a_bounded_number_of_batches() -> None:
    with pytest.raises(UsageError, match=r"train\.accumulate"):
        config.change(config.Config(), ["train.accumulate=1001"])
