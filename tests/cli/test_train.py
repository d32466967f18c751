"""`train` from a raw corpus to its test score, stopped and gone on with, and each way it refuses."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import image_toy
import pytest
import tiny_images

from seq2attn import config
from seq2attn.cli import app, console
from seq2attn.runs import directory

ROOT = Path(__file__).parents[2]
WORDS = {
    "one": "un",
    "two": "deux",
    "three": "trois",
    "cats": "chats",
    "dogs": "chiens",
    "birds": "oiseaux",
    "sleep": "dorment",
    "sing": "chantent",
}
SMALL = [
    "first-try",
    *("--source", "en", "--target", "fr"),
    *(
        "--set",
        "data.tokenizer=word",
        "--set",
        "data.vocab_size=20",
        "--set",
        "data.joint=false",
        "--set",
        'data.keep=["all"]',
        "--device",
        "cpu",
        "--precision",
        "fp32",
    ),
    *(
        "--set",
        "model.embedding=8",
        "--set",
        "model.encoder.size=8",
        "--set",
        "model.decoder.size=16",
        "--set",
        "model.tied=none",
    ),
    *(
        "--set",
        "train.batch_tokens=300",
        "--set",
        "train.log_every=5",
        "--set",
        "train.validate_every=10",
        "--set",
        "train.validate_sentences=5",
    ),
    *("--set", "search.beam=2"),
]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny corpus, `corpus/`, and the cache."""
    home = tmp_path_factory.mktemp("train")
    (home / "corpus").mkdir()
    draw = random.Random(1)
    for split, count in (("train", 300), ("valid", 10), ("test_a", 6), ("test_b", 4)):
        pairs = [draw.choices(list(WORDS.items()), k=draw.randint(1, 5)) for _ in range(count)]
        (home / "corpus" / f"{split}.en").write_text(
            "".join(" ".join(e for e, _ in pair) + "\n" for pair in pairs)
        )
        (home / "corpus" / f"{split}.fr").write_text(
            "".join(" ".join(f for _, f in pair) + "\n" for pair in pairs)
        )
    return home


@pytest.fixture
def run(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """`seq2attn train ...` in this process, in a folder of its own; exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.setenv("HOME", str(home))

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(console, "quiet", False)
        code = app.run(["train", *arguments])
        return code, *capsys.readouterr()

    return call


def train(run: Run, home: Path, *more: str) -> tuple[int, str, str]:
    return run("--data", str(home / "corpus"), "--out", "run", *SMALL, *more)


def state(path: str | Path) -> dict[str, object]:
    tree = json.loads((Path(path) / "training" / "state.json").read_text())
    return {key: value for key, value in tree.items() if key != "elapsed"}


def same_tensors(one: Path, other: Path) -> bool:
    files = [next((path / "training").glob("*.safetensors")).read_bytes() for path in (one, other)]
    return files[0] == files[1]


def test_train_goes_from_a_corpus_to_the_test_score(run: Run, home: Path) -> None:
    code, out, err = train(run, home, "--max-steps", "12")
    assert code == 0, err
    lines = out.splitlines()
    assert re.search(
        r"step 12: all steps are done after 0:\d\d; the best weights are those of step 1[02]\n", err
    )
    assert [bool(re.fullmatch(r"BLEU \d+\.\d\d  nrefs:1\|\S+  test_[ab]", line)) for line in lines] == [
        True,
        True,
    ]
    assert re.search(
        r"step 5/12  epoch 1  loss \d\.\d+  [\d,]+ tokens/s  lr \S+  gradient \S+  0:0\d left", err
    )
    assert re.search(
        r"step 10  valid \d\.\d+  BLEU \d+\.\d  best so far\n  source  .*\n  reference  .*\n  translation ",
        err,
    )
    for command in ("translate run", "evaluate run", "plot-alignment run --source"):
        assert f"seq2attn {command}" in err
    assert {path.name for path in Path("run").iterdir()} >= {
        "config.json",
        "model.safetensors",
        "source.model",
        "target.model",
        "metrics.jsonl",
        "training",
    }
    stored = directory.open_run("run")
    assert stored.languages == ("en", "fr")
    assert stored.config.train.max_steps == 12
    assert stored.config.data.tokenizer == "word"
    # a second run of the same corpus and options takes it as it was prepared
    code, _, again = run("--data", str(home / "corpus"), "--out", "other", *SMALL, "--max-steps", "1")
    assert code == 0
    assert "preparing" in err or list((home / "cache").rglob("prepared.json"))
    assert "preparing" not in again


def test_train_on_images_suggests_only_commands_for_images(run: Run, tmp_path: Path) -> None:
    image_toy.folder(tmp_path / "data", 6, 2)
    sizes = (
        "model.embedding=4",
        "model.decoder.size=8",
        "model.encoder.image_size=32",
        "model.encoder.size=8",
        "search.max_length=5",
    )
    code, out, err = run(
        "caption-fixed",
        "--data",
        "data",
        "--out",
        "run",
        "--max-steps",
        "1",
        *(part for size in sizes for part in ("--set", size)),
    )
    assert (code, out) == (0, ""), err
    assert re.search(r"\n  image      \S+\n  reference  .*\n  caption    ", err)
    # no attention to draw and no test split to score
    assert err.endswith("\nnext:\n  seq2attn caption run IMAGE...\n  seq2attn evaluate run --split valid\n")


def test_train_refuses_stills_for_a_model_of_clips(run: Run, tmp_path: Path) -> None:
    image_toy.folder(tmp_path / "data", 6, 2)
    message = (
        "seq2attn: data: holds stills, and this model reads clips: choose a preset for stills, such as "
        "xu15-soft, or other data\n"
    )
    assert run("video", "--data", "data", "--out", "run") == (1, "", message)


def test_train_suggests_no_plot_for_a_fixed_context(run: Run, home: Path) -> None:
    code, _, err = train(run, home, "--max-steps", "10", "--set", 'model.decoder.context_source="summary"')
    assert code == 0, err
    assert "seq2attn translate run\n  seq2attn evaluate run\n" in err
    assert "plot-alignment" not in err


def test_train_prints_the_test_score_that_evaluate_prints(
    run: Run, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = train(run, home, "--max-steps", "10")
    prepared = next((home / "cache").rglob("prepared.json")).parent
    assert app.run(["evaluate", "run", "--data", str(prepared), "--split", "test_a", "--device", "cpu"]) == 0
    assert out.splitlines()[0].removesuffix("  test_a") in capsys.readouterr().out


def test_train_refuses_an_existing_run_and_names_resume_and_force(run: Run, home: Path) -> None:
    train(run, home, "--max-steps", "10")
    before = state("run")
    code, out, err = train(run, home, "--max-steps", "1")
    assert (code, out) == (1, "")
    assert (
        err == "seq2attn: run: a run is here already; continue it with --resume, or replace it with --force\n"
    )
    assert state("run") == before
    code, _, err = train(run, home, "--max-steps", "1", "--force")
    assert code == 0, err
    assert state("run")["step"] == 1


def test_resume_continues_a_finished_run_with_its_own_settings(run: Run, home: Path) -> None:
    train(run, home, "--max-steps", "20")
    run(
        "--data",
        str(home / "corpus"),
        "--out",
        "parts",
        *SMALL,
        "--max-steps",
        "10",
        "--set",
        "train.schedule=constant",
    )
    run(
        "--data",
        str(home / "corpus"),
        "--out",
        "whole",
        *SMALL,
        "--max-steps",
        "20",
        "--set",
        "train.schedule=constant",
    )
    code, out, err = run("--out", "parts", "--resume", "--max-steps", "20", "--device", "cpu")
    assert code == 0, err
    assert len(out.splitlines()) == 2
    assert state("parts") == state("whole")
    assert same_tensors(Path("parts"), Path("whole"))
    assert directory.open_run("parts").config == directory.open_run("whole").config


def test_resume_refuses_and_names_a_changed_setting(run: Run, home: Path) -> None:
    train(run, home, "--max-steps", "1")
    before = state("run")
    for setting, name in (
        ("model.dropout=0.5", "model.dropout"),
        ("train.batch_tokens=400", "train.batch_tokens"),
        ("data.lowercase=true", "data.lowercase"),
    ):
        code, _, err = train(run, home, "--resume", "--set", setting)
        assert code == 1
        assert f"--resume: {name} was " in err
        assert err.splitlines()[-1].startswith("seq2attn: ")
    assert state("run") == before


def test_resume_refuses_other_data(run: Run, home: Path, tmp_path: Path) -> None:
    train(run, home, "--max-steps", "1")
    other = tmp_path / "other"
    other.mkdir()
    for file in (home / "corpus").iterdir():
        (other / file.name).write_text(file.read_text().replace("cats", "rats"))
    code, _, err = run("--data", str(other), "--out", "run", *SMALL, "--resume")
    assert code == 1
    assert "was trained on other data" in err


def test_resume_prints_no_sizes_if_it_refuses(run: Run, home: Path) -> None:
    train(run, home, "--max-steps", "1")
    file = Path("run/training/state.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | {"position": 10**6}))
    code, _, err = train(run, home, "--resume")
    assert code == 1
    assert "position is 1000000" in err
    assert "parameters" not in err


def test_resume_without_a_run_starts_one(run: Run, home: Path) -> None:
    code, _, err = train(run, home, "--max-steps", "1", "--resume")
    assert code == 0
    assert "warning: run: no run to continue; training starts from the beginning" in err


def test_resume_uses_the_prepared_data_of_the_run(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tokenizer that nobody asked for is named in the run, and is the same to the cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for split, count in (("train", 200), ("valid", 5)):
        for end in ("en", "fr"):
            words = [
                f"{end}{(number * 7) % 40} {end}{number % 30} {end}{number % 11}\n" for number in range(count)
            ]
            (corpus / f"{split}.{end}").write_text("".join(words))
    small = [*SMALL[:5], *SMALL[SMALL.index("--device") :]]  # no setting of the data
    arguments = ("--data", str(corpus), "--out", "run", *small, "--set", "data.vocab_size=20")
    code, _, err = run(*arguments, "--max-steps", "1")
    assert (code, err.count("preparing ")) == (0, 1), err
    code, _, err = run("--out", "run", "--resume", "--max-steps", "2")
    assert (code, err.count("preparing ")) == (0, 0), err


def test_train_refuses_wrong_usage(run: Run, home: Path) -> None:
    Path("broken.toml").write_text("[train\n")
    for arguments, message in (
        (("--resume", "--force"), "leave one out"),
        (("bahdanau14",), "did you mean bahdanau15"),
        (("--set", "model.droput=1"), "did you mean model.dropout"),
        (("--set", "train.lr"), "KEY=VALUE, as in train.lr=0.001"),
        (("--set", "train.momentum=0.9"), "--set train.momentum=0.9: does nothing"),
        (("broken.toml",), "broken.toml: not a TOML file"),
        (("--device", "gpu"), "cuda:N"),
        (("--max-minutes", "-1"), "--max-minutes -1: give more than 0 minutes"),
    ):
        code, out, err = run(*arguments)
        assert (code, out) == (2, ""), arguments
        assert message in err
        assert len(err.splitlines()) == 1
    code, _, err = run("--data", str(home / "none"))
    assert code == 1
    assert "no such" in err


def test_train_prepares_changed_images_and_reports_missing_ones(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    images = tmp_path / "images"
    for number in range(24):
        tiny_images.draw(images / f"{number}.png", number)
    names = [*(f"{number}.png" for number in range(24)), "gone.png"]
    (images / "metadata.jsonl").write_text(
        "".join(json.dumps({"file_name": name, "text": "an image"}) + "\n" for name in names)
    )
    small = (
        "model.encoder.image_size=16",
        "model.encoder.blocks=[1]",
        "model.encoder.channels=4",
        "model.encoder.size=8",
        "model.decoder.size=8",
        "model.embedding=8",
    )

    def notices(out: str) -> tuple[bool, bool]:
        settings = [part for setting in small for part in ("--set", setting)]
        code, _, err = run(
            "xu15-soft", "--data", str(images), "--out", out, "--max-steps", "1", "--device", "cpu", *settings
        )
        assert code == 0, err
        return (
            "preparing" in err,
            f"images of {images} that are missing or damaged, and not used: 1\n" in err,
        )

    assert [notices("one"), notices("two")] == [(True, True), (False, True)]
    tiny_images.draw(images / "gone.png", 24)
    assert [notices("three"), notices("four")] == [(True, False), (False, False)]
    tiny_images.draw(images / "0.png", 25)
    assert notices("five") == (True, False)


def test_train_refuses_data_settings_that_contradict_a_prepared_folder(run: Run, home: Path) -> None:
    train(run, home, "--max-steps", "1")
    prepared = next((home / "cache").rglob("prepared.json")).parent
    code, _, err = run("--data", str(prepared), "--set", "data.vocab_size=99")
    assert code == 2
    assert "--set data.vocab_size=99" in err
    assert "was prepared with 20" in err
    code, _, err = run(
        "--data", str(prepared), "--out", "two", *(option for option in SMALL), "--max-steps", "1"
    )
    assert code == 0, err


def test_train_lowers_the_vocabulary_of_a_preset_but_not_of_the_user(run: Run, home: Path) -> None:
    plain = [*SMALL[:5], "--set", "data.joint=true", *SMALL[SMALL.index("--device") :], "--max-steps", "1"]
    code, _, err = run("--data", str(home / "corpus"), "--out", "run", *plain)
    assert code == 0, err
    assert "does not hold 2,000 different subwords: the vocabulary is smaller" in err
    for number in ("2000", "1999"):  # of which the first stands prepared, with fewer
        code, _, err = run(
            "--data", str(home / "corpus"), "--out", "other", *plain, "--set", f"data.vocab_size={number}"
        )
        assert (code, "does not hold a vocabulary of" in err, Path("other").exists()) == (1, True, False)
    code, _, err = run("--data", str(home / "corpus"), "--out", "third", *plain)
    assert (code, "preparing" in err) == (0, False)


def test_train_says_what_to_do_without_a_valid_split(run: Run, home: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for split in ("train", "test_a"):
        for side in ("en", "fr"):
            (bare / f"{split}.{side}").write_text((home / "corpus" / f"{split}.{side}").read_text())
    code, _, err = run("--data", str(bare), "--out", "run", *SMALL)
    assert code == 1
    assert "no pairs in a valid split" in err
    assert not Path("run").exists()


def test_list_and_show_print_presets_and_settings(run: Run) -> None:
    code, out, _ = run("--list")
    assert code == 0
    assert all(name in out for name in config.presets())
    code, out, _ = run("bahdanau15", "--show", "--set", "train.lr=0.5", "--seed", "7")
    assert code == 0
    assert "train.lr = 0.5" in out
    assert "train.seed = 7" in out
    Path("mine.toml").write_text(out)  # what is shown is a file that can be trained
    assert config.load("mine.toml") == config.load("bahdanau15", ["train.lr=0.5", "train.seed=7"])


@pytest.mark.parametrize("preset", ["luong15", "gehring17", "transformer"])
def test_show_describes_every_setting(run: Run, preset: str) -> None:
    code, out, _ = run(preset, "--show")
    assert code == 0
    unwrapped = re.sub(r"\n    # ", " ", out.partition("\n\n")[2])
    rows = {re.split(r" = | is not set", line.removeprefix("# "))[0]: line for line in unwrapped.splitlines()}
    assert list(rows) == list(config.flat(config.load(preset)))
    assert all(config.description(config.load(preset), key) in row for key, row in rows.items())
    assert "Encoder: kind of network. rnn: recurrent; conv: convolutional; " in rows["model.encoder.kind"]
    assert rows["search.max_length"] == (
        "# search.max_length is not set Maximum output length: number of tokens; "
        "not set: 2 * source tokens + 10 for text, 50 for an image."
    )
    Path("mine.toml").write_text(out)
    assert config.load("mine.toml") == config.load(preset)


def test_presets_say_whether_they_need_a_gpu() -> None:
    rows = {name: config.load(name).about for name in config.presets()}
    assert all(
        (f"{name.removesuffix('-paper')} at the paper's size, for a GPU (" in about)
        == name.endswith("-paper")
        for name, about in rows.items()
    )
    assert rows["luong15-general"] == f"luong15 by its full name: {rows['luong15']}"
    assert len(set(rows.values())) == len(rows)


def test_quiet_prints_results_alone(run: Run, home: Path) -> None:
    code, out, err = train(run, home, "--max-steps", "1", "--quiet")
    assert (code, err) == (0, "")
    assert len(out.splitlines()) == 2


def test_train_reports_an_unwritable_run_on_one_line(run: Run, home: Path) -> None:
    Path("file").write_text("in the way")
    code, _, err = run("--data", str(home / "corpus"), "--out", "file/run", *SMALL)
    assert code == 1
    assert "seq2attn: file/run: cannot be written: Not a directory" in err


def test_display_shows_the_facts_in_a_bar(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from contextlib import contextmanager

    from seq2attn.cli.output import training_progress
    from seq2attn.training.events import Finished, Update, Validation

    bars: list[tuple[object, ...]] = []
    notes: list[str] = []

    @contextmanager
    def bar():  # type: ignore[no-untyped-def]
        yield lambda *facts: bars.append(facts)

    monkeypatch.setattr(console, "is_terminal", lambda: True)
    monkeypatch.setattr(console, "progress", bar)
    monkeypatch.setattr(console, "note", notes.append)
    monkeypatch.setattr(
        training_progress.importlib.util, "find_spec", lambda _: None
    )  # as without tensorboard
    with training_progress.Display(tmp_path, True, "{} of {}: {}".format) as display:
        display.show(Update(1, 9, 0, 5.25, 1234.5, 0.001, 2.0, 1.0, 8.0, False))
        display.show(Validation(1, 4.5, {"bleu": 31.26, "cider": 0.456}, ("a", "b", "c"), True, 2.0))
        display.show(Update(2, 9, 0, 5.0, 1234.5, 0.001, 2.0, 1.0, 8.0, False))
        display.validating(30, 1000)
        display.show(Finished("patience", 2, 1, 65.0))
    assert bars[0] == ("training", 1, 9, "loss 5.250  1,234 tokens/s  lr 0.001", (1.0, 8.0, None))
    assert bars[1] == (
        "training",
        2,
        9,
        "loss 5.000  valid 4.500  BLEU 31.3  CIDEr-D 0.46  1,234 tokens/s  lr 0.001",
        (1.0, 8.0, None),
    )
    assert bars[2] == ("training", 2, 9, f"validating 30/1,000  {bars[1][3]}", (1.0, 8.0, None))
    assert "CIDEr-D 0.46  best so far" in notes[0]
    assert notes[1] == "a of b: c"
    assert "1:05" in notes[2]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("max_steps", [10_000, 210])
def test_display_prints_lines_at_once_and_then_by_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, max_steps: int
) -> None:
    from seq2attn.cli.output import training_progress
    from seq2attn.training.events import Update

    notes: list[str] = []
    now = [0.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(console, "note", notes.append)
    monkeypatch.setattr(training_progress.importlib.util, "find_spec", lambda _: None)
    settings = config.load("first-try", [f"train.max_steps={max_steps}", "train.max_minutes=12"]).train
    with training_progress.Display(tmp_path, True, str, settings) as display:
        for step in range(1, 201):
            now[0] += 1
            display.show(
                Update(
                    step,
                    min(300 + step % 7, max_steps),
                    0,
                    5.25,
                    1234.5,
                    0.001,
                    2.0,
                    float(step),
                    10.0,
                    False,
                )
            )
            assert len(notes) == 1 + (step - 1) // 30
        display.validating(1, 1000)
        now[0] += 30
        display.validating(500, 1000)
    assert notes[0].startswith("step 1")
    assert notes[-1] == "validating 500/1,000"
    steps = [note.split("  ")[0] for note in notes[1:-1]]
    assert steps == (
        [f"step {step}" for step in range(31, 182, 30)]
        if max_steps > 1000
        else [f"step {step}/210" for step in range(31, 182, 30)]
    )
    last = "  3:01 of 12:00" if max_steps > 1000 else "0:10 left"
    assert notes[-2].endswith(last)


def test_train_writes_tensorboard_files_if_installed(run: Run, home: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    code, _, err = train(run, home, "--max-steps", "10")
    assert code == 0
    assert "\nTensorBoard: run/tensorboard\n" in err
    assert list(Path("run", "tensorboard").iterdir())


def start(home: Path, folder: Path, *more: str) -> "subprocess.Popen[str]":
    command = [
        sys.executable,
        "-m",
        "seq2attn",
        "train",
        "--data",
        str(home / "corpus"),
        "--out",
        "run",
        *SMALL,
        "--set",
        "train.schedule=constant",
        *more,
    ]
    place = os.environ | {
        "PYTHONPATH": str(ROOT),
        "XDG_CACHE_HOME": str(home / "cache"),
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.Popen(
        command, cwd=folder, env=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.slow
def test_train_saves_on_sigterm_and_resumes_exactly(run: Run, home: Path, tmp_path: Path) -> None:
    process = start(home, tmp_path, "--max-steps", "1000000", "--set", "train.validate_every=1000000")
    metrics = tmp_path / "run" / "metrics.jsonl"
    deadline = time.monotonic() + 100
    while not (metrics.exists() and metrics.read_text().count("\n") >= 2):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    message = (
        r"stopped at step \d+: --resume continues from here; "
        r"it cannot translate before its first validation \(step 1000000\)"
    )
    assert re.fullmatch(message, err.splitlines()[-1])
    assert "Traceback" not in err
    step = state(tmp_path / "run")["step"]
    assert isinstance(step, int)
    assert step >= 10
    common = (
        "--data",
        str(home / "corpus"),
        *SMALL,
        "--set",
        "train.schedule=constant",
        "--set",
        "train.validate_every=1000000",
        "--max-steps",
        str(step + 5),
    )
    assert run(*common, "--out", "run", "--resume")[0] == 0
    assert run(*common, "--out", "whole")[0] == 0
    assert state("run") == state("whole")
    assert same_tensors(Path("run"), Path("whole"))


@pytest.mark.parametrize("signals", [1, 2])  # timeout(1) sends two, one to the process and one to its group
def test_train_handles_ctrl_c_during_validation(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch, signals: int
) -> None:
    from seq2attn.evaluation import translation

    real = translation.translate

    def interrupted(*arguments, **keywords):  # type: ignore[no-untyped-def]
        for _ in range(signals):
            os.kill(os.getpid(), signal.SIGINT)
        return real(*arguments, **keywords)

    monkeypatch.setattr("seq2attn.tasks.translation_data.translate", interrupted)
    code, out, _ = train(run, home, "--max-steps", "20")
    assert (code, out) == (130, "")
    assert (state("run")["step"], state("run")["validated"]) == (10, 0)


def test_train_ends_at_once_on_a_second_ctrl_c(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from seq2attn.cli import signals

    def impatient(*_, **__):  # type: ignore[no-untyped-def]
        os.kill(os.getpid(), signal.SIGINT)
        monkeypatch.setattr(signals, "SAME", 0.0)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("went on")

    monkeypatch.setattr("seq2attn.tasks.translation_data.translate", impatient)
    code, _, err = train(run, home, "--max-steps", "20")
    assert (code, err.splitlines()[-1]) == (130, "seq2attn: interrupted")
    assert state("run")["step"] == 0


def test_train_skips_the_test_on_ctrl_c_after_the_last_step(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from seq2attn.cli.output import training_progress
    from seq2attn.training.events import Finished

    real = training_progress.Display.show

    def show(self, event):  # type: ignore[no-untyped-def]
        real(self, event)
        if isinstance(event, Finished):
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(training_progress.Display, "show", show)
    code, out, err = train(run, home, "--max-steps", "1")
    assert (code, out) == (130, "")
    assert err.splitlines()[-1] == "stopped at step 1, before the test: `seq2attn evaluate run` scores it"


def test_train_accepts_any_column_name(run: Run) -> None:
    code, out, _ = run("--show", "--source", "😀", "--target", 'a "b" \\ é')
    assert code == 0
    assert 'data.source = "😀"' in out
    assert 'data.target = "a \\"b\\" \\\\ é"' in out
