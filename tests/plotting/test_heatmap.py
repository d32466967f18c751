"""Heat maps: every format and script draws without a warning, the weights land in the right cells, and nothing is left behind."""

import itertools

import numpy as np
import pytest

from seq2attn.errors import UsageError
from seq2attn.plotting import PICTURES, fonts, heatmap

TEXTS = {
    "vietnamese": "Tôi yêu con mèo nhỏ",
    "chinese": "他 昨天 去 了 北京",
    "arabic": "أنا أحب القطط في البيت",
    "emoji": "I ❤️ my 🐶 👩‍👩‍👧 😀",
    "mathtext": r"$x_1$ \alpha ^ % # {} _",
    "control": "a\x07b \x1b[31m \ud800 \u202e",
}


def even(rows: int, columns: int) -> np.ndarray:
    return np.full((rows, columns), 1 / columns)


@pytest.mark.parametrize("ending", PICTURES)
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_any_script_in_any_format_draws_without_a_warning(tmp_path, capfd, caplog, text, ending):
    words = text.split(" ")
    path = tmp_path / f"picture{ending}"
    heatmap.save(even(len(words), 3), ["one", "two", "three"], words, path)
    heatmap.save(even(2, len(words)), words, ["un", "deux"], path)
    assert path.read_bytes().startswith({".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[ending])
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert capfd.readouterr() == ("", "")
    assert [record.message for record in caplog.records if record.levelname != "INFO"] == []


@pytest.mark.parametrize("ending", PICTURES)
def test_the_same_picture_is_the_same_file(tmp_path, ending):
    for name in ("a", "b"):
        heatmap.save(even(2, 2), ["x", "y"], ["u", "v"], tmp_path / (name + ending))
    assert (tmp_path / f"a{ending}").read_bytes() == (tmp_path / f"b{ending}").read_bytes()


def test_rows_are_target_words_from_the_top_and_columns_source_words_from_the_left():
    weights = np.array([[0.9, 0.1, 0.0], [0.0, 0.2, 0.8]])
    figure = heatmap.draw(weights, ["the", "small", "dog"], ["le", "chien"], [fonts.FIRST])
    axes = figure.axes[0]
    np.testing.assert_allclose(np.asarray(axes.collections[0].get_array()).reshape(2, 3), weights)
    assert axes.yaxis_inverted()
    places = {text.get_text(): text.get_position() for text in axes.texts}
    assert places["le"][1] < places["chien"][1]
    assert places["the"][0] < places["small"][0] < places["dog"][0]
    assert places["le"][0] < 0
    assert places["the"][1] < 0


def test_weak_attention_uses_the_whole_scale_and_says_so():
    figure = heatmap.draw(np.full((1, 3), 0.15), list("abc"), ["x"], [fonts.FIRST])
    assert [label.get_text() for label in figure.axes[1].get_yticklabels()] == ["0", "0.2"]


def test_the_scale_is_one_piece_without_seams(tmp_path):
    heatmap.save(np.ones((1, 1)), ["a"], ["b"], tmp_path / "a.svg")
    svg = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert svg.count("<image ") == 1
    assert svg.count("<path ") < 20


def test_short_words_stand_upright_and_long_ones_lean():
    short = heatmap.draw(even(1, 2), ["a", "b"], ["x"], [fonts.FIRST])
    long = heatmap.draw(even(1, 2), ["a", "uncommonly"], ["x"], [fonts.FIRST])
    assert {text.get_rotation() for text in short.axes[0].texts} == {0}
    assert max(text.get_rotation() for text in long.axes[0].texts) > 30


def test_a_very_long_pair_stays_within_a_poster_and_its_labels_apart(tmp_path):
    rows, columns = 400, 700
    figure = heatmap.draw(even(rows, columns), [f"w{i}" for i in range(columns)], [f"m{i}" for i in range(rows)], [fonts.FIRST])
    assert max(figure.get_size_inches()) <= 22.1
    tops = [text.get_window_extent() for text in figure.axes[0].texts if text.get_text().startswith("w")]
    assert 50 < len(tops) < columns
    assert all(left.x1 <= right.x0 + 2 for left, right in itertools.pairwise(tops))


def test_a_very_long_word_is_cut():
    figure = heatmap.draw(even(1, 1), ["x" * 500], ["y" * 500], [fonts.FIRST])
    assert {len(text.get_text()) for text in figure.axes[0].texts} == {heatmap.LONGEST_LABEL}


@pytest.mark.parametrize("name", ["picture.jpg", "picture"])
def test_other_formats_are_refused(tmp_path, name):
    with pytest.raises(UsageError, match=r"\.png, \.svg, \.pdf"):
        heatmap.save(even(1, 1), ["a"], ["b"], tmp_path / name)


@pytest.mark.parametrize("shape", [(1, 2), (2, 1), (2,), (0, 0)])
def test_weights_that_do_not_fit_the_words_are_refused(shape):
    with pytest.raises(UsageError, match="needs a row for each target word"):
        heatmap.draw(np.zeros(shape), ["a"], ["b"], [fonts.FIRST])
