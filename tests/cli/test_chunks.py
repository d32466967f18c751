"""Large outputs in chunks: equal to the output of one go, continued after an end in between, and shared out
over processes.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny_images

from seq2attn import files
from seq2attn.cli.input import image_prefetch
from seq2attn.inference import Captioner, Translator
from seq2attn.tasks import chunks

ROOT = Path(__file__).parents[2]
Call = Callable[..., tuple[int, bytes, str]]
TEXTS = [f"the small dog {'sings ' * (n % 5)}{n}" for n in range(23)] + ["", "rain falls"]


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "in.en"
    path.write_text("\n".join(TEXTS))  # the last line has no end
    return path


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of four lines or images, for the smallest input."""
    for name, value in (("LINES", 4), ("IMAGES", 4), ("LARGE", 0), ("MANY", 0)):
        monkeypatch.setattr(chunks, name, value)


@pytest.mark.parametrize(
    "options",
    [
        (),
        pytest.param(("--format", "moses", "--alignments"), marks=pytest.mark.slow),
        ("--format", "jsonl", "--sample", "--seed", 3),
        pytest.param(("--prefix",), marks=pytest.mark.slow),
    ],
)
def test_chunks_give_the_output_of_one_go(
    options: tuple[object, ...], text_run: str, lines: Path, pipe: Call, tmp_path: Path, monkeypatch
) -> None:
    if options == ("--prefix",):
        (tmp_path / "prefix").write_text("a\n\n" * 13)
        options = ("--prefix", tmp_path / "prefix")
    if "jsonl" in options:
        lines.write_text("".join(json.dumps({"text": text, "id": 1}) + "\n" for text in TEXTS))
    code, out, _ = pipe("translate", text_run, lines, *options)
    assert code == 0
    for name, value in (("LINES", 4), ("LARGE", 0)):
        monkeypatch.setattr(chunks, name, value)
    code, nothing, printed = pipe("translate", text_run, lines, "-o", tmp_path / "out", *options)
    assert (code, nothing) == (0, b"")
    assert (tmp_path / "out").read_bytes() == out
    assert ("has more lines than the input" in printed) == ("--prefix" in options)
    assert not (tmp_path / "out.parts").exists()


class Killed(BaseException):
    pass


@pytest.mark.usefixtures("always")
def test_translate_continues_after_an_end_and_makes_no_chunk_twice(
    text_run: str, lines: Path, pipe: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert pipe("translate", text_run, lines, "-o", whole)[0] == 0
    counts: list[int] = []
    translate = Translator.translate

    def counted(self: Translator, texts: list[str], *rest: object, **options: object) -> object:
        if len(counts) == 3:
            counts.clear()
            raise KeyboardInterrupt
        counts.append(len(texts))
        return translate(self, texts, *rest, **options)

    monkeypatch.setattr(Translator, "translate", counted)
    code, _, printed = pipe("translate", text_run, lines, "-o", out)
    assert code == 130
    assert f"{out}.parts: has 3 finished chunks: the same command continues" in printed
    assert not out.exists()
    assert pipe("translate", text_run, lines, "-o", out)[0] == 130  # three more, of seven
    code, _, printed = pipe("translate", text_run, lines, "-o", out)
    assert code == 0
    assert f"{out}: continues after 6 finished chunks" in printed
    assert counts == [1]
    assert out.read_bytes() == whole.read_bytes()
    assert not (tmp_path / "out.parts").exists()


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("change", ["input", "option", "run"])
def test_chunks_of_another_input_run_or_option_are_not_used(
    change: str, text_run: str, lines: Path, pipe: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = chunks.fingerprint(text_run, chunks.of_texts([str(lines)]), {"beam": 5})
    if change == "input":
        lines.write_text(lines.read_text().replace("23", "24"))
        lines.write_text(lines.read_text().upper())
        other = chunks.fingerprint(text_run, chunks.of_texts([str(lines)]), {"beam": 5})
    elif change == "option":
        other = chunks.fingerprint(text_run, chunks.of_texts([str(lines)]), {"beam": 4})
    else:
        other = chunks.fingerprint(f"{text_run},{text_run}", chunks.of_texts([str(lines)]), {"beam": 5})
    assert key != other
    parts = tmp_path / "out.parts"
    parts.mkdir()
    (parts / "job.json").write_text(key)
    (parts / "0.chunk").write_text('{"failures": 0}\nof another\n')
    code, _, printed = pipe("translate", text_run, lines, "-o", tmp_path / "out")
    assert code == 0
    assert "had 1 finished chunk of another input, run, option or version" in printed
    assert "of another" not in (tmp_path / "out").read_text()


@pytest.mark.usefixtures("always")
def test_folder_of_somebody_else_is_refused_and_stays(
    text_run: str, lines: Path, pipe: Call, tmp_path: Path
) -> None:
    (tmp_path / "out.parts").mkdir()
    (tmp_path / "out.parts" / "thesis.txt").write_text("years of work")
    code, _, printed = pipe("translate", text_run, lines, "-o", tmp_path / "out")
    assert code == 1
    assert "is no folder of chunks of seq2attn" in printed
    assert (tmp_path / "out.parts" / "thesis.txt").exists()


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("moment", ["begin", "end"])
def test_kill_while_the_folder_is_made_or_removed_leaves_nothing_to_move(
    moment: str, text_run: str, lines: Path, pipe: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert pipe("translate", text_run, lines, "-o", whole)[0] == 0
    write, rmtree = files.write, shutil.rmtree

    def killed(path: Path, *rest: object) -> None:
        if path.name == "job.json":
            raise KeyboardInterrupt
        write(path, *rest)  # type: ignore[arg-type]

    def half(path: Path) -> None:
        """A kill within it: any part of the content may be gone."""
        (path / "job.json").unlink()
        raise KeyboardInterrupt

    if moment == "begin":
        monkeypatch.setattr(files, "write", killed)
    else:
        monkeypatch.setattr(files.shutil, "rmtree", half)
    assert pipe("translate", text_run, lines, "-o", out)[0] == 130
    assert (tmp_path / "out.parts").is_dir()
    monkeypatch.setattr(files, "write", write)
    monkeypatch.setattr(files.shutil, "rmtree", rmtree)
    code, _, printed = pipe("translate", text_run, lines, "-o", out)
    assert code == 0, printed
    assert out.read_bytes() == whole.read_bytes()
    assert not (tmp_path / "out.parts").exists()


def test_open_descriptor_gets_no_chunks(lines: Path, tmp_path: Path) -> None:
    """-o /dev/stdout, where a file is behind it: its folder of chunks would be in /dev."""
    with (tmp_path / "out").open("w") as file:
        descriptor = Path(f"/proc/self/fd/{file.fileno()}")
        assert descriptor.is_file()
        assert not chunks.are_wanted(descriptor, [str(lines)], True, False)
    assert chunks.are_wanted(tmp_path / "out", [str(lines)], True, False)
    assert chunks.are_wanted(tmp_path / "new", [str(lines)], True, False)


@pytest.fixture(scope="module")
def image_run(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_images.save_run(tmp_path_factory.mktemp("runs") / "images"))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(1, 10):
        tiny_images.draw(folder / f"{number}.png", number)
    (folder / "5.png").write_bytes(b"no image")
    return folder


def test_caption_continues_and_counts_what_could_not_be_read(
    image_run: str, photos: Path, pipe: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, whole, printed = pipe("caption", image_run, photos)
    assert code == 1
    assert "1 of 9 images could not be read" in printed
    for name, value in (("IMAGES", 4), ("MANY", 0)):
        monkeypatch.setattr(chunks, name, value)
    calls: list[int] = []
    caption = Captioner.caption

    def counted(self: Captioner, images: list[object], *rest: object, **options: object) -> object:
        calls.append(len(images))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return caption(self, images, *rest, **options)

    monkeypatch.setattr(Captioner, "caption", counted)
    out = tmp_path / "out"
    assert pipe("caption", image_run, photos, "-o", out)[0] == 130
    code, _, printed = pipe("caption", image_run, photos, "-o", out)
    assert (code, calls) == (1, [4, 3, 1, 1])
    assert "1 of 9 images could not be read" in printed
    assert out.read_bytes() == whole


def test_samples_of_an_image_depend_on_no_other_image(
    image_run: str, photos: Path, pipe: Call, tmp_path: Path, always: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each image has a number, whether or not those before it can be read: in one go, in chunks, and with
    another in place of one that cannot be read.
    """
    monkeypatch.setattr(image_prefetch, "FIRST", 3)
    names = sorted(map(str, photos.iterdir()))
    command = ["caption", image_run, *names, "--sample", "--temperature", 5]
    code, whole, _ = pipe(*command)
    assert code == 1
    assert pipe(*command, "-o", tmp_path / "out")[0] == 1
    assert (tmp_path / "out").read_bytes() == whole
    broken = next(number for number, line in enumerate(whole.split(b"\n")) if line.endswith(b"\t"))
    assert 0 < broken < len(names) - 1
    command[2 + broken] = names[0]
    code, others, _ = pipe(*command)
    assert code == 0
    lines = [text.split(b"\n") for text in (whole, others)]
    assert [a == b for a, b in zip(*lines, strict=True)] == [n != broken for n in range(len(lines[0]))]


SCRIPT = """
import json, os, sys
from seq2attn.cli import app
from seq2attn import files
from seq2attn.tasks import chunks
chunks.LINES = chunks.IMAGES = 4
print(json.dumps([app.run(command) for command in json.loads(sys.argv[1])]))
"""


@pytest.mark.slow
def test_processes_share_out_lines_and_images(
    text_run: str, image_run: str, lines: Path, photos: Path, pipe: Call, tmp_path: Path
) -> None:
    texts = pipe("translate", text_run, lines)[1]
    captions = pipe("caption", image_run, photos)[1]
    out = [str(tmp_path / "out.fr"), str(tmp_path / "out.txt")]
    commands = [
        ["translate", text_run, str(lines), "-o", out[0], "--device", "cpu"],
        ["caption", image_run, str(photos), "-o", out[1], "--device", "cpu"],
        ["translate", text_run, str(lines), "--device", "cpu"],
    ]
    (tmp_path / "script.py").write_text(SCRIPT)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    place = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    end = subprocess.run(
        [*launcher, str(tmp_path / "script.py"), json.dumps(commands)],
        env=os.environ | place,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert end.returncode == 0, end.stderr
    # the first process tells of the image that could not be read
    assert sorted(map(json.loads, end.stdout.splitlines())) == [[0, 0, 2], [0, 1, 2]]
    assert end.stderr.count("1 of 9 images could not be read") == 1
    assert "several processes share an output that is a file" in end.stderr
    assert Path(out[0]).read_bytes() == texts
    assert Path(out[1]).read_bytes() == captions
