"""`prepare` from the command line: the report, the refusals with their exit codes, and Ctrl-C at any
moment.
"""

import json
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import image_toy as toy
import pytest

from seq2attn.cli import app, console
from seq2attn.data.prepared import Prepared

ROOT = Path(__file__).parents[2]
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    draw = random.Random(1)
    for split, count in (("train", 200), ("valid", 10), ("test", 5)):
        lines = [" ".join("".join(draw.choices("abcdefgh", k=4)) for _ in range(5)) for _ in range(count)]
        backwards = [" ".join(reversed(line.split())) for line in lines]
        for language, texts in (("en", lines), ("de", backwards)):
            (folder / f"{split}.{language}").write_text("\n".join([*texts, ""]), encoding="utf-8")
    return folder


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """`seq2attn prepare ARGUMENTS` in this process: exit code, stdout, stderr."""

    def prepare(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(console, "quiet", False)
        code = app.run(["prepare", *map(str, arguments)])
        return code, *capsys.readouterr()

    return prepare


def test_prepare_warns_of_data_that_train_refuses(call: Call, tmp_path: Path) -> None:
    (tmp_path / "one.tsv").write_text("en\tfr\nthe dog\tle chien\n")
    code, _, err = call(tmp_path / "one.tsv", tmp_path / "out")
    assert code == 0
    assert "Next:" not in err
    assert err.splitlines()[-1].startswith(
        "warning: there is no valid split, which training needs: add pairs"
    )


def test_prepare_prints_and_saves_the_report(call: Call, corpus: Path, tmp_path: Path) -> None:
    with (corpus / "train.en").open("a", encoding="utf-8") as file:
        file.write("\n")
    with (corpus / "train.de").open("a", encoding="utf-8") as file:
        file.write("nothing beside it\n")
    out = tmp_path / "out"
    code, printed, err = call(corpus, out, "--source", "en", "--target", "de", "--vocab-size", 60)
    assert code == 0
    first, blank, header, *rows = printed.splitlines()
    assert first == f"{corpus}: en to de; unigram tokens, vocabulary: 60 joint"
    assert not blank
    assert header.split() == [
        "split",
        "read",
        "kept",
        "side",
        "tokens",
        "median",
        "99%",
        "longest",
        "unknown",
    ]
    assert rows[0].split()[:4] == ["train", "201", "200", "en"]
    assert rows[1].split()[0] == "de"
    assert "train: 1 dropped, empty: train.en:201" in rows
    assert err.splitlines()[-1] == f"Next: seq2attn train --data {out}"
    report = json.loads((out / "prepared.json").read_text(encoding="utf-8"))
    assert report["splits"]["train"]["dropped"] == {"empty": {"pairs": 1, "examples": ["train.en:201"]}}


def test_help_names_every_kind_of_corpus(call: Call) -> None:
    code, printed, _ = call("--help")
    err = " ".join(printed.split())
    assert code == 0
    for kind in (
        "phrases",
        "scenes",
        "clips",
        "train.en",
        ".parquet",
        "metadata.jsonl",
        "*.token.txt",
        "dataset_*.json",
        "hf:",
    ):
        assert kind in err


def test_prepare_applies_its_options(call: Call, corpus: Path, tmp_path: Path) -> None:
    options = [
        "--tokenizer",
        "char",
        "--separate",
        "--lowercase",
        "--max-length",
        "50",
        "--max-ratio",
        "3",
        "--vocab-size",
        "30",
        "--seed",
        "4",
        "--keep",
        "numbers",
        "--keep",
        "script",
        "--normalise",
        "both",
        "--workers",
        "2",
        "--quiet",
    ]
    code, printed, err = call(corpus, tmp_path / "out", "--source", "de", *options, "--target", "en")
    assert (code, err) == (0, "")
    assert "vocabulary: " in printed
    report = Prepared(tmp_path / "out").report
    expected = {
        "source": "de",
        "target": "en",
        "vocab_size": 30,
        "tokenizer": "char",
        "joint": False,
        "lowercase": True,
        "max_length": 50,
        "max_ratio": 3.0,
        "max_bad": 0.01,
        "max_missing": 0.05,
        "align": "corpus",
        "follow_links": False,
        "keep": ["numbers", "script"],
        "normalise": "both",
        "protect": False,
    }
    assert report["options"] == expected
    assert report["seed"] == 4


def test_prepare_reads_a_file_without_a_header_and_holds_out_pairs(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "cmn.tsv"
    path.write_text("".join(f"sentence {i}.\t句子 {i}。\tsource {i}\n" for i in range(100)), encoding="utf-8")
    code, printed, _ = call(
        path, tmp_path / "out", "--source", "1:en", "--target", "2:zh", "--valid", 10, "--test", 20
    )
    assert code == 0, printed
    assert Prepared(tmp_path / "out").languages == ("en", "zh")
    assert [len(Prepared(tmp_path / "out").split(name)) for name in ("train", "valid", "test")] == [
        70,
        10,
        20,
    ]


@pytest.mark.slow
def test_prepare_reads_the_bundled_corpus_with_defaults(call: Call, tmp_path: Path) -> None:
    code, printed, err = call("phrases", tmp_path / "out", "--tokenizer", "word")
    assert code == 0, err
    assert printed.startswith("phrases: en to fr; word tokens")
    opened = Prepared(tmp_path / "out")
    assert {"train", "valid", "test", "test_compositional", "test_long"} <= set(opened.splits)
    assert len(opened.split("train")) > 19_000
    gold = opened.split("test").gold
    assert gold is not None
    assert all("-" in links for links in gold)
    source, target = opened.split("test").texts()
    for links, s, t in zip(gold, source, target, strict=True):
        assert all(
            int(i) < len(s.split()) and int(j) < len(t.split())
            for i, j in (link.split("-") for link in links.split())
        )


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["CORPUS", "OUT"], 2, "say which way to translate, as in --source de --target en"),
        (
            ["CORPUS", "OUT", "--source", "en", "--target", "fr"],
            1,
            "for --target fr; its endings are: de, en",
        ),
        (
            ["CORPUS", "OUT", "--source", "en", "--target", "de", "--valid", "5"],
            2,
            "has its own valid split: leave --valid out",
        ),
        (
            ["CORPUS", "OUT", "--source", "en", "--target", "de", "--vocab-size", "9000"],
            1,
            "the text does not hold a vocabulary of 9000: the largest possible is",
        ),
        (
            ["CORPUS", "CORPUS", "--source", "en", "--target", "de"],
            1,
            "exists: choose another name, or replace it with --force",
        ),
        (
            ["CORPUS", "CORPUS", "--source", "en", "--target", "de", "--force"],
            1,
            "is not a prepared folder, so --force does not replace it",
        ),
        (["CORPUS/none.tsv", "OUT"], 1, "none.tsv: no such file or folder"),
        (["CORPUS", "OUT", "--tokenizer", "bytes"], 2, "--tokenizer"),
        (["CORPUS", "OUT", "--vocab-size", "many"], 2, "--vocab-size"),
        (["CORPUS", "OUT", "--workers", "0"], 2, "--workers"),
        (["CORPUS", "OUT", "--max-ratio", "0.5"], 2, "--max-ratio"),
        (["CORPUS"], 2, "name the corpus and the folder to make"),
        (["CORPUS", "OUT", "--keep", "duplicate"], 2, "choose quotes, entities, control, "),
    ],
)
def test_prepare_refuses_on_one_line(
    arguments: list[str], code: int, message: str, call: Call, corpus: Path, tmp_path: Path
) -> None:
    names = {
        "CORPUS": str(corpus),
        "OUT": str(tmp_path / "out"),
        "IMAGES": str(tmp_path / "images.token.txt"),
    }
    Path(names["IMAGES"]).write_text("a.jpg#0\ta dog\n", encoding="utf-8")
    ended, printed, err = call(
        *(
            argument.replace("CORPUS", names["CORPUS"])
            if "CORPUS" in argument
            else names.get(argument, argument)
            for argument in arguments
        )
    )
    assert ended == code
    assert message in err
    *_, last = err.splitlines()
    assert last.startswith("seq2attn: ")
    assert not printed
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()
    assert not [*tmp_path.glob(".*")]


WAIT = "def wait():\n    os.write(1, b'working\\n')\n    for _ in range(6000):\n        time.sleep(0.01)\n"
# In pieces: a signal that arrives after the line is written and before a sleep begins is seen only after that
# sleep.


def interrupted(corpus: Path, tmp_path: Path, changes: str) -> None:
    """Run `prepare` with two workers and `changes` to the program, until it prints a line; then Ctrl-C, which
    must end it and leave nothing.
    """
    program = (
        "import os, signal, sys, time\n"
        "from contextlib import contextmanager\n"
        "from seq2attn.data.text import encoding\n"
        "from seq2attn.cli import app, console\n"
        "encoding.MIN_PAIRS_PER_PROCESS = 50\n"
        "@contextmanager\ndef progress():\n    yield lambda task, *_: None\n"
        "console.progress = progress\n"
        f"{WAIT}{changes}"
        f"sys.exit(app.run(['prepare', {str(corpus)!r}, {str(tmp_path / 'out')!r}, '--source', 'en', "
        "'--target', 'de', '--vocab-size', '60', '--workers', '2']))\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=environment,
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "working\n"
            # as a terminal sends it: to the command and all its workers at once
            os.killpg(process.pid, signal.SIGINT)
            # for tests that fail; a worker that is left holds the pipe open
            _, err = process.communicate(timeout=300)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 130
    assert err == "seq2attn: interrupted\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus"]


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["encoding train", "reading", "training the tokenizer"])
def test_prepare_leaves_nothing_on_ctrl_c_at_any_moment(moment: str, corpus: Path, tmp_path: Path) -> None:
    changes = (
        "@contextmanager\ndef progress():\n"
        f"    yield lambda task, *_: wait() if task == {moment!r} else None\nconsole.progress = progress\n"
    )
    interrupted(corpus, tmp_path, changes)


@pytest.mark.slow
def test_prepare_leaves_nothing_on_ctrl_c_while_workers_run(corpus: Path, tmp_path: Path) -> None:
    interrupted(corpus, tmp_path, "encoding._encode_table = lambda *_, **__: wait()\n")


@pytest.mark.slow
def test_prepare_leaves_nothing_on_ctrl_c_before_a_worker_starts(corpus: Path, tmp_path: Path) -> None:
    interrupted(corpus, tmp_path, "os.register_at_fork(after_in_child=wait)\n")


@pytest.mark.slow
@pytest.mark.parametrize("stop", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM])
def test_prepare_defers_a_signal_during_a_fork(corpus: Path, tmp_path: Path, stop: signal.Signals) -> None:
    changes = (
        "def strike():\n    wait.__globals__['forks'] = forks + 1\n"
        f"    if forks == 1:\n        signal.raise_signal({int(stop)})\n        os.write(1, b'working\\n')\n"
        "forks = 0\n"
        "os.register_at_fork(after_in_parent=strike)\n"
        "encoding._encode_table = lambda *_, **__: time.sleep(600)\n"
    )
    interrupted(corpus, tmp_path, changes)


def test_prepare_workers_end_when_the_command_is_killed(corpus: Path, tmp_path: Path) -> None:
    program = (
        "import os, time\nfrom seq2attn.data.worker_processes import exit_without, "
        "run_in_processes\ncaller = os.getpid()\n"
        "def work(rank):\n    os.write(1, b'working\\n')\n    while True:\n        time.sleep(0.01)\n    "
        "    exit_without(caller)\n"
        "run_in_processes(work, 2)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert [process.stdout.readline(), process.stdout.readline()] == ["working\n"] * 2
        process.kill()
        assert process.stdout.read() == ""  # which ends when no process holds the pipe


# Images


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder of 24 images and metadata.jsonl, of which one is missing, one is cut off and one has a long
    caption.
    """
    folder = tmp_path / "images"
    folder.mkdir()
    lines = []
    for number in range(24):
        image = toy.image(number)
        content = image.content()[0]
        if number != 3:
            (folder / image.name).write_bytes(content[: len(content) // 2] if number == 5 else content)
        captions = [*image.captions, " ".join(["word"] * 30)] if number == 7 else list(image.captions)
        lines.append(
            json.dumps(
                {"file_name": image.name, "captions": captions, "split": "train" if number < 20 else "valid"}
            )
        )
    (folder / "metadata.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder


def test_prepare_prints_the_report_on_images(call: Call, images: Path, tmp_path: Path) -> None:
    code, out, _ = call(images, tmp_path / "out", "--max-missing", "0.1", "--max-length", 20)
    assert code == 0
    lines = out.splitlines()
    assert re.fullmatch(rf"{re.escape(str(images))}: images to .*; word tokens, vocabulary: \d+", lines[0])
    assert any(
        line.startswith("2 images are missing or damaged, and left out: 003.png: no such file; 005.png: ")
        or "003.png" in line
        for line in lines
    )
    assert re.search(r"^split +images +captions +tokens +median +99% +longest +unknown$", out, re.MULTILINE)
    assert re.search(r"^train +18 +36 +108 +2 +4 +4 +0\.00%$", out, re.MULTILINE)
    assert re.search(r"^valid +4 +8 +24 +2 +4 +4 +0\.00%$", out, re.MULTILINE)
    assert re.search(r"^train: 1 dropped, too long: \S*metadata\.jsonl:8$", out, re.MULTILINE)
    opened = Prepared(tmp_path / "out")
    assert opened.report["missing"]["images"] == 2
    assert opened.report["options"]["max_missing"] == 0.1


def test_prepare_refuses_more_missing_images_than_allowed(call: Call, images: Path, tmp_path: Path) -> None:
    code, _, err = call(images, tmp_path / "out")
    assert code == 1
    assert re.search(
        r"2 of 24 images are missing or damaged: .*003\.png.*; 5% are left out at most: "
        r"mend them, or allow more with --max-missing\n$",
        err,
    )
    assert not (tmp_path / "out").exists()
    for wrong in ("-0.1", "1", "many"):
        assert call(images, tmp_path / "out", "--max-missing", wrong)[0] == 2


def test_prepare_follows_links_to_images_if_allowed(call: Call, images: Path, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    linked.mkdir()
    names = [path.name for path in images.iterdir() if path.suffix == ".png"]
    rows = [json.dumps({"file_name": name, "text": "a red bar"}) for name in names]
    (linked / "metadata.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    for name in names:
        (linked / name).symlink_to(images / name)
    code, _, err = call(linked, tmp_path / "out")
    assert code == 1
    assert re.search(
        r"reached by links alone: metadata\.jsonl:\d+: \S+\.png is a link to .*, outside of ", err
    )
    assert "allow links with --follow-links" in err
    assert "--max-missing" not in err
    code, out, _ = call(linked, tmp_path / "out", "--follow-links", "--max-missing", 0.5)
    assert code == 0, out
    assert Prepared(tmp_path / "out").report["options"]["follow_links"] is True
