"""Words that fit nowhere are answered with what was meant: one line, before anything heavy is loaded."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from PIL import Image

from seq2attn import config
from seq2attn.cli import app, unknown
from seq2attn.errors import UserError
from seq2attn.tasks import training_checks

ROOT = Path(__file__).parents[2]
Typed = Callable[..., tuple[int, str, str]]
COMMANDS = ["prepare", "train", "translate", "caption", "evaluate", "plot-alignment", "export"]


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    """A command line in a folder with a table, a corpus, prepared data and two runs; exit code, stdout,
    stderr.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    Path("data.tsv").write_text("English\tGerman\nhello\thallo\n")
    Path("notes.txt").write_text("hello\n")
    for folder, names in (
        ("corpus", ("train.en", "train.de")),
        ("prepared", ()),
        ("runs/phrases", ()),
        ("runs/scenes", ()),
        ("empty", ()),
    ):
        Path(folder).mkdir(parents=True)
        for name in names:
            Path(folder, name).write_text("hello\n")
    Path("prepared/prepared.json").write_text('{"images": false, "splits": {"train": {}, "valid": {}}}')
    for run, kind in (("runs/phrases", "rnn"), ("runs/scenes", "image")):
        Path(run, "config.json").write_text(json.dumps({"config": {"model": {"encoder": {"kind": kind}}}}))
        Path(run, "model.safetensors").write_bytes(b"")

    def call(*arguments: str) -> tuple[int, str, str]:
        code = app.run(list(arguments))
        return code, *capsys.readouterr()

    return call


def refused(result: tuple[int, str, str], *message: str) -> str:
    code, out, err = result
    assert code in (1, 2)
    assert (out, err.count("\n")) == ("", 1), err
    for part in message:
        assert part in err, err
    assert "internal" not in err
    return err


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        *(
            ("curves", "plot-training"),
            ("trans", "translate"),
            ("prep", "prepare"),
            ("eval", "evaluate"),
            ("evaluation", "evaluate"),
            ("trian", "train"),
        ),
        *(
            ("score", "evaluate"),
            ("test", "evaluate"),
            ("predict", "translate"),
            ("generate", "translate"),
            ("infer", "translate"),
            ("decode", "translate"),
        ),
        *(
            ("explain", "plot-alignment"),
            ("explorer", "serve"),
            ("visualize", "plot-alignment"),
            ("preprocess", "prepare"),
            ("tokenize", "prepare"),
            ("fit", "train"),
        ),
        *(
            ("finetune", "train"),
            ("describe", "caption"),
            ("convert", "export"),
            ("Predict", "translate"),
            ("captoin", "caption"),
        ),
    ],
)
def test_unknown_command_of_another_toolkit_names_ours(typed: Typed, word: str, meant: str) -> None:
    err = refused(typed(word), f"no such command '{word}'. Did you mean '{meant}'? See `seq2attn --help`")
    assert not [name for name in COMMANDS if name != meant and f"'{name}'" in err]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("list", "`seq2attn train --list`"),
        ("help", "`seq2attn --help`"),
        ("first-try", "first-try is a preset: seq2attn train first-try"),
        ("scenes", "seq2attn train xu15-soft --data scenes"),
        ("runs/phrases", "seq2attn translate runs/phrases"),
        ("runs/scenes", "seq2attn caption runs/scenes"),
        ("data.tsv", "seq2attn train --data data.tsv"),
        ("mine.toml", "seq2attn train mine.toml"),
        ("zebra", "there are prepare, train, translate"),
    ],
)
def test_unknown_word_names_the_command(typed: Typed, word: str, message: str) -> None:
    assert "id you mean" not in refused(typed(word), f"no such command '{word}'; ", message)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("train --preset luong15", "give the preset without an option: train luong15"),
        ("train --preset=luong15", "give the preset without an option: train luong15"),
        ("train --config mine.toml", "train mine.toml"),
        ("train --dropout 0.2", "--set model.dropout=0.2"),
        ("train --dropout=0.2", "--set model.dropout=0.2"),
        ("train --epochs 3", "there are no epochs: set train.max_steps or train.max_minutes"),
        ("train --num-epochs 3", "there are no epochs: set train.max_steps or train.max_minutes"),
        ("train --batch-size 64", "set train.batch_tokens, such as 4096"),
        ("train --batch_size 64", "set train.batch_tokens, such as 4096"),
        ("train --lr 0.1", "--set train.lr=0.1"),
        ("train --learning-rate 0.1", "--set train.lr=0.1"),
        ("train --gpu", "--device cuda"),
        ("train --gpu 0", "--device cuda"),
        ("train --beam-size 4", "--set search.beam=4"),
        ("train --beam 4", "--set search.beam=4"),
        ("train --label-smoothing 0", "--set train.label_smoothing=0"),
        ("train --hidden-size 64", "model.encoder.size and model.decoder.size"),
        ("train --size 64", "model.encoder.size, model.decoder.size or model.attention.size"),
        ("train --vocab-size 64", "--set data.vocab_size=64"),
        ("train --corpus x.tsv", "--data x.tsv"),
        ("train --save-dir x", "--out x"),
        ("train --max-step 3", "did you mean --max-steps?"),
        ("train --max 3", "did you mean --max-steps or --max-minutes?"),
        ("translate r --input x", "give files without an option: translate RUN x"),
        ("translate r --beam-size 3", "did you mean --beam?"),
        ("translate r --num-beams 3", "did you mean --beam?"),
        ("translate r --lenpen 3", "did you mean --length-penalty?"),
        ("translate r --epochs 3", "there are no epochs"),
        ("translate r --dropout 0.1", "a setting of training"),
        ("translate r --max-minutes 3", "--max-minutes is an option of train"),
        ("translate r --cuda", "--device cuda"),
        ("translate r --model x", "right after the command"),
        ("caption r --image x.png", "caption RUN x.png"),
        ("evaluate r --n-best 3", "--n-best is an option of translate and caption"),
        ("plot-alignment r --text hello", "--source hello"),
        ("prepare c o --lower", "did you mean --lowercase?"),
        ("prepare --src en", "--source en"),
    ],
)
def test_unknown_option_names_its_command(typed: Typed, line: str, message: str) -> None:
    words = line.split()
    refused(typed(*words), "no such option: --", message, f"ee `seq2attn {words[0]} --help`")


@pytest.mark.parametrize(
    "line",
    [
        "train --limit 3",
        "train --zebra",
        "translate r --zebra 3",
        "prepare a b --gradient",
        "evaluate r --colour",
    ],
)
def test_unknown_option_without_a_synonym_gets_no_guess(typed: Typed, line: str) -> None:
    err = refused(typed(*line.split()), "no such option: ")
    assert "did you mean" not in err
    assert "Possible" not in err


def test_unknown_answers_name_existing_commands_and_options() -> None:
    commands = typer.main.get_command(app.app).commands  # type: ignore[attr-defined]
    assert set(unknown.COMMANDS) <= set(commands)
    for (command, word), message in unknown.OPTIONS.items():
        assert not command or command in commands
        for name in {part.strip(",;:") for part in message.split() if part.startswith("--")} - {"--version"}:
            where = [command] if command else list(commands)
            assert (
                all(
                    any(name in written.opts + written.secondary_opts for written in commands[one].params)
                    for one in where
                )
                or not command
            ), (word, message)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("data.tsv", "data.tsv is data: seq2attn train --data data.tsv --source COLUMN --target COLUMN"),
        ("none.csv", "none.csv is data: seq2attn train --data none.csv"),
        ("notes.txt", "seq2attn train --data notes.txt"),
        ("corpus", "seq2attn train --data corpus"),
        ("corpus/", "seq2attn train --data corpus"),
        ("corpus/train.en", "seq2attn train --data corpus"),
        ("prepared/", "prepared is prepared data: seq2attn train --data prepared"),
        ("prepared/prepared.json", "seq2attn train --data prepared"),
        (
            "runs/phrases",
            "runs/phrases is a run: continue it by `seq2attn train --resume --out runs/phrases`",
        ),
        ("runs/scenes/", "seq2attn caption runs/scenes"),
        ("runs/phrases/model.safetensors", "is a part of a run"),
        ("runs/phrases/config.json", "is a part of a run"),
        ("phrases", "seq2attn train --data phrases"),
        ("scenes", "seq2attn train xu15-soft --data scenes"),
        ("clips", "seq2attn train video --data clips"),
        ("hf:owner/name", "seq2attn train --data hf:owner/name"),
        ("mine.yaml", "settings are read from TOML"),
        (
            "additive",
            "additive is a score: train bahdanau15, or train scaled-dot --set model.attention.score=additive",
        ),
        ("dot", "dot is a score: train luong15-dot, or train scaled-dot --set model.attention.score=dot"),
        ("softmax", "softmax is a normaliser: train first-try"),
        ("entmax", "did you mean entmax15?"),
        ("gru", "gru is a cell: train "),
        ("rnn", "rnn is a kind of encoder: train first-try"),
        ("conv", "conv is a kind of encoder: train gehring17"),
        ("resnet18", "resnet18 is a backbone, a value of model.encoder.backbone"),
        ("coverage", "did you mean|model.attention.history=coverage"),
        ("bahdanau", "did you mean bahdanau15"),
        ("luong", "did you mean luong15"),
        ("Transformer", "did you mean transformer"),
        ("trasnformer", "did you mean transformer?"),
        ("zebra", "neither a preset nor a file; `seq2attn train --list` shows the presets"),
    ],
)
def test_train_refuses_unknown_presets(typed: Typed, word: str, message: str) -> None:
    err = refused(typed("train", word))
    assert any(one in err for one in message.split("|")), err


@pytest.mark.parametrize(
    "word", ["additive", "general", "sigmoid", "dot", "softmax", "gru", "local-p", "location-aware", "adamw"]
)
def test_train_suggests_only_valid_settings_for_a_value(typed: Typed, word: str) -> None:
    _, _, err = typed("train", word)
    for way in err.split(": train ", 1)[-1].split(", or train ") if " is a" in err else []:
        assert typed("train", *way.strip().split(), "--show")[0] == 0, way


@pytest.mark.parametrize(
    "command", [["translate"], ["caption"], ["evaluate"], ["plot-alignment", "--source", "x"], ["export"]]
)
@pytest.mark.parametrize(
    ("run", "message"),
    [
        ("first-try", "first-try is a preset, not a run: train it (seq2attn train first-try)"),
        ("phrases", "did you mean runs/phrases?"),
        ("clips", "seq2attn train video --data clips makes one"),
        (
            "runs",
            "runs: not a run directory: it has no config.json, but contains runs; name one, as runs/phrases",
        ),
        ("runs/phrasse", "no such run directory; did you mean runs/phrases?"),
        ("runs/phrases/model.safetensors", "is a part of a run: name its folder, runs/phrases"),
        ("runs/phrases/config.json", "is a part of a run: name its folder, runs/phrases"),
        ("prepared", "is prepared data, not a run: seq2attn train --data prepared makes one"),
        ("nowhere", "nowhere: no such run directory; `seq2attn train` makes one"),
        ("The dog sleeps.", '"The dog sleeps.": no such run: name the run first, and pipe the text'),
    ],
)
def test_commands_refuse_places_without_a_run(
    typed: Typed, command: list[str], run: str, message: str
) -> None:
    refused(typed(command[0], run, *command[1:], *(["out"] if command == ["export"] else [])), message)


@pytest.mark.parametrize(
    ("text", "shell"),
    [
        ("The dog sleeps.", '"The dog sleeps."'),
        ("hello", '"hello"'),
        ("你好", '"你好"'),
        ("Is it $5?", "'Is it $5?'"),
        ('say "no"', "'say \"no\"'"),
        ("a  b", '"a  b"'),
        ("The dog sleeps. " * 40, '"The dog'),
    ],
)
def test_translate_refuses_a_text_instead_of_a_file(typed: Typed, text: str, shell: str) -> None:
    err = refused(
        typed("translate", "runs/phrases", text), ": no such file. To translate text, pipe it: echo "
    )
    assert f"echo {shell}" in err
    assert "| seq2attn translate runs/phrases" in err


@pytest.mark.parametrize("name", ["missing.txt", "some folder/missing.txt", "a b.txt", "corpus/train.fr"])
def test_translate_reports_a_missing_path_as_a_path(typed: Typed, name: str) -> None:
    assert "pipe it" not in refused(typed("translate", "runs/phrases", name), name)


@pytest.mark.parametrize(
    "arguments",
    [
        ["translate", "runs/phrases", "--prefix", "Le chien"],
        ["evaluate", "runs/phrases", "--source", "The dog sleeps.", "--reference", "data.tsv"],
        ["evaluate", "runs/phrases", "--source", "data.tsv", "--reference", "Le chien dort."],
        ["evaluate", "--hypotheses", "Le chien dort.", "--reference", "data.tsv"],
        ["caption", "runs/scenes", "a red ball on a table"],
    ],
)
def test_commands_refuse_a_text_instead_of_a_file(typed: Typed, arguments: list[str]) -> None:
    refused(typed(*arguments), '": no such file. ')


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["train", "--data", "first-try"],
            "first-try is a preset, not data: seq2attn train first-try --data CORPUS",
        ),
        (["prepare", "first-try", "out"], "first-try is a preset, not data"),
        (["train", "--data", "runs/phrases"], "runs/phrases is a run, not data"),
        (["prepare", "runs/phrases", "out"], "runs/phrases is a run, not data"),
        (["train", "--data", "phrsaes"], "phrsaes: no such file or folder; did you mean phrases?"),
        (["train", "--data", "prepared/prepared.json"], "name the prepared folder, prepared"),
        (["train", "--data", "nowhere"], "nowhere: no such file or folder; name a bundled corpus"),
        (
            ["train", "first-try", "--data", "scenes"],
            "scenes: holds images, and this model reads text: choose a preset for images, such as xu15-soft",
        ),
        (["train", "first-try", "--data", "clips"], "as video"),
        (["train", "xu15-soft", "--data", "phrases"], "phrases: holds text, and this model reads images"),
        (["train", "xu15-soft", "--data", "clips"], "choose the preset video"),
        (["train", "video", "--data", "scenes"], "choose a preset for stills, such as xu15-soft"),
        (["train", "xu15-soft", "--data", "prepared"], "prepared: holds text"),
        (
            ["train", "--data", "data.tsv", "--source", "Englisch", "--target", "German"],
            "no column Englisch for --source (did you mean English?)",
        ),
        (["train", "--data", "corpus", "--source", "en", "--target", "fr"], "fr"),
        (["train", "--out", "notes.txt"], "notes.txt: exists, and is not a run of seq2attn"),
        (["train", "--out", "notes.txt/run"], "notes.txt is a file"),
        (["train", "--out", "runs/phrases"], "a run is here already"),
        (["train", "--resume", "--out", "runs/phrasse"], "no run to continue; did you mean runs/phrases?"),
    ],
)
def test_train_refuses_contradictions_before_it_prepares_data(
    typed: Typed, arguments: list[str], message: str
) -> None:
    refused(typed(*arguments), message)
    assert not Path("cache").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["translate"], "name the run right after translate: there are runs/phrases and runs/scenes"),
        (["export"], "name the run right after export"),
        (["export", "runs/phrases"], "name the folder to make too"),
        (["prepare"], "as in `seq2attn prepare phrases prepared/phrases`"),
        (["prepare", "data.tsv"], "name the corpus and the folder to make"),
        (["train", "luong15", "phrases"], "give data with --data: --data phrases"),
        (["train", "luong15", "data.tsv"], "give data with --data: --data data.tsv"),
        (["train", "luong15", "cho14"], "give one preset at a time"),
        (["train", "--set", "train.lr", "0.1"], "--set train.lr: write KEY=VALUE"),
        (["train", "--set", "lr=0.1x"], "did you mean train.lr?"),
    ],
)
def test_commands_refuse_missing_and_extra_arguments(
    typed: Typed, arguments: list[str], message: str
) -> None:
    refused(typed(*arguments), message)


def test_refuse_data_follows_links_as_prepare_does(tmp_path: Path) -> None:
    """Links that may be followed lead to clips, and not to images that nobody sees."""
    (tmp_path / "clips").mkdir()
    (tmp_path / "corpus").mkdir()
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
    frames[0].save(tmp_path / "clips" / "0.gif", save_all=True, append_images=frames[1:])
    (tmp_path / "corpus" / "0.gif").symlink_to(tmp_path / "clips" / "0.gif")
    caption = json.dumps({"file_name": "0.gif", "text": "colours come and go"})
    (tmp_path / "corpus" / "metadata.jsonl").write_text(caption + "\n")
    training_checks.refuse_data(str(tmp_path / "corpus"), config.load("video", ["data.follow_links=true"]))


@pytest.mark.usefixtures("typed")
def test_refuse_place_leaves_a_locked_run_to_its_lock() -> None:
    training_checks.refuse_place(Path("new/run"), force=False)
    training_checks.refuse_place(Path("runs/phrases"), force=True)
    with pytest.raises(UserError, match="a run is here already"):
        training_checks.refuse_place(Path("runs/phrases"), force=False)
    Path("runs/phrases", training_checks.LOCK).write_text("process 1 on here\n")
    training_checks.refuse_place(Path("runs/phrases"), force=False)


def test_train_refuses_mistakes_before_torch_and_data_are_loaded(typed: Typed, tmp_path: Path) -> None:
    lines = [
        *(
            ["train", "first-try", "--data", "scenes"],
            ["train", "xu15-soft", "--data", "phrases"],
            ["train", "--data", "nowhere"],
        ),
        *(
            ["train", "--data", "data.tsv", "--source", "Englisch", "--target", "German"],
            ["train", "--out", "notes.txt"],
            ["train", "--out", "runs/phrases"],
        ),
        *(
            ["train", "data.tsv"],
            ["train", "--resume", "--out", "runs/none"],
            ["train", "--set", "train.epochs=1"],
            ["train", "--list", "hard"],
        ),
        *(
            ["translate", "first-try"],
            ["translate", "runs/phrases", "The dog sleeps."],
            ["evaluate", "nowhere"],
            ["caption", "phrases"],
        ),
        *(
            ["plot-alignment", "nowhere", "--source", "x"],
            ["export", "first-try", "out"],
            ["prepare", "first-try", "out"],
            ["server"],
        ),
    ]
    code = (
        "import sys\nfrom seq2attn.cli import app\n"
        f"print([app.run(line) for line in {lines!r}][-1], 'torch' in sys.modules, 'datasets' in "
        "sys.modules)"
    )
    environment = {
        "PYTHONPATH": str(ROOT),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "PATH": "/usr/bin:/bin",
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        timeout=120,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "2 False False", done.stderr
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("cache", ["notes.txt", "notes.txt/below", "/dev/null"])
def test_train_names_an_unwritable_cache_and_its_alternatives(
    typed: Typed, monkeypatch: pytest.MonkeyPatch, cache: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", cache)
    refused(
        typed("train", "--max-steps", "1", "--out", "new"),
        "the cache cannot be written",
        "XDG_CACHE_HOME",
        "`seq2attn prepare phrases FOLDER`",
        "--data FOLDER",
    )
