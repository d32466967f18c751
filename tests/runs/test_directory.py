import json
import os
import resource
import socket
import stat

import pytest
import torch
import toy
from toy import fit, new_run, settings

from seq2attn.errors import UserError
from seq2attn.runs import directory
from seq2attn.runs.tensors import load_weights, named_tensors, read_tensors, save_weights, write_tensors
from seq2attn.training import resume
from seq2attn.training.schedules import PlateauTracker
from seq2attn.training.state import Best, State

ONE, TWO = {"x": torch.ones(3)}, {"x": torch.full((3,), 2.0)}


@pytest.fixture
def run(tmp_path):
    return new_run(tmp_path / "run", settings())


class Cut(BaseException):
    """The power goes."""


def test_run_opens_as_it_was_created(run):
    conf = settings()
    save_weights(run, toy.model(conf))
    opened = directory.open_run(run.path)
    assert opened == run
    assert opened.config == conf
    assert opened.source_tokenizer.read_bytes() == opened.target_tokenizer.read_bytes() == b"bytes"


def test_create_keeps_the_names_of_separate_tokenizers(tmp_path):
    files = {"source.model": b"s", "target.model": b"t"}
    run = directory.create(
        tmp_path / "run",
        settings(),
        source_size=5,
        target_size=6,
        languages=(None, "de"),
        tokenizers=files,
        corpus="c",
        force=False,
    )
    opened = directory.open_run(run.path, trained=False)
    assert (opened.source_tokenizer.read_bytes(), opened.target_tokenizer.read_bytes()) == (b"s", b"t")
    assert (opened.source_size, opened.target_size, opened.languages) == (5, 6, (None, "de"))


def test_create_refuses_an_existing_run_and_names_resume_and_force(run):
    with pytest.raises(UserError, match=r"`resume`.*`force`"):
        new_run(run.path, settings())


def test_create_with_force_replaces_a_run_and_leaves_other_files(run):
    resume.save_state(run, State(step=3), ONE)
    directory.append_log(run, {"step": 3})
    (run.path / "notes.txt").write_text("mine")
    directory.create(
        run.path,
        settings(),
        source_size=9,
        target_size=9,
        languages=("a", "b"),
        tokenizers={"source.model": b"", "target.model": b""},
        corpus="",
        force=True,
    )
    assert sorted(path.name for path in run.path.iterdir()) == [
        "config.json",
        "notes.txt",
        "source.model",
        "target.model",
    ]


def test_create_never_replaces_a_folder_that_is_no_run(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    for force in (False, True):
        with pytest.raises(UserError, match="no run of seq2attn"):
            directory.refuse_existing(tmp_path, force)
    (tmp_path / "empty").mkdir()
    directory.refuse_existing(tmp_path / "empty", False)
    directory.refuse_existing(tmp_path / "nothing", False)


def test_create_ignores_what_an_interrupted_creation_left(run, monkeypatch):
    cut = run.path / ".config.json.partial"
    cut.mkdir()
    cut.chmod(0o1700)
    (cut / "seq2attn").write_text("process 1 on here\nconfig.json")
    (run.path / "config.json").rename(cut / "new")
    directory.refuse_existing(run.path, False)
    assert new_run(run.path, settings()) == run


def test_run_files_have_the_mode_of_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        run = new_run(tmp_path / "run", settings())
        save_weights(run, toy.model(settings()))
        resume.save_state(run, State(step=1), ONE)
    finally:
        os.umask(before)
    for path in (
        run.weights,
        run.path / "training" / "1.safetensors",
        run.path / "training" / "state.json",
        run.path / "config.json",
    ):
        assert stat.S_IMODE(path.stat().st_mode) == 0o640, path


def test_state_round_trips(run):
    state = State(
        7,
        1,
        3,
        12.5,
        5,
        PlateauTracker((31.25, -2.0), 1, 2, 3),
        Best(32.5, -1.5, 6),
        "abc",
        "def",
        {"scale": 1024.0, "_growth_tracker": 3},
        -1.5,
        2,
        "101",
    )
    tensors = {
        "model/a": torch.randn(2, 3),
        "optimizer/0/step": torch.tensor(7.0),
        "b": torch.ones(2, dtype=torch.float64),
    }
    resume.save_state(run, state, tensors)
    back, found = resume.load_state(run)
    assert back == state
    assert found.keys() == tensors.keys()
    assert all(
        torch.equal(found[name], tensors[name]) and found[name].dtype == tensors[name].dtype
        for name in tensors
    )


def test_save_state_removes_the_state_before(run):
    for step in (1, 2, 3):
        resume.save_state(run, State(step=step), ONE)
    assert sorted(path.name for path in (run.path / "training").iterdir()) == ["3.safetensors", "state.json"]


@pytest.mark.parametrize("function", ["replace", "fsync"])
@pytest.mark.parametrize("call", [1, 2])
def test_save_state_interrupted_at_any_moment_leaves_the_old_state(run, monkeypatch, function, call):
    """Tensors, then state.json, are flushed and renamed; the new state counts from the last rename on."""
    resume.save_state(run, State(step=1), ONE)
    real, calls = getattr(os, function), []

    def cut(path, *more):
        if function == "fsync" and stat.S_ISDIR(os.fstat(path).st_mode):
            return real(path, *more)
        calls.append(path)
        if len(calls) == call:
            raise Cut
        return real(path, *more)

    monkeypatch.setattr(os, function, cut)
    with pytest.raises(Cut):
        resume.save_state(run, State(step=2), TWO)
    monkeypatch.undo()
    state, tensors = resume.load_state(run)
    assert (state.step, tensors["x"].tolist()) == (1, [1, 1, 1])
    resume.save_state(run, State(step=3), TWO)  # and what was left half done goes with the next
    assert sorted(path.name for path in (run.path / "training").iterdir()) == ["3.safetensors", "state.json"]


def test_save_state_interrupted_while_the_old_is_removed_leaves_the_new_one(run, monkeypatch):
    resume.save_state(run, State(step=1), ONE)

    def cut(*_, **__):
        raise Cut

    monkeypatch.setattr("pathlib.Path.unlink", cut)
    with pytest.raises(Cut):
        resume.save_state(run, State(step=2), TWO)
    state, tensors = resume.load_state(run)
    assert (state.step, tensors["x"].tolist()) == (2, [2, 2, 2])


def test_save_weights_interrupted_leaves_the_old_ones(run, monkeypatch):
    write_tensors(run.weights, ONE)

    def cut(*_):
        raise Cut

    monkeypatch.setattr(os, "replace", cut)
    with pytest.raises(Cut):
        write_tensors(run.weights, TWO)
    assert read_tensors(run.weights)["x"].tolist() == [1, 1, 1]


def test_full_disk_is_one_line_and_nothing_is_lost(run, monkeypatch):
    resume.save_state(run, State(step=1), ONE)

    def full(*_):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    for write in (
        lambda: resume.save_state(run, State(step=2), TWO),
        lambda: directory.write(run.path / "x", b"y"),
    ):
        with pytest.raises(UserError, match="cannot be written: No space left on device") as caught:
            write()
        assert "\n" not in str(caught.value)
    assert resume.load_state(run)[0].step == 1
    assert not list(run.path.rglob("*.partial"))


def test_full_disk_leaves_no_half_line_in_the_log(run):
    directory.append_log(run, {"step": 1, "loss": 2.5})
    before = run.metrics.read_bytes()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, limit[1]))
    try:
        with pytest.raises(
            UserError,
            match=r"metrics\.jsonl: cannot be written: File too large; what was saved before is whole",
        ):
            directory.append_log(run, {"step": 2, "loss": 2.25})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert run.metrics.read_bytes() == before
    directory.append_log(run, {"step": 2, "loss": 2.0})
    assert [json.loads(line)["step"] for line in run.metrics.read_text().splitlines()] == [1, 2]


def test_save_state_removes_what_a_killed_training_left(run):
    (run.path / "training").mkdir()
    left = run.path / "training" / ".1.safetensors.partial"
    left.mkdir()
    left.chmod(0o1700)
    (left / "seq2attn").write_text(f"process 1 on {socket.gethostname()}\n1.safetensors")
    (left / ".tmpAbCdEf").write_bytes(b"half of the weights")
    resume.save_state(run, State(step=2), TWO)
    assert sorted(path.name for path in (run.path / "training").iterdir()) == ["2.safetensors", "state.json"]


def test_create_refuses_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot be written: Not a directory"):
        new_run(tmp_path / "file" / "run", settings())


def refusal(path):
    with pytest.raises(UserError) as caught:
        directory.open_run(path)
    message = str(caught.value)
    assert "\n" not in message
    return message


def change(run, **entries):
    tree = json.loads((run.path / "config.json").read_text()) | entries
    (run.path / "config.json").write_text(json.dumps(tree))


def test_open_run_refuses_in_one_line(run, tmp_path):
    assert "no such run directory" in refusal(tmp_path / "none")
    assert "it has no config.json" in refusal(tmp_path)
    assert "incomplete" in refusal(run.path)
    assert "--resume" in refusal(run.path)
    save_weights(run, toy.model(run.config))
    directory.open_run(run.path)
    whole = run.weights.read_bytes()
    for damaged in (b"", whole[:5], whole[:200], whole[:-1], b"\0" * len(whole), b"\xff" * 100):
        run.weights.write_bytes(damaged)
        assert "damaged" in refusal(run.path)
    run.weights.write_bytes(whole)
    run.source_tokenizer.unlink()
    assert "is missing" in refusal(run.path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b'{"format": "x"}',
        b'{"format": 1, "languages": []}',
        b"null",
        b'{"format": 1.5}',
        b"[" * 100_000,
    ],
)
def test_open_run_refuses_a_damaged_config(run, content):
    (run.path / "config.json").write_bytes(content)
    assert "damaged" in refusal(run.path)


def test_open_run_names_a_newer_format_before_anything_else(run):
    (run.path / "config.json").write_text(json.dumps({"format": directory.FORMAT + 1, "seq2attn": "9.1"}))
    message = refusal(run.path)
    assert "seq2attn 9.1, newer than this one" in message
    assert "upgrade" in message


def test_open_run_names_an_unknown_setting(run):
    change(run, config={"model": {"embeding": 3}})
    assert "model.embeding" in refusal(run.path)


def test_load_weights_names_tensors_that_do_not_fit(run, tmp_path):
    conf = settings("model.embedding=10")
    save_weights(run, toy.model(conf))
    net = toy.model(settings())
    before = {name: tensor.clone() for name, tensor in named_tensors(net).items()}
    with pytest.raises(UserError, match=r"does not fit .* at (de|en)coder\.") as caught:
        load_weights(run, net)
    assert "\n" not in str(caught.value)
    assert all(torch.equal(tensor, before[name]) for name, tensor in named_tensors(net).items())


@pytest.mark.parametrize("tied", ["none", "output", "all"])
def test_weights_round_trip_also_where_parameters_are_shared(run, tied):
    conf = settings(f"model.tied={tied}")
    net, other = toy.model(conf), toy.model(settings(f"model.tied={tied}", "train.seed=2"))
    save_weights(run, net)
    load_weights(run, other)
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name
    assert (other.decoder.output.weight is other.decoder.target_embedding.weight) == (tied != "none")


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"{}",
        b'{"tensors": "1.safetensors", "plateau": {}, "unknown": 1}',
        b"\xff",
        b"null",
        b"[" * 100_000,
    ],
)
def test_load_state_refuses_a_damaged_state(run, damaged):
    resume.save_state(run, State(step=1), ONE)
    (run.path / "training" / "state.json").write_bytes(damaged)
    with pytest.raises(UserError, match=r"state\.json: damaged") as caught:
        resume.load_state(run)
    assert "\n" not in str(caught.value)


def test_load_state_refuses_missing_tensors(run):
    resume.save_state(run, State(step=1), ONE)
    (run.path / "training" / "1.safetensors").unlink()
    with pytest.raises(UserError, match=r"1\.safetensors: missing"):
        resume.load_state(run)


def test_refuse_change_names_the_setting():
    old = settings()
    resume.refuse_change(old, settings("train.max_steps=99"), ("train.max_steps",))
    with pytest.raises(UserError, match=r"train\.max_steps was 20 and would be 99"):
        resume.refuse_change(old, settings("train.max_steps=99"), ())
    with pytest.raises(UserError, match=r"model\.decoder\.cell was \"gru\" and would be \"lstm\""):
        resume.refuse_change(old, settings("model.decoder.cell=lstm"), ("train.max_steps",))


def test_run_has_no_pickle(tmp_path):
    fit(
        tmp_path / "run",
        settings("train.max_steps=5", "train.ema=0.9", "train.average=2", "train.validate_every=2"),
    )
    kinds = {path.suffix for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert kinds == {".json", ".jsonl", ".safetensors", ".model"}


OTHERS = (
    torch.int64,
    torch.int8,
    torch.uint8,
    torch.bool,
    torch.complex64,
    torch.float64,
    torch.float16,
    torch.bfloat16,
)


@pytest.mark.parametrize("dtype", OTHERS, ids=str)
def test_load_weights_names_tensors_of_another_dtype(run, dtype):
    net = toy.model(settings())
    own = named_tensors(net)
    name = "decoder.attention.score.key.weight"
    before = {key: tensor.clone() for key, tensor in own.items()}
    write_tensors(run.weights, own | {name: own[name].to(dtype)})
    there = str(dtype).removeprefix("torch.")
    with pytest.raises(UserError, match=rf"{name} is {there}, where the model has float32") as caught:
        load_weights(run, net)
    assert "\n" not in str(caught.value)
    assert all(torch.equal(tensor, before[key]) for key, tensor in named_tensors(net).items())


@pytest.mark.parametrize(
    "vocabulary",
    [
        *(
            {"source": wrong, "target": 14}
            for wrong in (float("inf"), -1, 0, 500.9, True, None, "14", [14], {})
        ),
        *({"source": wrong, "target": 14} for wrong in (10**30, 2**24 + 1)),
        *({"source": 14, "target": wrong} for wrong in (float("nan"), -5, 0, 0.5, False)),
        *({}, {"source": 14}, [14, 14], None, 3),
    ],
    ids=str,
)
def test_open_run_refuses_an_impossible_vocabulary(run, vocabulary):
    change(run, vocabulary=vocabulary)
    assert "config.json: damaged" in refusal(run.path)


@pytest.mark.parametrize(
    "entries",
    [
        {"format": True},
        {"config": 3},
        *({"languages": wrong} for wrong in ("en", ["en"], [1, 2], {"0": "a"})),
    ],
    ids=str,
)
def test_open_run_refuses_an_entry_of_another_form(run, entries):
    change(run, **entries)
    assert "config.json" in refusal(run.path)


def test_unreadable_file_is_not_called_damaged(run, monkeypatch):
    """Whoever runs the tests may read everything: the system's answer is played."""
    save_weights(run, toy.model(run.config))
    resume.save_state(run, State(step=1), ONE)
    real = type(run.path).open

    def refuse(path, *more, **options):
        if path.suffix == ".safetensors" or path.name == "state.json":
            raise PermissionError(13, os.strerror(13))
        return real(path, *more, **options)

    monkeypatch.setattr(type(run.path), "open", refuse)
    monkeypatch.setattr(type(run.path), "read_text", lambda path, **_: refuse(path))
    net = toy.model(run.config)
    for read in (
        lambda: read_tensors(run.weights),
        lambda: resume.load_state(run),
        lambda: load_weights(run, net),
    ):
        with pytest.raises(UserError, match=r"cannot be read: Permission denied") as caught:
            read()
        assert "damaged" not in str(caught.value)


def test_run_path_must_be_utf8(tmp_path):
    run = new_run(tmp_path / os.fsdecode(b"r\xff"), settings())
    save_weights(run, toy.model(run.config))
    with pytest.raises(UserError, match="valid UTF-8: rename the folder"):
        directory.open_run(run.path)
