"""The answers that stand in a page of the explorer."""

import json
import re
from pathlib import Path
from typing import Any


def answers(page: Path) -> list[dict[str, Any]]:
    return json_of(page, "answers")


def about(page: Path) -> dict[str, Any]:
    """The title of the page, and what it shows first."""
    return json_of(page, "about")


def json_of(page: Path, name: str) -> Any:
    element = rf'<script type="application/json" id="{name}">(.*?)</script>'
    [text] = re.findall(element, page.read_text(encoding="utf-8"))
    return json.loads(text)
