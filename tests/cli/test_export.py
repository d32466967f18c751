"""`export` from a run to a folder that translates on its own, by the two lines that it prints; what it
refuses, and that nothing is left then.
"""

import io
import os
import re
import shutil
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib.util import find_spec
from pathlib import Path

import pytest
import tiny

sys.path.insert(0, str(Path(__file__).parents[1] / "export"))
import exported

from seq2attn.cli import app as application
from seq2attn.inference import Translator

Call = Callable[..., tuple[int, str, str]]
needs = pytest.mark.skipif(
    find_spec("ctranslate2") is None,
    reason="the package ctranslate2 is not installed: it is in the extra `test`",
)


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    def export(*arguments: object) -> tuple[int, str, str]:
        code = application.run(["export", *map(str, arguments)])
        out, err = capsys.readouterr()
        return code, out, err

    return export


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    of = exported.settings(exported.TODAY, size=32)
    return exported.save(tmp_path_factory.mktemp("runs") / "today", of, exported.trained(of))


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path / "run")
    return tmp_path / "run"


def files(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


@pytest.mark.slow
@needs
def test_export_prints_code_that_translates(call: Call, run: Path, tmp_path: Path) -> None:
    code, out, err = call(run, tmp_path / "a new" / "folder", "--format", "ctranslate2")
    assert code == 0, err
    made = tmp_path / "a new" / "folder"
    assert out.startswith(f"{made}: ")
    assert files(made) == [
        "config.json",
        "model.bin",
        "source.model",
        "source_vocabulary.json",
        "target.model",
        "target_vocabulary.json",
    ]
    assert files(made.parent) == ["folder"]
    head, *lines = err.splitlines()
    assert "ctranslate2" in head
    assert len(lines) == 2
    shutil.rmtree(run)  # it needs the run no more
    for text, target in zip(tiny.ENGLISH[:2], tiny.FRENCH[:2], strict=True):
        with redirect_stdout(io.StringIO()) as printed:
            program = "\n".join(["import ctranslate2, sentencepiece", *(line.strip() for line in lines)])
            exec(program.replace("YOUR TEXT", text), {})  # noqa: S102
        assert printed.getvalue() == target + "\n"


@needs
def test_export_prints_code_with_the_search_settings_of_the_run(call: Call, tmp_path: Path) -> None:
    of = exported.settings(tied="all")
    of = of.model_copy(
        update={
            "search": of.search.model_copy(
                update={
                    "beam": 3,
                    "length_penalty": 0.6,
                    "min_length": 2,
                    "max_length": 50,
                    "no_repeat_ngram": 3,
                }
            ),
            "data": of.data.model_copy(update={"lowercase": True}),
        }
    )
    path = exported.save(tmp_path / "run", of, exported.random(of))
    for side in ("source", "target"):  # one file for both sides, as a joint vocabulary has it
        (path / f"{side}.model").rename(path / "tokenizer.model")
    code, _, err = call(path, tmp_path / "out")
    assert code == 0, err
    assert files(tmp_path / "out") == [
        "config.json",
        "model.bin",
        "shared_vocabulary.json",
        "tokenizer.model",
    ]
    assert (
        "beam_size=3, disable_unk=True, min_decoding_length=2, length_penalty=0.6, "
        "max_decoding_length=50, no_repeat_ngram_size=3)" in err
    )
    assert '"YOUR TEXT".lower()' in err


@pytest.mark.slow
@needs
def test_export_quantization_makes_a_smaller_model(call: Call, run: Path, tmp_path: Path) -> None:
    for name, more in (("full", ()), ("small", ("--quantization", "int8", "--quiet"))):
        code, out, err = call(run, tmp_path / name, *more)
        assert code == 0, err
        assert ("int8" in out) == bool(more)
        assert bool(err) != bool(more)
    sizes = {name: (tmp_path / name / "model.bin").stat().st_size for name in ("full", "small")}
    assert sizes["small"] < 0.6 * sizes["full"]


@needs
def test_export_replaces_a_model_with_force_only(call: Call, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    assert call(run, out)[0] == 0  # an empty folder is nothing
    before = (out / "model.bin").read_bytes()
    assert call(run, out, "--quantization", "int8") == (
        1,
        "",
        f"seq2attn: {out} exists: choose another name, or replace it with --force\n",
    )
    assert (out / "model.bin").read_bytes() == before
    code, _, err = call(run, out, "--quantization", "int8", "--force")
    assert code == 0, err
    assert len((out / "model.bin").read_bytes()) < len(before)
    assert files(tmp_path) == ["out", "run"]
    (out / "notes.txt").write_text("mine")
    code, _, err = call(run, out, "--force")
    assert (code, "notes.txt" in err, (out / "notes.txt").read_text()) == (1, True, "mine")
    code, _, err = call(run, run, "--force")
    assert (code, "no model of CTranslate2" in err, Translator.load(run).attends) == (1, True, True)


@needs
@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("step", ["copy", "rename"])
def test_export_keeps_the_old_model_if_it_fails(
    call: Call, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, force: bool, step: str
) -> None:
    from seq2attn.export import folder

    before = []
    if force:
        assert call(run, tmp_path / "out")[0] == 0
        before = [(file.name, file.read_bytes()) for file in sorted((tmp_path / "out").iterdir())]

    rename = os.rename

    def full(path: Path, target: Path) -> None:
        if step == "copy" or path.name == "new":
            raise OSError(28, "No space left on device")
        rename(path, target)

    if step == "copy":
        monkeypatch.setattr(folder.shutil, "copyfile", full)
    else:
        monkeypatch.setattr(os, "rename", full)
    code, out, err = call(run, tmp_path / "out", *(["--force"] if force else []))
    assert (code, out) == (1, "")
    assert (
        err == f"seq2attn: {tmp_path / 'out'}: cannot be written: No space left on device; make room, or "
        "write elsewhere\n"
    )
    assert files(tmp_path) == (["out", "run"] if force else ["run"])
    assert before == (
        [(file.name, file.read_bytes()) for file in sorted((tmp_path / "out").iterdir())] if force else []
    )


def test_export_says_how_to_install_a_missing_package(
    call: Call, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "seq2attn.export.ctranslate2", raising=False)
    for name in [name for name in sys.modules if name.split(".")[0] == "ctranslate2"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ctranslate2", None)
    code, out, err = call(run, tmp_path / "out")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert re.search(r"pip install 'ctranslate2>=\d", err)
    assert files(tmp_path) == ["run"]


@needs
def test_export_says_how_to_update_an_old_package(
    call: Call, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from seq2attn.export import ctranslate2

    monkeypatch.setattr(ctranslate2, "VERSION", "4.6.2")
    code, out, err = call(run, tmp_path / "out")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert re.search(r"ctranslate2 4\.6\.2 .*pip install 'ctranslate2>=\d", err)
    assert files(tmp_path) == ["run"]


def test_export_refuses_other_models_before_it_writes(call: Call, tmp_path: Path) -> None:
    path = tiny.save_run(tmp_path / "recurrent")
    before = files(tmp_path)
    code, out, err = call(path, tmp_path / "out")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith(f'seq2attn: {path}: model.encoder.kind="rnn" cannot be exported: ')
    assert files(tmp_path) == before


def test_export_refuses_other_folders_and_formats(call: Call, run: Path, tmp_path: Path) -> None:
    assert call(tmp_path / "none", tmp_path / "out")[0] == 1
    assert call(run, tmp_path / "out", "--format", "onnx")[0] == 2
    assert call(run, tmp_path / "out", "--quantization", "int4")[0] == 2
    assert not (tmp_path / "out").exists()
