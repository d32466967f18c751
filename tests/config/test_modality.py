"""The table of modalities: what names a modality in settings and reports, and the code that its row names."""

import pytest

from seq2attn import config
from seq2attn.config import IMAGES, MODALITIES, TEXT, Modality, idle, of_encoder, of_report
from seq2attn.tasks.task import task_of


@pytest.mark.parametrize(
    ("settings", "modality"),
    [({"kind": "image"}, IMAGES), ({"kind": "rnn"}, TEXT), ({"kind": ["image"]}, TEXT), ({}, TEXT)],
)
def test_of_encoder_reads_the_settings(settings: dict[str, object], modality: Modality) -> None:
    assert of_encoder(settings) == modality


@pytest.mark.parametrize(
    ("report", "modality"), [({"images": True}, IMAGES), ({"images": False}, TEXT), ({}, TEXT)]
)
def test_of_report_reads_the_flag(report: dict[str, object], modality: Modality) -> None:
    assert of_report(report) == modality


@pytest.mark.parametrize("modality", MODALITIES)
def test_task_of_has_the_task_of_each_row(modality: Modality) -> None:
    assert task_of(modality).modality == modality


def test_metrics_of_the_rows_are_those_of_the_setting() -> None:
    metrics = {metric for modality in MODALITIES for metric in modality.metrics}
    assert metrics == set(config.choices(config.TrainConfig.model_fields["metric"].annotation))


@pytest.mark.parametrize(
    ("key", "encoder", "why"),
    [
        ("data.joint", "image", "it is for text, and the source is images; leave it out"),
        ("data.max_missing", "rnn", "it is for images, and the source is text; leave it out"),
    ],
)
def test_idle_reason_names_both_modalities(key: str, encoder: str, why: str) -> None:
    settings = config.change(config.Config(), [f"model.encoder.kind={encoder}"])
    assert idle.reason(settings, key) == why
