import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from toy import fit, new_trainer, settings

from seq2attn import notes
from seq2attn.cli import app, failure
from seq2attn.errors import UsageError, UserError
from seq2attn.runs import directory
from seq2attn.runs.tensors import read_tensors
from seq2attn.training import compiled_gradient, distributed, resume
from seq2attn.training.events import Scores

ROOT = Path(__file__).parents[2]

WORKER = """
import sys
sys.path.insert(0, {toy!r})
import torch, toy
from pathlib import Path
from seq2attn.runs import directory
from seq2attn.training import trainer
from seq2attn.training.distributed import init_distributed
from seq2attn.training.events import Scores
torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
conf = toy.settings(*{changes!r})
path = Path({path!r})
with init_distributed(torch.device("cpu")) as world:
    if world.is_main and not directory.is_run(path):
        toy.new_run(path, conf)
    world.barrier()
    # what the main process gets counts
    validate = lambda _: Scores({{"bleu": 3.0 if world.is_main else 99.0}})
    for steps in {stops!r}:
        net = toy.model(conf) if world.is_main else toy.model(toy.settings(*{changes!r}, "train.seed=99"))
        stop = toy.After(steps if world.rank == 1 else 10**9)
        run = directory.open_run(path, trained=False)
        events = trainer.train(
            net, run, toy.TRAINING, toy.VALIDATION, world=world, validate=validate, stop=stop
        )
        end = stop.watch(events)[-1]
        total = sum(float(p.detach().sum()) for p in net.parameters())
        print(end.reason, end.step, repr(total))
"""


def _started(code: str, agent: bool = False) -> list[tuple[str, str, int]]:
    """Two processes of that code, started as torchrun would: stdout, stderr and exit code of each.

    With `agent`, they meet in a store of this process, as those of torchrun meet in a store of torchrun.
    """
    store = torch.distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = {
        "PYTHONPATH": str(ROOT),
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(store.port if agent else port),
        "TORCHELASTIC_USE_AGENT_STORE": str(agent),
        "OMP_NUM_THREADS": "1",
        "GLOO_SOCKET_IFNAME": "lo",
        "PYTHONFAULTHANDLER": "1",
    }
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env=os.environ | place | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    return [(*worker.communicate(timeout=120), worker.returncode) for worker in workers]


ENDING = """
import os, signal, sys
import torch
from seq2attn.cli import app, train
from seq2attn import notes
from seq2attn.cli import app, failure
from seq2attn.errors import UsageError, UserError
from seq2attn.training.distributed import init_distributed
def go():
    with init_distributed(torch.device("cpu")) as world:
        {body}
app.app.registered_commands.clear()
app.app.command()(go)
sys.exit(app.run(["go"]))
"""
FAILS = """
        def refuse():
            raise UserError("no such place")
        world.run_on_main(lambda: print("led"))
        world.run_on_main(refuse)
"""
DIES = """
        world.barrier()
        if world.rank == {rank}:
            os.kill(os.getpid(), signal.SIGKILL)
        world.sum([1.0])
"""


def ended(body: str) -> list[tuple[int, str, str]]:
    """Exit code, stdout and stderr of two processes that do the same."""
    return [(status, out, err) for out, err, status in _started(ENDING.format(body=body.strip()))]


AGAIN = """
import time, torch
from seq2attn.training.distributed import init_distributed
for number in range(2):
    with init_distributed(torch.device("cpu")) as world:
        print(world.sum([world.rank + number]))
    time.sleep(6 * world.is_main)  # the other one looks for it first
"""


@pytest.mark.slow
def test_processes_train_one_model_after_another():
    assert [output for output, *_ in _started(AGAIN, agent=True)] == ["[1.0]\n[3.0]\n"] * 2


@pytest.mark.slow
def test_failure_of_the_main_process_is_reported_by_it_alone():
    assert ended(FAILS) == [(1, "led\n", "seq2attn: no such place\n"), (1, "", "")]


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_process_is_reported_by_the_other_in_one_line(rank):
    results = ended(DIES.format(rank=rank))
    assert results[rank][0] == -9
    status, out, err = results[1 - rank]
    # the library warns on its own
    lines = [line for line in err.splitlines() if line.startswith("seq2attn:")]
    assert (status, out, len(lines)) == (1, "", 1)
    assert f"process {2 - rank} of 2: another process has ended" in lines[0]
    assert "`resume`" in lines[0]
    assert "internal error" not in err


@pytest.mark.parametrize(
    ("name", "value"), [("WORLD_SIZE", "two"), ("WORLD_SIZE", "-1"), ("LOCAL_RANK", "x")]
)
def test_environment_variables_that_are_no_numbers_are_refused(monkeypatch, name, value):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv(name, value)
    with (
        pytest.raises(UserError, match=f"{name}={value}: not a number"),
        distributed.init_distributed(torch.device("cpu")),
    ):
        pass


def test_processes_that_cannot_connect_are_reported_in_one_line(monkeypatch):
    for name, value in (("WORLD_SIZE", "2"), ("RANK", "0"), ("LOCAL_RANK", "0")):
        monkeypatch.setenv(name, value)
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with (
        pytest.raises(UserError, match="did not find each other") as caught,
        distributed.init_distributed(torch.device("cpu")),
    ):
        pass
    assert "\n" not in str(caught.value)


def two_processes(path: Path, changes: tuple[str, ...], *stops: int) -> list[list[str]]:
    """Two processes train a run at `path`, as torchrun would start them, as often as there are `stops`: steps
    until the second one asks to end. The lines each printed.
    """
    code = WORKER.format(toy=str(Path(__file__).parents[1]), changes=changes, path=str(path), stops=stops)
    results = _started(code)
    # of both: where one fails, the other tells how far it was
    assert [status for _, _, status in results] == [0, 0], results
    return [out.splitlines() for out, _, _ in results]


@pytest.mark.slow
@pytest.mark.parametrize(
    "more",
    [
        pytest.param((), id="softmax"),
        pytest.param(("model.attention.normaliser=hard-sample",), id="hard-sample"),
        pytest.param(
            (
                *("train.optimizer=muon", "train.r_drop=2"),
                *("train.word_dropout=0.2", "train.attention_dropout=0.1"),
            ),
            id="recipe",
        ),
    ],
)
def test_two_processes_equal_one_and_stop_together(tmp_path, float64, more):
    """With dropout, clipping and draws: a batch has the same seed whichever process it falls to. Rewards have
    one baseline.
    """
    common = (
        "train.metric=bleu",
        "train.ema=0.9",
        "train.weight_decay=0.1",
        "train.validate_every=4",
        "train.average=3",
        *more,
    )
    one = fit(
        tmp_path / "one", settings(*common, "train.accumulate=2"), validate=lambda _: Scores({"bleu": 3.0})
    )
    first, second = two_processes(tmp_path / "two", common, 9, 10**9)
    assert first == second
    assert [line.split()[:2] for line in first] == [
        ["interrupted", "10"],
        [one[-1].reason, str(one[-1].step)],
    ]
    (state_1, alone), (state_2, both) = (
        resume.load_state(directory.open_run(tmp_path / name)) for name in ("one", "two")
    )
    assert (state_1.epoch, state_1.position, state_1.best[2]) == (
        state_2.epoch,
        state_2.position,
        state_2.best[2],
    )
    samples = "model.attention.normaliser=hard-sample" in more
    assert [state.baseline is not None for state in (state_1, state_2)] == [samples] * 2
    assert alone.keys() == both.keys()
    for name, tensor in alone.items():
        torch.testing.assert_close(tensor, both[name], rtol=1e-8, atol=1e-11)
    assert "earlier/1/encoder.embedding.weight" in alone
    told, best = ([], [read_tensors(tmp_path / name / "model.safetensors") for name in ("one", "two")])
    for name, tensor in best[0].items():
        torch.testing.assert_close(tensor, best[1][name], rtol=1e-8, atol=1e-11)
    for name in ("one", "two"):
        lines = [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        told.append(
            [
                line[fact]
                for line in lines
                for fact in ("loss", "baseline", "entropy", "valid_loss", "bleu")
                if fact in line
            ]
        )
    assert told[0] == pytest.approx(told[1], rel=1e-9)
    assert len(told[0]) == (40 if samples else 20)


EXCHANGE = """
import torch
from seq2attn.config import TrainConfig
from seq2attn.training.distributed import init_distributed
from seq2attn.training.gradient_exchange import GradientExchange
from seq2attn.training.objectives.objective import Sums
torch.set_num_threads(1)
names = "everywhere", "first_batch", "one_process", "nowhere", "frozen"
with init_distributed(torch.device("cpu")) as world:
    print(world.gather("é\\ud800" * world.rank + "a"), [*world.share(5)])
    model = torch.nn.ParameterDict({{name: torch.ones(2) for name in names}})
    model["frozen"].requires_grad_(False)
    exchange = GradientExchange(model, TrainConfig(), world, "fp32")
    for update in range(2):
        for batch in range(2):
            def objective(factor, seed):
                total = model["everywhere"].sum() * factor
                if batch == 0:
                    total = total + 10 * model["first_batch"].sum()
                if world.rank == 1:
                    total = total + 100 * model["one_process"].sum()
                if update == 1:
                    total = total + 1000 * model["frozen"].sum()
                return Sums(total, total)
            exchange.backward(exchange.forward(objective, 1.0 + world.rank, 0, last=batch == 1).objective)
        print(*(None if p.grad is None else p.grad.tolist() for p in map(model.get, names)))
        for p in model.values():
            p.grad = None
        model["frozen"].requires_grad_(True)
"""


@pytest.mark.slow
def test_gradients_are_those_of_one_process():
    """Two batches of each process. A parameter that no batch needs has no gradient, even if it was frozen."""
    (first, _, status), (second, _, status_2) = _started(EXCHANGE.format())
    assert (status, status_2) == (0, 0)
    gathered = "['a', 'é\\ud800a']"
    sums = "[6.0, 6.0] [20.0, 20.0] [200.0, 200.0] None"
    lines = [f"{sums} None", f"{sums} [4000.0, 4000.0]"]
    assert first.splitlines() == [f"{gathered} [0, 1]", *lines]
    assert second.splitlines() == [f"{gathered} [2, 3, 4]", *lines]


def test_one_process_exchanges_nothing(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with distributed.init_distributed(torch.device("cpu")) as world:
        assert world.is_main
        assert world.sum([1.5, 2.0]) == [1.5, 2.0]
        assert world.gather("é") == ["é"]
        assert world.share(3) == range(3)
        world.barrier()


def test_init_distributed_refuses_more_processes_than_cuda_devices(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_RANK", "2")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with (
        pytest.raises(UserError, match="there are 2; start fewer"),
        distributed.init_distributed(torch.device("cuda", 0)),
    ):
        pass


@pytest.fixture
def second_of_two(monkeypatch, tmp_path):
    for name, value in (("WORLD_SIZE", "2"), ("RANK", "1"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(tmp_path / "error.json"))
    return tmp_path / "error.json"


def test_second_process_tells_a_failure_of_its_own_after_a_moment(monkeypatch, capsys, second_of_two):
    """The first one did not fail, or torchrun would have ended this one meanwhile. torchrun gets the line."""
    waits = []
    monkeypatch.setattr(failure.time, "sleep", waits.append)
    assert app.run(["train", "nosuch"]) == 2
    assert waits == [failure.MOMENT]
    line = capsys.readouterr().err
    assert line.startswith("seq2attn: process 2 of 2: nosuch: ")
    assert line.count("\n") == 1
    message = json.loads(second_of_two.read_text())["message"]
    assert line == f"seq2attn: {message['extraInfo']['py_callstack']}\n"


def test_second_process_that_torchrun_ends_says_nothing(monkeypatch, capsys, second_of_two):
    def end(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(failure.time, "sleep", end)
    assert app.run(["train", "nosuch"]) == 2
    assert capsys.readouterr().err == ""
    assert not second_of_two.exists()


@pytest.mark.parametrize("rank", [0, 1])
def test_process_that_lost_another_one_lets_it_tell_first(monkeypatch, capsys, second_of_two, rank):
    """Any of them: its failure is no cause."""
    waits = []
    monkeypatch.setenv("RANK", str(rank))
    monkeypatch.setattr(failure.time, "sleep", waits.append)
    monkeypatch.setattr(app, "_run", lambda _: distributed.World(torch.device("cpu"), rank, 2).sum([1.0]))
    monkeypatch.setattr(torch.distributed, "all_reduce", broken)
    assert app.run(["train"]) == 1
    assert waits[0] > failure.MOMENT
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == [
        f"seq2attn: process {rank + 1} of 2: another process has ended"
    ]


def broken(_):
    raise RuntimeError("[gloo] Connection closed by peer")


ALONE_IN_TROUBLE = """
import sys, torch
from seq2attn.cli import app
from seq2attn.errors import UserError
from seq2attn.training.distributed import init_distributed
def go(_):
    with init_distributed(torch.device("cpu")) as world:
        world.barrier()
        if world.rank == 1:
            raise UserError("out.parts: No space left on device")
        world.barrier()
app._run = go
sys.exit(app.run(["train"]))
"""


@pytest.mark.slow
def test_torchrun_names_the_process_that_failed_first_as_the_root_cause(tmp_path):
    (tmp_path / "script.py").write_text(ALONE_IN_TROUBLE)
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=4"]
    end = subprocess.run(
        [sys.executable, *launcher, str(tmp_path / "script.py")],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert end.returncode == 1
    line = "process 2 of 4: out.parts: No space left on device"
    assert [one for one in end.stderr.splitlines() if one.startswith("seq2attn:")] == [f"seq2attn: {line}"]
    assert f"traceback : {line}" in end.stderr.partition("Root Cause")[2]


def test_first_process_tells_what_is_the_same_for_all(monkeypatch, capsys, caplog, second_of_two):
    with caplog.at_level("INFO", logger="seq2attn"):
        notes.note("of both")
        assert not caplog.messages
        assert app.run(["train", "--list"]) == 0
        assert capsys.readouterr().out == ""
        monkeypatch.setenv("RANK", "0")
        notes.warn("of both")
        assert caplog.messages == ["of both"]
    assert app.run(["evaluate", "run"]) == 2
    assert "evaluate works in one process, and torchrun has started 2" in capsys.readouterr().err
    assert second_of_two.exists()


def both(*sides):
    """Settings of encoder and decoder."""
    return tuple(f"model.{side}.{change}" for side in ("encoder", "decoder") for change in sides)


TRANSFORMER = both("kind=transformer", "size=12", "layers=2", "heads=2", "feedforward=16")
CONV = both("kind=conv", "size=12", "layers=2")


@pytest.mark.slow
@pytest.mark.parametrize("side", [TRANSFORMER, CONV, ()], ids=["transformer", "conv", "rnn"])
def test_shards_equal_one_process_and_whole_files_continue_them(tmp_path, float64, side):
    """With averages, clipping and weight decay; saved by two processes, and continued by them and by one."""
    common = (
        *("train.metric=bleu", "train.ema=0.9", "train.weight_decay=0.1", "train.clip_norm=0.1"),
        *("train.validate_every=4", "train.average=3"),
        *side,
    )
    one = fit(
        tmp_path / "one", settings(*common, "train.accumulate=2"), validate=lambda _: Scores({"bleu": 3.0})
    )
    first, _ = two_processes(tmp_path / "two", (*common, "train.shard=true"), 9, 10**9)
    assert [line.split()[:2] for line in first] == [["interrupted", "10"], [one[-1].reason, "20"]]
    (_, alone), (_, together) = (
        resume.load_state(directory.open_run(tmp_path / name)) for name in ("one", "two")
    )
    best = [read_tensors(tmp_path / name / "model.safetensors") for name in ("one", "two")]
    for whole, shards in ((alone, together), best):
        assert whole.keys() == shards.keys()
        for name, tensor in whole.items():
            torch.testing.assert_close(tensor, shards[name], rtol=1e-8, atol=1e-11)
    # any number of processes continues it
    longer = settings(*common, "train.max_steps=21", "train.accumulate=2")
    for name in ("one", "two"):
        fit(tmp_path / name, longer, validate=lambda _: Scores({"bleu": 3.0}))
    states = [resume.load_state(directory.open_run(tmp_path / name)) for name in ("one", "two")]
    for name, tensor in states[0][1].items():
        torch.testing.assert_close(tensor, states[1][1][name], rtol=1e-8, atol=1e-11)


@pytest.mark.slow
def test_two_processes_with_compilation_equal_one(tmp_path, float64, monkeypatch):
    backend = "from seq2attn.training import compiled_gradient; compiled_gradient.BACKEND = 'aot_eager'\n"
    monkeypatch.setattr(sys.modules[__name__], "WORKER", backend + WORKER)
    monkeypatch.setattr(compiled_gradient, "BACKEND", "aot_eager")
    common = (
        *("train.compile=true", "train.metric=bleu", "train.max_steps=6", "model.dropout=0.0"),
        *both("kind=transformer", "size=12", "layers=1", "heads=2", "feedforward=16"),
        *("model.attention.score=scaled-dot", "model.attention.heads=2"),
    )
    fit(tmp_path / "one", settings(*common, "train.accumulate=2"), validate=lambda _: Scores({"bleu": 3.0}))
    two_processes(tmp_path / "two", common, 10**9)
    (_, alone), (_, together) = (
        resume.load_state(directory.open_run(tmp_path / name)) for name in ("one", "two")
    )
    for name, tensor in alone.items():
        torch.testing.assert_close(tensor, together[name], rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize(
    ("change", "format", "message"),
    [
        ("train.lr=0.1", "fp16", "train.precision: fp16"),
        ("train.self_critical.start_step=1", "fp32", "train.self_critical.start_step"),
    ],
)
def test_shards_refuse_what_they_cannot_do(tmp_path, change, format, message):
    with pytest.raises(UsageError, match=f"train.shard=true does not go with {message}"):
        new_trainer(
            tmp_path / "run",
            settings("train.shard=true", change),
            format=format,
            reward_function=lambda *_: None,
        )
