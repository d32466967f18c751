"""A saved state is looked at as a whole before any of it is used: whatever was done to it is one line."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import toy
from safetensors.torch import load_file, save_file
from torch import Tensor

from seq2attn.config import Config
from seq2attn.data.prepared import Prepared
from seq2attn.errors import UserError
from seq2attn.runs import directory
from seq2attn.training import resume, trainer
from seq2attn.training.events import Event

Tensors = dict[str, Tensor]
CHANGES = ("train.ema=0.9", "train.average=3", "train.validate_every=4", "train.optimizer=adamw")


def settings() -> Config:
    return toy.settings(*CHANGES, "train.max_steps=10")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a run of ten steps, averaged in both ways."""
    path = tmp_path_factory.mktemp("trained") / "run"
    toy.fit(path, settings())
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


@pytest.fixture
def run(trained: dict[str, bytes], tmp_path: Path) -> Path:
    path = tmp_path / "run"
    for name, content in trained.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def contents(path: Path) -> dict[str, tuple[int, bytes]]:
    files = [file for file in path.rglob("*") if file.is_file()]
    return {str(file): (file.stat().st_mtime_ns, file.read_bytes()) for file in files}


def go_on(
    path: Path, training: toy.Pairs = toy.TRAINING, validation: toy.Pairs = toy.VALIDATION, *changes: str
) -> None:
    conf = toy.settings(*CHANGES, *(changes or ("train.max_steps=12",)))
    opened = directory.Run(path, conf, toy.SIZE, toy.SIZE, ("en", "fr"), "toy")
    list(trainer.train(toy.model(conf), opened, training, validation, world=toy.ALONE))


def refusal(path: Path, *arguments: Any) -> str:
    before = contents(path)
    with pytest.raises(UserError) as caught:
        go_on(path, *arguments)
    assert contents(path) == before
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    return message


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    file = path / "training" / "state.json"
    tree = json.loads(file.read_text())
    change(tree)
    file.write_text(json.dumps(tree))


def edit_tensors(path: Path, change: Callable[[Tensors], object]) -> None:
    file = path / "training" / "10.safetensors"
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file)


def test_resume_continues_from_a_whole_state(run: Path) -> None:
    go_on(run)
    assert json.loads((run / "training" / "state.json").read_text())["step"] == 12


def kinds() -> dict[str, str]:
    """One tensor of each kind of those that a state holds."""
    return {
        "weight": "model/decoder.attention.score.key.weight",
        "average": "average/encoder.embedding.weight",
        "earlier": "earlier/1/decoder.output.bias",
        "moment": "optimizer/0/exp_avg",
        "second-moment": "optimizer/3/exp_avg_sq",
    }


@pytest.mark.parametrize("kind", kinds())
@pytest.mark.parametrize("shape", ["one", "longer", "turned", "none"])
def test_resume_names_a_moment_or_weight_of_another_shape(run: Path, kind: str, shape: str) -> None:
    name = kinds()[kind]

    def change(tensors: Tensors) -> None:
        old = tensors[name]
        others = {
            "one": torch.zeros(1),
            "longer": torch.zeros(old.shape[0] + 1, *old.shape[1:]),
            "turned": torch.zeros(*old.shape, 1),
            "none": torch.zeros(0),
        }
        tensors[name] = others[shape]

    edit_tensors(run, change)
    assert name in refusal(run)


@pytest.mark.parametrize("kind", kinds())
@pytest.mark.parametrize(
    "dtype",
    [
        torch.float64,
        torch.float16,
        torch.bfloat16,
        torch.int64,
        torch.int32,
        torch.uint8,
        torch.bool,
        torch.complex64,
        torch.int8,
    ],
    ids=lambda dtype: str(dtype).removeprefix("torch."),
)
def test_resume_names_a_moment_or_weight_of_another_dtype(run: Path, kind: str, dtype: torch.dtype) -> None:
    name = kinds()[kind]
    edit_tensors(run, lambda tensors: tensors.update({name: tensors[name].to(dtype)}))
    assert name in refusal(run)


@pytest.mark.parametrize("kind", kinds())
def test_resume_names_tensors_that_are_missing_unknown_or_not_finite(run: Path, kind: str) -> None:
    name = kinds()[kind]
    whole = (run / "training" / "10.safetensors").read_bytes()
    for change in (
        lambda tensors: tensors.pop(name),
        lambda tensors: tensors.update({f"{name}x": tensors[name].clone()}),
        lambda tensors: tensors[name].flatten()[:1].fill_(float("nan")),
        lambda tensors: tensors[name].flatten()[-1:].fill_(float("-inf")),
    ):
        (run / "training" / "10.safetensors").write_bytes(whole)
        edit_tensors(run, change)
        assert name in refusal(run)


@pytest.mark.parametrize(
    "name",
    [
        "optimizer/x/exp_avg",
        "optimizer/99/step",
        "optimizer/-1/step",
        "optimizer",
        "model",
        "earlier/0",
        "earlier/7/x",
        "",
        "..",
        "é\ud7ff",
    ],
)
def test_resume_refuses_an_unknown_tensor(run: Path, name: str) -> None:
    edit_tensors(run, lambda tensors: tensors.update({name: torch.zeros(2)}))
    refusal(run)


def test_resume_refuses_missing_groups_of_tensors(run: Path) -> None:
    whole = (run / "training" / "10.safetensors").read_bytes()
    for prefix in ("optimizer/2/", "optimizer/", "earlier/1/", "earlier/", "average/", "model/"):
        (run / "training" / "10.safetensors").write_bytes(whole)
        edit_tensors(
            run,
            lambda tensors, prefix=prefix: [
                tensors.pop(one) for one in list(tensors) if one.startswith(prefix)
            ],
        )
        refusal(run)


@pytest.mark.parametrize("value", [-1.0, 11.0, 2.5, float("nan"), float("inf"), 1e30])
def test_resume_names_an_impossible_count_of_steps(run: Path, value: float) -> None:
    edit_tensors(run, lambda tensors: tensors.update({"optimizer/1/step": torch.tensor(value)}))
    assert "optimizer/1/step" in refusal(run)


def test_resume_refuses_a_count_of_steps_that_is_not_one_number(run: Path) -> None:
    for value in (torch.zeros(3), torch.zeros((), dtype=torch.int64), torch.zeros((), dtype=torch.complex64)):
        edit_tensors(run, lambda tensors, value=value: tensors.update({"optimizer/1/step": value}))
        assert "optimizer/1/step" in refusal(run)


def test_resume_refuses_a_negative_mean_of_squares(run: Path) -> None:
    edit_tensors(run, lambda tensors: tensors["optimizer/1/exp_avg_sq"].flatten()[:1].fill_(-1.0))
    assert "optimizer/1/exp_avg_sq has values below 0" in refusal(run)


PLATEAU: dict[str, Any] = {"best": [9.0, 9.0], "since_best": 0, "since_decay": 0, "decays": 0}
WRONG: list[Any] = [None, True, False, -1, 1.5, "1", "", [], {}, [1], {"a": 1}, 10**20, -(10**20)]
NUMBERS = ("step", "epoch", "position", "validated")


@pytest.mark.parametrize("field", NUMBERS)
@pytest.mark.parametrize("value", [*WRONG, 2**53 + 1], ids=repr)
def test_resume_refuses_a_counter_of_another_type_or_range(run: Path, field: str, value: Any) -> None:
    edit(run, lambda tree: tree.update({field: value}))
    message = refusal(run)
    assert "state.json: damaged" in message
    assert field in message


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("elapsed", [None, True, "1", [], -0.5, float("nan"), float("inf"), 10**400]),
        ("plateau", [None, [], {}, 3, {"best": None}, PLATEAU | {"best": [1.0]}]),
        (
            "plateau",
            [
                PLATEAU | {"best": best}
                for best in (0, "", [], [1.0, None], [1.0, 2.0, 3.0], {"a": 1}, [True, 1.0])
            ],
        ),
        ("plateau", [PLATEAU | {"decays": wrong} for wrong in (True, -1, 1.5, None, "1")]),
        (
            "best",
            [
                None,
                0,
                "x",
                [],
                [1.0, 2.0],
                [1.0, 2.0, 3.0],
                [1.0, 2.0, True],
                [1.0, 2.0, 11],
                [float("nan"), 1.0, 4],
                [1.0, 2.0, 4, 5],
                {},
            ],
        ),
        ("averaged", [None]),
        ("moments", [None]),
        ("data", [None, 3, [], "x" * 300]),
        ("validation", [None, 3, []]),
        (
            "scaler",
            [
                3,
                [],
                "x",
                {"scale": 0.0},
                {"scale": -1.0},
                {"scale": float("nan")},
                {"scale": True},
                {"other": 1.0},
                {"_growth_tracker": -1},
            ],
        ),
        ("baseline", ["x", True, [], float("inf")]),
        ("averaged", [-1, True, 1.5, "1", 3, 99]),
        ("moments", [3, "", "2", "1" * 500, [1], "٣"]),
        (
            "tensors",
            [
                None,
                3,
                "",
                "9.safetensors",
                "../10.safetensors",
                "/etc/passwd",
                "../../etc/passwd",
                "training/10.safetensors",
                "10",
                "\ud800",
                [],
            ],
        ),
        ("unknown", [1, None]),
    ],
    ids=lambda value: value if isinstance(value, str) else str(len(value)),
)
def test_resume_refuses_a_field_of_another_form(run: Path, field: str, values: list[Any]) -> None:
    whole = (run / "training" / "state.json").read_text()
    for value in values:
        (run / "training" / "state.json").write_text(whole)
        edit(run, lambda tree, value=value: tree.update({field: value}))
        refusal(run)


def test_resume_names_each_missing_field(run: Path) -> None:
    whole = (run / "training" / "state.json").read_text()
    for field in json.loads(whole):
        (run / "training" / "state.json").write_text(whole)
        edit(run, lambda tree, field=field: tree.pop(field))
        assert f"{field} is missing" in refusal(run)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b"3",
        b'"x"',
        b"{",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"\xff\xfe",
        b"\0" * 50,
        b'{"step": ' + b"1" * 5000 + b"}",
        b" " * 2**25,
    ],
    ids=range(12),
)
def test_resume_refuses_a_file_that_is_no_state(run: Path, content: bytes) -> None:
    (run / "training" / "state.json").write_bytes(content)
    assert "state.json: damaged" in refusal(run)


def test_resume_refuses_a_pipe_in_place_of_the_state_without_waiting(run: Path) -> None:
    import os

    (run / "training" / "state.json").unlink()
    os.mkfifo(run / "training" / "state.json")
    with pytest.raises(UserError, match=r"state\.json: damaged"):
        go_on(run)


def test_resume_refuses_a_position_beyond_the_epoch(run: Path) -> None:
    edit(run, lambda tree: tree.update(position=10_000))
    assert re.search(r"position is 10000, and the epoch has \d+ batches", refusal(run))


def test_resume_refuses_tensors_behind_a_link_out_of_the_run(run: Path, tmp_path: Path) -> None:
    file = run / "training" / "10.safetensors"
    file.rename(tmp_path / "elsewhere.safetensors")
    file.symlink_to(tmp_path / "elsewhere.safetensors")
    assert "a link to a place outside of the run" in refusal(run)
    file.unlink()
    (tmp_path / "elsewhere.safetensors").rename(run / "beside.safetensors")
    file.symlink_to("../beside.safetensors")
    go_on(run)


@pytest.mark.parametrize("change", ["shape", "dtype", "missing", "unknown", "empty"])
def test_resume_refuses_best_weights_of_another_model(run: Path, change: str) -> None:
    tensors = load_file(run / "model.safetensors")
    name = "decoder.attention.score.key.weight"
    others: dict[str, Tensors] = {
        "shape": {name: torch.zeros(3)},
        "dtype": {name: tensors[name].to(torch.float16)},
        "unknown": {f"{name}x": torch.zeros(3)},
    }
    if change in ("missing", "empty"):
        tensors = {} if change == "empty" else {key: tensor for key, tensor in tensors.items() if key != name}
    save_file(tensors | others.get(change, {}), run / "model.safetensors")
    message = refusal(run)
    assert "model.safetensors" in message
    assert change == "empty" or name in message


@pytest.mark.parametrize("momentum", ["0.0", "0.9"])
def test_resume_knows_the_moments_of_sgd(tmp_path: Path, momentum: str) -> None:
    changes = ("train.optimizer=sgd", f"train.momentum={momentum}", "train.lr=0.1")
    toy.fit(tmp_path / "run", toy.settings(*changes, "train.max_steps=5"))
    toy.fit(tmp_path / "run", toy.settings(*changes, "train.max_steps=7"))
    edit_it = tmp_path / "run" / "training" / "7.safetensors"
    tensors = load_file(edit_it)
    name = "optimizer/0/momentum_buffer"
    assert (name in tensors) == (momentum != "0.0")
    save_file(tensors | {name: torch.zeros(1)}, edit_it)
    with pytest.raises(UserError, match=name):
        toy.fit(tmp_path / "run", toy.settings(*changes, "train.max_steps=9"))


def test_resume_refuses_a_state_whose_best_validation_was_removed(run: Path) -> None:
    edit(run, lambda tree: tree.update(best=None))
    assert "best is null, although step 8 was validated" in refusal(run)


def test_resume_refuses_a_best_validation_below_that_of_the_plateau(run: Path) -> None:
    edit(run, lambda tree: tree.update(best=[-99.0, -99.0, 4]))
    assert "best is worse than plateau.best" in refusal(run)


def test_resume_allows_no_best_validation_where_weights_were_saved_just_before_a_crash(
    tmp_path: Path,
) -> None:
    """The weights of a first validation are saved before the state that tells of them: it is done again."""
    stop = toy.After(3)
    conf = toy.settings("train.max_steps=4", "train.validate_every=4")
    run = toy.new_run(tmp_path / "run", conf)
    stop.watch(trainer.train(toy.model(conf), run, toy.TRAINING, toy.VALIDATION, world=toy.ALONE, stop=stop))
    run.weights.write_bytes(b"of a validation that the state does not tell of")
    assert toy.fit(tmp_path / "run", conf)[-1].best_step == 4
    assert load_file(run.weights)


class Other(toy.Pairs):
    """The same lengths, another content."""

    def __init__(self, of: toy.Pairs, side: str) -> None:
        self.sources, self.targets, self.lengths = list(of.sources), list(of.targets), of.lengths
        ids: list[np.ndarray] = getattr(self, side)
        row = next(row for row, some in enumerate(ids) if len(some) > 1)
        ids[row] = np.where(ids[row] == ids[row][0], ids[row] % 9 + 4, ids[row]).astype(np.int32)


@pytest.mark.parametrize("side", ["sources", "targets"])
def test_resume_refuses_data_of_other_content_and_the_same_lengths(run: Path, side: str) -> None:
    assert "the training data are not those of" in refusal(run, Other(toy.TRAINING, side))
    assert "the validation data are not those of" in refusal(run, toy.TRAINING, Other(toy.VALIDATION, side))


def test_fingerprint_of_texts_is_of_their_ids_however_they_are_stored(tmp_path: Path) -> None:
    """One path reads the Arrow buffers, the other each row."""
    from seq2attn import config
    from seq2attn.data.batches import Texts
    from seq2attn.data.prepare import prepare

    for split, words in (("train", "a b c d"), ("valid", "b a")):
        for side in ("en", "fr"):
            lines = [" ".join(np.roll(words.split(), row)[: row % 3 + 1]) for row in range(40)]
            (tmp_path / f"{split}.{side}").write_text("".join(f"{line}\n" for line in lines))
    prepare(
        str(tmp_path),
        tmp_path / "out",
        config.DataConfig(source="en", target="fr", tokenizer="word", vocab_size=30, keep=("all",)),
    )
    split = Prepared(tmp_path / "out").split("train")

    class Rows(Texts):
        source_lengths, target_lengths = split.source_lengths, split.target_lengths

        def ids(self, rows: Any) -> Any:
            return split.ids(rows)

    assert split.fingerprint == Rows().fingerprint
    assert split.fingerprint != Prepared(tmp_path / "out").split("valid").fingerprint


def test_resume_truncates_a_log_with_foreign_lines(run: Path) -> None:
    own = (run / "metrics.jsonl").read_bytes()
    foreign = [
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"\xff\xfe",
        b"null",
        b"3",
        b'{"step": null}',
        b'{"step": "1"}',
        b'{"step": 1e999}',
        b'{"st',
    ]
    (run / "metrics.jsonl").write_bytes(own + b"\n".join(foreign))
    go_on(run)
    assert (run / "metrics.jsonl").read_bytes().startswith(own[: own.index(b"\n") + 1])
    assert all(json.loads(line)["step"] <= 12 for line in (run / "metrics.jsonl").read_text().splitlines())


def test_resume_refuses_a_log_that_is_not_a_file(run: Path) -> None:
    (run / "metrics.jsonl").unlink()
    (run / "metrics.jsonl").mkdir()
    assert "metrics.jsonl: not a file" in refusal(run)


def test_state_is_saved_before_its_first_step_and_resumes_exactly(tmp_path: Path) -> None:
    """A run that was killed before its first validation can be resumed: it has a state beside its log."""
    conf = settings()
    run = toy.new_run(tmp_path / "cut", conf)
    events = trainer.train(toy.model(conf), run, toy.TRAINING, toy.VALIDATION, world=toy.ALONE)
    assert sorted(file.name for file in (tmp_path / "cut" / "training").iterdir()) == [
        "0.safetensors",
        "state.json",
    ]
    steps: Iterator[Event] = iter(events)
    next(steps), next(steps), next(steps)
    events.close()
    assert (tmp_path / "cut" / "metrics.jsonl").exists()
    resume.refuse_resume(tmp_path / "cut")
    toy.fit(tmp_path / "cut", conf, toy.model(toy.settings(*CHANGES, "train.max_steps=10", "train.seed=7")))
    toy.fit(tmp_path / "whole", conf)
    files = [(tmp_path / name / "training" / "10.safetensors").read_bytes() for name in ("cut", "whole")]
    assert files[0] == files[1]


@pytest.mark.parametrize("stage", ["before", "after"])
def test_save_that_is_cut_off_leaves_the_state_of_the_same_step_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    """train.save_every saves step 4, then its validation saves step 4 again, with the weights to average."""
    changes = ("train.average=3", "train.validate_every=4", "train.save_every=4", "train.max_steps=10")
    conf = toy.settings(*changes)
    write, count = resume.write, 0

    def killed(path: Path, content: bytes) -> None:
        nonlocal count
        count += path.name == "state.json"
        if stage == "after":
            write(path, content)
        if count == 3:  # 0, 4, 4
            raise KeyboardInterrupt
        if stage == "before":
            write(path, content)

    monkeypatch.setattr(resume, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        toy.fit(tmp_path / "cut", conf)
    monkeypatch.undo()
    toy.fit(tmp_path / "cut", conf, toy.model(toy.settings(*changes, "train.seed=7")))
    toy.fit(tmp_path / "whole", conf)
    cut, whole = (resume.load_state(directory.open_run(tmp_path / name)) for name in ("cut", "whole"))
    assert cut is not None
    assert whole is not None
    assert cut[0].step == whole[0].step == 10
    assert cut[1].keys() == whole[1].keys()
    assert all(tensor.equal(cut[1][name]) for name, tensor in whole[1].items())
    assert len(list((tmp_path / "cut" / "training").glob("*.safetensors"))) == 1
