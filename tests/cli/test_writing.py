"""Files and folders from the command line: full disks, interruptions, modes, two commands at one place; what
is said then names the user's file.
"""

import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import tiny
from full_disk import largest_file

from seq2attn import files
from seq2attn.cli import app, console
from seq2attn.cli.output import result_files
from seq2attn.config import Config
from seq2attn.data import prepare as preparing
from seq2attn.data.prepared import Prepared
from seq2attn.errors import UserError
from seq2attn.inference.attention_file import AttentionWriter
from seq2attn.plotting import heatmap
from seq2attn.plotting.alignment import Alignment
from seq2attn.tasks.corpus_cache import prepared_folder

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
SIDES = ("--source", "en", "--target", "de", "--vocab-size", "40")
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_run(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """`seq2attn ARGUMENTS` in this process: exit code, stdout, stderr."""

    def command(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(console, "quiet", False)
        code = app.run(list(map(str, arguments)))
        return code, *capsys.readouterr()

    return command


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    for split, count in (("train", 60), ("valid", 5)):
        lines = [
            f"{'abcdefgh'[i % 8] * (i % 5 + 1)} {'hgfedcba'[i % 7] * (i % 3 + 1)} {split}"
            for i in range(count)
        ]
        for language in ("en", "de"):
            (folder / f"{split}.{language}").write_text("\n".join([*lines, ""]), encoding="utf-8")
    return folder


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# Results


@pytest.mark.parametrize("option", ["-o", pytest.param("--attention", marks=pytest.mark.slow)])
def test_translate_keeps_whole_lines_on_a_full_disk(
    run: Path, call: Call, tmp_path: Path, option: str
) -> None:
    out, text = tmp_path / "o.jsonl", tmp_path / "text"
    text.write_text("the small dog\n" * 300)
    out.write_text("of yesterday\n")
    out.chmod(0o600)
    with largest_file(2500 if option == "-o" else 20_000):
        code, _, err = call("translate", run, text, option, out, "--device", "cpu", "--batch-tokens", 20)
    piece = tmp_path / "o.jsonl.partial"
    lines = piece.read_bytes().splitlines(keepends=True)
    assert code == 1
    assert err == (
        f"warning: {out}: not finished, so it is as it was; what was finished is in {piece} "
        f"({len(lines)} line{'s' if len(lines) > 1 else ''})\n"
        f"seq2attn: {out}: cannot be written: File too large; raise the limit (ulimit -f), or write "
        "elsewhere\n"
    )
    assert all(line.endswith(b"\n") for line in lines)
    assert (out.read_text(), stat.S_IMODE(piece.stat().st_mode)) == ("of yesterday\n", 0o600)
    assert names(tmp_path) == ["o.jsonl", "o.jsonl.partial", "text"]


def test_result_files_drop_a_partial_file_without_a_whole_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, content in (("x", b"half a line"), ("x.npz", b"half an archive")):
        (tmp_path / name).write_bytes(content)
        tell = result_files._tell_archive if name.endswith("npz") else result_files._tell_lines
        tell(tmp_path / "o", tmp_path / name)
    assert (names(tmp_path), capsys.readouterr().err) == ([], "")


def test_attention_writer_keeps_the_old_archive_on_a_full_disk(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(b"of yesterday")

    def fill() -> None:
        with result_files.attention(path) as file, AttentionWriter(file, path) as writer:
            for number in range(1000):
                writer.add(number, tiny.translator().translate(["the small dog"], attention=True)[0])

    with largest_file(20_000), pytest.raises(UserError, match=r"a\.npz: cannot be written: File too large"):
        fill()
    assert (path.read_bytes(), names(tmp_path)) == (b"of yesterday", ["a.npz"])


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    "command",
    [
        "translate RUN text --device cpu",
        "train --show",
        "--version",
        "translate --help",
        *(
            pytest.param(command, marks=pytest.mark.slow)
            for command in (
                "evaluate --hypotheses gold --reference gold",
                "evaluate --hypotheses gold --reference gold --json",
                "plot-alignment RUN --source rain",
                "train --list",
            )
        ),
    ],
)
def test_translate_names_standard_output_if_it_fails(command: str, run: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("the small dog\n")
    (tmp_path / "gold").write_text("a b c d e\n")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "seq2attn", *command.replace("RUN", str(run)).split()],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
            cwd=tmp_path,
            timeout=300,
            check=False,
        )
    assert done.returncode == 1
    assert (
        done.stderr.splitlines()[-1]
        == "seq2attn: standard output: No space left on device (make room, or write elsewhere)"
    )


def test_save_names_the_output_file_on_a_full_disk(tmp_path: Path) -> None:
    weights = np.full((2, 3), 1 / 3)
    pair = Alignment(["a", "b", "c"], ["x", "y"], weights)
    for ending in (".png", ".svg", ".pdf"):
        path = tmp_path / f"p{ending}"
        path.write_bytes(b"of yesterday")
        path.chmod(0o640)
        for _ in range(2):
            with (
                largest_file(200),
                pytest.raises(
                    UserError, match=rf"^{re.escape(str(path))}: cannot be written: File too large"
                ),
            ):
                heatmap.save(weights, pair.source_words, pair.target_words, path)
        assert path.read_bytes() == b"of yesterday"
        heatmap.save(weights, pair.source_words, pair.target_words, path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        assert path.stat().st_size > 200
    assert names(tmp_path) == ["p.pdf", "p.png", "p.svg"]
    with pytest.raises(
        UserError, match=r"none/p\.png: cannot be written: there is no folder .*none; make it first"
    ):
        heatmap.save(weights, pair.source_words, pair.target_words, tmp_path / "none" / "p.png")


# Prepared folders


@pytest.mark.parametrize("mask", [0o077, 0o022, 0o027])
def test_prepare_gives_its_folder_the_mode_of_the_umask(
    corpus: Path, call: Call, tmp_path: Path, mask: int
) -> None:
    with umask(mask):
        code, _, err = call("prepare", corpus, tmp_path / "out", *SIDES, "--workers", 1)
    assert code == 0, err
    for path in [tmp_path / "out", *(tmp_path / "out").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o777 if path.is_dir() else 0o666) & ~mask, path


@pytest.mark.parametrize("force", [False, True])
def test_prepare_refuses_a_second_writer_and_keeps_the_first(
    corpus: Path, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, force: bool
) -> None:
    """The second comes while the first is at it, and again where neither sees the other, as on a disk without
    locks.
    """
    out, way = tmp_path / "out", ["--force"] if force else []
    if force:
        assert call("prepare", corpus, out, *SIDES, "--workers", 1)[0] == 0
    finish, second = preparing._finish, []

    def finish_late(*arguments: object) -> None:
        monkeypatch.setattr(preparing, "_finish", finish)
        second.append(call("prepare", corpus, out, *SIDES, "--workers", 1, "--seed", 2, *way))
        finish(*arguments)

    monkeypatch.setattr(preparing, "_finish", finish_late)
    code, _, err = call("prepare", corpus, out, *SIDES, "--workers", 1, *way)
    assert code == 0, err
    ((code, printed, err),) = second
    assert (code, printed) == (1, "")
    assert re.fullmatch(
        rf"seq2attn: {out}: process {os.getpid()} on \S+ is making it: "
        r"wait for it to end, or choose another place",
        err.splitlines()[-1],
    )
    assert Prepared(out).report["seed"] == 1

    shutil.rmtree(out)
    if force:
        assert call("prepare", corpus, out, *SIDES, "--workers", 1)[0] == 0
    monkeypatch.setattr(preparing, "_finish", finish_late)
    monkeypatch.setattr(files, "_clear", lambda folder: not os.path.lexists(folder))
    code, printed, err = call("prepare", corpus, out, *SIDES, "--workers", 1, *way)
    assert second[1][0] == 0
    assert (code, printed) == (1, "")
    assert "another process has made or changed it meanwhile; it stays as that process left it" in err
    assert Prepared(out).report["seed"] == 2
    assert names(tmp_path) == ["corpus", "out"]


@pytest.mark.slow
def test_prepare_removes_remains_of_a_killed_command(corpus: Path, call: Call, tmp_path: Path) -> None:
    program = (
        "import os, sys\nfrom seq2attn.cli import app\nfrom seq2attn.data import prepare as preparing\n"
        "preparing._finish = lambda *_: os.kill(os.getpid(), 9)\n"
        f"app.run(['prepare', {str(corpus)!r}, {str(tmp_path / 'out')!r}, *{SIDES!r}, '--workers', '1'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=ENVIRONMENT, capture_output=True, timeout=300, check=False
    )
    assert done.returncode == -9
    assert names(tmp_path) == [".out.partial", "corpus"]
    assert call("prepare", corpus, tmp_path / "other", *SIDES, "--workers", 1)[0] == 0
    assert names(tmp_path) == ["corpus", "other"]


def test_prepare_names_the_output_folder_on_a_full_disk(corpus: Path, call: Call, tmp_path: Path) -> None:
    with largest_file(1000):
        code, _, err = call("prepare", corpus, tmp_path / "out", *SIDES, "--workers", 1)
    assert code == 1
    assert ".partial" not in err
    assert err.splitlines()[-1].startswith(
        f"seq2attn: {tmp_path / 'out'}: cannot be written: File too large; raise the limit"
    )
    assert names(tmp_path) == ["corpus"]


@pytest.mark.slow
@pytest.mark.parametrize("ends", ["made", pytest.param("killed", marks=pytest.mark.slow)])
def test_prepared_folder_waits_for_another_training(
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    ends: str,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(console, "quiet", False)
    settings = Config.model_validate({"data": {"source": "en", "target": "de", "vocab_size": 40}})
    program = (
        "import sys\nfrom seq2attn.tasks.corpus_cache import prepared_folder\nfrom seq2attn.config import "
        "Config\nfrom seq2attn.data import prepare as preparing\n"
        "finish = preparing._finish\n"
        "def wait(*arguments):\n    print('working', flush=True)\n    sys.stdin.readline()\n    "
        "finish(*arguments)\n"
        "preparing._finish = wait\n"
        f"prepared_folder({str(corpus)!r}, Config.model_validate({settings.model_dump(mode='json')!r}))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=ENVIRONMENT | {"XDG_CACHE_HOME": str(tmp_path / "cache")},
    ) as first:
        assert first.stdin is not None
        assert first.stdout is not None
        assert first.stdout.readline() == "working\n"
        wait = files.ConcurrentWrite.wait

        def let_end(write: files.ConcurrentWrite) -> None:
            if ends == "made":
                first.communicate("\n")
            else:
                first.kill()
            wait(write)

        monkeypatch.setattr(files.ConcurrentWrite, "wait", let_end)
        with console.notes():
            folder = prepared_folder(str(corpus), settings, console.progress)
    err = capsys.readouterr().err
    assert f"process {first.pid} on " in err
    assert "is preparing it already: waiting for it\n" in err
    assert ("reading" in err) == (ends == "killed")
    assert len(Prepared(folder).split("train")) == 60
    assert names(folder.parent) == [folder.name]


def test_prepared_folder_uses_the_result_of_another_training(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    settings = Config.model_validate(
        {"data": {"source": "en", "target": "de", "vocab_size": 40, "keep": ["all"]}}
    )
    make = preparing.prepare

    def late(*arguments: object, **keywords: object) -> object:
        monkeypatch.setattr(preparing, "prepare", make)
        prepared_folder(str(corpus), settings)
        return make(*arguments, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(preparing, "prepare", late)
    assert len(Prepared(prepared_folder(str(corpus), settings)).split("train")) == 60
