"""The README is short, opens with what matters, and its first two blocks are what they must be.

README.zh.md says the same in Chinese: what can be compared without reading Chinese is compared here.
"""

import os
import re
import subprocess
from collections import Counter
from collections.abc import Iterator

import pytest
from markdown_examples import PAGES, README, ROOT, blocks, sections

from seq2attn import config

CHINESE = PAGES["README.zh.md"]
SECTIONS = sections(README)
PYTEST = "pytest -n 2 --dist worksteal"
MOST_LINES = 150
OPENING = 40  # lines in which the README says what it is, for whom, how to run it and how it compares


def one_line(section: str) -> str:
    (block,) = blocks(SECTIONS[section], "sh")
    (line,) = block.splitlines()
    return line


@pytest.mark.parametrize("name", ["README.md", "README.zh.md"])
def test_readme_is_short(name: str) -> None:
    assert len(PAGES[name].splitlines()) <= MOST_LINES


def test_readme_opens_with_what_the_project_is_and_how_to_run_it() -> None:
    opening = "\n".join(README.splitlines()[:OPENING])
    assert opening.startswith("# seq2attn\n")
    assert list(SECTIONS)[:2] == ["Run it", "Test it"]
    for part in ("It is for ", "```sh\n", "](docs/figures/alignment.png)", "](docs/comparison.md)"):
        assert part in opening


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
    assert "pip install --quiet --no-compile --disable-pip-version-check '.[docs,test]'" in check


def test_readme_counts_the_presets() -> None:
    assert f" {len(config.presets())} presets" in README


def test_readme_tree_names_existing_folders() -> None:
    (tree,) = blocks(SECTIONS["The files"], "")
    for line in tree.splitlines():
        folder = ROOT / "seq2attn" if line.startswith("  ") else ROOT
        names = re.match(r" *((?:\S+/ )+)", line)
        assert names is not None
        assert all((folder / name).is_dir() for name in names[1].split()), line


def facts(page: str) -> dict[str, list[object]]:
    """What both languages share, by section: code, links, numbers, code spans, rows of tables, lists."""
    parts = re.split(r"^(?=## )", page, flags=re.MULTILINE)
    return {str(number): list(facts_of_section(part)) for number, part in enumerate(parts)}


def facts_of_section(text: str) -> Iterator[object]:
    code = re.findall(r"^```\w+\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    yield [re.sub(r" *#.*", "", block) for block in code]  # comments are in the page's language
    links = re.findall(r"\]\(([^)]+)\)", text)
    yield Counter(re.sub(r"README(\.zh)?\.md", "README", link) for link in links)
    figures = re.sub("six|六", "6", text)
    yield Counter(re.findall(r"(?<![A-Za-z0-9.])\d[\d,.]*\d|(?<![A-Za-z0-9.])\d", figures))
    yield Counter(re.findall(r"`([^`\n]+)`", text))
    yield [row.count("|") for row in text.splitlines() if row.startswith("|")]
    yield [line[:2] for line in text.splitlines() if line.startswith(("- ", "## "))]


@pytest.mark.parametrize("section", facts(README))
def test_chinese_readme_has_the_same_facts(section: str) -> None:
    assert facts(CHINESE).keys() == facts(README).keys()
    for chinese, english in zip(facts(CHINESE)[section], facts(README)[section], strict=True):
        assert chinese == english


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("97.53", "97.63"),
        ("--beam", "--bean"),
        ("docs/guide.md", "docs/measured.md"),
        ("- **Results", "**Results"),
        ("`cho14`", "`bahdanau15`"),
    ],
)
def test_chinese_readme_would_be_told_from_another(right: str, wrong: str) -> None:
    page = README.replace("seq2attn translate runs/phrases", "seq2attn translate runs/phrases --beam 5")
    assert right in page
    assert facts(page) != facts(page.replace(right, wrong, 1))
