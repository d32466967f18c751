"""Who may train a run: a claim that is refused leaves every file as it was, even its time."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import toy

from seq2attn.errors import UserError
from seq2attn.runs import claim, directory
from seq2attn.training.resume import check_start

ROOT = Path(__file__).parents[2]
HOLDER = """
import sys
from pathlib import Path
from seq2attn.runs.claim import claimed
from seq2attn.training.resume import check_start
path, force = Path(sys.argv[1]), sys.argv[2] == "force"
with claimed(path, lambda: check_start(path, resume=False, force=force)):
    print("has it", flush=True)
    sys.stdin.read()
"""


def fingerprint(path: Path) -> dict[str, tuple[int, bytes]]:
    files = sorted(path.rglob("*"))
    content = {file: file.read_bytes() if file.is_file() else b"" for file in [path, *files]}
    return {str(file): (file.stat().st_mtime_ns, of) for file, of in content.items()}


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "run"
    toy.fit(path, toy.settings())
    return path


@pytest.fixture
def trained(whole_run: Path, tmp_path: Path) -> Path:
    """A run that was trained to its end, TensorBoard files and scores included."""
    path = tmp_path / "run"
    shutil.copytree(whole_run, path)
    for folder in ("tensorboard", "scores"):
        (path / folder).mkdir()
        (path / folder / "file").write_text("1")
    return path


def claimed(path: Path, resume: bool = False, force: bool = False) -> AbstractContextManager[bool]:
    return claim.claimed(path, lambda: check_start(path, resume=resume, force=force))


def take(path: Path, resume: bool = False, force: bool = False) -> None:
    with claimed(path, resume, force):
        pass


def refusal(path: Path, resume: bool = False, force: bool = False) -> str:
    """Of a claim that must leave all as it is."""
    before = fingerprint(path)
    with pytest.raises(UserError) as caught:
        take(path, resume, force)
    assert fingerprint(path) == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


def remove(path: Path, *names: str) -> None:
    for name in names:
        target = path / name
        if target.is_dir():
            for file in target.iterdir():
                file.unlink()
            target.rmdir()
        else:
            target.unlink()


ALL = ("model.safetensors", "metrics.jsonl", "training", "tensorboard", "scores")


@pytest.mark.parametrize("left", ["model.safetensors", "metrics.jsonl", "tensorboard", "scores"])
def test_resume_without_a_state_is_refused_whatever_else_is_left(trained: Path, left: str) -> None:
    remove(trained, *(name for name in ALL if name != left))
    assert "no training/state.json to continue from" in refusal(trained, resume=True)


def test_resume_with_tensors_of_a_state_alone_is_refused(trained: Path) -> None:
    remove(trained, "training/state.json", *(name for name in ALL if name != "training"))
    assert "a training state, but no training/state.json" in refusal(trained, resume=True)


def test_resume_without_tensors_or_best_weights_is_refused(trained: Path) -> None:
    whole = (trained / "training" / "20.safetensors").read_bytes()
    remove(trained, "training/20.safetensors")
    assert "20.safetensors: missing" in refusal(trained, resume=True)
    (trained / "training" / "20.safetensors").write_bytes(whole[:-8])
    assert "20.safetensors: damaged" in refusal(trained, resume=True)
    (trained / "training" / "20.safetensors").write_bytes(whole)
    weights = (trained / "model.safetensors").read_bytes()
    (trained / "model.safetensors").write_bytes(b"")
    assert "model.safetensors: damaged" in refusal(trained, resume=True)
    remove(trained, "model.safetensors")
    assert "missing: the best weights so far, those of step" in refusal(trained, resume=True)
    (trained / "model.safetensors").write_bytes(weights)
    take(trained, resume=True)


def test_run_without_config_is_neither_resumed_nor_replaced_silently(trained: Path) -> None:
    remove(trained, "config.json")
    assert "but no config.json to continue from" in refusal(trained, resume=True)
    assert "of a run without its config.json" in refusal(trained)
    take(trained, force=True)


@pytest.mark.parametrize("left", ["model.safetensors", "metrics.jsonl", "training", "tensorboard", "scores"])
def test_run_without_config_is_recognised_by_each_trace(trained: Path, left: str) -> None:
    remove(trained, "config.json", *(name for name in ALL if name != left))
    refusal(trained)
    refusal(trained, resume=True)


def test_start_ignores_what_a_killed_first_start_left(tmp_path: Path) -> None:
    """It writes the tokenizers, config.json, the tensors of the first state, and state.json in the end."""
    path = tmp_path / "run"
    path.mkdir()
    for resume in (False, True):
        take(path, resume=resume)
        (path / "tokenizer.model").write_bytes(b"bytes")
        (path / ".config.json.partial").mkdir()
        (path / ".config.json.partial" / "new").write_bytes(b"{")
        take(path, resume=resume)
        remove(path, "tokenizer.model", ".config.json.partial")
    toy.new_run(path, toy.settings())
    take(path, resume=True)
    (path / "training").mkdir()
    (path / "training" / ".0.safetensors.partial").mkdir()
    take(path, resume=True)
    (path / "training" / "0.safetensors").write_bytes(b"")
    take(path, resume=True)
    (path / "metrics.jsonl").write_bytes(b"")
    (path / "tensorboard").mkdir()
    take(path, resume=True)


def test_force_never_replaces_files_of_others(tmp_path: Path) -> None:
    path = tmp_path / "bert"
    path.mkdir()
    (path / "config.json").write_text(json.dumps({"architectures": ["BertModel"]}))
    (path / "model.safetensors").write_bytes(b"theirs")
    assert "not of seq2attn" in refusal(path, force=True)
    (path / "config.json").write_text("{")  # damaged: it may have been ours
    take(path, force=True)
    remove(path, "config.json")
    (path / "thesis.txt").write_text("years of work")
    for resume, force in ((True, False), (False, True), (False, False)):
        assert "is no run of seq2attn" in refusal(path, resume, force)


def test_claim_removes_folders_created_for_the_lock(tmp_path: Path) -> None:
    take(tmp_path / "a" / "b" / "run")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mine").mkdir()
    take(tmp_path / "mine")
    assert [file.name for file in tmp_path.iterdir()] == ["mine"]


@pytest.fixture
def holding() -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start a process that claims a run until it is told or killed."""
    started = []

    def start(path: Path, how: str = "") -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(path), how],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "has it\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_claim_refuses_a_second_trainer_and_names_the_first(
    trained: Path, holding: Callable[..., "subprocess.Popen[str]"]
) -> None:
    process = holding(trained, "force")
    link = trained.parent / "link"
    link.symlink_to(trained)
    for path in (trained, link, trained / ".." / "run"):
        for resume, force in ((True, False), (False, True), (False, False)):
            assert f"is being trained by process {process.pid} on " in refusal(path, resume, force)
    directory.open_run(trained)  # reading is free
    process.kill()
    process.wait()
    assert (trained / directory.LOCK).exists()  # a file that locks nothing, and no user's
    take(trained, resume=True)
    take(trained, force=True)


@pytest.mark.slow
def test_claim_refuses_a_second_new_run_before_the_first_has_written(
    tmp_path: Path, holding: Callable[..., "subprocess.Popen[str]"]
) -> None:
    process = holding(tmp_path / "run")
    assert f"process {process.pid}" in refusal(tmp_path / "run")
    assert f"process {process.pid}" in refusal(tmp_path / "run", resume=True)


def test_claim_outlives_the_replacement_of_a_run(trained: Path) -> None:
    with claimed(trained, force=True):
        directory.create(
            trained,
            toy.settings(),
            source_size=toy.SIZE,
            target_size=toy.SIZE,
            languages=("en", "fr"),
            tokenizers={"tokenizer.model": b"bytes"},
            corpus="toy",
            force=True,
        )
        assert claim.locks.holder(trained / directory.LOCK) is not None
    assert sorted(file.name for file in trained.iterdir()) == ["config.json", "tokenizer.model"]


@pytest.mark.parametrize(
    "make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("elsewhere")], ids=["folder", "pipe", "link"]
)
def test_claim_names_what_is_in_the_place_of_its_lock(trained: Path, make: Callable[[Path], None]) -> None:
    make(trained / directory.LOCK)
    with pytest.raises(UserError, match=r"training\.lock: not a regular file, so no lock: remove it"):
        take(trained, resume=True)
    assert os.path.lexists(trained / directory.LOCK)


def test_claim_reports_a_file_system_without_locks(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(number: int) -> Callable[..., None]:
        def flock(*_: object) -> None:
            raise OSError(number, os.strerror(number))

        return flock

    monkeypatch.setattr("fcntl.flock", refuse(claim.errno.EROFS))
    with pytest.raises(UserError, match="cannot be written: Read-only file system"):
        take(trained, resume=True)
    monkeypatch.setattr("fcntl.flock", refuse(claim.errno.ENOLCK))
    with claimed(trained, resume=True) as is_locked:
        assert not is_locked
    monkeypatch.undo()
    (trained / directory.LOCK).unlink(missing_ok=True)
    (trained / directory.LOCK).symlink_to(trained / "config.json")
    config = (trained / "config.json").read_bytes()
    with pytest.raises(UserError, match="not a regular file, so no lock"):
        take(trained, resume=True)
    assert (trained / "config.json").read_bytes() == config
