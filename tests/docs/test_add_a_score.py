"""The page on adding a score is true: its files obey the laws, its commands run, and its five changes make a
score of the project that the tests know.

Commands run in this process, on the first rows of the bundled corpus, with a few steps of a tiny model.
"""

import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import pytest
import torch

from seq2attn import config
from seq2attn.cli import app
from seq2attn.data import bundled, sources
from seq2attn.models.seq2seq import build
from seq2attn.own_code import allow_code

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "add-a-score.md").read_text(encoding="utf-8")
OUTSIDE, INSIDE = re.split(r"^## Inside the project\n", PAGE, flags=re.MULTILINE)
TINY = """--max-steps 2 --set train.validate_sentences=2 --set search.max_length=4 --set search.beam=1
    --set model.embedding=8 --set model.encoder.size=4 --set model.decoder.size=8 --set data.vocab_size=200"""
ROWS = 60  # of each file of the corpus


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the page's file, where the reader works."""
    score, _, normaliser = blocks(OUTSIDE, "python")
    (tmp_path / "my_scores.py").write_text(f"{score}\n\n{normaliser}", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("my_scores", None)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("preset", "encoder_size"), [("luong15", 8), ("vaswani17", 16), ("tu16", 8)])
def test_classes_of_the_page_obey_the_laws_in_every_decoder(preset: str, encoder_size: int) -> None:
    """Of one head and of several, and with a history."""
    changes = [
        "model.attention.score=my_scores:GeneralWithBias",
        "model.attention.normaliser=my_scores:Squares",
        f"model.encoder.size={encoder_size}",
        "model.decoder.size=16",
        "model.embedding=16",
    ]
    settings = config.load(preset, changes)
    with allow_code():
        model = build(settings.model, 12, 12)
    attention = next(module for module in model.modules() if type(module).__name__ == "Attention")
    assert type(attention.score).__name__ == "GeneralWithBias"
    query, keys = torch.randn(2, 3, 4), torch.randn(2, 5, 6)
    score = type(attention.score)(4, 6, 1, 0)
    torch.nn.init.normal_(score.b)
    expected = query @ score.w(keys).mT + (keys @ score.b)[:, None]
    torch.testing.assert_close(score(query, score.project_keys(keys)), expected)


@pytest.mark.slow
def test_commands_of_the_page_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = folder / "corpora" / "phrases"
    corpus.mkdir(parents=True)
    for file in bundled.bundled_folder("phrases").glob("*.*"):
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        (corpus / file.name).write_text("".join(lines[:ROWS]), encoding="utf-8")
    monkeypatch.setattr(sources, "bundled_folder", {"phrases": corpus}.__getitem__)
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    for line in "".join(blocks(OUTSIDE, "sh")).splitlines():
        text, _, command = line.rpartition(" | ")
        words = shlex.split(command)[1:] + (shlex.split(TINY) if " train " in command else [])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        assert app.run([*words, "--quiet"]) == 0, line
    again = ["train", "--resume", "--out", "runs/mine", "--max-steps", "3", "--quiet"]
    assert app.run(again) == 1  # a continued training needs permission too
    assert app.run([*again, "--allow-code"]) == 0
    assert (folder / "mine.png").read_bytes().startswith(b"\x89PNG")
    output = io.StringIO()
    with redirect_stdout(output):
        exec(compile(blocks(OUTSIDE, "python")[1], "add-a-score.md", "exec"), {})  # noqa: S102 (our own page)
    assert output.getvalue()


def put(file: Path, before: str, text: str) -> None:
    """Put a text of the page before another text of a file."""
    content = file.read_text(encoding="utf-8")
    assert content.count(before) == 1, f"{file}: {before}"
    file.write_text(content.replace(before, text + before), encoding="utf-8")


@pytest.mark.slow
def test_five_changes_of_the_page_make_a_score_of_the_project(tmp_path: Path) -> None:
    for name in ("seq2attn", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(ROOT / "pyproject.toml", tmp_path / "pyproject.toml")
    own_class, case, row, reference = blocks(INSIDE, "python")
    scores, table = tmp_path / "seq2attn/attention/scores.py", tmp_path / "seq2attn/config/scores.py"
    put(scores, "class Nonlinear(Linear):", f"{own_class}\n\n")
    put(scores, '        case "cosine":', case)
    put(table, "]\n\n\nclass ScoreTraits", '    "general-bias",\n')
    put(table, "}\n\n\ndef traits_of", row)
    formulas = tmp_path / "tests/reference/attention.py"
    put(formulas, "def of_history(", f"{reference}\n\n")
    put(formulas, '    "general": general,', '    "general-bias": general_bias,\n')
    (section,) = blocks(INSIDE, "toml")
    preset = (tmp_path / "seq2attn/presets/luong15.toml").read_text(encoding="utf-8")
    own_preset = preset.replace('[model.attention]\nscore = "general"\n', section)
    own_preset = own_preset.replace("train luong15 ", "train luong15-bias ")
    assert tomllib.loads(own_preset)["model"]["attention"] == {"score": "general-bias"}
    (tmp_path / "seq2attn/presets/luong15-bias.toml").write_text(own_preset, encoding="utf-8")
    _, command, _ = blocks(INSIDE, "sh")
    done = subprocess.run(
        [sys.executable, "-m", *command.split(), "-q", "-p", "no:cacheprovider", "-k", "general or luong15"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert re.search(r"\d\d+ passed", done.stdout)
