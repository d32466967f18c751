"""500 lines with items through a model that was trained on pairs with markers."""

from pathlib import Path

import pytest
from tasks.test_protected_training import write

import seq2attn
from seq2attn.inference import Translator

LINES = 500


@pytest.mark.slow
def test_500_lines_come_out_whole_and_in_place(tmp_path: Path) -> None:
    pairs = write(tmp_path / "raw", train=1500, valid=40, test=LINES)
    prepared = seq2attn.prepare(
        tmp_path / "raw", tmp_path / "data", source="en", target="fr", vocab_size=48, protect=True, workers=1
    )
    changes = ["model.embedding=32", "model.encoder.size=32", "model.decoder.size=64", "train.warmup=20"]
    changes += ["train.max_steps=500", "train.batch_tokens=512", "train.validate_every=250", "train.lr=0.01"]
    run = seq2attn.train("first-try", data=prepared.path, out=tmp_path / "run", settings=changes)
    translator = seq2attn.load(run.path, device="cpu")
    assert isinstance(translator, Translator)
    sources, references = zip(*pairs["test"], strict=True)
    outputs = [one.text for one, *_ in translator.translate_lines(sources, beam=1)]
    right = sum(output == reference for output, reference in zip(outputs, references, strict=True))
    assert right >= 0.99 * LINES
