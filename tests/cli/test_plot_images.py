"""`plot-alignment` of captions: overlays of files and of prepared images with their boxes, film strips,
pages, the terminal, and refusals.
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny
import tiny_images
from PIL import Image

from seq2attn.cli import app as application
from seq2attn.cli.output import overlays
from seq2attn.data.images.corpus import Box
from seq2attn.data.images.pixels import display_pixels
from seq2attn.data.images.resizing import GREY
from seq2attn.inference import Captioner
from seq2attn.plotting import filmstrip, overlay, terminal_overlay

Call = Callable[..., tuple[int, str, str]]
CAPTION = "le petit chien dort"
STARTS = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF", ".html": b"<!doctype html>"}


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    monkeypatch.setenv("COLUMNS", "100")

    def plot(*arguments: object) -> tuple[int, str, str]:
        code = application.run(["plot-alignment", *map(str, arguments)])
        out, err = capsys.readouterr()
        return code, out, err

    return plot


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_images.save_run(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_images.save_run(tmp_path_factory.mktemp("runs") / "clips", frames=3)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return tiny_images.draw(tmp_path / "a.png", 1, (50, 40))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two images to train on and two to test, each with two captions; the second one's words have boxes."""
    folder = tmp_path_factory.mktemp("corpus")
    rows = []
    for number, split in enumerate(("train", "train", "test", "test")):
        tiny_images.draw(folder / f"{number}.png", number, (60, 40))
        boxes = [[], [[1, 10, 20, 30, 40], [2, 0, 0, 5, 5]]]
        rows.append(
            {
                "file_name": f"{number}.png",
                "split": split,
                "captions": ["un chat noir", f"le chien {number}"],
                "boxes": boxes,
            }
        )
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert application.run(["prepare", str(folder), str(folder / "out"), "--quiet"]) == 0
    return folder / "out"


def test_plot_alignment_draws_the_best_caption_in_the_terminal(call: Call, run: Path, image: Path) -> None:
    code, out, err = call(run, "--image", image)
    assert code == 0, err
    best = Captioner.load(run, "cpu").caption([image])[0][0]
    words, weights, _ = overlays.caption_tokens(best)
    assert best.grid is not None
    assert out == terminal_overlay.render(words, weights, best.grid) + "\n"
    assert best.text in err


def test_plot_alignment_gives_punctuation_of_a_caption_a_panel(
    call: Call, run: Path, image: Path, prepared: Path, tmp_path: Path
) -> None:
    caption = Captioner.load(run, "cpu").score_targets([image], ["un chat, noir"])[0]
    words, weights, of_words = overlays.caption_tokens(caption)
    assert (words, of_words) == (["un", "chat", ",", "noir"], [0, 1, 3])
    assert weights.sum(1) == pytest.approx([1.0] * 4, abs=1e-6)
    code, _, err = call(
        run,
        "--image",
        image,
        "--target",
        "un chat, noir",
        "-o",
        tmp_path / "a.svg",
        "--title",
        "What it saw",
        "--quiet",
    )
    assert (code, err) == (0, "")
    svg = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert all(f">{text}</text>" in svg for text in (*words, "What it saw"))


def test_plot_alignment_forces_the_target_option(call: Call, run: Path, image: Path) -> None:
    code, out, err = call(run, "--image", image, "--target", CAPTION, "--quiet")
    assert (code, err) == (0, "")
    assert out.splitlines()[0].split() == CAPTION.split()
    code, out, _ = call(run, "--image", image, "--target", CAPTION, "--quiet", "--subwords")
    assert code == 0
    assert "</s>" in out
    assert call(run, "--image", image, "--target", "他昨天去了北京。")[2].startswith("他昨天去了北京。")
    assert "by subwords" in call(run, "--image", image, "--target", "他昨天去了北京。")[2]
    _, _, err = call(run, "--image", image, "--target", "le ж chien ж", "--quiet")
    assert err == "warning: not in the vocabulary, so unknown to the model: ж\n"


@pytest.mark.parametrize("ending", STARTS)
def test_plot_alignment_writes_every_file_format(
    call: Call, run: Path, image: Path, tmp_path: Path, ending: str
) -> None:
    path = tmp_path / f"overlay{ending}"
    code, out, err = call(run, "--image", image, "--target", CAPTION, "-o", path)
    assert (code, out) == (0, ""), err
    assert path.read_bytes().startswith(STARTS[ending])
    assert f"wrote {path}" in err


def test_plot_alignment_overlays_the_weights_of_the_model(
    call: Call, run: Path, image: Path, tmp_path: Path
) -> None:
    best = Captioner.load(run, "cpu").score_targets([image], [CAPTION])[0]
    assert best.attention is not None
    assert best.grid is not None
    overlay.save(
        np.asarray(Image.open(image)), best.words, best.attention, best.grid, tmp_path / "wanted.png"
    )
    assert call(run, "--image", image, "--target", CAPTION, "-o", tmp_path / "drawn.png")[0] == 0
    ours, other = (np.asarray(Image.open(tmp_path / f"{name}.png"), int) for name in ("drawn", "wanted"))
    # rounding may give a few pixels a neighbouring colour
    assert ours.shape == other.shape
    assert np.abs(ours - other).max() <= 1
    assert (ours != other).sum() < 20
    flat = call(
        run,
        "--image",
        image,
        "--target",
        CAPTION,
        "-o",
        tmp_path / "flat.png",
        "--set",
        "model.attention.temperature=1000",
    )
    assert flat[0] == 0
    assert (tmp_path / "flat.png").read_bytes() != (tmp_path / "wanted.png").read_bytes()


@pytest.mark.parametrize(
    ("fit", "corner", "shape"),
    [("stretch", (0, 0), (40, 60)), ("crop", (10, 0), (40, 40)), ("pad", (0, -10), (60, 60))],
)
def test_plot_alignment_overlays_the_visible_part_of_the_image(
    tmp_path: Path, fit: str, corner: tuple[int, int], shape: tuple[int, int]
) -> None:
    path = tiny_images.draw(tmp_path / "wide.png", 3, (60, 40))
    whole = np.asarray(Image.open(path))
    part = overlays.visible_part(
        [path.read_bytes()], "wide.png", tiny_images.captioner(encoder={"resize": fit})
    )
    assert (part.corner, part.width, part.pixels_FYX3.shape) == (corner, 60, (1, *shape, 3))
    left, top = corner
    if fit == "pad":
        np.testing.assert_array_equal(part.pixels_FYX3[0, 10:50], whole)
        assert (part.pixels_FYX3[0, :10] == GREY).all()
    else:
        np.testing.assert_array_equal(
            part.pixels_FYX3[0], whole[top : top + shape[0], left : left + shape[1]]
        )
    assert part.boxes([Box(0, 20, 10, 40, 30)], 60) == [Box(0, 20 - left, 10 - top, 40 - left, 30 - top)]
    # of an image that was made smaller
    assert part.boxes([Box(0, 40, 20, 80, 60)], 120) == [Box(0, 20 - left, 10 - top, 40 - left, 30 - top)]
    # what is cut off has no box
    assert len(part.boxes([Box(0, 0, 0, 8, 8), Box(1, 30, 10, 35, 20)], 60)) == (1 if fit == "crop" else 2)


def test_plot_alignment_draws_a_prepared_image_with_boxes(
    call: Call, run: Path, prepared: Path, tmp_path: Path
) -> None:
    image = (prepared.parent / "3.png").read_bytes()
    best = Captioner.load(run, "cpu").score_targets([image], ["le chien 3"])[0]
    assert best.attention is not None
    assert best.grid is not None
    pixels = display_pixels([image], "3.png")[0]
    for name, boxes in (("boxes", [(1, 10, 20, 30, 40), (2, 0, 0, 5, 5)]), ("none", [])):
        overlay.save(pixels, best.words, best.attention, best.grid, tmp_path / f"{name}.png", boxes=boxes)
    code, _, err = call(
        run, "--data", prepared, "--number", 2, "--reference", 2, "-o", tmp_path / "drawn.png"
    )
    assert code == 0, err
    assert err.startswith("le chien 3 ")
    assert (tmp_path / "drawn.png").read_bytes() == (tmp_path / "boxes.png").read_bytes()
    assert (
        call(run, "--data", prepared, "--number", 2, "--target", "le chien 3", "-o", tmp_path / "drawn.png")[
            0
        ]
        == 0
    )
    assert (tmp_path / "drawn.png").read_bytes() == (tmp_path / "none.png").read_bytes()
    assert call(run, "--data", prepared, "--reference", 1, "--split", "train")[2].startswith("un chat noir ")


def test_plot_alignment_draws_one_layer_and_one_head(call: Call, image: Path, tmp_path: Path) -> None:
    deep = {"kind": "transformer", "size": 12, "heads": 2, "layers": 2, "feedforward": 8}
    path = tiny_images.save_run(tmp_path / "run", attention={"heads": 2, "score": "scaled-dot"}, **deep)
    drawings = {}
    for options in ((), ("--layer", 1), ("--layer", 2), ("--head", 1), ("--layer", 2, "--head", 1)):
        code, _, err = call(path, "--image", image, "--target", CAPTION, "-o", tmp_path / "a.svg", *options)
        assert code == 0, err
        drawings[options] = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert len(set(drawings.values())) == len(drawings)
    code, _, err = call(path, "--image", image, "--layer", 3)
    assert (code, err.count("\n")) == (2, 1)
    assert "has 2 layers, numbered from 1" in err


def test_plot_alignment_draws_a_clip_as_a_film_strip(call: Call, clips: Path, tmp_path: Path) -> None:
    for number in range(7):
        tiny_images.draw(tmp_path / "clip" / f"{number}.png", number, (24, 16))
    code, out, err = call(clips, "--image", tmp_path / "clip", "--target", CAPTION, "--quiet")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()[-5:-1]] == CAPTION.split()
    for ending, start in STARTS.items():
        path = tmp_path / f"strip{ending}"
        assert call(clips, "--image", tmp_path / "clip", "--target", CAPTION, "-o", path)[0] == 0
        assert path.read_bytes().startswith(start)
    _, _, err = call(clips, "--image", tmp_path / "clip" / "0.png", "--target", CAPTION, "--quiet")
    assert (
        err == f"warning: {tmp_path / 'clip' / '0.png'}: a still image: described as a clip of one frame, "
        "for the model reads clips\n"
    )
    forced = Captioner.load(clips, "cpu").score_targets([tmp_path / "clip"], [CAPTION])[0]
    assert forced.attention is not None
    read = np.stack([np.asarray(Image.open(tmp_path / "clip" / f"{number}.png")) for number in (0, 3, 6)])
    filmstrip.save(read, forced.words, forced.attention, tmp_path / "wanted.png")
    assert (tmp_path / "strip.png").read_bytes() == (tmp_path / "wanted.png").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run",), "or an image to describe: --image FILE"),
        (("run", "--source", "a", "--image", "a.png"), "--image and --source"),
        (("run", "--source", "a", "--data", "prepared"), "--data and --source"),
        (("run", "--image", "a.png", "--data", "prepared"), "leave one out"),
        (("run", "--image", "a.png", "--reference", "1"), "--reference needs --data PREPARED"),
        (("run", "--number", "1"), "--number needs --data PREPARED"),
        (("run", "--image", "a.png", "--split", "test"), "--split needs --data PREPARED"),
        (("run", "--data", "prepared", "--reference", "1", "--target", "b"), "each is an output to force"),
        (("run", "--data", "prepared", "--reference", "1", "--beam", "2"), "--reference and --beam"),
        (("run", "--image", "a.png", "--target", "b", "--beam", "2"), "--target and --beam"),
        (("run", "--image", "a.png", "--target", " "), "--target is blank"),
        (("run", "--image", "a.png", "--line", "3"), "--line needs --from FILE"),
        (("--image", "a.png"), "name a RUN"),
        (("--from", "kept.jsonl", "--image", "a.png"), "--from and --image"),
        (("run", "--source", "a"), "run describes images: give it --image FILE"),
        (("text", "--image", "a.png"), "text translates text: give it --source TEXT"),
        (("run", "--data", "prepared", "--number", "3"), "--number 3: test of prepared has 2 images"),
        (("run", "--data", "prepared", "--reference", "3"), "--reference 3: 2.png has 2 captions"),
    ],
)
def test_plot_alignment_refuses_contradictory_options(
    call: Call,
    run: Path,
    prepared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, path in (("run", run), ("prepared", prepared)):
        Path(name).symlink_to(path)
    tiny.save_run(tmp_path / "text")
    code, out, err = call(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert words in err


def test_plot_alignment_reports_missing_inputs_on_one_line(
    call: Call, run: Path, clips: Path, prepared: Path, image: Path, tmp_path: Path
) -> None:
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "folder").mkdir()
    blind = tiny_images.save_run(tmp_path / "blind", context_source="summary", context_to=["input"])
    for arguments, words in [
        ((tmp_path / "nowhere", "--image", image), "no such run directory"),
        ((run, "--image", tmp_path / "gone.png"), "gone.png: no such file"),
        ((run, "--image", tmp_path / "text.png"), "text.png: not an image"),
        ((run, "--image", tmp_path / "folder"), "a folder, not an image"),
        ((clips, "--image", tmp_path / "folder"), "no images in this folder, so it is no clip"),
        ((run, "--data", tmp_path / "folder"), "not a prepared folder"),
        ((run, "--data", prepared, "--split", "tset"), "no split tset"),
        ((clips, "--data", prepared), "holds stills, and the run reads clips"),
        ((blind, "--image", image), "no attention to draw: its decoder reads a fixed summary"),
    ]:
        code, out, err = call(*arguments)
        assert (code, out, err.count("\n")) == (1, "", 1), err
        assert words in err
