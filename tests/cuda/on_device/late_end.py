"""Searches on CUDA beside those of the CPU: the same outputs, though sentences leave a step late, and no step
waits.
"""

from typing import Any

import pytest
import tiny
import torch
from simulated import counts

from seq2attn.inference import Translator
from seq2attn.kernels.finished_test import FinishedTest

CUDA = torch.device("cuda", 0)
SEARCHES: dict[str, dict[str, Any]] = {
    "greedy": {"beam": 1},
    "beam": {"beam": 4, "n_best": 3, "attention": True},
    "samples": {"sample": True, "n_best": 3, "seed": 5},
    "limits": {"beam": 3, "min_length": 3, "no_repeat_ngram": 2, "max_length": 9},
}


def translators(**decoder: Any) -> list[Translator]:
    """Of the same weights, in double precision: no rounding decides."""
    pair = []
    for device in (torch.device("cpu"), CUDA):
        of = tiny.settings(**decoder)
        model = tiny.model(of).double().to(device)
        pair.append(Translator(model, tiny.tokenizer("source"), tiny.tokenizer("target"), of))
    return pair


@pytest.mark.parametrize("prefix", [False, True])
@pytest.mark.parametrize("search", SEARCHES)
def test_outputs_are_those_of_a_cpu(search: str, prefix: bool) -> None:
    texts = [*tiny.ENGLISH[:7], "", "rain", "a dog"]
    prefixes = ["le chien"[: 3 * (i % 3)] for i in range(len(texts))] if prefix else None
    cpu, cuda = (
        one.translate(texts, prefixes=prefixes, **SEARCHES[search])
        for one in translators(context_to=["input", "readout"])
    )
    for ours, theirs in zip(cuda, cpu, strict=True):
        assert [(one.text, one.finished) for one in ours] == [(one.text, one.finished) for one in theirs]
        assert [one.score for one in ours] == pytest.approx([one.score for one in theirs])
        for a, b in zip(ours, theirs, strict=True):
            assert (a.attention is None) == (b.attention is None)
            if a.attention is not None and b.attention is not None:
                assert a.attention == pytest.approx(b.attention, abs=1e-6)


@pytest.mark.parametrize("search", ["greedy", "beam", "samples"])
def test_no_step_waits(search: str) -> None:
    _, translator = translators()
    waits = []
    for steps in (4, 12):
        counts.reset()
        options = {**SEARCHES[search], "attention": False}
        translator.translate(tiny.ENGLISH[:4], min_length=steps, max_length=steps, **options)
        waits.append(sum(n for name, n in counts.read().items() if name.startswith("wait")))
    assert waits[0] == waits[1]


def test_sentences_leave_a_step_later() -> None:
    tests = {device: FinishedTest(2) for device in ("cpu", "cuda")}
    answers: dict[str, list[list[int] | None]] = {"cpu": [], "cuda": []}
    for finished in ([0, 0, 0, 0], [1, 0, 1, 0], [1, 1, 1, 0], [1, 1, 1, 1], [1, 1, 1, 1]):
        for device, test in tests.items():
            keep_B = test.sentences_to_keep(torch.tensor(finished, device=device).bool())
            answers[device].append(None if keep_B is None else keep_B.tolist())
    assert answers["cpu"] == [None, [1, 3], [0, 3], [], []]
    assert answers["cuda"] == [None, None, [0, 3], [0, 1], []]
