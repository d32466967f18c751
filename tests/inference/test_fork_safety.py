"""Processes that a user forks: they translate as their parent does or are refused, and never wait for
ever.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import tiny

from seq2attn.inference.scheduling.fork_pool import CAN_FORK

pytestmark = pytest.mark.skipif(not CAN_FORK, reason="no fork is used on this system")

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "2"}
BEGIN = """
import json, multiprocessing, os, sys, threading, time, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of newer Pythons, that threads do not come along
import seq2attn, torch
TEXTS = ["the small dog", "rain falls", "a big cat sees the old house"] * 6
def busy_parent(processes=False):
    global model
    model = seq2attn.load(sys.argv[1], device="cpu", processes=processes)
    found = texts()
    torch.randn(600, 600) @ torch.randn(600, 600)  # by all of torch's threads
    return found
def texts(*_): return [best.text for (best,) in model.translate(TEXTS, beam=2)]
def anew(*_):
    translator = seq2attn.load(sys.argv[1], device="cpu")
    return [best.text for (best,) in translator.translate(TEXTS, beam=2)]
def in_thread(*_):
    found = []
    thread = threading.Thread(target=lambda: found.extend(texts()))
    thread.start(); thread.join()
    return found
def forked(work):
    reading, writing = os.pipe()
    if (pid := os.fork()) == 0:
        os.write(writing, json.dumps(work()).encode())
        os._exit(0)
    os.close(writing)
    answer = b""
    while block := os.read(reading, 1 << 16): answer += block
    os.waitpid(pid, 0)
    return json.loads(answer)
fork = multiprocessing.get_context("fork")
"""
PROGRAMS = {
    "before anything": """
model = None
with fork.Pool(2) as pool: found = pool.map(anew, range(3))
expected = anew()
""",
    "a pool": """
expected = busy_parent()
with fork.Pool(2) as pool: found = pool.map(texts, range(3))
""",
    "a model that is loaded in it": """
expected = busy_parent()
with fork.Pool(2) as pool: found = pool.map(anew, range(3))
""",
    "a thread in it": """
expected = busy_parent()
with fork.Pool(2) as pool: found = pool.map(in_thread, range(3))
""",
    "an executor": """
import concurrent.futures
expected = busy_parent()
with concurrent.futures.ProcessPoolExecutor(2, mp_context=fork) as pool:
    found = list(pool.map(texts, range(3)))
""",
    "os.fork": "expected = busy_parent()\nfound = [forked(texts), forked(anew), forked(in_thread)]\n",
    "a fork of a fork": "expected = busy_parent()\nfound = [forked(lambda: (texts(), forked(texts))[1])]\n",
    "a parent with processes of its own": """
expected = busy_parent(processes=True)
model.translate(TEXTS * 40, beam=1)
def gone():
    global model
    found = texts(); del model
    return found
found = [forked(texts), forked(gone)]
with fork.Pool(2) as pool: found += pool.map(texts, range(2))
assert len(model.translate(TEXTS * 40, beam=1)) == 720  # and they are there still
""",
    "a loader of torch": """
from torch.utils.data import DataLoader
class Rows:
    def __len__(self): return 3
    def __getitem__(self, row): return texts()
expected = busy_parent()
how = {"num_workers": 2, "collate_fn": list, "multiprocessing_context": "fork"}
found = [batch[0] for batch in DataLoader(Rows(), batch_size=1, **how)]
""",
}
QUICK = ("a pool", "os.fork")
END = """
assert found and all(one == expected for one in found), found
if model is not None: assert texts() == expected
print('as the parent')
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny.save_run(tmp_path_factory.mktemp("runs") / "run"))


def done(program: str, run: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BEGIN + program, run],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=240,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in PROGRAMS]
)
def test_translator_in_a_forked_process_equals_its_parent(name: str, run: str) -> None:
    result = done(PROGRAMS[name] + END, run)
    assert (result.returncode, result.stdout) == (0, "as the parent\n"), result.stderr


@pytest.mark.slow
def test_translator_refuses_use_after_a_fork_during_a_call(run: str) -> None:
    result = done(
        """
busy_parent()
from seq2attn.inference import translator
begun, over, search = threading.Event(), threading.Event(), translator.Translator._search
def waiting(self, job):
    begun.set(); over.wait()
    return search(self, job)
translator.Translator._search = waiting
thread = threading.Thread(target=texts)
thread.start(); begun.wait()
translator.Translator._search = search
def refused():
    for work in (texts, anew):
        try: work()
        except seq2attn.errors.UserError as error: assert 'get_context("spawn")' in str(error)
        else: return "not refused"
    return "refused"
print(forked(refused))
over.set(); thread.join()
""",
        run,
    )
    assert (result.returncode, result.stdout) == (0, "refused\n"), result.stderr
