"""Several pairs in one figure: one colour scale, panels and titles that do not overlap, colour maps and fonts
by name, and a heat map in axes of the caller.
"""

import itertools

import numpy as np
import pytest

from seq2attn.errors import UsageError
from seq2attn.plotting import MOST_PANELS, fonts, grid, own_axes
from seq2attn.plotting.alignment import Alignment
from seq2attn.plotting.style import COLOURS, Style


def pair(source: str, target: str, title: str = "", least: float = 0.0) -> Alignment:
    sources, targets = source.split(), target.split()
    weights = np.full((len(targets), len(sources)), least)
    weights[np.arange(len(targets)), np.arange(len(targets)) % len(sources)] = 1 - least * (len(sources) - 1)
    return Alignment(sources, targets, weights, title=title)


PAIRS = [
    pair("the small dog sleeps in the garden", "le petit chien dort dans le jardin", "line 1"),
    pair("I see", "je vois", "line 2, of a run whose name is rather long, and then some"),
    pair("internationalisation matters", "l' internationalisation compte", "line 3"),
    pair("a", "un", "line 4"),
]
NARROW = pair("a", "un", "unusually-long-title of a narrow panel")


def boxes_of_panels(figure):
    """The box of each panel with its labels and its title, without the colour scale."""
    *panels, _ = figure.axes
    renderer = figure.canvas.get_renderer()
    return [axes.get_tightbbox(renderer) for axes in panels]


@pytest.mark.parametrize("rows", [grid.arrange(PAIRS), [[NARROW, *PAIRS]]])
def test_panels_and_titles_do_not_overlap_and_nothing_is_cut(rows):
    figure, _ = grid.picture(rows, title="Lines of a file")
    boxes = [
        *boxes_of_panels(figure),
        *(text.get_window_extent() for text in figure.texts if text.get_text()),
    ]
    assert len(boxes) == 2 * sum(map(len, rows)) + 1
    assert not [1 for one, other in itertools.combinations(boxes, 2) if one.overlaps(other)]
    width, height = figure.get_size_inches() * figure.dpi
    assert all(0 < box.x0 < box.x1 < width and 0 < box.y0 < box.y1 < height for box in boxes)


def test_all_panels_have_one_scale():
    weak = pair("a b", "c d", least=0.5)._replace(attention=np.full((2, 2), 0.5))
    figure, _ = grid.picture([[weak, PAIRS[0]]])
    *panels, scale = figure.axes
    assert {axes.collections[0].get_clim() for axes in panels} == {(0, 1)}
    assert [label.get_text() for label in scale.get_yticklabels()] == ["0", "1"]


def test_rows_and_columns_are_aligned():
    figure, _ = grid.picture([PAIRS[:2], PAIRS[2:]])
    places = [axes.get_window_extent() for axes in figure.axes[:4]]
    assert [round(place.x0) for place in places[:2]] == [round(place.x0) for place in places[2:]]
    assert round(places[0].y1) == round(places[1].y1) > round(places[2].y1) == round(places[3].y1)


def test_a_size_is_applied_and_a_small_one_refused():
    figure, _ = grid.picture([PAIRS[:2]], size=(9, 4))
    assert figure.get_size_inches().tolist() == [9, 4]
    with pytest.raises(UsageError, match="too few for the words"):
        grid.picture([[pair("x" * 30, "y z"), pair("x" * 30, "y z")]], size=(1, 1))


@pytest.mark.parametrize("count", [0, MOST_PANELS + 1])
def test_the_number_of_panels_is_bounded(count):
    with pytest.raises(UsageError, match="panels are too many" if count else "nothing to draw"):
        grid.arrange(PAIRS[:1] * count)


def test_marked_words_are_explained_once():
    weights = np.array([[0.95, 0.05], [0.95, 0.05]])
    figure, _ = grid.picture([[Alignment(["a", "b"], ["c", "d"], weights)] * 2])
    notes = [text.get_text() for text in figure.texts if text.get_text()]
    assert len(notes) == 1
    assert "hardly read" in notes[0]


@pytest.mark.parametrize(
    ("name", "colours"), [(None, "seq2attn"), ("viridis", "viridis"), ("VIRIDIS", "viridis")]
)
def test_style_has_the_colour_map_of_a_name(name, colours):
    assert Style.of(name).colours.name == colours
    assert Style.of(COLOURS).colours is COLOURS


@pytest.mark.parametrize(
    ("colormap", "font", "words"),
    [
        ("virids", None, "colormap virids: .* did you mean viridis"),
        ("no such map", None, "such as seq2attn, Blues"),
        (None, "dejavu sanz", "font dejavu sanz: .* did you mean DejaVu Sans"),
        (None, "No Such Font", "sans-serif, serif and monospace"),
    ],
)
def test_style_names_near_ones(colormap, font, words):
    with pytest.raises(UsageError, match=words) as error:
        Style.of(colormap, font)
    assert error.value.setting == ("colormap" if font is None else "font")


def test_a_font_is_first_and_others_draw_what_it_lacks():
    assert Style.of(font="dejavu sans MONO").font == "DejaVu Sans Mono"
    assert Style.of(font="serif").font == "DejaVu Serif"
    assert fonts.covering(["abc"], "DejaVu Serif").families == ("DejaVu Serif",)
    arabic = fonts.covering(["abc أحب"], "DejaVu Serif")
    assert arabic.families[:2] == ("DejaVu Serif", fonts.FIRST)
    assert not arabic.unseen()


def test_own_axes_have_words_as_labels_and_the_weights_of_the_alignment():
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3, 3))
    axes, _ = figure.subfigures(1, 2)[0].subplots(1, 2)
    weights = np.array([[0.7, 0.3, 0.0], [0.0, 0.3, 0.7]])
    alignment = Alignment(["$a$", "long-word", "end"], ["un", "end"], weights, ends=True)
    own_axes.draw(axes, alignment, title="$A$", style=Style.of("magma", "serif"))
    assert [label.get_text() for label in axes.get_xticklabels()] == ["$a$", "long-word", "end"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["un", "end"]
    assert {label.get_rotation() for label in axes.get_xticklabels()} == {50}
    assert not any(label.get_parse_math() for label in axes.get_xticklabels())
    mesh = axes.collections[0]
    np.testing.assert_allclose(np.asarray(mesh.get_array()).reshape(2, 3), weights)
    assert (mesh.get_cmap().name, mesh.get_clim()) == ("magma", (0, 1))
    assert axes.get_title(loc="left") == "$A$"
    assert axes.get_ylim() == (2, 0)
    assert own_axes.figure_of(axes) is figure
