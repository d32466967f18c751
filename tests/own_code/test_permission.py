"""Code that a run or a file of settings names is never imported without permission, by any command."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny

import seq2attn
from seq2attn import config
from seq2attn.cli import app
from seq2attn.errors import UserError
from seq2attn.models.seq2seq import build
from seq2attn.own_code import allow_code

ROOT = Path(__file__).parents[2]
CODE = """
from pathlib import Path

from seq2attn.attention.scores import ProductScore

Path("imported").touch()


class Own(ProductScore):
    def __init__(self, query_size: int, key_size: int, size: int, history_size: int) -> None:
        super().__init__(history_size=history_size)
"""
Call = Callable[..., tuple[int, str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a module that leaves a file when it is imported, a file of settings and a run that both
    name it, and a run that names no code.
    """
    monkeypatch.chdir(tmp_path)
    (tmp_path / "code_of_a_stranger.py").write_text(CODE)
    (tmp_path / "own.toml").write_text(
        'preset = "luong15"\n[model.attention]\nscore = "code_of_a_stranger:Own"\n'
    )
    for name in ("run", "plain"):
        path = tiny.save_run(tmp_path / name, attention={"score": "dot", "size": None})
        settings = json.loads((path / "config.json").read_text())
        if name == "run":
            settings["config"]["model"]["attention"]["score"] = "code_of_a_stranger:Own"
        (path / "config.json").write_text(json.dumps(settings))
    for name in ("text.en", "text.fr"):
        (tmp_path / name).write_text("the small dog\n")
    sys.modules.pop("code_of_a_stranger", None)
    return tmp_path


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], folder: Path) -> Call:
    """`seq2attn ARGUMENTS` in the folder, in this process: the exit code, and stdout with stderr."""

    def run(*arguments: str) -> tuple[int, str]:
        code = app.run(list(arguments))
        return code, "".join(capsys.readouterr())

    return run


COMMANDS = {
    "train": ("train", "own.toml", "--out", "new"),
    "train --set": ("train", "--set", "model.attention.score=code_of_a_stranger:Own", "--out", "new"),
    "translate": ("translate", "run", "text.en"),
    "evaluate": ("evaluate", "run", "--source", "text.en", "--reference", "text.fr"),
    "plot-alignment": ("plot-alignment", "run", "--source", "the small dog"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_command_imports_nothing_without_permission(name: str, call: Call, folder: Path) -> None:
    code, printed = call(*COMMANDS[name])
    assert code == 1
    assert 'model.attention.score="code_of_a_stranger:Own" runs code of the package' in printed
    assert "allow it with --allow-code" in printed
    assert not (folder / "imported").exists()


@pytest.mark.parametrize("name", ["translate", "evaluate", "plot-alignment"])
def test_command_runs_code_with_permission(name: str, call: Call, folder: Path) -> None:
    code, printed = call(*COMMANDS[name], "--allow-code")
    assert code == 0, printed
    assert (folder / "imported").exists()


@pytest.mark.parametrize("error", ["ValueError('mine')", "SystemExit(0)"])
def test_code_that_fails_later_is_not_reported_as_a_defect(error: str, call: Call, folder: Path) -> None:
    later = f"""
    def project_keys(self, memory):
        if memory.is_inference():  # not in the check
            raise {error}
        return super().project_keys(memory)
"""
    (folder / "code_of_a_stranger.py").write_text(CODE + later)
    code, printed = call(*COMMANDS["translate"], "--allow-code")
    assert code == 1
    assert f"the code that you allowed failed: {error.split('(')[0]}: " in printed
    assert "(code_of_a_stranger.py, line 15); correct it" in printed
    assert "defect" not in printed


def test_show_and_export_need_no_code(call: Call, folder: Path) -> None:
    code, printed = call("train", "own.toml", "--show", "--allow-code")
    assert code == 0
    assert 'score = "code_of_a_stranger:Own"' in printed
    code, printed = call("export", "run", "out")
    assert code == 1
    assert "cannot be exported" in printed
    assert not (folder / "imported").exists()


def test_library_imports_nothing_without_permission(folder: Path) -> None:
    settings = config.load("own.toml")
    assert settings.model.own_code == {"model.attention.score": "code_of_a_stranger:Own"}
    for refused in (lambda: build(settings.model, 9, 9), lambda: seq2attn.load("run", device="cpu")):
        with pytest.raises(UserError, match="allow it with `allow_code`"):
            refused()
    assert not (folder / "imported").exists()
    assert seq2attn.load("run", device="cpu", allow_code=True).translate(["the small dog"])


def test_evaluate_refuses_permission_that_no_run_needs(call: Call) -> None:
    files = ("--source", "text.en", "--reference", "text.fr", "--allow-code")
    code, printed = call("evaluate", "plain", *files)
    assert code == 2
    assert "--allow-code is for runs that name code of your own, and plain does not: leave it out" in printed
    assert call("evaluate", "plain", "run", *files)[0] == 0


def test_run_elsewhere_says_that_its_code_is_missing(
    call: Call, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    code, printed = call("translate", "../run", "../text.en", "--allow-code")
    assert code == 1
    assert "No module named 'code_of_a_stranger'; correct it, or add its folder to PYTHONPATH" in printed


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("no_such_module_here:Own", "cannot be loaded: ModuleNotFoundError"),
        ("code_of_a_stranger:None_", "cannot be loaded: AttributeError"),
        ("torch.nn:Flatten", "cannot be loaded: TypeError"),
        (
            "torch.nn:Flatten",
            "correct it; it is called with query_size, key_size, size, history_size, by name",
        ),
        ("code_of_a_stranger.py:Own", 'name the module without .py: "code_of_a_stranger:Own"'),
        ("builtins:dict", "dict() returns dict, not a seq2attn.attention.scores.Score; name a function or a"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_what_is_no_score_is_refused_in_one_line(code: str, problem: str) -> None:
    settings = config.load("luong15", [f"model.attention.score={code}"])
    with allow_code(), pytest.raises(UserError) as refusal:
        build(settings.model, 9, 9)
    assert str(refusal.value).startswith(f'model.attention.score="{code}"')
    assert problem in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        ("1 / 0", "cannot be loaded: ZeroDivisionError: division by zero (mistaken.py, line 7); correct it"),
        ("raise SystemExit(0)", "cannot be loaded: SystemExit: 0 (mistaken.py, line 7); correct it"),
        ("None", "; here: AttributeError: 'Own' object has no attribute 'w' (mistaken.py, line 10)"),
    ],
)
def test_message_names_the_line_of_the_users_file(call: str, problem: str, folder: Path) -> None:
    (folder / "mistaken.py").write_text(
        f"""from seq2attn.attention.scores import Score


class Own(Score):
    def __init__(self, query_size, key_size, size, history_size):
        super().__init__(history_size=history_size)
        {call}

    def compare(self, query, keys):
        return self.w(keys)
"""
    )
    sys.modules.pop("mistaken", None)
    settings = config.load("luong15", ["model.attention.score=mistaken:Own"])
    with allow_code(), pytest.raises(UserError) as refusal:
        build(settings.model, 9, 9)
    assert str(refusal.value).endswith(problem)


def test_current_folder_is_searched_last_and_only_meanwhile(folder: Path) -> None:
    """No file of it replaces an installed package."""
    (folder / "colorsys.py").write_text("from code_of_a_stranger import Own\n")
    before = list(sys.path)
    sys.modules.pop("colorsys", None)
    settings = config.load("luong15", ["model.attention.score=colorsys:Own"])
    with allow_code(), pytest.raises(UserError, match="module 'colorsys' has no attribute 'Own'"):
        build(settings.model, 9, 9)
    assert sys.path == before
    assert not (folder / "imported").exists()


@pytest.mark.parametrize(
    "name", ["my scores:Own", "my_scores", "my_scores:", ":Own", "my_scores:Own.x", "a/b:Own"]
)
def test_name_of_another_form_is_refused(name: str) -> None:
    for setting in ("score", "normaliser"):
        with pytest.raises(UserError, match=r"or package\.module:Class of your own"):
            config.load("luong15", [f'model.attention.{setting}="{name}"'])


def test_permission_needs_no_torch() -> None:
    code = "import sys, seq2attn.own_code, seq2attn.config; assert 'torch' not in sys.modules"
    here = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, env=here)
