"""What a notebook needs of the library: runs as arguments, settings as a dict, tables, and a stop button."""

import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from tiny import ENGLISH, FRENCH

import seq2attn
from seq2attn import config
from seq2attn.data.prepared import Prepared
from seq2attn.training.events import Event, Update, Validation

SETTINGS: dict[str, object] = {
    "model.embedding": 8,
    "model.encoder.size": 4,
    "model.decoder.size": 8,
    "train.max_steps": 4,
    "train.validate_every": 2,
    "train.validate_sentences": 2,
    "search.max_length": 4,
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("notebook")
    rows = [
        f"{english} {n}\t{french} {n}\n"
        for n, (english, french) in enumerate(zip(ENGLISH, FRENCH, strict=True))
    ]
    (folder / "pairs.tsv").write_text(f"en\tfr\n{''.join(rows)}", encoding="utf-8")
    return seq2attn.prepare(
        folder / "pairs.tsv", folder / "prepared", valid=3, test=3, tokenizer="char", workers=1
    )


@pytest.fixture(scope="module")
def run(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> seq2attn.Run:
    out = tmp_path_factory.mktemp("notebook-run") / "run"
    return seq2attn.train("first-try", prepared, out, SETTINGS, device="cpu")


def test_objects_stand_for_their_paths(run: seq2attn.Run, prepared: Prepared, tmp_path: Path) -> None:
    assert os.fspath(run) == str(run.path)
    assert os.fspath(prepared) == str(prepared.path)
    assert run.corpus == str(prepared.path)
    assert seq2attn.load(run, device="cpu").translate(["the small dog"])
    [preset] = [preset for preset in seq2attn.presets() if preset.name == "first-try"]
    again = seq2attn.train(preset, prepared, tmp_path / "again", SETTINGS, device="cpu")
    assert again.weights.read_bytes() == run.weights.read_bytes()
    reports = seq2attn.evaluate([run, again.path], device="cpu")
    assert [report.run for report in reports] == [run.path, again.path]


def test_objects_have_a_short_text(run: seq2attn.Run, prepared: Prepared) -> None:
    assert repr(run).startswith(f"Run(path={run.path!r}, ")
    assert max(map(len, (repr(run), repr(prepared), repr(seq2attn.presets()[0])))) < 300


def test_reports_print_as_a_table_and_have_scores_by_both_names(run: seq2attn.Run) -> None:
    reports = seq2attn.evaluate(run, device="cpu")
    assert str(reports) == reports.to_markdown()
    assert str(reports).startswith("| system | BLEU |")
    assert reports[0]["bleu"] == reports[0]["BLEU"]
    with pytest.raises(KeyError, match="blue: there are BLEU, chrF2, TER"):
        reports[0]["blue"]


def test_settings_may_be_a_dict() -> None:
    changes = {"train.lr": 1e-5, "model.tied": "all", "model.encoder.bidirectional": False}
    lists = {"model.decoder.context_to": ("input", "readout"), "data.source": 'a "b" \n'}
    expected = ["train.lr=0.00001", "model.tied=all", "model.encoder.bidirectional=false"]
    typed = config.as_typed(changes)
    assert config.change(config.Config(), typed) == config.change(config.Config(), expected)
    changed = config.change(config.Config(), config.as_typed(lists))
    assert config.flat(changed)["data.source"] == 'a "b" \n'
    assert tuple(config.flat(changed)["model.decoder.context_to"]) == ("input", "readout")
    assert config.as_typed(word for word in ("a=1", "b=2")) == ["a=1", "b=2"]


@pytest.mark.parametrize("value", [None, {"a": 1}, b"2"])
def test_dict_of_settings_refuses_what_no_setting_is(value: object) -> None:
    with pytest.raises(seq2attn.UsageError, match=r"^settings train.lr: .* is no value of a setting"):
        seq2attn.train("first-try", settings={"train.lr": value})


def test_a_single_setting_is_told_to_be_put_in_brackets(run: seq2attn.Run) -> None:
    for call in (seq2attn.train, partial(seq2attn.load, run), partial(seq2attn.evaluate, run)):
        with pytest.raises(
            seq2attn.UsageError, match=r"^settings train.seed=2: put a single one in brackets"
        ):
            call(settings="train.seed=2")


def interrupt_at(step: int, kind: type[Event]) -> Callable[[Event], None]:
    def on_event(event: Event) -> None:
        if isinstance(event, kind) and event.step == step:
            signal.raise_signal(signal.SIGINT)

    return on_event


@pytest.mark.parametrize(("step", "kind"), [(3, Update), (2, Validation)])
def test_interrupt_in_the_callers_code_saves_the_state(
    run: seq2attn.Run, prepared: Prepared, tmp_path: Path, step: int, kind: type[Event]
) -> None:
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt, match=r"run: saved; continue it with `resume`"):
        seq2attn.train("first-try", prepared, out, SETTINGS, device="cpu", on_event=interrupt_at(step, kind))
    steps: list[int] = []
    again = seq2attn.train(out=out, resume=True, on_event=lambda event: steps.append(event.step))
    assert steps[0] == step + 1
    assert again.weights.read_bytes() == run.weights.read_bytes()


def test_interrupt_within_an_update_completes_it(
    run: seq2attn.Run, prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from seq2attn.training.gradient_step import GradientStep

    out, before, calls = tmp_path / "run", GradientStep.norm, []

    def norm(self: GradientStep) -> object:
        calls.append(1)
        if len(calls) == 3:
            signal.raise_signal(signal.SIGINT)
        return before(self)

    monkeypatch.setattr(GradientStep, "norm", norm)
    with pytest.raises(KeyboardInterrupt, match="saved; continue it with `resume`"):
        seq2attn.train("first-try", prepared, out, SETTINGS, device="cpu")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    steps: list[int] = []
    again = seq2attn.train(out=out, resume=True, on_event=lambda event: steps.append(event.step))
    assert steps[0] == 4
    assert again.weights.read_bytes() == run.weights.read_bytes()


def test_handler_of_the_program_is_left_in_place(prepared: Prepared, tmp_path: Path) -> None:
    requests: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: requests.append(number))
    try:
        seq2attn.train(
            "first-try", prepared, tmp_path / "run", SETTINGS, device="cpu", on_event=interrupt_at(3, Update)
        )
    except KeyboardInterrupt:  # which would end pytest
        pytest.fail("the handler was replaced")
    finally:
        signal.signal(signal.SIGINT, before)
    assert requests == [signal.SIGINT]


def test_session_draws_stops_and_goes_on(run: seq2attn.Run, prepared: Prepared, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with seq2attn.training_session("first-try", prepared, out, SETTINGS, device="cpu") as training:
        for event in training.events():
            if event.step == 3:
                break  # nothing is saved: `stop` does that
        assert training.end is None
    with seq2attn.training_session(out=out, resume=True) as training:
        for event in training.events():
            if event.step == 3:
                training.stop()
        assert training.end is not None
        assert (training.end.reason, training.end.step) == ("interrupted", 3)
    assert seq2attn.train(out=out, resume=True).weights.read_bytes() == run.weights.read_bytes()
