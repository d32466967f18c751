"""Blocks in the terminal: columns line up in every script, nothing is wider than the terminal, and no word
can steer it.
"""

import numpy as np
import pytest

from seq2attn.errors import UsageError
from seq2attn.plotting import terminal_heatmap


def test_render_of_a_small_matrix_equals_the_expected_text():
    weights = np.array([[1.0, 0, 0], [0, 0.2, 0.6], [0, 0.65, 0.4]])
    assert terminal_heatmap.render(weights, ["I", "see", "them"], ["je", "les", "vois"]).split("\n") == [
        "     ┌─────── I",
        "     │  ┌──── see",
        "     │  │  ┌─ them",
        "  je ██",
        " les    ░░ ▓▓",
        "vois    ▓▓ ▒▒",
    ]


def test_render_brackets_weakly_attended_words():
    lines = terminal_heatmap.render(np.eye(2), ["I", "see"], ["je", "vois"], hardly=[1]).split("\n")
    assert lines[:2] == ["     ┌──── I", "     │  ┌─ (see)"]


def blocks_of(line: str) -> list[str]:
    return [part for part in line.split() if set(part) <= set("".join(terminal_heatmap.SHADES))]


@pytest.mark.parametrize(("width", "height"), [(80, 22), (80, 24), (100, 24), (60, 24)])
def test_render_fits_a_sentence_in_24_lines(width, height):
    source, target = [f"word{number}" for number in range(21)], [f"mot{number}" for number in range(17)]
    weights = np.eye(17, 21)
    lines = terminal_heatmap.render(weights, source, target, width, height=height, hardly=[17, 18]).split(
        "\n"
    )
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    key = "  ".join(lines[18:])
    assert "a word0  b word1" in key
    assert "r (word17)" in key
    letters = lines[0]
    for row in range(17):
        block = lines[1 + row].index("█")
        assert letters[block] == "abcdefghijklmnopqrstu"[row]  # under the letter of its word
        assert blocks_of(lines[1 + row]) in (["██"], ["█"])


def test_render_keeps_whole_words_of_a_short_sentence():
    weights = np.eye(3)
    assert "┌" in terminal_heatmap.render(weights, list("abc"), list("uvw"), height=22)
    assert "┌" in terminal_heatmap.render(np.eye(40), ["word"] * 40, ["mot"] * 40)


def test_render_repeats_the_column_labels_below_many_rows():
    text = terminal_heatmap.render(
        np.eye(37, 38), [f"w{n}" for n in range(38)], [f"m{n}" for n in range(37)], 80, height=22
    )
    lines = text.split("\n")
    assert len(lines) < 50
    assert lines[0] == lines[38]
    assert max(map(len, lines)) <= 80


def test_render_separates_neighbours():
    line = terminal_heatmap.render(np.full((1, 4), 0.4), list("abcd"), ["x"]).split("\n")[-1]
    assert blocks_of(line) == ["▒▒"] * 4


def test_render_panels_puts_heads_side_by_side_if_they_fit():
    panels = [
        terminal_heatmap.Panel(f"layer 1, head {number}", np.roll(np.eye(3), number, 1))
        for number in range(5)
    ]
    wide, narrow = (
        terminal_heatmap.render_panels(panels, ["a", "b", "cat"], ["u", "v", "w"], width, hardly=[2])
        for width in (80, 20)
    )
    for text, width in ((wide, 80), (narrow, 20)):
        lines = text.split("\n")
        assert max(map(terminal_heatmap.columns, lines)) <= width
        assert [line for line in lines if "(cat)" in line]
        assert text.count("head") == 5
    assert wide.split("\n")[0].count("head") == 4
    assert len(wide.split("\n")) < len(narrow.split("\n"))


@pytest.mark.parametrize("width", [20, 5, 1])
def test_render_and_legend_fit_a_narrow_terminal(width):
    source, target = ["uncommonly", "long", "words"] * 3, ["extraordinaire"] * 4
    for height in (None, 5):
        lines = terminal_heatmap.render(np.full((4, 9), 0.5), source, target, width, height=height).split(
            "\n"
        )
        assert width < 20 or max(map(terminal_heatmap.columns, lines)) <= width
    assert width < 20 or max(map(len, terminal_heatmap.legend(width=width).split("\n"))) <= width


@pytest.mark.parametrize(
    ("text", "width"),
    [
        ("abc", 3),
        ("北京", 4),
        ("e\u0301", 1),
        ("한국", 4),
        ("🐶", 2),
        ("👩\u200d👧", 4),
        ("القطط", 5),
        ("ｱｲ", 2),
        ("Ａ", 2),
    ],
)
def test_columns_counts_terminal_columns(text, width):
    assert terminal_heatmap.columns(text) == width


def test_render_aligns_cells_in_any_script():
    lines = terminal_heatmap.render(
        np.eye(3) * 0 + 1, ["a", "b", "c"], ["北京", "dog", "e\u0301te\u0301"]
    ).split("\n")[3:]
    assert {terminal_heatmap.columns(line[: line.index("█")]) for line in lines} == {5}


@pytest.mark.parametrize("width", [20, 40, 80])
def test_render_fits_the_terminal_and_loses_no_word(width):
    source, target = [f"w{number}" for number in range(70)], ["x", "longer"]
    text = terminal_heatmap.render(np.full((2, 70), 1.0), source, target, width)
    lines = text.split("\n")
    assert max(terminal_heatmap.columns(line) for line in lines) <= width
    assert [line.split(" ")[-1] for line in lines if "┌" in line] == source
    assert text.count("█") == 2 * 2 * 70


def test_render_draws_every_column_on_a_very_narrow_terminal():
    assert terminal_heatmap.render(np.full((1, 3), 1.0), ["word"] * 3, ["word"], width=5).count("██") == 3


def test_render_escapes_control_characters():
    text = terminal_heatmap.render(np.eye(2), ["\x1b[31mred", "a\u202eb"], ["[bold]x[/]", "\ud800\n"])
    assert all(character.isprintable() or character == "\n" for character in text)
    assert text.count("\n") == 3
    assert "[bold]x[/]" in text


def test_fit_cuts_long_words_to_whole_characters():
    assert terminal_heatmap.fit("x" * 30, 10) == "x" * 9 + "…"
    assert terminal_heatmap.fit("北" * 30, 10) == "北" * 4 + "…"
    assert terminal_heatmap.fit("北" * 5, 10) == "北" * 5


def test_render_with_colour_changes_no_block():
    weights = np.random.default_rng(1).random((4, 5))
    words = list("abcde")
    coloured = terminal_heatmap.render(weights, words, words[:4], colour=True)
    assert "\x1b[38;5;33m" in coloured
    assert coloured.replace("\x1b[38;5;33m", "").replace("\x1b[0m", "") == terminal_heatmap.render(
        weights, words, words[:4]
    )


def test_legend_names_the_lowest_weight_of_each_block():
    legend = terminal_heatmap.legend().split()
    assert legend[0] == "weights:"
    blocks, least = legend[1::3], [float(number) for number in legend[3::3]]
    assert len(blocks) == len(terminal_heatmap.SHADES) - 1
    for block, weight in zip(blocks, least, strict=True):
        at, below = (
            terminal_heatmap.render(np.array([[value]]), ["a"], ["b"]).split("\n")[-1]
            for value in (weight + 1e-6, weight - 1e-6)
        )
        assert at == f"b {block}"
        assert below != at
    assert (
        terminal_heatmap.legend(colour=True).replace("\x1b[38;5;33m", "").replace("\x1b[0m", "")
        == terminal_heatmap.legend()
    )


def test_render_refuses_weights_that_do_not_fit_the_words():
    with pytest.raises(UsageError, match=r"shape \(1, 2\) for 2 target and 1 source words"):
        terminal_heatmap.render(np.ones((1, 2)), ["a"], ["b", "c"])


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), -float("inf"), 1e308, -1e308, 1e300, -0.5])
def test_render_draws_any_number(weight):
    lines = terminal_heatmap.render(np.array([[weight, 0.3]]), ["a", "b"], ["x"]).split("\n")
    assert lines[-1] == f"x {'██' if weight > 1 else '  '} ▒▒"
