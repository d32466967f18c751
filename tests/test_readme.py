"""The README is true: its command lines parse, its examples run, its first two blocks are what they must be.

Examples run in the README's order in one folder, inside this process, with a few steps of a tiny model, the
first rows of the bundled corpora and small stand-ins for what a reader would download. Those of `QUICK` run
with the other tests, all of them with `pytest -m slow`.
"""

import gzip
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from importlib.util import find_spec
from pathlib import Path

import pytest
import typer

from seq2attn.cli import app as application
from seq2attn.data import bundled, sources
from seq2attn.samples import clips, image_files, scenes

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL))

PYTEST = "pytest -n 2 --dist worksteal"

TINY = """--max-steps 2 --set train.validate_sentences=2 --set search.max_length=4 --set search.min_length=2
    --set search.beam=1 --set model.embedding=8 --set model.encoder.size=4 --set model.decoder.size=8"""
# as wide as its embedding; and of clips a number that eight looks divide
TRANSFORMER = ["--set", "model.encoder.size=8"]
EXTRA = {"train": shlex.split(TINY), "prepare": ["--vocab-size", "200"]}
SMALL = {
    "multi30k": ["--tokenizer", "char"],
    "cmn.tsv": ["--tokenizer", "char", "--valid", "5", "--test", "5"],
}


QUICK = ("Run it", "The commands", "English to Mandarin, from one file")  # sections
ROWS = 300  # of each file of `phrases`


def blocks(text: str, language: str) -> list[str]:
    """Their lines, one where a line goes on in the next."""
    return [
        block.strip("\n").replace(" \\\n", " ")
        for block in re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    ]


def pipelines(text: str) -> list[str]:
    """The lines of its sh blocks that run here: none that install or download, or need a missing package."""
    lines = [line for block in blocks(text, "sh") for line in block.splitlines()]
    unable = ["venv", "curl", *(["seq2attn export"] if find_spec("ctranslate2") is None else [])]
    return [line for line in lines if not any(word in line for word in unable)]


def calls() -> Iterator[list[str]]:
    """The arguments of every `seq2attn` in the blocks, and between the lines if no word is a placeholder."""
    spans = re.findall(r"`([^`\n]+)`", README)
    spans = [span for span in spans if not re.search(r"\b[A-Z]{3,}\b|\.\.\.", span)]
    for line in [*(line for block in blocks(README, "sh") for line in block.splitlines()), *spans]:
        for words in stages(line):
            if words and Path(words[0]).name == "seq2attn" and len(words) > 1:
                yield words[1:]


def stages(line: str) -> list[list[str]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;")
    lexer.whitespace_split = True
    commands: list[list[str]] = [[]]
    for word in lexer:
        if set(word) <= set("|&;"):
            commands.append([])
        else:
            commands[-1].append(word)
    return commands


def one_line(section: str) -> str:
    (block,) = blocks(SECTIONS[section], "sh")
    (line,) = block.splitlines()
    return line


def test_readme_opens_with_what_the_project_is_and_how_to_run_it() -> None:
    assert README.startswith("# seq2attn\n")
    assert list(SECTIONS)[:2] == ["Run it", "Test it"]


def test_readme_says_how_to_run_it() -> None:
    assert one_line("Run it") == "python3 -m venv venv && venv/bin/pip install . && venv/bin/seq2attn train"


def test_readme_tests_equal_the_checks() -> None:
    line = one_line("Test it")
    assert line == f"python3 -m venv venv && venv/bin/pip install '.[test]' && venv/bin/{PYTEST}"
    check = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    lines = [part.strip() for part in check.splitlines() if part.startswith(("command=", "tests="))]
    output = subprocess.run(
        ["bash", "-euc", "\n".join([*lines, 'echo "$tests"'])],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=20,
        check=True,
    )
    assert output.stdout == f"{PYTEST}\n"
    assert "pip install --quiet --disable-pip-version-check '.[test]'" in check


def test_readme_links_to_existing_files() -> None:
    links = [
        link for link in re.findall(r"\]\(([^)\s]+)\)", README) if not link.startswith(("https://", "#"))
    ]
    assert links
    assert not [link for link in links if not (ROOT / link).is_file()]


def test_readme_contents_name_every_section() -> None:
    contents = README.partition("## Run it")[0]
    links = set(re.findall(r"\]\(#([a-z-]+)\)", contents))
    anchors = {re.sub(r"[^a-z -]", "", name.lower()).replace(" ", "-") for name in SECTIONS}
    assert links - {"images-to-text"} <= anchors
    assert anchors - links <= {"licence"}


def test_readme_glossary_equals_that_of_the_program() -> None:
    from seq2attn.cli import glossary

    words = dict(re.findall(r"^- \*\*(.+?)\*\*: (.+)$", SECTIONS["Glossary"], re.MULTILINE))
    assert words == glossary.WORDS
    for term in ("forcing", "subword", "nats", "readout", "bridge", "attends", "last weights"):
        assert term in SECTIONS["Glossary"]


def test_readme_files_of_settings_load(tmp_path: Path) -> None:
    from seq2attn import config

    for number, block in enumerate(blocks(README, "toml")):
        file = tmp_path / f"{number}.toml"
        file.write_text(block.replace(" \\\n", "\n"), encoding="utf-8")
        assert config.load(str(file)) != config.Config()


def test_readme_names_existing_presets() -> None:
    """A preset needs no row: `seq2attn train --list` is the full list."""
    from seq2attn import config

    named = set()
    for cell in re.findall(r"^\| (`.+?) \|", SECTIONS["The models"], re.MULTILINE):
        first, *tails = re.findall(r"`(.+?)`", cell)
        named |= {first, *(first + tail if tail.startswith("-") else tail for tail in tails)}
    named |= set(re.findall(r"`([a-z0-9]+-paper)`", SECTIONS["The models"]))
    assert len(named) > 9
    assert named <= set(config.presets())


def test_readme_names_existing_settings() -> None:
    from seq2attn import config

    spans = re.findall(r"`[^`\n]+`|--set \S+", README)
    named = {
        name for span in spans for name in re.findall(r"\b(?:model|train|data|search)(?:\.\w+)+", span)
    } - {"train.en", "train.de"}
    assert len(named) > 3
    assert named <= {
        name
        for preset in ("luong15", "xu15-soft", "caption-transformer")
        for name in config.flat(config.load(preset))
    }


@pytest.mark.parametrize("arguments", list(calls()), ids=" ".join)
def test_readme_command_lines_parse(arguments: list[str]) -> None:
    group = typer.main.get_command(application.app)
    parent = typer.Context(group, info_name="seq2attn")
    if arguments[0].startswith("-"):
        group.make_parser(parent).parse_args(list(arguments))
        return
    command = group.commands[arguments[0]]  # type: ignore[attr-defined]
    command.make_parser(typer.Context(command, info_name=arguments[0], parent=parent)).parse_args(
        arguments[1:]
    )


def test_readme_check_detects_a_wrong_command_line() -> None:
    with pytest.raises(typer.TyperException, match="no-such-option"):
        test_readme_command_lines_parse(["train", "--no-such-option"])


def call(arguments: Sequence[str], stdin: bytes = b"") -> bytes:
    """One command in this process; what it wrote on stdout."""
    extra = SMALL.get(arguments[1] if len(arguments) > 1 else "", EXTRA.get(arguments[0], []))
    if {"--list", "--show"} & set(arguments):
        extra = []
    elif {"transformer", "video"} & set(arguments):
        extra = [*extra, *TRANSFORMER]
    elif arguments == ["train"] or (arguments[0] == "train" and "phrases" in arguments):
        extra = [*extra, "--set", "data.vocab_size=200"]
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
    folders["phrases"].mkdir(parents=True)
    for file in bundled.bundled_folder("phrases").glob("*.*"):
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        (folders["phrases"] / file.name).write_text("".join(lines[:ROWS]), encoding="utf-8")
    image_files.write_tables(folders["scenes"], scenes.rows(scenes.splits(2, few)))
    image_files.write_tables(folders["clips"], clips.rows(clips.splits(2, few)))
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


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "sections",
    [pytest.param(QUICK, id="quick"), pytest.param(tuple(SECTIONS), id="all", marks=pytest.mark.slow)],
)
def test_readme_examples_run(sections: Sequence[str]) -> None:
    text = "\n".join(SECTIONS[name] for name in sections)
    printed = {line: shell(line) for line in pipelines(text)}
    translations = [text for line, text in printed.items() if line.startswith("echo") and "--" not in line]
    assert len(translations) > 2
    assert all(text.count("\n") == 1 for text in translations)
    scores = [text for line, text in printed.items() if " evaluate " in line]
    assert all("BLEU" in text for text in scores)
    assert any("tok:zh" in text for text in scores)
    for image in ("alignment.png", "mandarin.png"):
        assert Path(image).read_bytes().startswith(b"\x89PNG")
    assert "bahdanau15" in printed["seq2attn train --list"]
    for code in blocks(text, "python"):
        output = io.StringIO()
        with redirect_stdout(output):
            exec(compile(code, "README.md", "exec"), {})  # noqa: S102 (our own README)
        assert output.getvalue()
