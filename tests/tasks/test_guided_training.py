"""Guided attention from a corpus to a run: what `train` needs, and that a training in processes is the same."""

from pathlib import Path

import pytest
import tiny

import seq2attn
from seq2attn.errors import UsageError, UserError

TINY = {
    "model.embedding": 8,
    "model.encoder.size": 4,
    "model.decoder.size": 8,
    "train.max_steps": 3,
    "train.validate_sentences": 2,
    "search.max_length": 4,
}


def corpus(path: Path, links: bool) -> Path:
    path.mkdir()
    for split in ("train", "valid"):
        (path / f"{split}.en").write_text("\n".join(tiny.ENGLISH) + "\n")
        (path / f"{split}.fr").write_text("\n".join(tiny.FRENCH) + "\n")
        if links:
            (path / f"{split}.align").write_text("0-0 1-1 2-2\n" * len(tiny.ENGLISH))
    return path


def test_training_is_guided_by_the_links_of_a_corpus(tmp_path: Path) -> None:
    folder = seq2attn.prepare(
        corpus(tmp_path / "corpus", True), tmp_path / "p", source="en", target="fr", vocab_size=80
    )
    losses = {}
    for guide in (0, 1):
        seen = []
        seq2attn.train(
            "first-try", folder, tmp_path / str(guide), TINY | {"train.guide": guide}, on_event=seen.append
        )
        losses[guide] = [event.loss for event in seen if hasattr(event, "loss")]
    assert losses[0] != losses[1]
    assert losses[0][0] == losses[1][0]  # of the first update: what is shown is without the guide


def test_training_without_links_is_refused_in_one_line(tmp_path: Path) -> None:
    folder = seq2attn.prepare(
        corpus(tmp_path / "corpus", False), tmp_path / "p", source="en", target="fr", vocab_size=80
    )
    with pytest.raises(UserError) as error:
        seq2attn.train("first-try", folder, tmp_path / "run", TINY | {"train.guide": 0.1})
    assert "have no word links" in str(error.value)
    assert "\n" not in str(error.value)


def test_settings_of_the_guide_alone_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        seq2attn.train("first-try", None, tmp_path / "run", {"train.guide_head": 1})
    assert "train.guide is 0; leave it out, or set train.guide=0.1" in str(error.value)
