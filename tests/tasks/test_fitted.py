"""The settings of a training for which nobody names a preset."""

import logging
from pathlib import Path

import pytest

from seq2attn import config, prepare
from seq2attn.data import vocabulary_size
from seq2attn.errors import UsageError
from seq2attn.tasks import fitted
from seq2attn.tasks.training import make_plan, training_session

WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A table of 120 pairs without splits."""
    file = tmp_path / "numbers.tsv"
    rows = [f"{WORDS[i % 10]} {WORDS[i // 10 % 10]} {i}\t{i} {WORDS[i // 10 % 10]}" for i in range(120)]
    file.write_text("\n".join(["en\tfr", *rows]) + "\n", encoding="utf-8")
    return file


@pytest.fixture(autouse=True)
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("pairs", "tokens"), [(1, 1000), (10_000, 1000), (10_001, 2000), (10**6, 8000), (10**7, 16_000)]
)
def test_fitting_size_grows_with_the_pairs(pairs: int, tokens: int) -> None:
    assert vocabulary_size.fitting_size(pairs) == tokens


def test_fitting_size_has_room_for_the_characters() -> None:
    characters = "".join(chr(0x4E00 + number) for number in range(3000))
    rare = characters * 100 + "".join(chr(0x7000 + number) for number in range(100))
    assert vocabulary_size.characters([rare]) == 3000
    assert vocabulary_size.fitting_size(100, [rare]) == 6000


@pytest.mark.parametrize("tokenizer", ["unigram", "bpe", "char", "word"])
def test_prepare_gives_the_vocabulary_a_size_that_fits(corpus: Path, tmp_path: Path, tokenizer: str) -> None:
    prepared = prepare(corpus, tmp_path / "out", tokenizer=tokenizer, workers=1)
    most = 1000 if tokenizer in ("unigram", "bpe") else 8000
    assert prepared.report["options"]["vocab_size"] == most
    assert prepared.target_tokenizer.size <= most


def test_every_fit_is_a_valid_setting_and_grows_with_the_corpus() -> None:
    dropouts, steps = [], []
    for pairs in (100, 10_000, 50_000, 200_000, 10**6, 10**7):
        fit = fitted.of_text(pairs, 15 * pairs)
        settings = config.load(fit.preset, fit.changes)
        dropouts.append(settings.model.dropout)
        steps.append(settings.train.max_steps)
        assert f"{pairs:,} training pairs" in fit.reasons[0]
        assert settings.train.patience * settings.train.validate_every < settings.train.max_steps
    assert dropouts == sorted(dropouts, reverse=True)
    assert steps == sorted(steps)


def test_training_without_a_preset_fits_the_data(
    corpus: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "seq2attn")
    changes = {
        "model.embedding": 16,
        "model.encoder.size": 16,
        "model.decoder.size": 16,
        "train.max_steps": 3,
    }
    with training_session(data=corpus, out=tmp_path / "run", settings=changes, device="cpu") as training:
        settings = training.run.config
    assert settings.model.decoder.kind == "transformer"
    assert settings.model.dropout == fitted.ROWS[0].dropout
    assert settings.train.max_steps == 3
    assert settings.train.patience == fitted.PATIENCE
    assert settings.data.vocab_size == 1000
    assert "108 training pairs are a small corpus" in caplog.text
    assert caplog.text.count("preparing ") == 1
    with training_session(out=tmp_path / "run", resume=True, device="cpu") as training:
        assert training.run.config == settings
    assert caplog.text.count("preparing ") == 1
    # the run has its settings from now on, whatever a new choice would be
    again = make_plan(data=str(corpus), out=tmp_path / "run", resume=True)
    assert again.settings is None


def test_fit_of_separate_vocabularies_ties_no_source_embedding(corpus: Path, tmp_path: Path) -> None:
    plan = make_plan(None, ["data.joint=false"], str(corpus))
    assert plan.settings is not None
    assert plan.settings.model.tied == "output"
    prepared = prepare(corpus, tmp_path / "out", joint=False, workers=1)
    assert fitted.with_data(prepared, (), "settings")[0].model.tied == "output"
    plan = make_plan(data=str(prepared.path))
    assert plan.settings is not None
    assert plan.settings.model.tied == "output"


def test_a_preset_and_a_bundled_text_are_not_fitted(corpus: Path) -> None:
    assert not make_plan("recurrent", data=str(corpus)).fits
    assert not make_plan(data="phrases").fits
    assert not make_plan().fits
    assert make_plan(data=str(corpus)).fits


@pytest.mark.parametrize(("data", "preset"), [("scenes", "xu15-soft"), ("clips", "video")])
def test_images_and_clips_get_a_preset_that_reads_them(data: str, preset: str) -> None:
    plan = make_plan(data=data)
    assert plan.fits
    assert plan.settings is not None
    assert plan.settings.model == config.load(preset).model


def test_a_change_that_does_nothing_is_refused_without_a_preset(corpus: Path) -> None:
    with pytest.raises(UsageError, match=r"--set: model\.attention\.half_width is for"):
        make_plan(None, ["model.attention.half_width=3"], str(corpus), where="--set")


def test_data_that_are_missing_are_refused_by_name(tmp_path: Path) -> None:
    plan = make_plan(data=str(tmp_path / "none.tsv"))
    with pytest.raises(Exception, match=r"none\.tsv: no such file"):
        plan.check()
