"""Overlays and film strips: the light falls exactly on the cell that has the weight, boxes on their things,
in every format and size, without a warning.
"""

import warnings

import numpy as np
import pytest
from PIL import Image

from seq2attn.errors import UsageError
from seq2attn.plotting import IMAGES, filmstrip, fonts, overlay, spotlight

GREY = np.full((60, 84, 3), 150, dtype=np.uint8)  # not square, or rows and columns could change places
GRID = (5, 7)
WORDS = ["a", "small", "red", "circle", "left", "of", "the", "large", "blue", "square"]


def one_cell(row: int, column: int, grid: tuple[int, int] = GRID) -> np.ndarray:
    weights = np.zeros((1, *grid))
    weights[0, row, column] = 1.0
    return weights.reshape(1, -1)


def even(words: int, grid: tuple[int, int] = GRID) -> np.ndarray:
    return np.full((words, grid[0] * grid[1]), 1 / (grid[0] * grid[1]))


def noise(high: int, wide: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (high, wide, 3), dtype=np.uint8)


def extents(figure) -> list[tuple[int, int, int, int]]:
    """left, right, bottom, top of all images in a figure, in its dots."""
    return [tuple(int(side) for side in image.get_extent()) for image in figure.axes[0].images]


def panels(pixels, words, weights, grid, path, **how) -> list[np.ndarray]:
    """What the file shows in the place of each panel."""
    overlay.save(pixels, words, weights, grid, path, **how)
    drawn = np.asarray(Image.open(path).convert("RGB"))
    figure = overlay.draw(pixels, words, weights, grid, [fonts.FIRST], **how)
    return [drawn[top:bottom, left:right] for left, right, bottom, top in extents(figure)[: 1 + len(words)]]


@pytest.mark.parametrize("cell", [(1, 2), (3, 1), (2, 5), (1, 5)])
def test_panels_light_a_single_cell_at_its_place(tmp_path, cell):
    _, panel = panels(GREY, ["x"], one_cell(*cell), GRID, tmp_path / "a.png")
    light_YX = panel.astype(float).sum(-1) - panel.astype(float).sum(-1).min()
    high, wide = light_YX.shape
    y, x = (np.arange(high) + 0.5) / high * GRID[0], (np.arange(wide) + 0.5) / wide * GRID[1]
    centre = (light_YX.sum(1) @ y / light_YX.sum(), light_YX.sum(0) @ x / light_YX.sum())
    np.testing.assert_allclose(centre, (cell[0] + 0.5, cell[1] + 0.5), atol=0.02)
    peak = np.argwhere(light_YX == light_YX.max()).mean(axis=0) + 0.5
    np.testing.assert_allclose(peak / (high, wide) * GRID, (cell[0] + 0.5, cell[1] + 0.5), atol=0.02)


@pytest.mark.parametrize("cell", [(0, 0), (0, 6), (4, 0), (4, 6)])
def test_panels_light_a_corner_cell_up_to_the_edge(tmp_path, cell):
    _, panel = panels(GREY, ["x"], one_cell(*cell), GRID, tmp_path / "a.png")
    corner = panel[-1 if cell[0] else 0, -1 if cell[1] else 0]
    assert corner.astype(int).sum() == panel.astype(int).sum(-1).max()
    assert (panel.astype(int).sum(-1) > 1.02 * panel.astype(int).sum(-1).min()).mean() < 3 / 35


def test_brightness_at_the_centre_of_a_cell_is_that_of_its_weight():
    weights = np.random.default_rng(2).random((6, 6)) * 0.4
    smooth = spotlight.upsample(weights, (6 * 31, 6 * 31), 0.5)
    np.testing.assert_allclose(smooth[15::31, 15::31], spotlight.brightness(weights, 0.5), atol=0.01)
    assert smooth.min() >= 0
    assert smooth.max() <= 1


def test_relight_is_monotonic_in_the_weight():
    for value in (0, 30, 90, 150, 220, 255):
        steps = (
            spotlight.relight(np.full((1, 50, 3), value, dtype=np.uint8), np.linspace(0, 1, 50)[None])
            .astype(int)
            .sum(-1)[0]
        )
        assert (np.diff(steps) >= 0).all()
        assert steps[-1] - steps[0] > 200


def test_panels_share_one_scale(tmp_path):
    weights = np.concatenate([one_cell(2, 3), 0.25 * one_cell(2, 3), 0 * one_cell(2, 3)])
    _, strong, weak, none = panels(GREY, ["x", "y", "z"], weights, GRID, tmp_path / "a.png")
    assert strong.sum(-1).max() > 1.2 * weak.sum(-1).max()
    assert weak.sum(-1).max() > 1.2 * none.sum(-1).max()
    assert len(np.unique(none)) <= 3


def test_panels_begin_with_the_image_and_its_pixels(tmp_path):
    pixels = noise(40, 56)
    image, _ = panels(pixels, ["x"], even(1), GRID, tmp_path / "a.png")
    times = image.shape[0] // 40
    assert times > 3
    np.testing.assert_array_equal(image, pixels.repeat(times, 0).repeat(times, 1))


def test_panels_outline_a_box_in_the_image_and_the_panel_of_its_word(tmp_path):
    boxes = [(1, 21.0, 12.0, 63.0, 48.0)]
    image, other, own = panels(GREY, ["x", "y"], even(2), GRID, tmp_path / "a.png", boxes=boxes)
    for panel in (image, own):
        times = panel.shape[0] / 60
        coloured = np.argwhere(panel.max(-1).astype(int) - panel.min(-1) > 100)
        middle = (coloured.min(axis=0) + coloured.max(axis=0) + 1) / 2
        np.testing.assert_allclose(middle / times, (30, 42), atol=0.3)
        np.testing.assert_allclose(
            (coloured.max(axis=0) + 1 - coloured.min(axis=0)) / times, (36, 42), atol=1.0
        )
    assert (other.max(-1).astype(int) - other.min(-1)).max() < 60


def test_panels_draw_a_box_beyond_the_image_at_its_edge(tmp_path):
    inside = panels(GREY, ["x"], even(1), GRID, tmp_path / "a.png", boxes=[(0, -50.0, -50.0, 500.0, 500.0)])
    overlay.save(GREY, ["x"], even(1), GRID, tmp_path / "b.png", boxes=[(0, 0.0, 0.0, 84.0, 60.0)])
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert len(inside) == 2


@pytest.mark.slow
@pytest.mark.parametrize("ending", IMAGES)
@pytest.mark.parametrize(
    "words",
    [[], ["one"], ["北京", "القطط", "🐶", "$x_1$", "", "a\x07b", "\ud800"], ["w"] * 40],
    ids=["none", "one", "scripts", "forty"],
)
def test_save_draws_any_words_in_any_format_without_a_warning(tmp_path, capfd, caplog, words, ending):
    path = tmp_path / f"image{ending}"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        overlay.save(GREY, words, even(len(words)), GRID, path, title="北京 $x$")
        filmstrip.save(
            np.stack([GREY] * 3),
            words,
            even(len(words), (1, 3)),
            tmp_path / f"clip{ending}",
            title="北京 $x$",
        )
    assert path.read_bytes().startswith({".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[ending])
    assert sorted(file.name for file in tmp_path.iterdir()) == [f"clip{ending}", path.name]
    assert capfd.readouterr() == ("", "")
    assert [record.message for record in caplog.records if record.levelname != "INFO"] == []


@pytest.mark.parametrize("ending", IMAGES)
def test_save_is_deterministic(tmp_path, ending):
    for name in ("a", "b"):
        overlay.save(GREY, ["x", "y"], even(2), GRID, tmp_path / (name + ending), boxes=[(0, 1, 2, 30, 40)])
        filmstrip.save(np.stack([GREY, GREY]), ["x", "y"], even(2, (1, 2)), tmp_path / f"clip-{name}{ending}")
    assert (tmp_path / f"a{ending}").read_bytes() == (tmp_path / f"b{ending}").read_bytes()
    assert (tmp_path / f"clip-a{ending}").read_bytes() == (tmp_path / f"clip-b{ending}").read_bytes()


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 300), (300, 1), (7, 5), (96, 96), (159, 161), (700, 300), (300, 2000)]
)
@pytest.mark.parametrize("grid", [(1, 1), (1, 9), (24, 24), (7, 3)])
def test_draw_accepts_any_size_of_image_and_grid(tmp_path, size, grid):
    weights = even(3, grid)
    figure = overlay.draw(noise(*size), ["x", "y", "z"], weights, grid, [fonts.FIRST])
    places = extents(figure)
    assert all(right - left <= 320 and bottom - top <= 320 for left, right, bottom, top in places)
    assert max(max(right - left, bottom - top) for left, right, bottom, top in places[:4]) >= 240


@pytest.mark.slow
def test_draw_puts_up_to_seven_panels_in_a_row_without_overlap():
    for count in range(41):
        figure = overlay.draw(GREY, ["w"] * count, even(count), GRID, [fonts.FIRST])
        places = extents(figure)[: 1 + count]
        corners = {(left, top) for left, _, _, top in places}
        assert len(corners) == 1 + count
        assert len({left for left, _ in corners}) <= 7
        width, height = figure.get_size_inches() * 200
        assert all(
            0 <= left < right <= width and 0 <= top < bottom <= height for left, right, bottom, top in places
        )


def test_draw_fits_words_above_their_panels():
    words = ["short", "a" * 200, "WM" * 10, "i", "uncommonly", "x", "y", "z", "long" * 6]
    figure = overlay.draw(GREY, words, even(len(words)), GRID, [fonts.FIRST], title="t" * 300)
    title, *texts = figure.axes[0].texts
    height = figure.get_size_inches()[1] * 200
    assert title.get_window_extent().x1 <= figure.get_size_inches()[0] * 200
    for text, (left, right, _, top) in zip(texts, extents(figure)[1 : 1 + len(words)], strict=False):
        around = text.get_window_extent()
        assert around.width <= right - left + 2
        assert left - 1 <= around.x0 <= around.x1 <= right + 1
        assert top - 46 <= height - around.y1 <= height - around.y0 <= top


@pytest.mark.slow
def test_save_writes_small_files(tmp_path):
    overlay.save(noise(96, 96), WORDS, even(10), GRID, tmp_path / "small.png")
    y, x = np.mgrid[:480, :640]
    photo = np.clip(
        np.stack([120 + 60 * np.sin(x / 50 + k) + 50 * np.cos(y / 40) for k in range(3)], -1)
        + noise(480, 640) / 10,
        0,
        255,
    ).astype(np.uint8)
    weights = np.random.default_rng(3).dirichlet([0.3] * 35, 10)
    for ending in IMAGES:
        overlay.save(photo, WORDS, weights, GRID, tmp_path / f"photo{ending}")
    assert all(
        20_000 < file.stat().st_size < (1_000_000 if file.suffix == ".png" else 2_000_000)
        for file in tmp_path.iterdir()
    ), {file.name: file.stat().st_size for file in tmp_path.iterdir()}


@pytest.mark.parametrize(
    ("most", "highest"),
    [
        (0.0, 1.0),
        (1e-9, 0.01),
        (0.0051, 0.01),
        (0.0101, 0.015),
        (0.21, 0.3),
        (0.7, 0.8),
        (0.9, 1.0),
        (1.0, 1.0),
        (1.7, 2.0),
        (1.0 + 1e-9, 1.0),
    ],
)
def test_scale_max_is_the_next_round_number(most, highest):
    assert spotlight.scale_max(np.array([[0.0, most]])) == highest


def test_draw_labels_the_legend_with_the_highest_weight():
    figure = overlay.draw(GREY, ["x"], 0.21 * one_cell(1, 1), GRID, [fonts.FIRST])
    assert [text.get_text() for text in figure.axes[0].texts] == ["x", "weight  0", "0.3"]
    figure = overlay.draw(GREY, ["x"], 0.21 * one_cell(1, 1), GRID, [fonts.FIRST], boxes=[(0, 1, 1, 9, 9)])
    assert "corpus" in figure.axes[0].texts[-1].get_text()


def test_draw_shows_weights_of_a_clip_as_colour_below_the_frames(tmp_path):
    frames = np.stack([np.full((30, 40, 3), 40 * number, dtype=np.uint8) for number in range(5)])
    weights = np.zeros((3, 5))
    weights[0, 3], weights[1, 1], weights[2, 1] = 0.8, 0.8, 0.3
    filmstrip.save(frames, ["x", "longer", "z"], weights, tmp_path / "a.png")
    pixels = np.asarray(Image.open(tmp_path / "a.png").convert("RGB")).astype(int)
    figure = filmstrip.draw(frames, ["x", "longer", "z"], weights, [fonts.FIRST])
    height = figure.get_size_inches()[1] * 200
    shades = np.zeros((3, 5))
    for number, (left, right, bottom, top) in enumerate(extents(figure)[:5]):
        assert (pixels[top:bottom, left:right] == 40 * number).all()
        for row, text in enumerate(figure.axes[0].texts[:3]):
            around = text.get_window_extent()
            shades[row, number] = pixels[
                round(height - (around.y0 + around.y1) / 2), (left + right) // 2
            ].sum()
    np.testing.assert_array_equal(shades.argmin(axis=1), [3, 1, 1])
    assert shades[1, 1] < shades[2, 1] < shades[0, 0]


@pytest.mark.parametrize(("count", "words"), [(1, 1), (16, 40), pytest.param(60, 3, marks=pytest.mark.slow)])
def test_draw_keeps_clips_of_any_length_within_the_canvas(count, words):
    figure = filmstrip.draw(
        np.stack([GREY] * count), ["word"] * words, even(words, (1, count)), [fonts.FIRST], title="a clip"
    )
    width, height = figure.get_size_inches() * 200
    for text in figure.axes[0].texts:
        around = text.get_window_extent()
        assert 0 <= around.x0 <= around.x1 <= width
        assert 0 <= around.y0 <= around.y1 <= height
    assert all(
        0 <= left < right <= width and 0 <= top < bottom <= height
        for left, right, bottom, top in extents(figure)
    )
    lefts = [left for left, *_ in extents(figure)[:count]]
    assert len(set(np.diff(lefts))) <= 1


@pytest.mark.parametrize("name", ["image.jpg", "image"])
def test_save_refuses_other_formats(tmp_path, name):
    with pytest.raises(UsageError, match=r"an overlay is written as \.png, \.svg, \.pdf"):
        overlay.save(GREY, ["a"], even(1), GRID, tmp_path / name)
    with pytest.raises(UsageError, match=r"a film strip is written as \.png, \.svg, \.pdf"):
        filmstrip.save(GREY[None], ["a"], even(1, (1, 1)), tmp_path / name)


@pytest.mark.parametrize("shape", [(1, 34), (2, 35), (35,), (0, 0), (1, 5, 7)])
def test_draw_refuses_weights_that_do_not_fit_words_and_grid(shape):
    with pytest.raises(UsageError, match=r"for 1 words and 35 cells \(5 x 7\)"):
        overlay.draw(GREY, ["a"], np.zeros(shape), GRID, [fonts.FIRST])


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_draw_refuses_nan_weights(wrong):
    with pytest.raises(UsageError, match="not finite"):
        overlay.draw(GREY, ["a"], even(1) * wrong, GRID, [fonts.FIRST])


@pytest.mark.parametrize("box", [(1, 0, 0, 5, 5), (-1, 0, 0, 5, 5), (0, 0, float("nan"), 5, 5)])
def test_draw_refuses_boxes_without_a_word_or_place(box):
    with pytest.raises(UsageError, match="needs the number of a word"):
        overlay.draw(GREY, ["a"], even(1), GRID, [fonts.FIRST], boxes=[box])


@pytest.mark.parametrize("pixels", [GREY[..., 0], GREY.astype(float), GREY[:0], GREY[None], GREY[..., :2]])
def test_draw_refuses_pixels_of_other_shapes(pixels):
    with pytest.raises(UsageError, match=r"must have shape \(Y, X, 3\), type uint8"):
        overlay.draw(pixels, ["a"], even(1), GRID, [fonts.FIRST])
