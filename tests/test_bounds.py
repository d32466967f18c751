"""Runs and options of absurd size: refused in a line, before anything of that size is made."""

import json
import shutil
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
def test_load_refuses_weights_of_another_size_before_it_allocates(
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


def test_read_shapes_equal_those_of_the_settings(sound: Path) -> None:
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
def test_translate_refuses_and_names_absurd_options(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as error:
        tiny.translator().translate(["rain"], **options)
    assert next(iter(options)).rstrip("es") in str(error.value)


@pytest.mark.parametrize("texts", [[5], [None], [b"rain"], "rain", [["rain"]]])
def test_translate_refuses_texts_that_are_no_strings(texts: Any) -> None:
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


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_command_line_refuses_absurd_numbers(
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


def test_translate_with_a_wide_search_agrees_with_a_narrow_one() -> None:
    translator = tiny.translator()
    wide = translator.translate(
        ["the small dog", "rain falls"], beam=predictor.WIDE + 44, max_length=6, attention=False
    )
    for texts in (["the small dog"], ["rain falls", "a big cat", "the small dog"]):
        again = translator.translate(texts, beam=predictor.WIDE + 44, max_length=6, attention=False)
        assert again[-1][0] == wide[0][0] if len(texts) > 1 else again[0][0] == wide[0][0]


def test_translate_refuses_a_search_of_gigabytes_at_once() -> None:
    translator = tiny.translator()
    long = "the small dog " * 600
    with pytest.raises(
        UsageError,
        match=r"beam is 1000: .* GB; make `beam` or `max_length` smaller, or leave out the attention",
    ):
        translator.translate(["rain", long], beam=1000)
    assert translator.translate(["rain"], beam=1000, max_length=3)[0][0].text is not None


def test_max_numbers_grows_with_the_memory_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = {"total_memory": 4 * 2**30}
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(**facts))
    gpu = torch.device("cuda", 0)
    assert predictor._max_numbers(gpu) == predictor._max_numbers(torch.device("cpu")) == predictor.MAX_NUMBERS
    facts["total_memory"] = 80 * 2**30
    assert predictor._max_numbers(gpu) * 4 == 20 * 2**30


def test_load_reports_any_bad_run_name_on_one_line(
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


def test_load_accepts_processes(sound: Path) -> None:
    loaded = seq2attn.load(sound, device="cpu", processes=True)
    assert isinstance(loaded, Translator)
    assert (
        loaded.translate(["rain"])[0][0].text
        == seq2attn.load(sound, device="cpu").translate(["rain"])[0][0].text
    )  # type: ignore[union-attr]
    loaded.close()
