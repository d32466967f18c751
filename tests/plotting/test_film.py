"""Attention over a training as a strip, an animation and a page, and the charts beside it."""

import io
import json
from pathlib import Path

import html_reader
import numpy as np
import pytest
from PIL import Image
from real_browser import chromium, needs_browser

from seq2attn.errors import UsageError
from seq2attn.plotting import curves, film, html_curves, html_film, svg_chart
from seq2attn.plotting.charts import Chart, Curve, short, thinned, ticks
from seq2attn.plotting.scene import MOST_MOMENTS, Scene
from seq2attn.plotting.style import Style

STEPS = [10, 20, 30]
CHART = Chart(
    "loss, nats a token", "steps", [Curve(0, [5, 30], [4, 1], pale=True), Curve(0, STEPS, [3, 2, 1])]
)


def text_scene(count: int = 3) -> Scene:
    weights = np.stack(
        [np.full((2, 3), 1 / 3) * (1 - k / count) + np.eye(2, 3) * k / count for k in range(count)]
    )
    return Scene(["le", "chat"], weights, ["the", "cat", "end"])


def image_scene() -> Scene:
    weights = np.random.default_rng(1).dirichlet([1] * 6, (3, 2))
    return Scene(["a", "dog"], weights, grid=(2, 3), name="x<b>.png")


def test_thinned_has_the_first_and_the_last_and_no_more() -> None:
    assert thinned(5, 7) == [0, 1, 2, 3, 4]
    assert thinned(100, 7) == [0, 16, 33, 50, 66, 82, 99]
    assert len(thinned(1000, MOST_MOMENTS)) == MOST_MOMENTS


def test_ticks_are_round_and_within() -> None:
    assert ticks(0, 2000, 4) == [0, 500, 1000, 1500, 2000]
    assert ticks(0, 0.08, 4) == pytest.approx([0, 0.02, 0.04, 0.06, 0.08])
    assert ticks(3, 3) == [3]
    assert [short(number) for number in (0, 0.1 + 0.2, 2000, 20_000, 3e6)] == [
        "0",
        "0.3",
        "2000",
        "20k",
        "3M",
    ]


def test_place_of_a_step_is_that_of_the_curve() -> None:
    assert svg_chart.place(CHART, 0) == svg_chart.LEFT
    assert svg_chart.place(CHART, 30) == svg_chart.WIDTH - svg_chart.RIGHT
    assert f"{svg_chart.place(CHART, 20):.1f}" in svg_chart.figure(CHART, ["run"])


def frames(scene: Scene, path: Path) -> list[np.ndarray]:
    film.save_animation([scene], STEPS, [CHART], path, "title", Style())
    image, results = Image.open(io.BytesIO(path.read_bytes())), []
    for number in range(image.n_frames):  # type: ignore[attr-defined]
        image.seek(number)
        results.append(np.asarray(image.convert("RGB")).astype(int))
    assert image.info["duration"] == 2500
    return results


@pytest.mark.parametrize("scene", [text_scene(), image_scene()])
def test_animation_has_a_frame_for_each_validation(scene: Scene, tmp_path: Path) -> None:
    still = scene._replace(weights=np.repeat(scene.weights[:1], 3, 0))
    own, other = frames(scene, tmp_path / "film.gif"), frames(still, tmp_path / "still.gif")
    assert len(own) == 3
    change, of_the_mark = (np.abs(images[0] - images[2]).max(-1) > 20 for images in (own, other))
    assert of_the_mark.sum() > 50
    assert (change & ~of_the_mark).sum() > 500


@pytest.mark.parametrize("scenes", [[text_scene()], [image_scene(), image_scene()]])
def test_strip_shows_each_moment(scenes: list[Scene], tmp_path: Path) -> None:
    path = tmp_path / "strip.svg"
    film.save_strip(scenes, STEPS, [CHART], path, "a $title$", Style())
    text = path.read_text()
    assert "a $title$" in text
    assert all(f">step {step}<" in text or f">{step}<" in text for step in STEPS)
    with pytest.raises(UsageError, match=r"not as \.gif"):
        film.save_strip(scenes, STEPS, [CHART], tmp_path / "strip.gif", "", Style())


def test_page_holds_each_moment_and_its_place_on_the_curve() -> None:
    page = html_reader.Reader(html_film.render([text_scene(), image_scene()], STEPS, [CHART], "title"))
    steps, places, values, scenes = json.loads(page.data)
    assert steps == STEPS
    assert places == [[round(svg_chart.place(CHART, step), 1) for step in STEPS]]
    assert values == [[3, 2, 1]]
    assert scenes[0][0] == 0
    assert scenes[0][2] == np.rint(255 * text_scene().weights).astype(int).tolist()
    assert (scenes[1][0], np.shape(scenes[1][2])) == (1, (3, 2, 6))
    assert page.words[:3] == ["the", "cat", "end"]


def test_page_shows_hostile_words_as_text() -> None:
    words = [word for word in html_reader.HOSTILE if word != "\ud800"]
    scene = Scene(words, np.ones((1, len(words), len(words))), words, name="<script>")
    reader = html_reader.Reader(html_film.render([scene], [1], [CHART], "<script>"))
    assert reader.words == [*words, *words]
    assert [tag for tag, _ in reader.tags].count("script") == 2  # the weights and our own
    names = ["<script>alert(1)</script>"]
    page = html_curves.render([CHART], names, [["run", "x"], [names[0], "1"]], "t", "n")
    assert "<script>alert" not in page


def test_page_of_a_long_training_stays_small() -> None:
    steps = list(range(1, 501))
    page = html_reader.Reader(html_film.render([text_scene(500)], steps, [CHART], "title"))
    own, _, _, [scene] = json.loads(page.data)
    assert (len(own), own[0], own[-1], len(scene[2])) == (MOST_MOMENTS, 1, 500, MOST_MOMENTS)


def test_highest_weight_is_one_for_all_moments() -> None:
    assert text_scene().highest == 1
    assert Scene(["a"], np.array([[[0.01, 0.02]], [[0.15, 0.1]]]), grid=(1, 2)).highest == 0.2


@pytest.mark.parametrize(("charts", "shape"), [(1, (1, 1)), (3, (1, 3)), (4, (2, 2))])
def test_charts_stand_in_a_row_or_a_square(charts: int, shape: tuple[int, int]) -> None:
    figure, _ = curves.picture([CHART] * charts, ["run"], "title", "note")
    grid = figure.axes[0].get_subplotspec().get_gridspec()  # type: ignore[union-attr]
    assert (grid.nrows, grid.ncols) == shape
    content = io.BytesIO()
    figure.savefig(content, format="png")
    assert content.getvalue().startswith(b"\x89PNG")


def test_curves_of_each_run_have_its_colour() -> None:
    chart = Chart("x", "steps", [Curve(run, [1, 2], [1, 2]) for run in range(10)])
    figure, _ = curves.picture([chart], [f"run{number}" for number in range(10)])
    lines = figure.axes[0].get_lines()
    assert lines[0].get_color() == lines[8].get_color()
    assert lines[0].get_color() != lines[1].get_color()
    assert lines[0].get_linestyle() != lines[8].get_linestyle()


@pytest.mark.slow
@needs_browser
def test_page_plays_by_keyboard_in_a_browser(tmp_path: Path) -> None:
    path = tmp_path / "film.html"
    html_film.save([text_scene(), image_scene()], STEPS, [CHART], path, "title")
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 360, "height": 700})
        problems: list[str] = []
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(path.as_uri())

        def state() -> tuple[str, str, str]:
            mark = page.get_attribute(".mark", "x1")
            cell = page.eval_on_selector("tbody td", "cell => cell.title")
            return page.inner_text("#step"), mark, cell

        places = [f"{svg_chart.place(CHART, step):.1f}".rstrip("0").rstrip(".") for step in STEPS]
        assert state() == ("10", places[0], ".33")
        page.keyboard.press("ArrowRight")
        assert state() == ("20", places[1], ".56")
        page.keyboard.press("End")
        assert state() == ("30", places[2], ".78")
        page.keyboard.press("Space")
        assert (page.inner_text("#play"), page.inner_text("#step")) == ("Pause", "10")
        page.locator("#play", has_text="Play").wait_for(timeout=10_000)
        assert page.inner_text("#step") == "30"
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert not problems
