"""provenance.jsonl: how a run was trained, each time, and no secrets."""

import json
import shlex
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import torch
import toy

from seq2attn import __version__
from seq2attn.errors import UserError
from seq2attn.runs import directory, provenance


def record(run: directory.Run, step: int, *command: str) -> None:
    data = provenance.of_data("corpus", {"inputs": [{"file": "a.en", "bytes": 3, "sha256": "ab"}]}, "t", "v")
    provenance.record(
        run,
        step=step,
        command=shlex.join(command),
        device=torch.device("cpu"),
        processes=1,
        format="fp32",
        data=data,
    )


def test_provenance_has_a_line_for_each_training(tmp_path: Path) -> None:
    run = toy.new_run(tmp_path / "run", toy.settings())
    record(run, 0, "seq2attn", "train", "a b.toml")
    record(run, 5, "seq2attn", "train", "--resume", "\udcff\udc80")
    first, second = [json.loads(line) for line in (run.path / "provenance.jsonl").read_text().splitlines()]
    assert (first["command"], first["step"], second["step"]) == ("seq2attn train 'a b.toml'", 0, 5)
    assert first["seq2attn"] == __version__
    assert first["torch"] == torch.__version__
    assert first["python"] == ".".join(map(str, sys.version_info[:3]))
    assert (first["device"].split()[0], first["processes"], first["threads"], first["precision"]) == (
        "cpu",
        1,
        torch.get_num_threads(),
        "fp32",
    )
    date = datetime.fromisoformat(first["date"])
    assert date.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - date) < timedelta(days=1)
    assert first["data"]["inputs"] == [{"file": "a.en", "sha256": "ab"}]
    assert (first["data"]["corpus"], first["data"]["training"], first["data"]["validation"]) == (
        "corpus",
        "t",
        "v",
    )


def test_provenance_that_is_damaged_is_ignored_and_continued(tmp_path: Path) -> None:
    run = toy.new_run(tmp_path / "run", toy.settings())
    (run.path / "provenance.jsonl").write_bytes(b"\xff" + b"[" * 1000)
    directory.open_run(run.path, trained=False)
    record(run, 3, "x")
    lines = (run.path / "provenance.jsonl").read_bytes().splitlines()
    assert len(lines) == 2
    assert json.loads(lines[1])["step"] == 3


def test_provenance_is_removed_with_a_run_that_is_replaced(tmp_path: Path) -> None:
    run = toy.new_run(tmp_path / "run", toy.settings())
    record(run, 0, "x")
    directory.create(
        run.path,
        run.config,
        source_size=toy.SIZE,
        target_size=toy.SIZE,
        languages=("en", "fr"),
        tokenizers={"tokenizer.model": b"bytes"},
        corpus="toy",
        force=True,
    )
    assert not (run.path / "provenance.jsonl").exists()


def test_provenance_of_data_counts_many_inputs_and_refuses_damaged_ones(tmp_path: Path) -> None:
    inputs = [{"file": str(number), "sha256": "x"} for number in range(500)]
    of = provenance.of_data("c", {"inputs": inputs}, "", "")
    assert isinstance(of["inputs"], list)
    assert (len(of["inputs"]), of["inputs_in_all"]) == (provenance.MAX_INPUTS, 500)
    for inputs in (3, [3], [{}], [None]):
        with pytest.raises(UserError, match=r"prepared\.json: damaged"):
            provenance.of_data("c", {"inputs": inputs}, "", "")
