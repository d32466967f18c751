"""The table of the benchmark of confidence."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from seq2attn.evaluation.calibration import Words, fit_calibration
from seq2attn.inference.confidence import FEATURES
from seq2attn.tasks.calibration_report import CalibrationReport

SPEC = importlib.util.spec_from_file_location("confidence_table", Path(__file__).with_name("confidence.py"))
assert SPEC is not None
assert SPEC.loader is not None
benchmark = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(benchmark)


def words(seed: int) -> Words:
    generator = np.random.default_rng(seed)
    features = -generator.random((300, len(FEATURES)))
    return Words(features, generator.random(300) < np.exp(features[:, 0]), np.arange(300) // 6)


def test_table_has_the_figures_of_the_report_and_their_mean() -> None:
    valid = words(1)
    reports = [CalibrationReport("r", "d", "test", valid, words(n), fit_calibration(valid)) for n in (2, 3)]
    columns = [benchmark.figures(report) for report in reports]
    header, _, *lines = benchmark.table(["one", "two"], columns).splitlines()
    assert header.split(" | ")[1:3] == ["one", "two"]
    cells = {line.split(" | ")[0].strip("| "): line.split(" | ")[1:] for line in lines}
    assert cells["AUC of confidence"][:2] == [f"{report.area:.3f}" for report in reports]
    mean = sum(report.error for report in reports) / 2
    assert float(cells["ECE of confidence"][2].strip(" |")) == pytest.approx(mean, abs=6e-4)
    assert len(lines) == 5 + len(FEATURES)
