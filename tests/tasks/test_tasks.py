"""The library under the command line: prepare, train, evaluate and presets from Python."""

import dataclasses
import itertools
import json
import logging
import random
import re
import shutil
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

import seq2attn
from seq2attn import config, shared_cores
from seq2attn.cli import app
from seq2attn.errors import UsageError, UserError
from seq2attn.inference.options import SearchOptions
from seq2attn.runs.directory import open_run
from seq2attn.tasks.table import Table
from seq2attn.training.events import Event, Finished, Saved, Update, Validation

WORDS = {
    "one": "un",
    "two": "deux",
    "cats": "chats",
    "dogs": "chiens",
    "sleep": "dorment",
    "sing": "chantent",
}
SMALL = (
    *("model.embedding=8", "model.encoder.size=8", "model.decoder.size=16", "model.tied=none"),
    *("train.batch_tokens=300", "train.max_steps=4", "train.validate_every=2", "train.validate_sentences=4"),
    *("train.precision=fp32", "search.beam=2"),
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny corpus, a prepared folder, and two runs that differ in the seed."""
    home = tmp_path_factory.mktemp("tasks")
    (home / "corpus").mkdir()
    draw = random.Random(1)
    for split, count in (("train", 200), ("valid", 6), ("test", 5)):
        pairs = [draw.choices(list(WORDS.items()), k=draw.randint(3, 6)) for _ in range(count)]
        for side, language in enumerate(("en", "fr")):
            lines = (" ".join(pair[side] for pair in line) + "\n" for line in pairs)
            (home / "corpus" / f"{split}.{language}").write_text("".join(lines))
    options = {
        "source": "en",
        "target": "fr",
        "tokenizer": "word",
        "vocab_size": 20,
        "joint": False,
        "keep": ["all"],
    }
    prepared = seq2attn.prepare(home / "corpus", home / "prepared", workers=1, **options)  # type: ignore[arg-type]
    for seed in (1, 2):
        settings = [*SMALL, f"train.seed={seed}"]
        seq2attn.train("first-try", prepared.path, home / f"run{seed}", settings, device="cpu")
    return home


def test_prepare_returns_the_folder_and_reports_its_stages(home: Path, tmp_path: Path) -> None:
    stages: list[tuple[str, int, int | None]] = []
    prepared = seq2attn.prepare(
        home / "corpus",
        tmp_path / "out",
        source="en",
        target="fr",
        vocab_size=60,
        tokenizer="char",
        workers=1,
        progress=lambda *stage: stages.append(stage),
    )
    assert isinstance(prepared, seq2attn.Prepared)
    assert (prepared.path, prepared.languages) == (tmp_path / "out", ("en", "fr"))
    assert prepared.splits == ["train", "valid", "test"]
    assert {"reading", "training the tokenizer", "encoding train"} <= {name for name, *_ in stages}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"vocab": 3}, "vocab"),
        ({"max_length": 0}, "max_length"),
        ({"valid": -1}, "valid -1: it must be at least 0"),
        ({"workers": 0}, "workers 0: it must be at least 1"),
        ({"seed": -1}, "seed -1"),
    ],
)
def test_prepare_refuses_wrong_options(
    home: Path, tmp_path: Path, options: dict[str, object], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        seq2attn.prepare(home / "corpus", tmp_path / "out", **options)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_train_returns_its_run_and_calls_on_event(home: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    run = seq2attn.train(
        "first-try", home / "prepared", tmp_path / "run", SMALL, device="cpu", on_event=events.append
    )
    assert run.path == tmp_path / "run"
    kinds = [Update, Update, Validation, Saved, Update, Update, Validation, Saved, Finished]
    assert [type(event) for event in events] == kinds
    assert [event.step for event in events if isinstance(event, Update)] == [1, 2, 3, 4]
    assert (tmp_path / "run" / "model.safetensors").is_file()
    command = json.loads((run.path / "provenance.jsonl").read_text())["command"]
    assert command.startswith("seq2attn.train('first-try', data=")


def test_train_stops_when_on_event_returns_true_and_resumes_to_the_same_weights(
    home: Path, tmp_path: Path
) -> None:
    def stop(event: Event) -> bool:
        return isinstance(event, Update) and event.step == 3

    arguments = "first-try", home / "prepared", tmp_path / "run", [*SMALL, "train.seed=1"]
    seq2attn.train(*arguments, device="cpu", on_event=stop)
    state = json.loads((tmp_path / "run" / "training" / "state.json").read_text())
    assert state["step"] == 3
    run = seq2attn.train(*arguments, device="cpu", resume=True)
    assert run.weights.read_bytes() == (home / "run1" / "model.safetensors").read_bytes()


def test_train_leaves_the_random_numbers_of_the_caller(home: Path, tmp_path: Path) -> None:
    before = torch.get_rng_state()
    seq2attn.train("first-try", home / "prepared", tmp_path / "run", SMALL, device="cpu")
    assert torch.equal(torch.get_rng_state(), before)


def test_train_takes_files_as_paths_and_records_its_call(home: Path, tmp_path: Path) -> None:
    preset, out = tmp_path / "small.toml", tmp_path / "run"
    preset.write_text('preset = "first-try"\n')
    seq2attn.train(preset, home / "prepared", out, SMALL, device="cpu")
    seq2attn.train(out=out, resume=True, device="cpu")
    lines = (out / "provenance.jsonl").read_text().splitlines()
    first, second = (json.loads(line)["command"] for line in lines)
    places = f"data={str(home / 'prepared')!r}, out={str(out)!r}"
    assert first == f"seq2attn.train({str(preset)!r}, {places}, settings={list(SMALL)!r})"
    assert second == f"seq2attn.train(out={str(out)!r}, resume=True)"


def test_runs_and_prepared_folders_stand_for_their_paths(home: Path) -> None:
    prepared = seq2attn.Prepared(home / "prepared")
    run = seq2attn.train(data=prepared, out=home / "run1", resume=True, device="cpu")
    assert seq2attn.evaluate(run, data=prepared, device="cpu")[0].system == str(run.path)
    assert seq2attn.load(run, device="cpu").translate(["one"])[0][0].source == "one"


def test_training_session_yields_events_and_scores_the_test_split(home: Path, tmp_path: Path) -> None:
    with seq2attn.training_session(
        "first-try", home / "prepared", tmp_path / "run", SMALL, device="cpu"
    ) as training:
        losses = []
        for event in training.events():
            if isinstance(event, Update):
                losses.append(event.loss)
                if event.step == 3:
                    training.stop()
        assert len(losses) == 3
        assert training.end is not None
        assert training.end.reason == "interrupted"
        (result,) = training.test()
    assert result.split == "test"
    assert result.scores[0].startswith("BLEU")
    assert len(result.samples[0]) == 3


def test_training_session_ends_cleanly_if_it_is_left_early(home: Path, tmp_path: Path) -> None:
    with seq2attn.training_session(
        "first-try", home / "prepared", tmp_path / "run", SMALL, device="cpu"
    ) as training:
        events = training.events()
        next(events)
    assert not list(events)  # it trains no further
    assert not (tmp_path / "run" / "training.lock").exists()  # nobody is kept out
    seq2attn.train("first-try", home / "prepared", tmp_path / "run", SMALL, device="cpu", resume=True)


def test_train_refuses_what_does_not_fit_before_it_touches_anything(home: Path, tmp_path: Path) -> None:
    data, out = home / "prepared", tmp_path / "run"
    with pytest.raises(UsageError, match="neither a preset nor a file"):
        seq2attn.train("first-tri", data, out)
    with pytest.raises(UsageError, match=r"settings: train\.lr"):
        seq2attn.train("first-try", data, out, ["train.lr=0"])
    with pytest.raises(UserError, match="holds text, and this model reads images"):
        seq2attn.train("xu15-soft", data, out)
    with pytest.raises(UserError, match="no run to continue"):
        seq2attn.train(out=out, resume=True)
    with pytest.raises(UserError, match="`resume`, or replace it with `force`"):
        seq2attn.train("first-try", data, home / "run1")
    with pytest.raises(UsageError, match="resume and `force`"):
        seq2attn.train("first-try", data, home / "run1", resume=True, force=True)
    with pytest.raises(UserError, match="no such file or folder"):
        seq2attn.train("first-try", tmp_path / "nothing", out)
    assert not out.exists()


def test_evaluate_equals_the_command_line(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (report,) = seq2attn.evaluate(home / "run1", data=home / "prepared", device="cpu")
    capsys.readouterr()
    arguments = [str(home / "run1"), "--data", str(home / "prepared"), "--json", "--device", "cpu"]
    assert app.run(["evaluate", *arguments]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(report.to_dict()))
    assert report["BLEU"] == pytest.approx(report.scores[0].value)
    assert (report.split, report.unit, len(report.outputs)) == ("test", "sentences", 5)
    with pytest.raises(KeyError, match="there are BLEU, chrF2, TER"):
        report["ROUGE"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.split = "valid"  # type: ignore[misc]


def test_evaluate_prints_the_name_of_each_test_split(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All splits whose name begins with test are scored if none is named and there is no split `test`."""
    data = tmp_path / "data"
    shutil.copytree(home / "prepared", data)
    report = json.loads((data / "prepared.json").read_text())
    facts = report["splits"].pop("test")
    for name in ("test_a", "test_b"):
        shutil.copytree(data / "test", data / name)
        report["splits"][name] = facts
    (data / "prepared.json").write_text(json.dumps(report))
    assert app.run(["evaluate", str(home / "run1"), "--data", str(data), "--device", "cpu"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "test_a"
    assert lines[lines.index("test_b") - 1] == ""


def test_evaluate_takes_texts_and_search_options(home: Path, tmp_path: Path) -> None:
    sources = (home / "corpus" / "test.en").read_text().splitlines()
    references = (home / "corpus" / "test.fr").read_text().splitlines()
    options = SearchOptions(beam=1)
    (by_lines,) = seq2attn.evaluate(
        home / "run1", source=sources, reference=references, options=options, device="cpu"
    )
    (by_files,) = seq2attn.evaluate(
        home / "run1",
        source=home / "corpus" / "test.en",
        reference=home / "corpus" / "test.fr",
        options=options,
        device="cpu",
    )
    assert by_lines.outputs == by_files.outputs
    assert [score.value for score in by_lines.scores] == [score.value for score in by_files.scores]
    assert by_lines.search["beam"] == 1
    assert by_lines.changed == {"search.beam": 1}
    (two, other) = seq2attn.evaluate(
        home / "run1", source=sources, reference=[references, references], hypotheses=references, device="cpu"
    )
    assert two.system == str(home / "run1")
    assert (other.system, other["BLEU"]) == ("hypotheses 1", pytest.approx(100))
    assert other.compared["BLEU"].p_value is not None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "nothing to evaluate"),
        ({"runs": "run1", "source": ["a"]}, "reference is missing"),
        ({"runs": "run1", "reference": ["a"]}, "source is missing"),
        ({"runs": "run1", "split": "../x"}, "a split has a plain name"),
        ({"runs": "run1", "source": ["a"], "reference": ["b"], "split": "test"}, "leave one out"),
        ({"runs": "run1", "source": ["a", "b"], "reference": ["b"]}, "every line needs its own"),
        ({"hypotheses": ["a"]}, "reference is missing"),
        ({"runs": "run1", "split": ["test", "valid"], "gold": ["0-0"]}, "gold belongs to one split"),
        ({"runs": "missing", "options": SearchOptions(beam=0)}, "beam 0: it must be at least 1"),
        ({"hypotheses": ["a"], "reference": ["b"], "captions": True, "gold": ["0-0"]}, "gold needs a run"),
        ({"hypotheses": ["a"], "reference": ["b"], "by_length": True}, "by_length needs `source`"),
        ({"runs": "run1", "captions": True}, "captions is for texts alone"),
        ({"runs": "run1", "gold": ["0-0"], "gold_first": 2}, "gold_first 2: choose 0 or 1"),
    ],
)
def test_evaluate_refuses_arguments_that_do_not_go_together(
    home: Path, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, object], words: str
) -> None:
    monkeypatch.chdir(home)
    with pytest.raises(UserError, match=re.escape(words)) as caught:
        seq2attn.evaluate(device="cpu", **arguments)  # type: ignore[arg-type]
    assert "--" not in str(caught.value)


def test_evaluate_refuses_options_of_another_type(home: Path) -> None:
    with pytest.raises(TypeError, match="it must be a SearchOptions"):
        seq2attn.evaluate(home / "run1", options={"beam": 3}, device="cpu")  # type: ignore[arg-type]


def test_reports_of_several_seeds_have_a_mean_and_a_deviation(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reports = seq2attn.evaluate([home / "run1", home / "run2"], data=home / "prepared", device="cpu")
    (mean,) = reports.means()
    values = [report["chrF2"] for report in reports]
    assert mean.seeds == (1, 2)
    assert mean.scores["chrF2"].mean == pytest.approx(statistics.mean(values))
    assert mean.scores["chrF2"].deviation == pytest.approx(abs(values[0] - values[1]) / 2**0.5)
    record = json.loads(json.dumps(mean.to_dict()))
    assert record["chrf"]["mean"] == pytest.approx(statistics.mean(values))
    capsys.readouterr()
    runs = [str(home / "run1"), str(home / "run2")]
    assert app.run(["evaluate", *runs, "--data", str(home / "prepared"), "--device", "cpu"]) == 0
    assert str(mean) in capsys.readouterr().out.splitlines()
    # one run twice is one seed, and another search is another configuration
    again = seq2attn.evaluate([home / "run1", home / "run1"], data=home / "prepared", device="cpu")
    assert not again.means()
    greedy = seq2attn.evaluate(
        home / "run2", data=home / "prepared", options=SearchOptions(beam=1), device="cpu"
    )
    assert not type(reports)([reports[0], greedy[0]]).means()
    # a seed that is given twice counts once
    (mean,) = type(reports)([*again, reports[1]]).means()
    assert mean.seeds == (1, 2)


def test_seeds_of_runs_that_were_trained_on_other_data_have_no_mean(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home / "run2", tmp_path / "run2")
    settings = tmp_path / "run2" / "config.json"
    settings.write_text(settings.read_text().replace(str(home / "prepared"), str(home / "other")))
    reports = seq2attn.evaluate([home / "run1", tmp_path / "run2"], data=home / "prepared", device="cpu")
    assert not reports.means()


def test_reports_of_several_evaluations_fit_into_one_table(home: Path) -> None:
    data = home / "prepared"
    compared = seq2attn.evaluate([home / "run1", home / "run2"], data=data, device="cpu")
    (alone,) = seq2attn.evaluate(home / "run2", data=data, device="cpu")
    rows = type(compared)([*compared, alone]).table().rows
    assert rows[2][:4] == (str(home / "run2"), f"{alone['BLEU']:.2f}", "-", "-")
    scores = tuple(score for score in alone.scores if score.name != "TER")
    fewer = dataclasses.replace(alone, scores=scores)
    assert type(compared)([alone, fewer]).table().rows[1][3] == "-"


def test_scores_of_samples_say_how_they_were_drawn(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home / "run1", tmp_path / "run")
    options = SearchOptions(sample=True, temperature=2.0)
    (report,) = seq2attn.evaluate(tmp_path / "run", data=home / "prepared", options=options, device="cpu")
    assert report.changed == {"sample": True, "temperature": 2.0}
    assert (report.search["sample"], report.search["temperature"]) == (True, 2.0)
    # the outputs of the run's own search stay
    assert (tmp_path / "run" / "scores" / "test,sample=True,temperature=2.0.txt").is_file()


def test_evaluate_ends_its_processes_if_it_fails(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from seq2attn.inference import Translator

    closed: list[object] = []
    monkeypatch.setattr(Translator, "close", lambda self: closed.append(self))

    def fail(stage: str, done: int, total: int | None) -> None:
        raise RuntimeError(stage)

    with pytest.raises(RuntimeError, match="translating test"):
        seq2attn.evaluate(home / "run1", data=home / "prepared", device="cpu", progress=fail)
    assert len(closed) == 1


def test_reports_write_tables(home: Path) -> None:
    reports = seq2attn.evaluate(home / "run1", data=home / "prepared", split=["valid", "test"], device="cpu")
    lines = reports.to_markdown().splitlines()
    assert lines[0] == "| system | split | BLEU | chrF2 | TER | nats/token | perplexity |"
    assert lines[1] == "| --- | --- | ---: | ---: | ---: | ---: | ---: |"
    assert [line.split(" | ")[1] for line in lines[2:]] == ["valid", "test"]
    assert f"| {reports[0]['BLEU']:.2f} |" in lines[2]
    latex = reports[0].to_latex()
    assert latex.startswith("\\begin{tabular}{lrrrrr}\n\\toprule\nsystem & BLEU")
    assert latex.count(r"\\") == 2
    assert "<td" in reports._repr_html_()


def test_table_escapes_its_cells() -> None:
    table = Table(("a|b", "50%"), (("x_1 & <b>", "±1.5"), ("\\", "-")))
    assert table.to_markdown().splitlines()[0] == "| a&#124;b | 50% |"
    assert table.to_markdown().splitlines()[1] == "| --- | ---: |"
    assert table.to_markdown().splitlines()[2] == "| x_1 &#38; &#60;b> | ±1.5 |"
    assert r"x\_1 \& \textless{}b\textgreater{} & $\pm$1.5 \\" in table.to_latex()
    assert Table(("run",), (("a_b/__c",),)).to_markdown().endswith("| a_b/&#95;&#95;c |")
    assert "\n{[}a] & 1" in Table(("name", "BLEU"), (("b", "2"), ("[a]", "1"))).to_latex()
    assert r"\textbackslash{} & - \\" in table.to_latex()
    assert "x_1 &amp; &lt;b&gt;" in table.to_html()


def test_presets_are_those_of_the_command_line() -> None:
    presets = seq2attn.presets()
    assert {preset.name for preset in presets} == set(config.presets())
    first = next(preset for preset in presets if preset.name == "first-try")
    assert (presets[0], first.group) == (first, "start here")
    assert first.config() == config.load("first-try")
    assert "arxiv" in first.comment
    assert first.description


@pytest.fixture
def notes(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.INFO, "seq2attn"):
        yield caplog


def test_notes_and_warnings_go_to_the_logger(
    home: Path, tmp_path: Path, notes: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    seq2attn.train("first-try", home / "prepared", tmp_path / "run", SMALL, device="cpu", resume=True)
    (warning,) = [record.getMessage() for record in notes.records if record.levelno == logging.WARNING]
    assert warning == f"{tmp_path / 'run'}: no run to continue; training starts from the beginning"
    assert any("200 training pairs" in record.getMessage() for record in notes.records)
    assert capsys.readouterr().out == ""


def test_setting_that_changes_nothing_here_is_said(
    home: Path, tmp_path: Path, notes: pytest.LogCaptureFixture
) -> None:
    changes = (*SMALL, "train.cuda_graphs=true", "search.cuda_graphs=true")
    seq2attn.train("first-try", home / "prepared", tmp_path / "run", changes, device="cpu")
    texts = [record.getMessage() for record in notes.records]
    assert texts.count("train.cuda_graphs changes nothing here: the device is cpu") == 1
    assert "search.cuda_graphs changes nothing here: the device is cpu" in texts
    notes.clear()
    seq2attn.Translator.load(tmp_path / "run", device="cpu")
    assert [record.getMessage() for record in notes.records] == [
        "search.cuda_graphs changes nothing here: the device is cpu"
    ]


def test_training_says_once_that_other_programs_use_the_processor(
    home: Path, tmp_path: Path, notes: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shared_cores.gnu_openmp() is None:
        pytest.skip("needs Linux, and GNU's OpenMP in torch")
    hours = itertools.count(1)
    monkeypatch.setattr(shared_cores, "INTERVAL", 0.0)
    monkeypatch.setattr(shared_cores, "core_waits", lambda: {"1": 3600.0 * next(hours)})
    teams = []
    monkeypatch.setattr(shared_cores._SleepingTeam, "end", lambda team: teams.append(team))
    torch.set_num_threads(2)
    seq2attn.train("first-try", home / "prepared", tmp_path / "run", SMALL, device="cpu")
    messages = [record.getMessage() for record in notes.records]
    assert len([message for message in messages if message.startswith("other programs use the")]) == 1
    assert len(teams) == 1  # which ended with the training
    teams[0]._end.set()


def test_training_that_needs_too_much_memory_names_the_setting(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")

    monkeypatch.setattr("seq2attn.training.batch_gradient.BatchGradient.__call__", fail)
    with pytest.raises(
        UserError, match=r"^train\.batch_tokens is 300: .*twice train\.accumulate.*CUDA out of"
    ):
        seq2attn.train("first-try", home / "prepared", tmp_path / "run", SMALL, device="cpu")


def test_a_closed_training_trains_no_further(home: Path, tmp_path: Path) -> None:
    with seq2attn.training_session(
        "first-try", home / "prepared", tmp_path / "run", SMALL, device="cpu"
    ) as training:
        first = training.events()
        next(first)
        second = training.events()
        assert not list(first)  # one model is trained by one iterator at a time
        list(second)
        next(training.test("cpu"))
        with pytest.raises(UsageError, match="is closed"):  # others may train the run by now
            training.events()
    with pytest.raises(UsageError, match="is closed"):
        training.events()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: seq2attn.load(["a", "b"]), "run is of type list: give one path"),  # type: ignore[arg-type]
        (lambda: seq2attn.load(b"a"), "run is of type bytes"),  # type: ignore[arg-type]
        (lambda: seq2attn.load("a", settings="search.beam=2"), "put a single one in brackets"),
        (lambda: seq2attn.train("first-try", "a\0"), "data 'a\\x00': no path has a NUL"),
        (lambda: seq2attn.train(out=5), "out is of type int"),  # type: ignore[arg-type]
        (lambda: seq2attn.train(settings="train.seed=2"), "put a single one in brackets"),
        (lambda: seq2attn.train(settings=[5]), "settings are a dict, or a list of strings"),  # type: ignore[list-item]
        (lambda: seq2attn.prepare(None, "a"), "corpus is of type NoneType"),  # type: ignore[arg-type]
        (lambda: seq2attn.evaluate(None), "runs is of type NoneType"),  # type: ignore[arg-type]
        (lambda: seq2attn.evaluate("a", split=5), "split is of type int"),  # type: ignore[arg-type]
        (lambda: seq2attn.evaluate("a", source=["a"], reference={"b": 1}), "reference is of type dict"),  # type: ignore[arg-type]
        (lambda: seq2attn.evaluate("a", source=[None], reference=["b"]), "source holds a NoneType"),  # type: ignore[list-item]
        (lambda: SearchOptions(utility=5).check(), "utility is of type int"),  # type: ignore[arg-type]
    ],
)
def test_a_wrong_type_is_named_by_its_argument(call: Callable[[], object], words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)):
        call()


def test_runs_and_prepared_folders_are_paths_and_generators_are_lists(home: Path) -> None:
    run = open_run(home / "run1")
    model = seq2attn.load(run, device="cpu")
    texts = ["a b", "c"]
    assert model.translate(text for text in texts) == model.translate(texts)
    lines, again = (
        seq2attn.evaluate(run, source=of(texts), reference=of(texts), device="cpu").to_dict()
        for of in (list, iter)
    )
    assert lines == again


def test_table_keeps_hostile_names_in_their_cell() -> None:
    table = Table(("system",), (("a\n\x1b\u202e<b>",), ("[x]",), ("*",)))
    assert table.to_markdown().splitlines()[2] == "| a&#92;n&#92;x1b&#92;u202e&#60;b> |"
    assert r"a\textbackslash{}n\textbackslash{}x1b" in table.to_latex()
    assert [line for line in table.to_latex().splitlines() if "x]" in line or "*" in line] == [
        r"{[}x] \\",
        r"{*} \\",
    ]
    assert r"a\n\x1b\u202e&lt;b&gt;" in table.to_html()


def test_train_refuses_a_state_of_torch_that_changes_what_is_learned(home: Path, tmp_path: Path) -> None:
    for state in (torch.no_grad(), torch.inference_mode()):
        with state, pytest.raises(UsageError, match="needs gradients"):
            seq2attn.train("first-try", home / "prepared", tmp_path / "run", SMALL, device="cpu")
    torch.set_default_dtype(torch.float64)
    try:
        with pytest.raises(UsageError, match=r"it is torch\.float64"):
            seq2attn.train("first-try", home / "prepared", tmp_path / "run", SMALL, device="cpu")
    finally:
        torch.set_default_dtype(torch.float32)
    assert not (tmp_path / "run").exists()
