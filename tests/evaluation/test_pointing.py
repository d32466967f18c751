"""Pointing accuracy: boxes in each view by hand, weights that point well, badly and nowhere, and mistakes
that must be seen.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seq2attn.errors import UserError
from seq2attn.evaluation.pointing import Counts, Pointing, in_view, pointing, total

WIDE, TALL = (400, 200), (200, 400)
FITS = ("stretch", "crop", "pad")


def peak(grid, *cells):
    """Weights of one word for each (row, column)."""
    weights = np.full((len(cells), *grid), 0.01)
    for word, (row, column) in enumerate(cells):
        weights[word, row, column] = 1
    return weights.reshape(len(cells), -1)


@pytest.mark.parametrize(
    ("fit", "size", "expected"),
    [
        ("stretch", WIDE, (25, 10, 50, 40)),
        ("crop", WIDE, (0, 10, 50, 40)),
        ("pad", WIDE, (25, 30, 50, 45)),
        ("stretch", TALL, (50, 5, 100, 20)),
        ("crop", TALL, (50, -40, 100, -10)),
        ("pad", TALL, (50, 5, 75, 20)),
    ],
)
def test_in_view_equals_hand_computation(fit, size, expected):
    assert in_view((100, 20, 200, 80), size, 100, fit) == pytest.approx(expected)


@pytest.mark.parametrize("fit", FITS)
@given(st.integers(1, 500), st.integers(1, 500), st.integers(1, 300))
def test_in_view_keeps_the_centre_and_fits_the_image(fit, width, height, side):
    left, top, right, bottom = in_view((0, 0, width, height), (width, height), side, fit)
    assert (left + right, top + bottom) == pytest.approx((side, side))
    lengths = right - left, bottom - top
    if fit == "stretch":
        assert lengths == pytest.approx((side, side))
    else:
        assert (min if fit == "crop" else max)(lengths) == pytest.approx(side)
        assert lengths[0] * height == pytest.approx(lengths[1] * width)


def test_in_view_refuses_another_fit():
    with pytest.raises(ValueError, match="stretch, crop, pad"):
        in_view((0, 0, 1, 1), WIDE, 100, "squash")


def test_pointing_counts_a_hit_if_the_largest_weight_is_in_the_box():
    # Cells of 25 x 25 on a view of 100; the box takes the cells of row 0 in columns 2 and 3.
    box = (0, 200.0, 0.0, 400.0, 50.0)
    assert pointing(peak((4, 4), (0, 2)), (4, 4), WIDE, 100, "stretch", [box]) == Counts(1, 2 / 16, 1, 0)
    assert pointing(peak((4, 4), (1, 2)), (4, 4), WIDE, 100, "stretch", [box]) == Counts(0, 2 / 16, 1, 0)


def test_pointing_tells_rows_from_columns():
    box = (0, 200.0, 0.0, 400.0, 50.0)
    assert pointing(peak((4, 4), (2, 0)), (4, 4), WIDE, 100, "stretch", [box]).hits == 0
    # On a grid of 2 rows and 5 columns, cell 7 is row 1, column 2.
    weights = np.eye(10)[[7]]
    assert pointing(weights, (2, 5), (100, 100), 100, "stretch", [(0, 40.0, 50.0, 60.0, 100.0)]).hits == 1
    # no centre between 40 and 60
    assert pointing(weights, (5, 2), (100, 100), 100, "stretch", [(0, 40.0, 50.0, 60.0, 100.0)]).words == 0
    assert pointing(weights, (5, 2), (100, 100), 100, "stretch", [(0, 50.0, 60.0, 100.0, 80.0)]).hits == 1


def test_pointing_uses_the_weights_of_each_word():
    weights = peak((2, 2), (0, 0), (1, 1), (0, 1))
    boxes = [(1, 50.0, 50.0, 100.0, 100.0)]
    assert pointing(weights, (2, 2), (100, 100), 100, "stretch", boxes).hits == 1
    for other in (0, 2):
        assert pointing(weights, (2, 2), (100, 100), 100, "stretch", [(other, *boxes[0][1:])]).hits == 0


@pytest.mark.parametrize(("fit", "cell"), [("stretch", (0, 1)), ("crop", (0, 0)), ("pad", (1, 1))])
def test_pointing_depends_on_the_fit(fit, cell):
    counts = {
        other: pointing(peak((4, 4), cell), (4, 4), WIDE, 100, other, [(0, 100.0, 0.0, 160.0, 60.0)]).hits
        for other in FITS
    }
    assert counts == {other: float(other == fit) for other in FITS}


def test_pointing_with_uniform_weights_is_at_chance():
    boxes = [(0, 0.0, 0.0, 130.0, 90.0), (1, 200.0, 100.0, 210.0, 200.0), (2, 30.0, 20.0, 350.0, 180.0)]
    counts = total([pointing(np.full((3, 49), 1 / 49), (7, 7), WIDE, 224, fit, boxes) for fit in FITS])
    assert counts.accuracy == pytest.approx(counts.chance)
    assert 0 < counts.chance < 1


def test_pointing_shares_a_hit_among_equal_largest_weights():
    weights = np.array([[0.4, 0.4, 0.1, 0.1]])
    assert pointing(weights, (2, 2), (100, 100), 100, "stretch", [(0, 0.0, 0.0, 50.0, 50.0)]).hits == 0.5
    assert pointing(weights, (2, 2), (100, 100), 100, "stretch", [(0, 50.0, 0.0, 100.0, 50.0)]).hits == 0.5


def test_pointing_leaves_out_and_counts_boxes_without_a_cell():
    boxes = [
        (0, 0.0, 0.0, 50.0, 200.0),
        (0, 100.0, 100.0, 101.0, 101.0),
        (0, 100.0, 0.0, 300.0, 200.0),
        (1, 350.0, 0.0, 400.0, 10.0),
    ]
    assert pointing(peak((2, 2), (0, 0), (0, 0)), (2, 2), WIDE, 100, "crop", boxes) == Counts(1, 1, 1, 3)


def test_pointing_accepts_any_box_of_a_word():
    boxes = [(0, 0.0, 0.0, 50.0, 50.0), (0, 50.0, 50.0, 100.0, 100.0)]
    for cell in ((0, 0), (1, 1)):
        assert pointing(peak((2, 2), cell), (2, 2), (100, 100), 100, "stretch", boxes) == Counts(1, 0.5, 1, 0)


def test_pointing_gives_a_centre_on_an_edge_to_one_box():
    sides = [(0.0, 0.0, 25.0, 100.0), (25.0, 0.0, 100.0, 100.0)]  # a centre lies at 25
    counts = [
        pointing(peak((2, 2), (0, 0)), (2, 2), (100, 100), 100, "stretch", [(0, *box)]) for box in sides
    ]
    assert [each.words for each in counts] == [0, 1]
    assert counts[1] == Counts(1, 1, 1, 0)


def test_total_weights_every_word_alike():
    counts = total([Counts(1, 0.5, 1, 0), Counts(1, 0.4, 3, 2)])
    assert counts == Pointing(0.5, pytest.approx(0.225), 4, 2)
    assert str(counts) == "pointing 50.0%  chance 22.5%  (4 words, 2 boxes left out)"
    assert str(total([])) == "pointing –  chance –  (0 words, 0 boxes left out)"


def test_pointing_refuses_other_shapes():
    with pytest.raises(
        UserError, match=r"a.jpg: a box names word 1 \(counted from 0\), but the caption has 1 words"
    ):
        pointing(np.ones((1, 4)), (2, 2), WIDE, 100, "stretch", [(1, 0.0, 0.0, 1.0, 1.0)], "a.jpg")
    with pytest.raises(ValueError, match="3 weights a word on a grid of 2 x 2"):
        pointing(np.ones((1, 3)), (2, 2), WIDE, 100, "stretch", [])
    with pytest.raises(ValueError, match="finite"):
        pointing(np.full((1, 4), np.nan), (2, 2), WIDE, 100, "stretch", [])
