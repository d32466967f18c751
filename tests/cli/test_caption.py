"""`caption` as a user meets it: files, folders and clips in, a line an image out; whatever is no image,
pipes, interruptions, wrong usage.
"""

import errno
import json
import os
import select
import signal
import struct
import subprocess
import sys
import time
import unicodedata
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import ANY

import numpy as np
import pytest
import tiny
import tiny_images
from PIL import Image

from seq2attn.cli import app
from seq2attn.cli.input import image_prefetch
from seq2attn.cli.input.image_paths import ImagePaths
from seq2attn.cli.output import formats
from seq2attn.errors import UserError
from seq2attn.evaluation import text as text_scores
from seq2attn.inference import Captioner

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_images.save_run(tmp_path_factory.mktemp("runs") / "run"))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_images.save_run(tmp_path_factory.mktemp("runs") / "clips", frames=3))


@pytest.fixture(scope="module")
def captioner(run: str) -> Captioner:
    return Captioner.load(run, "cpu")


@pytest.fixture
def images(tmp_path: Path) -> list[str]:
    """Twelve different ones, whose natural order is that of their numbers."""
    (tmp_path / "photos").mkdir()
    return [str(tiny_images.draw(tmp_path / "photos" / f"{number}.png", number)) for number in range(1, 13)]


@pytest.fixture
def call(pipe: Callable[..., tuple[int, bytes, str]]) -> Call:
    """`seq2attn caption ARGUMENTS < text` in this process: exit code, stdout, stderr."""

    def caption(*arguments: object, text: bytes = b"") -> tuple[int, str, str]:
        code, out, err = pipe("caption", *arguments, text=text)
        return code, out.decode(), err

    return caption


def rows(out: str) -> list[list[str]]:
    assert out == "" or out.endswith("\n")
    return [line.split("\t") for line in out.split("\n")[:-1]]


def expected(captioner: Captioner, images: list[str], **options: object) -> list[list[str]]:
    found = captioner.caption(images, **options)  # type: ignore[arg-type]
    return [
        [path, caption.text] for path, captions in zip(images, found, strict=True) for caption in captions
    ]


def test_caption_writes_one_line_per_image_in_order(
    run: str, captioner: Captioner, call: Call, images: list[str]
) -> None:
    order = [*images[::-1], images[3], images[3]]
    code, out, err = call(run, *order)
    assert (code, err) == (0, "")
    assert rows(out) == expected(captioner, order)
    assert len({text for _, text in rows(out)}) > 3


def test_caption_reads_paths_from_standard_input(
    run: str, captioner: Captioner, call: Call, images: list[str]
) -> None:
    text = "\r\n".join([*images[:3], "", images[3]]).encode()
    for arguments in ((), ("-",), ("-", "-")):
        code, out, err = call(run, *arguments, text=text)
        assert (code, err) == (0, "")
        found = expected(captioner, images[:4])
        assert rows(out) == [*found[:3], ["", ""], found[3]]
    _, out, _ = call(run, images[5], "-", images[6], text=text)
    assert [path for path, _ in rows(out)] == [images[5], *images[:3], "", images[3], images[6]]
    assert call(run) == (0, "", "")


def test_caption_reads_a_folder_one_level_deep_in_numeric_order(
    run: str, captioner: Captioner, call: Call, images: list[str]
) -> None:
    folder = Path(images[0]).parent
    (folder / "deeper").mkdir()
    (folder / ".hidden.png").write_bytes(b"no image")
    for name in ("captions.txt", "metadata.jsonl", "README", "LICENSE.md", "labels.csv", ".DS_Store"):
        (folder / name).write_text("what may stand beside images is no news")
    code, out, err = call(run, folder)
    assert (code, err.count("\n")) == (0, 1)
    assert f"{folder}: 1 folder in it ignored" in err
    for name in ("film.mp4", "phone.heic", "raw.nef", "x.zip"):
        (folder / name).write_bytes(b"")
    _, _, err = call(run, folder)
    assert err.count("\n") == 1
    assert f"{folder}: 1 folder and 4 other files (film.mp4, phone.heic, raw.nef, ...) in it ignored" in err
    assert rows(out) == expected(captioner, images)
    assert call(run, folder, "--quiet") == (0, out, "")
    assert rows(call(run, f"{folder}/", "-q")[1]) == rows(out)
    code, out, err = call(run, folder / "deeper")
    assert (code, rows(out)) == (1, [[str(folder / "deeper"), ""]])
    assert "no images in this folder" in err


def test_caption_follows_links_to_files_only(
    run: str, captioner: Captioner, call: Call, images: list[str], tmp_path: Path
) -> None:
    """What leads to a file is described, what leads nowhere is one line, a linked folder is left out as any
    other.
    """
    folder = tmp_path / "linked"
    folder.mkdir()
    (folder / "1.png").symlink_to(images[0])
    (folder / "2.png").symlink_to(tmp_path / "gone.png")
    (folder / "3.png").symlink_to("3.png")
    (folder / "4.png").symlink_to("/dev/zero")
    os.mkfifo(folder / "5.png")
    (folder / "6.png").symlink_to(images[1])
    (folder / "deeper").symlink_to(folder)
    code, out, err = call(run, folder)
    paths = [str(folder / f"{number}.png") for number in range(1, 7)]
    texts = [text for _, text in expected(captioner, images[:2])]
    assert (code, rows(out)) == (
        1,
        [[path, text] for path, text in zip(paths, [texts[0], "", "", "", "", texts[1]], strict=True)],
    )
    note, *warnings, last = err.splitlines()
    assert "1 folder in it ignored" in note
    messages = [
        f"a link to {tmp_path}/gone.png, which is not there",
        "Too many levels",
        "not a file",
        "not a file",
    ]
    for line, path, words in zip(warnings, paths[1:], messages, strict=False):
        assert line.startswith(f"warning: {path}: ")
        assert words in line
    assert last.startswith("seq2attn: 4 of 6 images could not be read")


def test_caption_reports_an_unreadable_folder_on_one_line(
    run: str, call: Call, images: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Path.iterdir

    def refused(path: Path) -> Iterator[Path]:
        if path.name == "shut":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return before(path)

    shut = Path(images[0]).parent / "shut"
    shut.mkdir()
    monkeypatch.setattr(Path, "iterdir", refused)
    code, out, err = call(run, shut, images[0])
    assert (code, rows(out)[0]) == (1, [str(shut), ""])
    assert rows(out)[1][1]
    assert err.splitlines()[0] == f"warning: {shut}: Permission denied"


def test_caption_says_how_to_give_a_list_of_paths(
    run: str, call: Call, images: list[str], tmp_path: Path
) -> None:
    (tmp_path / "list.txt").write_text("\n".join(images))
    code, out, err = call(run, tmp_path / "list.txt")
    assert (code, rows(out)) == (1, [[str(tmp_path / "list.txt"), ""]])
    line = err.splitlines()[0]
    assert line.startswith(f"warning: {tmp_path / 'list.txt'}: not an image that is read, but text (PNG, ")
    assert line.endswith("; if it lists images, give `-` instead and the file on standard input")


@pytest.mark.parametrize("form", ["text", pytest.param("jsonl", marks=pytest.mark.slow)])
def test_caption_escapes_control_characters_in_names(run: str, call: Call, tmp_path: Path, form: str) -> None:
    names = [
        "a\u202egnp.png",
        "\u200f.png",
        "b\x9bc.png",
        "c\x7f.png",
        "d\u2066e.png",
        "gone\u202e.png",
        "f\u200d\ufeff.png",
        "g\x85.png",
    ]
    paths = [tiny_images.draw(tmp_path / "in" / name, 1) for name in names if "gone" not in name]
    paths.insert(5, tmp_path / "in" / "gone\u202e.png")
    _, out, err = call(run, *paths, "--format", form, "--attention", tmp_path / "out")
    assert len(out.splitlines()) == 8
    for printed in (out, err):
        assert {unicodedata.category(c) for c in printed if c not in "\n\t"} & {
            "Cc",
            "Cf",
            "Cs",
            "Zl",
            "Zp",
        } == set()
    if form == "jsonl":
        assert [json.loads(line)["image"] for line in out.splitlines()] == [str(path) for path in paths]
    else:
        assert r"a\u202egnp.png" in out
        assert r"b\x9bc.png" in out
    overlays_drawn = {path.name for path in (tmp_path / "out").iterdir()}
    assert r"a\u202egnp.png" in overlays_drawn
    assert all(name.isprintable() for name in overlays_drawn)


def test_caption_passes_options_to_the_search(
    run: str, captioner: Captioner, call: Call, images: list[str]
) -> None:
    for arguments, options in [
        (["--beam", 1], {"beam": 1}),
        (
            ["--beam", 3, "--n-best", 3, "--length-penalty", 0.2],
            {"beam": 3, "n_best": 3, "length_penalty": 0.2},
        ),
        (["--max-length", 4, "--min-length", 3], {"max_length": 4, "min_length": 3}),
        (
            ["--sample", "--seed", 5, "--temperature", 2, "--top-k", 9, "--top-p", 0.9],
            {"sample": True, "seed": 5, "temperature": 2.0, "top_k": 9, "top_p": 0.9},
        ),
        (["--no-repeat-ngram", 1], {"no_repeat_ngram": 1}),
        (["--set", "search.no_repeat_ngram=1"], {"no_repeat_ngram": 1}),
        (
            ["--mbr", "bleu", "--samples", 7, "--n-best", 2],
            {"utility": text_scores.utility("bleu", "fr"), "samples": 7, "n_best": 2},
        ),
    ]:
        code, out, _ = call(run, *images[:3], *arguments)
        assert code == 0
        assert rows(out) == expected(captioner, images[:3], **options)


def test_caption_writes_min_length_tokens_beyond_the_default_maximum(
    run: str, captioner: Captioner, images: list[str]
) -> None:
    ((found,),) = captioner.caption(images[:1], beam=1, min_length=60)
    assert len(found.tokens) >= 60


@pytest.mark.slow
def test_caption_is_independent_of_blocks_batches_and_order(
    run: str, call: Call, images: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = str(Path(images[0]).parent / "gone.png")
    order = [*images, broken, *images[:5]]
    for options in ((), ("--sample",)):
        code, whole, _ = call(run, *order, *options)
        assert code == 1
        assert call(run, *order, *options, "--batch-tokens", 1)[1] == whole
        for most, size in ((1, 1 << 26), (512, 1)):
            with monkeypatch.context() as patch:
                patch.setattr(image_prefetch, "FIRST", most)
                patch.setattr(image_prefetch, "BYTES", size)
                assert call(run, *order, *options)[1] == whole
    _, plain, _ = call(run, *order)
    _, other, _ = call(run, *order[::-1])
    assert rows(other) == rows(plain)[::-1]


def test_prefetcher_grows_blocks_up_to_their_bound_in_bytes(
    captioner: Captioner, images: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def sizes() -> list[int]:
        with image_prefetch.ImagePrefetcher(ImagePaths(images, clips=False), captioner) as reading:
            return [len(block) for block in reading.blocks()]

    monkeypatch.setattr(image_prefetch, "FIRST", 2)
    monkeypatch.setattr(image_prefetch, "MOST", 5)
    assert sizes() == [2, 4, 5, 1]
    monkeypatch.setattr(image_prefetch, "BYTES", 3 * 3 * tiny_images.SIDE**2)
    assert sizes() == [2, 3, 3, 3, 1]


def test_prefetcher_raises_errors_of_its_thread_to_the_consumer(
    captioner: Captioner, images: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(image_prefetch, "content_of", exhausted)
    with (
        image_prefetch.ImagePrefetcher(ImagePaths(images, clips=False), captioner) as reading,
        pytest.raises(MemoryError),
    ):
        next(reading.blocks())


def test_prefetcher_reads_nothing_while_paused(
    run: str, images: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.get_num_threads", lambda: 2)
    captioner = Captioner.load(run, "cpu", processes=True)
    monkeypatch.setattr(image_prefetch, "FIRST", 1)
    before = image_prefetch.content_of
    read: list[Path] = []
    monkeypatch.setattr(
        image_prefetch, "content_of", lambda path, clip: (read.append(path), before(path, clip))[1]
    )
    reading = image_prefetch.ImagePrefetcher(ImagePaths(images, clips=False), captioner)
    with ExitStack() as stack:
        with reading.paused():
            stack.enter_context(reading)
            time.sleep(0.3)
            assert not read
        assert len(next(reading.blocks())) == 1
    captioner.close()


# What is no image


def png(width: int, height: int) -> bytes:
    """The beginning of an image of that size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = (
        struct.pack(">I", len(header)) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    )
    return (
        b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    )


def test_caption_warns_of_a_bad_image_and_writes_an_empty_caption(
    run: str, captioner: Captioner, call: Call, images: list[str], tmp_path: Path
) -> None:
    whole = Path(images[0]).read_bytes()
    bad = {
        "text.png": b"no image at all",
        "empty.png": b"",
        "cut.png": whole[: len(whole) // 2],
        "huge.png": png(60_000, 60_000),
        "half.jpg": b"\xff\xd8\xff\xe0",
    }
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "nothing").mkdir()
    paths = [
        str(tmp_path / name)
        for name in (*bad, "gone.png", "pipe.png", "nothing", "x" * 300 + ".png", "text.png/a.png")
    ]
    mixed = [path for pair in zip(images, paths, strict=False) for path in pair]
    found = dict(expected(captioner, images))
    code, out, err = call(run, "-q", *mixed)
    assert code == 1
    assert rows(out) == [[path, found.get(path, "")] for path in mixed]
    *lines, last = err.splitlines()
    assert (
        last == f"seq2attn: {len(paths)} of {len(mixed)} images could not be read; their captions are empty"
    )
    assert len(lines) == len(paths)
    for line, path in zip(lines, paths, strict=True):
        assert line.startswith(f"warning: {path}: ")
    assert call(run, "-q", text="\n".join(mixed).encode()) == (code, out, err)
    code, out, err = call(run, "--format", "jsonl", *paths[:2], images[0])
    trees = [json.loads(line) for line in out.splitlines()]
    assert trees[0] == {
        "image": paths[0],
        "caption": "",
        "score": None,
        "log_probability": None,
        "error": err.splitlines()[0].removeprefix("warning: "),
    }
    assert "error" not in trees[2]
    _, out, _ = call(run, paths[0], images[0], "--scores", "--n-best", 2)
    assert [len(row) for row in rows(out)] == [3] * 4
    assert rows(out)[:2] == [[paths[0], "", ""]] * 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_caption_warns_of_images_without_permission(run: str, call: Call, images: list[str]) -> None:
    Path(images[0]).chmod(0)
    code, out, err = call(run, *images[:2])
    assert (code, rows(out)[0]) == (1, [images[0], ""])
    assert "ermission denied" in err


@pytest.mark.parametrize("mode", ["CMYK", "P", "LA", "RGBA", "I;16", "L", "1"])
def test_caption_accepts_every_image_mode(
    run: str, captioner: Captioner, call: Call, tmp_path: Path, mode: str
) -> None:
    grey = Image.fromarray(np.linspace(0, 255, 40 * 40).reshape(40, 40).astype(np.uint8))
    image = (
        Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
        if mode == "I;16"
        else grey.convert("CMYK" if mode == "CMYK" else mode)
    )
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    image.save(path)
    code, out, err = call(run, path)
    assert (code, err) == (0, "")
    assert rows(out) == expected(captioner, [str(path)])
    assert rows(out)[0][1]


def test_caption_turns_a_photograph_upright(run: str, call: Call, tmp_path: Path) -> None:
    pixels = np.random.default_rng(5).integers(
        0, 256, (tiny_images.SIDE, tiny_images.SIDE, 3), dtype=np.uint8
    )
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    Image.fromarray(np.rot90(pixels, -1)).save(tmp_path / "upright.png")
    Image.fromarray(pixels).save(tmp_path / "lying.png")
    _, out, _ = call(run, *(tmp_path / f"{name}.png" for name in ("turned", "upright", "lying")), "--scores")
    turned, upright, lying = (row[1:] for row in rows(out))
    assert turned == upright != lying


def test_caption_uses_the_first_frame_of_an_animated_image(
    run: str, call: Call, images: list[str], tmp_path: Path
) -> None:
    frames = [Image.open(path).convert("RGB") for path in images[:3]]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], lossless=True)
    code, out, err = call(run, tmp_path / "a.webp", images[0])
    assert (code, err) == (
        0,
        (
            f"warning: {tmp_path / 'a.webp'}: an animated image: its first frame is described, for the model "
            "reads stills\n"
        ),
    )
    assert rows(out)[0][1] == rows(out)[1][1]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["a\nb.png", "a\tb.png", "a\x1b[31m.png", "\u2028.png", "é\u202f ü.png", os.fsdecode(b"\xff\xfe.png")],
)
def test_caption_writes_every_name_on_one_line(run: str, call: Call, tmp_path: Path, name: str) -> None:
    path = tiny_images.draw(tmp_path / "in" / name, 1)
    shown = {
        "a\nb.png": r"a\nb.png",
        "a\tb.png": r"a\tb.png",
        "a\x1b[31m.png": r"a\x1b[31m.png",
        "\u2028.png": r"\u2028.png",
    }.get(name, name)
    shown = formats.one_path(shown)
    for arguments in ((path,), (path.parent,)):
        code, out, err = call(run, *arguments, "--attention", tmp_path / "out")
        assert (code, err.count("\n")) == (0, 0), err
        assert [row[0] for row in rows(out)] == [f"{path.parent}/{shown}"]
        assert len(rows(out)[0]) == 2
    assert [overlays_drawn.name for overlays_drawn in (tmp_path / "out").iterdir()] == [
        f"{shown.removesuffix('.png')}.png"
    ]
    _, out, _ = call(run, path, "--format", "jsonl")
    assert json.loads(out)["image"] == str(path)
    if "\n" not in name:
        assert rows(call(run, text=os.fsencode(path))[1])[0][0] == f"{path.parent}/{shown}"


@pytest.mark.slow
def test_caption_gives_every_overlay_its_own_name(run: str, call: Call, tmp_path: Path) -> None:
    """The second best of dog.png is named as the best of dog.2.png would be."""
    paths = [
        tiny_images.draw(tmp_path / "in" / name, number)
        for number, name in enumerate(("dog.png", "dog.2.png", "cat.2.png", "cat.png"))
    ]
    code, out, err = call(run, *paths, "--n-best", 2, "--format", "jsonl", "--attention", tmp_path / "out")
    assert (code, err) == (0, "")
    overlays_drawn = [
        Path(best["attention"]) for line in out.splitlines() for best in json.loads(line)["n_best"]
    ]
    assert len(set(overlays_drawn)) == 8
    assert set(overlays_drawn) == set((tmp_path / "out").iterdir())


def test_caption_draws_the_image_alone_for_an_empty_caption(
    run: str, call: Call, images: list[str], tmp_path: Path
) -> None:
    # more different words than there are
    arguments = (*images[:2], "--min-length", 300, "--no-repeat-ngram", 1)
    plain = call(run, *arguments)
    assert {text for _, text in rows(plain[1])} == {""}
    assert call(run, *arguments, "--attention", tmp_path / "out") == plain
    assert len(list((tmp_path / "out").iterdir())) == 2


@pytest.mark.slow
def test_caption_draws_one_layer_or_head_as_plot_alignment_does(
    call: Call, pipe: Callable[..., tuple[int, bytes, str]], images: list[str], tmp_path: Path
) -> None:
    deep = {"kind": "transformer", "size": 12, "heads": 2, "layers": 2, "feedforward": 8}
    run = tiny_images.save_run(tmp_path / "run", attention={"heads": 2, "score": "scaled-dot"}, **deep)
    plain = call(run, images[0])
    drawings = []
    for selection in ((), ("--layer", 2), ("--head", 1), ("--layer", 2, "--head", 1)):
        folder = tmp_path / f"out{len(drawings)}"
        assert call(run, images[0], "--attention", folder, *selection) == plain
        [overlay] = folder.iterdir()
        other = tmp_path / f"{len(drawings)}.png"
        code, _, err = pipe("plot-alignment", run, "--image", images[0], "-o", other, *selection)
        assert code == 0, err
        assert overlay.read_bytes() == other.read_bytes()
        drawings.append(overlay.read_bytes())
    assert len(set(drawings)) == len(drawings)


def test_caption_refuses_a_missing_layer_or_head_at_once(
    run: str, call: Call, images: list[str], tmp_path: Path
) -> None:
    deep = {"kind": "transformer", "size": 12, "heads": 2, "layers": 2, "feedforward": 8}
    other = tiny_images.save_run(tmp_path / "run", attention={"heads": 2, "score": "scaled-dot"}, **deep)
    for runs, option, words in (
        (run, "--layer", f"--layer 2: the attention of {run} has only one layer"),
        (run, "--head", f"--head 2: the attention of {run} has only one head"),
        (f"{other},{other}", "--layer", ""),
        (f"{other},{run}", "--head", f"the attention of {run} has only one head"),
    ):
        code, out, err = call(runs, images[0], "--attention", tmp_path / "out", option, 2)
        assert (code, words in err) == (2 if words else 0, True)
        assert (out == "") == bool(words)
    code, out, err = call(f"{other},{run}", images[0], "--attention", tmp_path / "out", "--layer", 1)
    assert (code, out) == (2, "")
    assert "different numbers of layers or heads" in err


# Clips


def test_caption_reads_a_folder_or_animated_image_as_one_clip(clips: str, call: Call, tmp_path: Path) -> None:
    frames = [tiny_images.draw(tmp_path / "all" / "walk" / f"{number}.png", number) for number in (1, 2, 10)]
    images = [Image.open(frame).convert("RGB") for frame in frames]
    images[0].save(tmp_path / "all" / "moving.webp", save_all=True, append_images=images[1:], lossless=True)
    tiny_images.draw(tmp_path / "all" / "single.png", 4)
    (tmp_path / "all" / "empty").mkdir()
    (tmp_path / "all" / "notes.txt").write_text("left out")
    code, out, err = call(clips, tmp_path / "all" / "walk", "--scores")
    assert (code, err) == (0, "")
    ((walk, score, text),) = rows(out)
    assert walk == str(tmp_path / "all" / "walk")
    code, out, err = call(clips, tmp_path / "all", "--scores")
    assert code == 1
    assert [Path(path).name for path, *_ in rows(out)] == ["empty", "moving.webp", "single.png", "walk"]
    assert rows(out)[0][1:] == ["", ""]
    assert rows(out)[1][1:] == rows(out)[3][1:] == [score, text]
    assert "empty: no images in this folder, so it is no clip" in err
    (tmp_path / "animated").mkdir()
    (tmp_path / "all" / "moving.webp").rename(tmp_path / "animated" / "moving.webp")
    assert rows(call(clips, tmp_path / "animated")[1])[0][0] == str(tmp_path / "animated" / "moving.webp")


def test_caption_warns_of_a_still_and_of_a_folder_of_clips(clips: str, call: Call, tmp_path: Path) -> None:
    still = tiny_images.draw(tmp_path / "still.png", 4)
    images = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    (tmp_path / "all" / "many").mkdir(parents=True)
    for name in ("1.gif", "2.gif"):
        images[0].save(tmp_path / "all" / "many" / name, save_all=True, append_images=images[1:])
    assert call(clips, still) == (
        0,
        ANY,
        f"warning: {still}: a still image: described as a clip of one frame, for the model reads clips\n",
    )
    code, out, err = call(clips, tmp_path / "all")
    many = tmp_path / "all" / "many"
    assert (code, [path for path, *_ in rows(out)]) == (0, [str(many)])
    assert (
        err == f"warning: {many}: a folder of animated images: described as one clip of their first frames; "
        "name them to describe each\n"
    )
    code, out, err = call(clips, many)
    assert (code, len(rows(out)), err) == (0, 2, "")


def test_caption_draws_one_film_strip_per_clip(clips: str, call: Call, tmp_path: Path) -> None:
    for name, count in (("long", 5), ("short", 2)):
        for number in range(count):
            tiny_images.draw(tmp_path / "all" / name / f"{number}.png", number)
    code, _, err = call(clips, tmp_path / "all", "--attention", tmp_path / "out")
    assert (code, err) == (0, "")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["long.png", "short.png"]
    together = Captioner.load(clips, "cpu").caption([tmp_path / "all" / name for name in ("long", "short")])
    for (best,), count in zip(together, (3, 2), strict=True):
        assert best.attention is not None
        assert best.attention.shape == (len(best.words), count)
        assert best.grid is None


# What is written


def test_caption_writes_scores_and_json_lines(
    run: str, captioner: Captioner, call: Call, images: list[str], tmp_path: Path
) -> None:
    found = captioner.caption(images[:2], n_best=2)
    _, out, _ = call(run, *images[:2], "--n-best", 2, "--scores")
    assert rows(out) == [
        [path, f"{best.score:.4f}", best.text]
        for path, some in zip(images, found, strict=False)
        for best in some
    ]
    _, out, _ = call(run, *images[:2], "--n-best", 2, "--format", "jsonl", "--attention", tmp_path / "out")
    for line, path, some in zip(out.splitlines(), images, found, strict=False):
        tree = json.loads(line)
        assert (tree["image"], tree["caption"]) == (path, some[0].text)
        assert tree["score"] == pytest.approx(some[0].score, abs=1e-5)
        assert tree["log_probability"] == pytest.approx(some[0].log_probability, abs=1e-4)
        assert [best["caption"] for best in tree["n_best"]] == [best.text for best in some]
        assert [best["attention"] for best in tree["n_best"]] == [
            str(tmp_path / "out" / f"{Path(path).stem}{rank}.png") for rank in ("", ".2")
        ]
        for best in tree["n_best"]:
            assert Path(best["attention"]).read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_caption_numbers_overlays_of_images_with_equal_names(run: str, call: Call, tmp_path: Path) -> None:
    paths = [
        tiny_images.draw(tmp_path / name, number)
        for number, name in enumerate(("a/dog.png", "b/Dog.png", "b/dog.jpg", "b/dog-2.png"))
    ]
    code, _, err = call(run, *paths, "--attention", tmp_path / "out")
    assert (code, err) == (0, "")
    overlays_drawn = sorted((tmp_path / "out").iterdir())
    assert (
        len(overlays_drawn)
        == len({path.name.casefold() for path in overlays_drawn})
        == len({path.read_bytes() for path in overlays_drawn})
        == 4
    )
    assert {"dog.png", "Dog-2.png", "dog-3.png"} <= {path.name for path in overlays_drawn}


def test_caption_never_writes_overlays_over_images(
    run: str, call: Call, images: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, before = Path(images[0]).parent, Path(images[0]).read_bytes()
    for arguments, text in (((folder,), b""), ((images[0],), b""), ((), images[0].encode())):
        code, out, err = call(run, *arguments, "--attention", folder, text=text)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert "could be overwritten" in err
    monkeypatch.chdir(folder)
    assert call(run, "1.png", "--attention", ".")[0] == 2
    assert Path(images[0]).read_bytes() == before


def test_caption_writes_into_a_file(run: str, call: Call, images: list[str], tmp_path: Path) -> None:
    _, out, _ = call(run, *images)
    assert call(run, *images, "-o", tmp_path / "out") == (0, "", "")
    assert (tmp_path / "out").read_text() == out
    code, _, _ = call(run, images[0], tmp_path / "gone.png", "-o", tmp_path / "out")
    assert code == 1
    assert len(rows((tmp_path / "out").read_text())) == 2
    assert not list(tmp_path.glob(".*"))


def test_caption_keeps_the_old_file_if_it_fails_before_the_first_line(
    run: str, call: Call, images: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise UserError("no numbers")

    monkeypatch.setattr(Captioner, "caption", failing)
    (tmp_path / "out").write_text("of yesterday\n")
    assert call(run, *images, "-o", tmp_path / "out") == (1, "", "seq2attn: no numbers\n")
    assert (tmp_path / "out").read_text() == "of yesterday\n"
    assert not list(tmp_path.glob(".*"))


# Pipes, in an interpreter of its own


def start(*arguments: object, **keywords: object) -> subprocess.Popen[bytes]:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | keywords
    return subprocess.Popen(
        [sys.executable, "-m", "seq2attn", "caption", *map(str, arguments), "--device", "cpu"],
        env=ENVIRONMENT,
        **pipes,
    )  # type: ignore[call-overload,no-any-return]


def answer(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], 120)[0], "no answer"
    return process.stdout.readline().decode()


@pytest.mark.slow
def test_caption_answers_each_path_before_it_waits_for_the_next(
    run: str, captioner: Captioner, images: list[str]
) -> None:
    with start(run) as process:
        assert process.stdin is not None
        for path, text in expected(captioner, images[:3]):
            process.stdin.write(path.encode() + b"\n")
            process.stdin.flush()
            assert answer(process) == f"{path}\t{text}\n"
        process.stdin.close()
        assert process.wait(60) == 0


@pytest.mark.slow  # the same code as for lines of text, which is tested always
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_caption_writes_a_partial_file_on_an_interrupt(
    run: str, captioner: Captioner, images: list[str], tmp_path: Path, stop: signal.Signals
) -> None:
    out = tmp_path / "out"
    with start(run, "-o", out) as process:
        assert process.stdin is not None
        process.stdin.write(images[0].encode() + b"\n")
        process.stdin.flush()
        until = time.monotonic() + 120
        while (
            not ((new := tmp_path / ".out.partial" / "new").exists() and new.read_bytes())
            and time.monotonic() < until
        ):
            time.sleep(0.05)
        assert not out.exists()
        process.send_signal(stop)
        assert process.wait(60) == 130
        assert process.stderr is not None
        assert process.stderr.read().decode() == (
            f"warning: {out}: not finished, so it is not there; what was finished is in {out}.partial (1 "
            "line)\nseq2attn: interrupted\n"
        )
    assert not out.exists()
    assert rows((tmp_path / "out.partial").read_text()) == expected(captioner, images[:1])


@pytest.mark.slow
def test_caption_ends_quietly_on_a_closed_pipe(run: str, images: list[str]) -> None:
    with start(run, "--beam", 1, "--max-length", 2) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(images[0].encode() + b"\n")
        process.stdin.flush()
        answer(process)
        process.stdout.close()
        process.stdin.write(images[0].encode() + b"\n")
        process.stdin.close()
        assert process.wait(60) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""


# Wrong usage


WRONG_USAGE = [
    (["--n-best", "6"], "--n-best 6: a beam of 5 gives at most 5"),
    (["--top-k", "5"], "--top-k needs --sample or --mbr"),
    (["--sample", "--beam", "4"], "leave one out"),
    (["--samples", "4"], "--samples needs --mbr"),
    (["--mbr", "comet"], "--mbr comet: choose chrf or bleu"),
    (["--min-length", "5", "--max-length", "4"], "no length is between them"),
    (["--format", "moses"], "choose text or jsonl"),
    (["--precision", "int8"], "--precision int8"),
    (["--device", "tpu"], "--device tpu"),
    (["-o", "."], "a folder"),
    (["--attention", "a-file"], "a file; name a folder"),
    (["--layer", "1"], "--layer needs --attention DIR: it chooses the weights that are drawn there"),
    (["--head", "1"], "--head needs --attention DIR"),
    (["--attention", "out", "--head", "0"], "--head 0: give a number from 1, or all"),
    (["--attention", "out", "--head", "all"], "--head all: an overlay shows one head or the mean"),
    (["--attention", "out", "--layer", "all"], "--layer all: an overlay shows one layer or the mean"),
    (["--attention-heads", "all"], "--attention-heads is an option of translate"),
    (["--set", "train.lr=1"], "acts before or in training alone"),
    (["--set", "search.beam=2", "--n-best", "3"], "a beam of 2"),
    (["--no-such-option"], "no-such-option"),
]


def test_caption_reports_usage_errors_before_heavy_imports(run: str, tmp_path: Path) -> None:
    (tmp_path / "a-file").write_text("")
    program = (
        "import contextlib, io, json, sys\nfrom seq2attn.cli import app\n"
        "for arguments in json.loads(sys.argv[1]):\n"
        "    with contextlib.redirect_stderr(io.StringIO()) as said:\n"
        f"        code = app.run(['caption', {run!r}, 'a.png', *arguments])\n"
        "    heavy = sorted({'torch', 'PIL', 'numpy'} & set(sys.modules))\n"
        "    print(json.dumps([code, said.getvalue(), heavy]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps([arguments for arguments, _ in WRONG_USAGE])],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        cwd=tmp_path,
        check=True,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    wrong = [
        (arguments, code, message, heavy)
        for (arguments, words), (code, message, heavy) in zip(WRONG_USAGE, answers, strict=True)
        if (code, message.count("\n"), heavy) != (2, 1, []) or words not in message
    ]
    assert not wrong


def test_caption_names_missing_inputs_on_one_line(
    run: str, call: Call, images: list[str], tmp_path: Path
) -> None:
    blind = tiny_images.save_run(tmp_path / "blind", context_source="summary", context_to=["input"])
    mean = tiny_images.save_run(tmp_path / "mean", frames=3, encoder={"temporal": "mean"})
    for arguments, words in [
        ((tmp_path / "nowhere",), "no such run directory"),
        ((tiny.save_run(tmp_path / "text"),), "it translates text: use `seq2attn translate`"),
        ((run, "-o", tmp_path / "no" / "out"), "there is no folder"),
        ((run, "--attention", tmp_path / "no" / "out"), "there is no folder"),
        ((blind, "--attention", tmp_path / "out"), "no attention to draw: its decoder reads a fixed summary"),
        (
            (mean, "--attention", tmp_path / "out"),
            'reads the mean of all frames (model.encoder.temporal="mean"); leave out --attention',
        ),
    ]:
        code, out, err = call(*arguments[:1], images[0], *arguments[1:])
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert words in err
    code, out, err = call(blind, images[0])
    assert (code, err) == (0, "")
    assert not (tmp_path / "out").exists()


def test_caption_of_one_image_in_python_returns_one_list(run: str, images: list[str]) -> None:
    import seq2attn

    best = seq2attn.load(run).caption([images[0]], beam=5)[0][0]  # type: ignore[union-attr]
    assert best.attention is not None
    assert best.attention.shape == (len(best.words), best.grid[0] * best.grid[1])  # type: ignore[index]


def test_translate_refers_to_caption_for_a_run_on_images(
    run: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert app.run(["translate", run, __file__, "--device", "cpu"]) == 1
    assert b"use `seq2attn caption`" in capfdbinary.readouterr().err
