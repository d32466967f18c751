"""Grids of shades: the right cell of the right word, one scale, nothing wider than the terminal, and no
weight lost where cells are merged.
"""

import re

import numpy as np
import pytest

from seq2attn.errors import UsageError
from seq2attn.plotting import terminal_heatmap, terminal_overlay


def test_render_of_a_small_grid_equals_the_expected_text():
    weights = np.zeros((2, 2, 3))
    weights[0] = 1 / 6
    weights[1, 1, 1] = 1.0
    assert terminal_overlay.render(["a", "dog"], weights.reshape(2, 6), (2, 3)).split("\n") == [
        "a        dog",
        "▒▒▒▒▒▒    · · ·",
        "▒▒▒▒▒▒    ·██ ·",
        "",
        "weights: ░░ from 0.028  ▒▒ from 0.13  ▓▓ from 0.32  ██ from 0.61",
    ]


@pytest.mark.parametrize(
    ("grid", "expected"),
    [
        ((24, 24), (8, 8)),
        ((14, 14), (8, 8)),
        ((7, 7), (7, 7)),
        ((24, 12), (8, 4)),
        ((1, 30), (1, 8)),
        ((9, 9), (8, 8)),
    ],
)
def test_merged_sums_finer_grids_in_place(grid, expected):
    for cell in np.ndindex(*grid):
        weights = np.zeros((1, *grid))
        weights[0][cell] = 1.0
        merged = terminal_overlay._merged(weights)
        assert merged.shape == (1, *expected)
        np.testing.assert_allclose(merged.sum(), 1.0)
        peak = np.unravel_index(merged.argmax(), merged.shape)[1:]
        place = (np.array(cell) + 0.5) / grid * expected
        assert (np.abs(np.array(peak) + 0.5 - place) <= 0.5 + 1e-9).all()


@pytest.mark.parametrize("width", [10, 40, 80, 200])
@pytest.mark.parametrize("colour", [False, True])
def test_render_fits_the_terminal_and_puts_words_above_their_grids(width, colour):
    words = ["北京" * 9, "e\u0301te\u0301", "x\x1b[31m", *[f"w{number}" for number in range(8)]]
    weights = np.random.default_rng(1).dirichlet(np.ones(25), len(words))
    text = re.sub("\x1b\\[(38;5;33|0)m", "", terminal_overlay.render(words, weights, (5, 5), width, colour))
    *lines, _, legend = text.split("\n")
    assert max(map(terminal_heatmap.columns, lines)) <= width
    assert all(character.isprintable() or character == "\n" for character in text)
    assert [word for word in re.findall(r"w\d", text)] == words[3:]
    assert legend.startswith("weights: ")
    starts = {
        line.index(word)
        for line in lines
        for word in re.findall(r"w\d", line)
        if not re.search("北|e\u0301", line)
    }
    assert all(start % 13 == 0 for start in starts)


def test_render_with_colour_changes_no_block():
    weights = np.random.default_rng(1).random((3, 12))
    plain = terminal_overlay.render(list("abc"), weights, (3, 4))
    coloured = terminal_overlay.render(list("abc"), weights, (3, 4), colour=True)
    assert "\x1b[38;5;33m" in coloured
    assert coloured.replace("\x1b[38;5;33m", "").replace("\x1b[0m", "") == plain


def test_render_of_zero_weights_is_empty_and_of_no_words_no_lines():
    lines = terminal_overlay.render(["x"], np.zeros((1, 4)), (2, 2)).split("\n")
    assert lines == ["x", " · ·", " · ·"]
    assert terminal_overlay.render([], np.zeros((0, 4)), (2, 2)) == ""


@pytest.mark.parametrize("shape", [(1, 3), (2, 4), (4,), (1, 2, 2)])
def test_render_refuses_weights_that_do_not_fit_the_words(shape):
    with pytest.raises(UsageError, match=r"for 1 words and 4 cells \(2 x 2\)"):
        terminal_overlay.render(["a"], np.ones(shape), (2, 2))
