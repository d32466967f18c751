"""What pages name exists: command lines parse, files of settings load, presets, settings and files exist."""

import re
from pathlib import Path

import pytest
import typer
from markdown_examples import PAGES, ROOT, blocks, calls, sections

from seq2attn import config
from seq2attn.cli import app as application
from seq2attn.cli import glossary

LINES = sorted({tuple(call) for page in PAGES.values() for call in calls(page)})


@pytest.mark.parametrize("arguments", LINES, ids=" ".join)
def test_command_lines_parse(arguments: tuple[str, ...]) -> None:
    group = typer.main.get_command(application.app)
    parent = typer.Context(group, info_name="seq2attn")
    if arguments[0].startswith("-"):
        group.make_parser(parent).parse_args(list(arguments))
        return
    command = group.commands[arguments[0]]  # type: ignore[attr-defined]
    context = typer.Context(command, info_name=arguments[0], parent=parent)
    command.make_parser(context).parse_args(list(arguments[1:]))


def test_check_detects_a_wrong_command_line() -> None:
    with pytest.raises(typer.TyperException, match="no-such-option"):
        test_command_lines_parse(("train", "--no-such-option"))


def test_files_of_settings_load(tmp_path: Path) -> None:
    pages = {name: page for name, page in PAGES.items() if name != "docs/add-a-score.md"}
    files = [block for page in pages.values() for block in blocks(page, "toml")]
    assert files
    for block in files:
        file = tmp_path / "settings.toml"
        file.write_text(block, encoding="utf-8")
        assert config.load(str(file)) != config.Config()


def test_presets_exist() -> None:
    """A preset needs no row in a table by hand: the generated part has all."""
    page = PAGES["docs/models.md"].partition("<!-- generated")[0]
    named = set()
    for cell in re.findall(r"^\| (`.+?) \|", page, re.MULTILINE):
        first, *tails = re.findall(r"`(.+?)`", cell)
        named |= {first, *(first + tail if tail.startswith("-") else tail for tail in tails)}
    named |= set(re.findall(r"`([a-z0-9]+-paper)`", page))
    assert len(named) > 9
    assert named <= set(config.presets())


def test_settings_exist() -> None:
    # the table of imports names parts of the package
    text = "\n".join(page.partition("<!-- generated: imports -->")[0] for page in PAGES.values())
    spans = re.findall(r"`[^`\n]+`|--set \S+", text)
    pattern = r"(?<![\w./])(?:model|train|data|search)(?:\.[a-z]\w*)+(?![\w/*])"
    named = {name for span in spans for name in re.findall(pattern, span)}
    named -= {
        "train.en",
        "train.de",
        "model.attention",
        "model.safetensors",
        "model.translate",
        "model.caption",
    }
    names = {name for name, *_ in config.fields()}
    assert len(named) > 50
    assert not {name for name in named if name not in names and f"{name}.kind" not in names}


def test_files_exist() -> None:
    """Paths in code spans: of the repository, or, in pages on the code, of the package."""
    missing = []
    for name, page in PAGES.items():
        in_package = name in ("docs/walkthrough.md", "CONTRIBUTING.md")
        places = [ROOT, ROOT / "seq2attn"] if in_package else [ROOT]
        for path in re.findall(r"`((?:seq2attn|tests|docs|data|[a-z]+)/[\w/.-]+\.(?:py|md|toml))`", page):
            if not any((place / path).is_file() for place in places):
                missing.append(f"{name}: {path}")
    # of a reader, made by the reader, or of the modality that was only tried
    assert not [entry for entry in missing if not re.search(r": (runs|my)/|luong15-bias|vectors\.py", entry)]


def test_walkthrough_names_what_its_files_hold() -> None:
    """`Name.method` in `file.py`: the file defines both."""
    page = PAGES["docs/walkthrough.md"]
    pairs = re.findall(r"`([\w.]+)`(?:\s+and\s+`([\w.]+)`)?\s+in\s+`([\w/]+\.py)`", page)
    assert len(pairs) > 7
    for *names, path in pairs:
        text = (ROOT / "seq2attn" / path).read_text(encoding="utf-8")
        for part in ".".join(filter(None, names)).split("."):
            assert re.search(rf"(?:def|class) {part}\b", text), (part, path)


def test_glossary_holds_that_of_the_program() -> None:
    rows = re.findall(r"^\| \*\*(.+?)\*\* \| (.+?) \| (.+) \|$", PAGES["docs/glossary.md"], re.MULTILINE)
    meanings = {word: meaning for word, _, meaning in rows}
    assert len(meanings) == len(rows)
    assert glossary.WORDS.items() <= meanings.items()
    assert [word.lower() for word in meanings] == sorted(map(str.lower, meanings))
    chinese = [text for word, text, _ in rows if not re.search(r"[\u4e00-\u9fff]", text)]
    assert set(chinese) <= {"CIDEr-D", "Transformer"}


def test_contributing_names_the_checks() -> None:
    assert {"Rules", "Names", "Tests", "Who may import whom"} <= set(sections(PAGES["CONTRIBUTING.md"]))
