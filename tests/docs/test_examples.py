"""The documentation is true: its command lines and its Python run, and print what the pages say.

Examples run in the order of the pages, in one folder, inside this process, with a few steps of a tiny model,
the first rows of the bundled corpora and small stand-ins for what a reader would download. Those of the
README run with the other tests, all of them with `pytest -m slow`. Pages whose Python is followed by its
output need no folder, and run with the other tests.
"""

import gzip
import io
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from markdown_examples import PAGES, ROOT, blocks, pipelines, printed_blocks, stages

import seq2attn
from seq2attn import config
from seq2attn.cli import app as application
from seq2attn.data import bundled, sources
from seq2attn.samples import clips, image_files, scenes
from seq2attn.tasks import training

TINY = """--max-steps 2 --set train.validate_sentences=2 --set search.max_length=4 --set search.min_length=2
    --set search.beam=1 --set model.embedding=8 --set model.encoder.size=4 --set model.decoder.size=8"""
# as wide as its embedding; and of clips a number that eight looks divide
TRANSFORMER = ["--set", "model.encoder.size=8"]
EXTRA = {"train": shlex.split(TINY), "prepare": ["--vocab-size", "200"], "audit": ["--limit", "5"]}
SMALL = {
    "multi30k": ["--tokenizer", "char"],
    "cmn.tsv": ["--tokenizer", "char", "--valid", "5", "--test", "5"],
}
ROWS = 300  # of each file of `phrases`

# Pages whose examples run one after another, in one folder.
EXAMPLES = (
    *(
        "docs/guide.md",
        "docs/audit.md",
        "docs/experiments.md",
        "docs/explorer.md",
        "docs/alignment.md",
        "docs/settings.md",
        "docs/translation.md",
        "docs/captioning.md",
        "docs/python.md",
    ),
    *("docs/models.md", "docs/measured.md", "docs/figures.md"),
)
# The same, in another folder; what needs the run of a page is left to that page.
QUICK = ("README.md",)
# Pages whose Python prints what stands under it.
PRINTED = ("docs/concepts.md", "docs/walkthrough.md")
# Pages whose examples are run elsewhere, or are not for running.
ELSEWHERE = {
    "README.zh.md": "the same as README.md",
    "CONTRIBUTING.md": "checks, and not for a reader",
    "docs/confidence.md": "calibrate needs a trained run; cli/test_calibrate.py has what it says",
    "docs/serve.md": "a server does not end by itself; cli/test_serve.py and serving/ have what it says",
    "docs/fine-tuning.md": "needs a trained run; tests/tasks/ has what it says, in test_from_run.py and "
    "test_back_translation.py",
    "docs/pretrained.md": "for models of the hub; marian/test_commands.py runs such commands on a random one",
    "docs/gpu.md": "for a GPU; tests/cuda runs such commands on a simulated one",
    "docs/add-a-score.md": "test_add_a_score.py runs it",
    "docs/recipe.md": "Multi30k is not at hand; tasks/test_subword_sampling.py and training/ train with each",
}


def call(arguments: Sequence[str], stdin: bytes = b"") -> bytes:
    """One command in this process; what it wrote on stdout."""
    extra = SMALL.get(arguments[1] if len(arguments) > 1 else "", EXTRA.get(arguments[0], []))
    if {"transformer", "video"} & set(arguments):
        extra = [*extra, *TRANSFORMER]
    if arguments == ["train"] or (arguments[0] == "train" and {"names", "phrases"} & {*arguments}):
        extra = [*extra, "--set", "data.vocab_size=200"]
    if {"--list", "--show"} & set(arguments):
        extra = []
    before = sys.stdin, sys.stdout, sys.stderr
    out, err = io.BytesIO(), io.BytesIO()
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")
    sys.stdout = io.TextIOWrapper(out, encoding="utf-8")
    sys.stderr = io.TextIOWrapper(err, encoding="utf-8", write_through=True)
    try:
        code = application.run([*arguments, *extra])
        sys.stdout.flush()
        written, errors = out.getvalue(), err.getvalue()
    finally:
        sys.stdin, sys.stdout, sys.stderr = before
    assert code == 0, errors.decode()
    return written


def with_tiny_settings(settings: config.Changes) -> list[str]:
    """What `call` adds to `seq2attn train`, for the trainings of Python."""
    tiny = [word for word in shlex.split(TINY) if "=" in word]
    return [*config.as_typed(settings), *tiny, "train.max_steps=2"]


def program(words: list[str], data: bytes) -> bytes:
    words = [sys.executable if word == "python" else word for word in words]
    here = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(words, input=data, capture_output=True, timeout=60, check=True, env=here).stdout


def shell(line: str) -> str:
    data = b""
    for words in stages(line):
        data = call(words[1:], data) if words[0] == "seq2attn" else program(words, data)
    return data.decode("utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where the README's reader is: `seq2attn train` has been run, and the corpora have been downloaded."""
    path = tmp_path
    (path / "multi30k").mkdir()
    animals, places = ("dog", "cat", "bird", "horse"), ("beach", "street", "garden", "house", "river")
    pairs = [
        (f"A {animal} runs along the {place} {n}.", f"Ein {animal} läuft am {place} {n}.")
        for animal in animals
        for place in places
        for n in range(3)
    ]
    for split, some in (("train", pairs[:40]), ("val", pairs[40:50]), ("test_2016_flickr", pairs[50:])):
        for side, language in enumerate(("en", "de")):
            text = "".join(f"{pair[side]}\n" for pair in some)
            (path / "multi30k" / f"{split}.{language}.gz").write_bytes(gzip.compress(text.encode()))
    (path / "cmn.tsv").write_text(
        "".join(
            f"Where is the {place} of {n}?\t{n}的{place}在哪里?\tCC-BY\n"
            for place in places
            for n in range(12)
        ),
        encoding="utf-8",
    )
    few = {"train": 24, "valid": 4, "test": 6}
    folders = {name: path / "bundled" / name for name in bundled.NAMES}
    for name in bundled.TEXT:
        folders[name].mkdir(parents=True)
        for file in bundled.bundled_folder(name).glob("*.*"):
            lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
            (folders[name] / file.name).write_text("".join(lines[:ROWS]), encoding="utf-8")
    image_files.write_tables(folders["scenes"], scenes.rows(scenes.splits(2, few)))
    image_files.write_tables(folders["clips"], clips.rows(clips.splits(2, few)))
    (path / "data").symlink_to(path / "bundled")
    bundled_folder, sources.bundled_folder = sources.bundled_folder, folders.__getitem__
    cwd, cache = Path.cwd(), os.environ.get("XDG_CACHE_HOME")
    os.chdir(path)
    os.environ["XDG_CACHE_HOME"] = str(path / "cache")
    try:
        call(["train"])
        yield path
    finally:
        os.chdir(cwd)
        sources.bundled_folder = bundled_folder
        os.environ.pop("XDG_CACHE_HOME")
        if cache is not None:
            os.environ["XDG_CACHE_HOME"] = cache


def run_python(page: str) -> Iterator[str]:
    """What each block of Python prints, one after another in one namespace."""
    names: dict[str, object] = {}
    for code, _ in printed_blocks(page):
        output = io.StringIO()
        with redirect_stdout(output):
            exec(compile(code, "page", "exec"), names)  # noqa: S102 (our own pages)
        yield output.getvalue()


def test_every_page_with_examples_is_run() -> None:
    with_examples = {name for name, page in PAGES.items() if pipelines(page) or blocks(page, "python")}
    assert with_examples == {*EXAMPLES, *QUICK, *PRINTED, *ELSEWHERE}


@pytest.mark.parametrize("name", PRINTED)
def test_python_prints_what_stands_under_it(name: str) -> None:
    expected = [text for _, text in printed_blocks(PAGES[name])]
    assert any(expected)
    for output, text in zip(run_python(PAGES[name]), expected, strict=True):
        assert output == (text or "")


def test_examples_of_the_python_page_that_need_no_run_print_what_it_says() -> None:
    examples = [(code, text) for code, text in printed_blocks(PAGES["docs/python.md"]) if text is not None]
    assert len(examples) == 3
    names: dict[str, object] = {"seq2attn": seq2attn}
    for code, text in examples:
        output = io.StringIO()
        with redirect_stdout(output):
            exec(compile(code, "page", "exec"), names)  # noqa: S102 (our own pages)
        assert output.getvalue() == text


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "pages", [pytest.param(QUICK, id="quick"), pytest.param(EXAMPLES, id="all", marks=pytest.mark.slow)]
)
def test_examples_run(pages: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "as_typed", with_tiny_settings)
    quick = pages is QUICK
    printed = {}
    for name in pages:
        lines = [line for line in pipelines(PAGES[name]) if not (quick and "runs/scenes" in line)]
        printed |= {line: shell(line) for line in lines}
        assert all(run_python(PAGES[name]))
    plain = [line for line in printed if line.startswith("echo") and "--" not in line.partition("#")[0]]
    translations = [printed[line] for line in plain]
    assert len(translations) > (0 if quick else 2)
    assert all(text.count("\n") == 1 for text in translations)
    scores = [text for line, text in printed.items() if " evaluate " in line]
    assert scores
    assert all("BLEU" in text for text in scores)
    images = ("alignment.png",) if quick else ("alignment.png", "mandarin.png", "looked.png")
    for image in images:
        assert Path(image).read_bytes().startswith(b"\x89PNG")
    if not quick:
        assert any("tok:zh" in text for text in scores)
        assert "bahdanau15" in printed["seq2attn train --list"]
