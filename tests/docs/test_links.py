"""Links and pictures of every page lead to what exists, and every page is in the site."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from markdown_examples import PAGES, ROOT

PICTURE_BYTES = 200_000  # of one picture, at most


def links(page: str) -> Iterator[str]:
    """The targets of links and pictures outside code, without those of other sites."""
    prose = re.sub(r"^```.*?^```$", "", page, flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]+`", "", prose)):
        if not re.match(r"https?://|mailto:", target):
            yield target


def anchors(page: str) -> set[str]:
    """The anchors of headings, as code hosts and the site make them."""
    prose = re.sub(r"^```.*?^```$", "", page, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(name: str, page: str) -> list[str]:
    folder, result = (ROOT / name).parent, []
    for link in links(page):
        target, _, anchor = link.partition("#")
        path = folder / target if target else ROOT / name
        if not path.is_file() or (anchor and anchor not in anchors(path.read_text(encoding="utf-8"))):
            result.append(link)
    return result


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_to_existing_files(name: str) -> None:
    assert not broken(name, PAGES[name])


@pytest.mark.parametrize(
    "link", ["docs/no-such-page.md", "docs/no-such.png", "docs/guide.md#no-such-heading", "#no-such-heading"]
)
def test_broken_links_are_recognised(link: str) -> None:
    assert broken("README.md", f"[a]({link}) [b](docs/guide.md#train) ![c](docs/figures/length.svg)") == [
        link
    ]


@pytest.mark.parametrize("name", [name for name in PAGES if name.startswith("docs/")])
def test_links_of_the_site_stay_inside_it(name: str) -> None:
    """The site has the pages below docs/ alone."""
    docs = ROOT / "docs"
    targets = [(ROOT / name).parent / link.partition("#")[0] for link in links(PAGES[name])]
    assert all(target.resolve().is_relative_to(docs) for target in targets)


def test_navigation_names_every_page() -> None:
    def pages(entry: object) -> Iterator[str]:
        match entry:
            case str():
                yield entry
            case list() | dict():
                for part in entry.values() if isinstance(entry, dict) else entry:
                    yield from pages(part)

    project = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]
    notebooks = [path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.ipynb")]
    assert sorted(f"docs/{page}" for page in pages(project["nav"])) == sorted(
        [name for name in PAGES if name.startswith("docs/")] + notebooks
    )


def test_pictures_are_small_and_all_are_used() -> None:
    used = {((ROOT / name).parent / link).resolve() for name, page in PAGES.items() for link in links(page)}
    pictures = [path for path in (ROOT / "docs").rglob("*") if path.suffix in {".png", ".svg", ".jpg"}]
    assert pictures
    assert not [path.name for path in pictures if path not in used]
    assert not [path.name for path in pictures if Path(path).stat().st_size > PICTURE_BYTES]
