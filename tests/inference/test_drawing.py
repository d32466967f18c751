"""Translations and captions draw themselves: figures, axes of the caller, heads, images, and notebooks."""

import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
import tiny_images
from matplotlib.figure import Figure
from PIL import Image

import seq2attn
from seq2attn.errors import UsageError, UserError
from seq2attn.inference import Caption, Translation
from seq2attn.inference.attention_file import AttentionWriter, read_attention

DEEP = {"kind": "transformer", "size": 12, "heads": 2, "layers": 2, "feedforward": 8}
SOURCES = ["the small dog sleeps", "rain falls"]
TARGETS = ["le petit chien dort", "la pluie tombe"]


@pytest.fixture(scope="module")
def translations() -> list[Translation]:
    translator = tiny.translator(attention={"heads": 3, "score": "scaled-dot", "size": 12}, **DEEP)
    return translator.score_targets(SOURCES, TARGETS, attention="all")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_images.draw(tmp_path_factory.mktemp("images") / "a.png", 1, (60, 40))


@pytest.fixture(scope="module")
def caption(image: Path) -> Caption:
    captioner = tiny_images.captioner(encoder={"resize": "crop"})
    return captioner.score_targets([image], ["le petit chien"])[0]


def weights_of(figure, number: int = 0) -> np.ndarray:
    return np.asarray(figure.axes[number].collections[0].get_array())


def titles_of(figure) -> list[str]:
    return [text.get_text().replace("\n", " ") for text in figure.texts if text.get_text()]


def test_a_translation_plots_the_mean_one_head_and_all_heads(translations: list[Translation]) -> None:
    translation = translations[0]
    heads, subwords = translation.attention_heads, translation.subword_attention_heads
    assert heads is not None
    assert subwords is not None
    assert titles_of(translation.plot(2, 3))[0] == "layer 2, head 3"
    np.testing.assert_allclose(
        weights_of(translation.plot(2, 3, words=False)).ravel(), subwords[1, 2].ravel(), atol=1e-6
    )
    np.testing.assert_allclose(
        weights_of(translation.plot(words=False)).ravel(), subwords.mean((0, 1)).ravel(), atol=1e-6
    )
    every = translation.plot(head="all")
    assert len(every.axes) == 2 * 3 + 1
    assert [title for title in titles_of(every) if title.startswith("layer")] == [
        f"layer {layer}, head {head}" for layer in (1, 2) for head in (1, 2, 3)
    ]


def test_a_figure_holds_all_that_it_draws_and_shows_itself(translations: list[Translation]) -> None:
    figure = translations[0].plot(title="A title", size=(5, 4))
    assert figure.get_size_inches().tolist() == [5, 4]
    box = figure.get_tightbbox(figure.canvas.get_renderer())
    assert 0 < box.x0 < box.x1 < 5
    assert 0 < box.y0 < box.y1 < 4
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_a_translation_draws_into_given_axes(translations: list[Translation]) -> None:
    figure = Figure()
    axes = figure.subplots(1, 2)
    assert translations[0].plot(layer=1, ax=axes[0], colormap="viridis", title="mine") is figure
    assert axes[0].get_title(loc="left") == "mine: layer 1, mean of 3 heads"
    assert not axes[1].collections
    for wrong in ({"size": (3, 3)}, {"head": "all"}):
        with pytest.raises(UsageError):
            translations[0].plot(ax=axes[1], **wrong)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"layer": 3}, "layer 3: the attention of this translation has 2 layers"),
        ({"head": 4}, "head 4: .* has 3 heads"),
        ({"head": 0}, "head 0: give a number from 1, or all"),
        ({"colormap": "virids"}, "did you mean viridis"),
        ({"font": "no font"}, "no font of this name"),
        ({"size": (0.5, 0.5)}, "too few for the words"),
        ({"size": 5}, "size 5: give width and height"),
        ({"size": (float("nan"), 5)}, "give width and height in inches"),
        ({"size": (1e9, 1e9)}, "each at most 60"),
        ({"title": None}, "title is of type NoneType"),
        ({"colormap": 5}, "colormap is of type int"),
        ({"font": b"x"}, "font is of type bytes"),
        ({"ax": 5}, "ax is of type int: give axes"),
        ({"ax": Figure().add_subplot(projection="3d")}, "ax is of type Axes3D"),
    ],
)
def test_plot_refuses_wrong_arguments(
    translations: list[Translation], how: dict[str, object], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        translations[0].plot(**how)  # type: ignore[arg-type]


def test_plot_names_the_attention_that_is_missing(translations: list[Translation]) -> None:
    mean = replace(translations[0], attention_heads=None, subword_attention_heads=None)
    with pytest.raises(UsageError, match='translate with attention="all"'):
        mean.plot(head=1)
    with pytest.raises(UsageError, match="translate with attention=True"):
        replace(mean, attention=None).plot()
    with pytest.raises(UserError, match="the translation is empty"):
        replace(mean, target_words=[], subword_attention=None).plot()


def test_several_translations_share_a_figure(translations: list[Translation], tmp_path: Path) -> None:
    one_by_one = seq2attn.plot(translations, titles=["first", "second"], title="Both", layer=1)
    assert len(one_by_one.axes) == 3
    assert {"first: layer 1, mean of 3 heads", "second: layer 1, mean of 3 heads", "Both"} <= {
        *titles_of(one_by_one)
    }
    rows = seq2attn.plot([[one, one] for one in translations], titles=["a", "b"])
    assert titles_of(rows)[:4] == ["a", "b", "a", "b"]
    with (tmp_path / "a.npz").open("wb") as file, AttentionWriter(file, tmp_path / "a.npz") as writer:
        for number, translation in enumerate(translations):
            writer.add(number, [translation])
    saved = seq2attn.plot(read_attention(tmp_path / "a.npz"), layer=1)  # type: ignore[arg-type]
    for number in (0, 1):
        np.testing.assert_allclose(weights_of(saved, number), weights_of(one_by_one, number), atol=1e-6)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"titles": ["one"]}, "titles: give a list of one for each of 2 panels"),
        ({"head": "all"}, "the heads of one translation"),
        ({"outputs": []}, "nothing to draw"),
        ({"outputs": ["text"]}, "outputs: a str in the list"),
        ({"outputs": None}, "outputs: plot takes a list, and this is a NoneType"),
        ({"titles": [1, 2]}, "titles: give a list of texts"),
        ({"outputs": 31}, "31 panels are too many"),
    ],
)
def test_plot_refuses_what_it_cannot_draw(
    translations: list[Translation], change: dict[str, object], words: str
) -> None:
    outputs = change.pop("outputs", 2)
    outputs = (translations * 16)[:outputs] if isinstance(outputs, int) else outputs
    with pytest.raises(UsageError, match=words):
        seq2attn.plot(outputs, **change)  # type: ignore[arg-type]


def test_a_caption_knows_its_file_and_no_pixels(caption: Caption, image: Path) -> None:
    assert caption.image == str(image)
    assert len(pickle.dumps(caption)) < 20_000
    copy = pickle.loads(pickle.dumps(caption))
    assert copy == caption == replace(caption, image=None, view=None)
    captioner = tiny_images.captioner()
    searched = captioner.caption([image, image.read_bytes(), captioner.load_pixels(image)])
    assert [best[0].image for best in searched] == [str(image), None, None]
    assert len({best[0].text for best in searched}) == 1


def test_a_caption_plots_the_part_of_the_image_that_the_model_sees(caption: Caption, image: Path) -> None:
    pixels = np.asarray(Image.open(image).convert("RGB"))
    figures = [caption.plot(), caption.plot(image), caption.plot(image.read_bytes()), caption.plot(pixels)]
    images = [np.asarray(figure.axes[0].images[0].get_array()) for figure in figures]
    assert len(figures[0].axes[0].images) == 1 + 3 + 1  # the image, the words, and the scale
    assert images[0].shape[0] == images[0].shape[1]  # cropped to a square
    assert all(np.array_equal(images[0], other) for other in images)


def test_a_caption_is_one_image_in_given_axes(caption: Caption) -> None:
    figure = Figure()
    axes = figure.subplots()
    assert caption.plot(ax=axes, title="A", font="serif") is figure
    assert len(axes.images) == 1
    assert np.asarray(axes.images[0].get_array()).std() > 10


@pytest.mark.parametrize(
    ("change", "how", "words"),
    [
        ({"image": None}, {}, "does not know its file"),
        ({"image": "/no/such/file.png"}, {}, "no such file"),
        ({}, {"head": 1}, 'caption with attention="all"'),
        ({}, {"head": "all"}, "one at a time"),
        ({}, {"colormap": "magma"}, "light on an image"),
        ({}, {"image": np.zeros((3, 3))}, "pixels have shape"),
        ({}, {"ax": 5}, "ax is of type int: give axes"),
        ({"words": []}, {}, "the caption is empty"),
        ({"subword_attention": None}, {}, "this caption has no attention"),
    ],
)
def test_a_caption_refuses_what_it_cannot_draw(
    caption: Caption, change: dict[str, object], how: dict[str, object], words: str
) -> None:
    with pytest.raises(UserError, match=words):
        replace(caption, **change).plot(**how)  # type: ignore[arg-type]


def test_captions_are_drawn_below_each_other(caption: Caption) -> None:
    figure = seq2attn.plot([[caption], [caption]], titles=["one", "two"])
    assert len(figure.axes[0].images) == 2 * (1 + 3 + 1)
    heights = {text.get_text(): text.get_position()[1] for text in figure.axes[0].texts}
    assert heights["one"] < heights["petit"]
    assert heights["one"] < heights["two"]
    for wrong in ({"titles": ["one"]}, {"title": "a"}, {"size": (3, 3)}, {"head": "all"}):
        with pytest.raises(UsageError):
            seq2attn.plot([caption, caption], **wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="from 1 to 12"):
        seq2attn.plot([caption] * 13)


def test_a_clip_plots_its_frames_with_a_colour_map(tmp_path: Path) -> None:
    for number in range(5):
        tiny_images.draw(tmp_path / "clip" / f"{number}.png", number, (24, 16))
    caption = tiny_images.captioner(frames=3).score_targets([tmp_path / "clip"], ["le chien"])[0]
    figure = caption.plot(colormap="magma")
    assert len(figure.axes[0].images) == 3 + 1
    assert len(figure.axes[0].patches) == 2 * 3


def test_notebooks_show_attention_or_a_table(
    translations: list[Translation], caption: Caption, tmp_path: Path
) -> None:
    assert translations[0]._repr_html_().startswith("<iframe")
    assert caption._repr_html_().startswith("<iframe")
    text = replace(translations[0], attention=None, source="a <b>dog</b>")._repr_html_()
    assert text.startswith("<table>")
    assert "a &lt;b&gt;dog" in text
    empty = replace(translations[0], target_words=[], subword_attention=None)
    long = replace(translations[0], attention=np.zeros((200, 200), np.float32))
    assert all(one._repr_html_().startswith("<table>") for one in (empty, long))
    for plain in (replace(caption, attention=None), replace(caption, image=str(tmp_path / "gone.png"))):
        assert plain._repr_html_().startswith("<table>")


def test_results_are_read_without_matplotlib() -> None:
    script = (
        "import sys, seq2attn\n"
        "from seq2attn.inference.results import Caption, Translation\n"
        "from seq2attn.inference.attention_file import read_attention\n"
        "Translation('a', 'b', 0.0, 0.0)._repr_html_()\n"
        "assert not {'matplotlib', 'torch'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
