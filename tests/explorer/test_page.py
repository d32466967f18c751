"""The explorer in a real browser, without a network: what is on the page is what `explain` says, the keyboard
alone suffices, and nothing is written to the console.
"""

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import explained_models
import image_toy
import numpy as np
import pytest
import tiny
from explained_models import SOURCES
from explorer.page_server import served
from PIL import Image
from real_browser import chromium, needs_browser

from seq2attn import config
from seq2attn.explaining.explanation import explain
from seq2attn.explaining.explanation_page import write_answers, write_page
from seq2attn.inference import Captioner, Translator
from seq2attn.inference.words import between_words

playwright = pytest.importorskip("playwright.sync_api", reason="the browser is driven by playwright")
playwright.expect.set_options(timeout=60_000)
pytestmark = needs_browser
TEXT = SOURCES[1]
Open = Callable[..., Any]


def image_captioner(*changes: str) -> Captioner:
    tree = image_toy.settings("model.decoder.size=32").model_dump(mode="json")
    config.assign_all(tree, changes)
    of = config.validate(tree, "test")
    model = image_toy.model(of, image_toy.tokenizer().size, 4, 2.0)
    return Captioner(model, image_toy.tokenizer(), of, languages=(None, "en"))


def brief(translator: Translator) -> Translator:
    """With short outputs: those of random models never end."""
    search = translator.config.search.model_copy(update={"max_length": 6})
    translator.config = translator.config.model_copy(update={"search": search})
    return translator


ABOUT = {"name": "small", "kind": "text", "model": "transformer", "languages": ["en", "fr"], "attends": True}
PREDICTORS = {
    "small": lambda: brief(explained_models.translator("transformer", seed=5)),
    "recurrent": lambda: brief(tiny.translator()),
    "pictures": image_captioner,
    "clips": lambda: image_captioner("model.encoder.max_frames=6"),
}


@pytest.fixture(scope="module")
def predictors() -> dict[str, Any]:
    return {name: make() for name, make in PREDICTORS.items()}


@pytest.fixture(scope="module")
def address(predictors: dict[str, Any]) -> Iterator[str]:
    with served(predictors) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def opened(browser: Any, address: str) -> Iterator[Open]:
    """Opens the page with a state, and checks afterwards that the console stayed empty."""
    contexts, complaints = [], []

    def open_(at: str | None = None, wait: bool = True, width: int = 1100, **state: str) -> Any:
        size = {"width": width, "height": 900}
        context = browser.new_context(viewport=size, reduced_motion="reduce", accept_downloads=True)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)  # a busy machine starts a browser slowly
        # the browser itself notes each answer that is a refusal
        page.on(
            "console",
            lambda one: (
                any(f"status of {code}" in one.text for code in (400, 403)) or complaints.append(one.text)
            ),
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(at or f"{address}/#{urlencode(state)}")
        if wait:
            ready(page)
        return page

    yield open_
    with contextlib.suppress(Exception):
        for context in contexts:
            context.close()
    assert not complaints


def ready(page: Any) -> None:
    page.wait_for_selector(".panel[data-state=ready]")
    page.wait_for_selector("#status[data-state=ready]")


def output(page: Any) -> list[str]:
    return page.locator(".line.target .word").all_inner_texts()


def values(page: Any, selector: str, expression: str) -> list[Any]:
    """Of each element, which the expression calls `one`."""
    return page.locator(selector).evaluate_all(f"all => all.map((one) => {expression})")


def state(page: Any) -> dict[str, str]:
    return {name: value for name, [value] in parse_qs(urlsplit(page.url).fragment).items()}


def test_page_shows_what_explain_says(opened: Open, predictors: dict[str, Any]) -> None:
    page = opened(text="a <script>alert(1)</script> dog runs")
    done = explain(predictors["small"], "a <script>alert(1)</script> dog runs", parts=["candidates"])
    assert page.locator(".line.source .word").all_inner_texts() == list(done.source.words)
    assert output(page) == done.target.words
    assert page.locator("h2").inner_text() == "small"
    cells = values(page, ".cell", "Number(one.style.getPropertyValue('--w'))")
    assert done.attention is not None
    between = between_words(
        done.attention.mean((0, 1)),
        done.target.word_of,
        done.source.word_of,
        len(done.target.words),
        len(done.source.words),
    )
    np.testing.assert_allclose(cells, between.flatten(), atol=1e-3)
    assert done.candidates is not None
    assert page.locator(".candidate").count() == sum(map(len, done.candidates))
    assert page.locator(".candidate[aria-current]").count() <= len(done.target.ids)
    page.fill("#text", "the dog")
    playwright.expect(page.locator(".source .word")).to_have_count(2)
    ready(page)
    assert output(page) == explain(predictors["small"], "the dog").target.words
    assert state(page)["text"] == "the dog"
    page.fill("#text", "a dog " * 200)
    page.wait_for_selector("#status.error")
    assert "text: it has" in page.inner_text("#status")


@pytest.mark.slow
def test_keyboard_alone_hides_forces_weighs_and_chooses(opened: Open, predictors: dict[str, Any]) -> None:
    page, model = opened(text=TEXT, open="matrix,candidates,heads"), predictors["small"]
    reach(page, "source-0")
    page.keyboard.press("ArrowRight")
    assert focus(page) == "source-1"
    page.keyboard.press("Delete")
    page.wait_for_selector(".word.masked")
    ready(page)
    assert state(page)["mask"] == "2"
    assert output(page) == explain(model, TEXT, mask=[2]).target.words
    assert focus(page) == "source-1"
    page.keyboard.press("Delete")
    page.wait_for_selector(".chips", state="detached")
    page.keyboard.press("ArrowDown")
    assert focus(page).startswith("target-")

    reach(page, "matrix-small")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("+")
    page.keyboard.press("+")
    page.wait_for_selector(".cell.changed")
    ready(page)
    attend = json.loads(state(page)["edits"])["small"]["attend"]
    assert attend
    assert all(key.endswith(":2") for key in attend)
    assert output(page) == explain(model, TEXT, attend=attend).target.words
    assert focus(page) == "matrix-small"
    page.keyboard.press("Delete")
    page.wait_for_selector(".cell.changed", state="detached")

    reach(page, "head-small-mean", "head-small-auto")
    page.keyboard.press("ArrowRight")
    assert state(page)["head"] == "1.1"
    page.wait_for_selector("[data-key='head-small-1.1'][aria-checked=true]")

    ready(page)
    done = explain(model, TEXT, parts=["candidates"])
    place = next(i for i, one in enumerate(done.candidates[0]) if one.id not in (3, done.target.ids[0]))
    other = done.candidates[0][place].id
    reach(page, f"candidate-0-{done.candidates[0][0].id}")
    for key in ["ArrowRight", "ArrowLeft", *["ArrowDown"] * place]:
        page.keyboard.press(key)
    assert focus(page) == f"candidate-0-{other}"
    page.keyboard.press("Enter")
    page.wait_for_selector(".step.forced")
    ready(page)
    assert output(page) == explain(model, TEXT, prefix=[other]).target.words
    assert page.locator(".before .old").inner_text().split() == done.target.words


def reach(page: Any, *keys: str) -> None:
    """Press Tab until one of the elements has the focus."""
    for _ in range(150):
        if focus(page) in keys:
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not reach {keys}")


def focus(page: Any) -> str:
    return page.evaluate("document.activeElement.dataset.key || ''")


@pytest.mark.slow
def test_pointer_drags_words_and_weights(opened: Open, predictors: dict[str, Any]) -> None:
    page, model = opened(text=TEXT), predictors["small"]
    drag(page, ".source .word[data-index='3']", 0, -70)
    page.wait_for_selector(".word.masked")
    ready(page)
    assert state(page)["mask"] == "4"
    page.click("[data-key='undo-mask-4']")
    page.wait_for_selector(".word.masked", state="detached")
    ready(page)
    drag(page, ".cell[data-row='0'][data-column='4']", 0, -300)
    page.wait_for_selector(".cell.changed")
    ready(page)
    attend = json.loads(state(page)["edits"])["small"]["attend"]
    assert set(attend.values()) == {1}
    assert output(page) == explain(model, TEXT, attend=attend).target.words
    page.click("[data-key=reset]")
    page.wait_for_selector(".chips", state="detached")
    assert "edits" not in state(page)


def drag(page: Any, selector: str, right: int, down: int) -> None:
    page.locator(selector).scroll_into_view_if_needed()
    box = page.locator(selector).bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    for part in range(1, 6):
        page.mouse.move(x + right * part / 5, y + down * part / 5)
    page.mouse.up()


@pytest.mark.slow
def test_address_keeps_the_state(opened: Open, predictors: dict[str, Any]) -> None:
    fields = {"temperature": "0.2", "normaliser": "sparsemax", "mask": "1", "beam": "2", "unit": "subwords"}
    edits = {"small": {"prefix": [40], "attend": {"2:3": 0.5}}}
    page = opened(text=TEXT, open="matrix,beam,self", head="2.1", edits=json.dumps(edits), **fields)
    done = explain(
        predictors["small"],
        TEXT,
        temperature=0.2,
        normaliser="sparsemax",
        mask=[1],
        beam=2,
        prefix=[40],
        attend={"2:3": 0.5},
        parts=["beam", "self_attention"],
    )
    labels = [one.replace("▁", "·").replace("</s>", "⏎") for one in done.target.subwords]
    assert output(page) == labels
    assert page.locator(".chip").count() == 5
    assert page.locator(".tree text.best").count() == len(labels)
    assert page.locator("[data-section=self] .cell").count() == len(done.source.subwords) ** 2
    before = state(page)
    again = opened(page.url)
    assert output(again) == labels
    assert state(again) == before
    page.goto(
        page.url.split("#")[0]
        + "#text=&beam=99&mask=x,-1&edits={&head=9.9.9&open=%00&temperature=nan&unit=%3Cb%3E"
    )
    page.wait_for_timeout(300)
    assert page.locator(".panel:visible").count() == 0


@pytest.mark.slow
def test_change_that_is_refused_can_be_undone(opened: Open) -> None:
    page = opened(wait=False, text=TEXT, mask="99")
    page.wait_for_selector("#status.error")
    assert "mask 99: the source has" in page.inner_text("#status")
    page.click("[data-key='undo-mask-99']")
    ready(page)
    assert "mask" not in state(page)


@pytest.mark.slow
def test_several_runs_stand_side_by_side(opened: Open, predictors: dict[str, Any]) -> None:
    page = opened(text=TEXT, runs="small,recurrent")
    playwright.expect(page.locator(".panel[data-state=ready]")).to_have_count(2)
    ready(page)
    boxes = [page.locator(".panel").nth(i).bounding_box() for i in (0, 1)]
    assert boxes[0]["y"] == boxes[1]["y"]
    assert boxes[1]["x"] >= boxes[0]["x"] + boxes[0]["width"]
    for i, name in enumerate(["small", "recurrent"]):
        own = page.locator(".panel").nth(i).locator(".line.target .word").all_inner_texts()
        assert own == explain(predictors[name], TEXT).target.words
    page.uncheck("[data-key=run-small]")
    playwright.expect(page.locator(".panel")).to_have_count(1)
    assert state(page)["runs"] == "recurrent"


@pytest.mark.slow
def test_newest_request_wins(opened: Open, predictors: dict[str, Any]) -> None:
    page = opened(text=TEXT)
    held: list[Any] = []
    page.route("**/explain", lambda route: held.append(route) if not held else route.continue_())
    page.fill("#text", "the old house")
    page.wait_for_timeout(400)
    page.fill("#text", "a cat")
    playwright.expect(page.locator(".source .word")).to_have_count(2)
    with contextlib.suppress(Exception):
        held[0].continue_()
    page.wait_for_timeout(400)
    ready(page)
    assert output(page) == explain(predictors["small"], "a cat").target.words


@pytest.mark.slow
def test_picture_is_lit_by_words_and_words_by_places(
    opened: Open, predictors: dict[str, Any], tmp_path: Path
) -> None:
    page, model = opened(wait=False, runs="pictures"), predictors["pictures"]
    file = tmp_path / "picture.png"
    [content] = image_toy.image(3).content()
    file.write_bytes(content)
    page.wait_for_selector("#picture:visible")
    page.set_input_files("#file", str(file))
    ready(page)
    done = explain(model, content)
    assert output(page) == done.target.words
    page.wait_for_function("document.querySelector('.stage img').naturalWidth > 0")
    canvas = "document.querySelector('canvas.picture').toDataURL()"
    before = page.evaluate(canvas)
    page.hover(".target .word[data-index='0']")
    lit = page.evaluate(canvas)
    assert lit != before
    page.focus("canvas.picture")
    page.keyboard.press("ArrowRight")
    weights = page.locator(".target .word").evaluate_all(
        "all => all.map((one) => one.style.getPropertyValue('--weight'))"
    )
    assert any(float(weight) > 0 for weight in weights)
    page.keyboard.press("Delete")
    page.wait_for_selector(".chips")
    ready(page)
    assert state(page)["mask"] == "2"
    assert focus(page) == "picture"
    assert output(page) == explain(model, content, mask=[2]).target.words
    page.keyboard.press("Delete")
    page.wait_for_selector(".chips", state="detached")


@pytest.mark.slow
def test_narrow_right_to_left_dark_and_chinese(opened: Open) -> None:
    wide = opened(text="هذا بيت قديم")
    places = values(wide, ".source .word", "one.getBoundingClientRect().x")
    assert places == sorted(places, reverse=True)
    page = opened(width=360, text="هذا بيت قديم <b>", theme="dark", language="zh")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.locator(".line.source").get_attribute("dir") == "rtl"
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 22, 27)"
    assert page.inner_text("h1") == "注意力浏览器"
    places = page.locator(".source .word").evaluate_all(
        "all => all.map((one) => one.getBoundingClientRect().x)"
    )
    assert places == sorted(places, reverse=True) or len(set(places)) == 1
    page.click("#theme")
    page.click("#language")
    assert page.inner_text("h1") == "Attention explorer"
    assert (state(page)["theme"], state(page)["language"]) == ("light", "en")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["svg", "png"])
def test_pictures_can_be_saved(opened: Open, kind: str, tmp_path: Path) -> None:
    page = opened(text="a <b>cat</b> & dog")
    with page.expect_download() as waiting:
        page.click(f"[data-key=save-{kind}]")
    path = tmp_path / waiting.value.suggested_filename
    waiting.value.save_as(path)
    content = path.read_bytes()
    if kind == "png":
        assert content[:8] == b"\x89PNG\r\n\x1a\n"
    else:
        import xml.etree.ElementTree as trees

        root = trees.fromstring(content.decode())
        texts = [one.text for one in root.iter("{http://www.w3.org/2000/svg}text")]
        assert "<b>cat</b>" in texts


@pytest.mark.slow
def test_recorded_page_needs_no_server(opened: Open, predictors: dict[str, Any], tmp_path: Path) -> None:
    texts = [TEXT, "</script><script>alert(1)</script>"]
    answers = [explain(predictors["small"], text, run="small", parts=["candidates"]) for text in texts]
    path = tmp_path / "page.html"
    write_page(answers, path)
    page = opened(path.as_uri())
    assert output(page) == answers[0].target.words
    assert page.locator(".candidate:enabled").count() == 0
    page.select_option("[data-key=texts]", texts[1])
    playwright.expect(page.locator(".source .word")).to_have_count(1)
    ready(page)
    assert output(page) == answers[1].target.words


@pytest.mark.slow
def test_clip_shows_its_frames_and_hides_one(
    opened: Open, predictors: dict[str, Any], tmp_path: Path
) -> None:
    page, model = opened(wait=False, runs="clips"), predictors["clips"]
    file = tmp_path / "clip.gif"
    frames = [Image.new("RGB", (32, 32), (60 * number, 90, 200)) for number in range(4)]
    frames[0].save(file, save_all=True, append_images=frames[1:], duration=100)
    page.wait_for_selector("#picture:visible")
    page.set_input_files("#file", str(file))
    ready(page)
    done = explain(model, file.read_bytes())
    assert done.attention is not None
    assert output(page) == done.target.words
    assert page.locator(".frame").count() == done.source.frames == 4
    page.hover(".target .word[data-index='0']")
    row = np.mean([done.attention.mean((0, 1))[t] for t, w in enumerate(done.target.word_of) if w == 0], 0)
    parts = values(page, ".frame", "Number(one.style.getPropertyValue('--part'))")
    assert np.argmax(parts) == np.argmax(row)
    page.focus(".frame >> nth=0")
    page.keyboard.press("ArrowRight")
    assert focus(page) == "frame-1"
    assert page.locator(".frame.at").count() == 1
    weights = values(page, ".target .word", "Number(one.style.getPropertyValue('--weight'))")
    assert weights[0] == pytest.approx(row[1], abs=2e-3)
    page.keyboard.press("Delete")
    page.wait_for_selector(".frame.masked")
    ready(page)
    assert output(page) == explain(model, file.read_bytes(), mask=[2]).target.words


@pytest.mark.slow
def test_recorded_page_has_gold_links_notes_names_and_pictures(
    opened: Open, predictors: dict[str, Any], tmp_path: Path
) -> None:
    answer = explain(predictors["small"], "the dog", run="small").to_dict()
    count, places = len(answer["target"]["subwords"]), len(answer["source"]["subwords"])
    answer["target"] |= {"words": ["x", "y"], "word_of": [0, 1, *[-1] * (count - 2)]}
    weights = np.zeros((1, 2, count, places))
    weights[..., 0] = 1
    answer |= {
        "label": "line 1: the dog",
        "notes": ["score <b>"],
        "links": {"sure": [[0, 0]], "possible": [[1, 1]]},
        "attention": {
            "layers": 1,
            "heads": 2,
            "weights": weights.tolist(),
            "choice": None,
            "names": [["head one", "head two"]],
        },
    }
    path = tmp_path / "page.html"
    about = {"title": "<i>title", "view": {"open": ["matrix", "heads"], "unit": "words"}}
    write_answers([answer], path, about)
    page = opened(path.as_uri())
    assert page.inner_text("h1") == page.title() == "<i>title"
    assert "score <b>" in page.inner_text(".panel")
    assert values(page, ".cell.gold", "one.dataset.row + one.dataset.column + one.classList") == [
        "00cell gold sure",
        "11cell gold possible",
    ]
    assert page.locator(".ribbons path.gold").count() == 2
    assert page.locator(".word.hardly").all_inner_texts() == ["dog"]
    assert "1 of 2 source words hardly read" in page.inner_text(".panel")
    assert [text.split("\n")[0] for text in page.locator(".head").all_inner_texts()][1:] == [
        "head one",
        "head two",
    ]
    page.uncheck("[data-key=gold]")
    assert page.locator(".gold").count() == 0
    assert state(page) == {"text": "line 1: the dog", "gold": "0"}


@pytest.mark.slow
def test_page_asks_for_the_key_of_a_server(opened: Open, address: str) -> None:
    def guard(route: Any) -> None:
        if route.request.headers.get("authorization") == "Bearer secret":
            return route.continue_()
        route.fulfill(status=403, json={"error": "this server needs an API key"})

    page = opened(wait=False)
    page.route("**/explain", guard)
    page.fill("#text", "the dog")
    page.wait_for_selector("#key:visible")
    assert page.evaluate("document.activeElement.id") == "key-of-server"
    page.keyboard.type("secret")
    page.keyboard.press("Enter")
    ready(page)
    assert page.locator("#key:visible").count() == 0
    assert "secret" not in page.url
    page.reload()
    ready(page)


@pytest.mark.slow
def test_page_begins_with_an_example_of_the_run(opened: Open) -> None:
    page = opened(wait=False)
    page.wait_for_selector("#status[data-state=blank]")
    page.route("**/runs", lambda route: route.fulfill(json=[ABOUT | {"example": "the old house"}]))
    page.reload()
    ready(page)
    assert page.input_value("#text") == "the old house"
    page.keyboard.type("a cat")
    playwright.expect(page.locator(".source .word")).to_have_count(2)
    assert page.input_value("#text") == "a cat"
