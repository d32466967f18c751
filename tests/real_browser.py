"""Chromium, for the tests of pages. Where it is absent they skip, with a reason."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PATH = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
needs_browser = pytest.mark.skipif(not Path(PATH).exists(), reason=f"there is no browser {PATH}")


@contextmanager
def chromium() -> Iterator[Any]:
    """The browser, driven by playwright."""
    driver = pytest.importorskip("playwright.sync_api", reason="the browser is driven by playwright")
    with driver.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PATH, args=["--no-sandbox"])
        yield browser
        browser.close()
