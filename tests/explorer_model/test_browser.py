"""The page of one file in a real browser, without a network."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import explained_models
import javascript
import numpy as np
import pytest
import tiny
from real_browser import chromium, needs_browser

from seq2attn.explaining.explanation import explain
from seq2attn.explorer import bundle
from seq2attn.export import export_page
from seq2attn.inference import Translator

pytestmark = [pytest.mark.slow, needs_browser]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def tab(browser: Any) -> Iterator[Any]:
    """A tab without a network, whose console must stay empty, and which must ask for nothing."""
    context = browser.new_context(offline=True)
    tab, complaints = context.new_page(), []
    tab.set_default_timeout(60_000)
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on(
        "request", lambda request: complaints.append(request.url) if request.url.startswith("http") else None
    )
    yield tab
    context.close()
    assert not complaints


def test_page_translates_and_shows_text_as_text(tab: Any, tmp_path: Path) -> None:
    run = tiny.save_run(tmp_path / "small", **explained_models.FAMILIES["transformer"])
    export_page(run, tmp_path / "page.html")
    translator = Translator.load(run, device="cpu")
    javascript.round_to_half(translator.members[0].model)
    tab.goto((tmp_path / "page.html").as_uri())
    tab.wait_for_selector("#search select")
    for text in (tiny.ENGLISH[0], "the <script>alert(1)</script> dog"):
        [[translation]] = translator.translate([text])
        tab.fill("#text", text)
        tab.wait_for_function(
            "words => words.every((word) => document.getElementById('panels').textContent.includes(word))",
            arg=[*translation.source_words, *translation.target_words],
        )
    assert tab.locator("#panels script").count() == 0


def test_engine_answers_in_the_browser_as_explain_does(tab: Any, tmp_path: Path) -> None:
    translator = explained_models.translator("luong", seed=3)
    data = javascript.data_of(translator, tmp_path)
    elements = "".join(
        f'<script type="application/json" id="{name}">{json.dumps(value)}</script>'
        for name, value in data.items()
    )
    script = bundle.script("bare_page.js", javascript.HERE)
    path = tmp_path / "bare.html"
    path.write_text(f'<!doctype html><meta charset="utf-8">{elements}<script>{script}</script>')
    tab.goto(path.as_uri())
    for text in tiny.ENGLISH[:3]:
        answer = tab.evaluate("(request) => engine.explain(request)", {"text": text})
        own = explain(translator, text, run="run").to_dict()
        assert (answer["target"]["ids"], answer["target"]["text"]) == (
            own["target"]["ids"],
            own["target"]["text"],
        )
        np.testing.assert_allclose(answer["attention"]["weights"], own["attention"]["weights"], atol=1e-3)
