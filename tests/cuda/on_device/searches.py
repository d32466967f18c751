"""Every kind of search on the device gives what it gives on the CPU, in float32."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny

from seq2attn.evaluation import text
from seq2attn.inference import Translator

OPTIONS: dict[str, dict[str, Any]] = {
    "greedy": {"beam": 1},
    "beam": {"beam": 4, "n_best": 3},
    "no repeats": {"beam": 3, "no_repeat_ngram": 1, "max_length": 6},
    "prefixes": {"beam": 3, "prefixes": [tiny.FRENCH[0][:12], "", "le", ""]},
    "samples": {"sample": True, "n_best": 3, "seed": 3, "max_length": 8},
    "expected utility": {"samples": 6, "utility": text.utility("chrf"), "seed": 3, "max_length": 6},
    "attention by head": {"beam": 2, "attention": "all"},
}
MODELS: dict[str, dict[str, Any]] = {
    "recurrent": {},
    "transformer": {"kind": "transformer", "size": 12, "heads": 2, "layers": 2, "feedforward": 16},
    "sampled": {
        "attention": {"normaliser": "hard-sample", "at_inference": "sample"},
        "query_state": "current",
        "context_to": ["readout"],
    },
    "sparse": {"attention": {"normaliser": "sparsemax"}},
}
TEXTS = tiny.ENGLISH[:4]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("runs")
    return {name: str(tiny.save_run(folder / name, **settings)) for name, settings in MODELS.items()}


def compare(here: list[Any], there: list[Any]) -> None:
    for a, b in zip(here, there, strict=True):
        assert b.text == a.text
        assert b.log_probability == pytest.approx(a.log_probability, rel=1e-4, abs=1e-4)
        for name in ("subword_attention", "subword_attention_heads"):
            weights = getattr(a, name), getattr(b, name)
            assert (weights[0] is None) == (weights[1] is None)
            if weights[0] is not None:
                np.testing.assert_allclose(weights[1], weights[0], atol=1e-4)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("model", MODELS)
def test_search_equals_that_of_the_cpu(model: str, options: str, runs: dict[str, str]) -> None:
    here, there = (Translator.load(runs[model], device, "fp32") for device in ("cpu", "cuda"))
    of_cpu, of_cuda = (system.translate(TEXTS, **OPTIONS[options]) for system in (here, there))
    for a, b in zip(of_cpu, of_cuda, strict=True):
        compare(a, b)


@pytest.mark.parametrize("model", MODELS)
def test_forced_targets_score_as_on_the_cpu(model: str, runs: dict[str, str]) -> None:
    here, there = (
        Translator.load(runs[model], device, "fp32").score_targets(TEXTS, tiny.FRENCH[:4])
        for device in ("cpu", "cuda")
    )
    compare(here, there)


def test_ensemble_equals_that_of_the_cpu(runs: dict[str, str]) -> None:
    both = f"{runs['recurrent']},{runs['transformer']}"
    here, there = (
        Translator.load(both, device, "fp32").translate(TEXTS, beam=3, attention=True)
        for device in ("cpu", "cuda")
    )
    for a, b in zip(here, there, strict=True):
        compare(a, b)


def test_models_stay_where_they_are_loaded(runs: dict[str, str], tmp_path: Path) -> None:
    system = Translator.load(runs["recurrent"], "cuda:1", "fp32")
    assert {str(parameter.device) for parameter in system.models[0].parameters()} == {"cuda:1"}
    assert (
        system.translate(TEXTS[:1])[0][0].text
        == Translator.load(runs["recurrent"], "cpu").translate(TEXTS[:1])[0][0].text
    )
